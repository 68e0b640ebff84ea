"""What TAB offers where no cluster is needed; tests/live/test_completion.py has the rest."""

import shutil
import subprocess

import pytest

from kubectl_satoken.checks import all_checks
from kubectl_satoken.cli import VERBS, verb_parser
from kubectl_satoken.commands.completion import SCRIPTS
from kubectl_satoken.complete import positions
from tests.conftest import Run

CONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: farm, user: farmer}}
- {name: there, context: {cluster: forest, user: hunter}}
clusters:
- {name: farm, cluster: {server: "http://127.0.0.1:1"}}
- {name: forest, cluster: {server: "http://127.0.0.1:1"}}
users:
- {name: farmer, user: {}}
- {name: hunter, user: {}}
"""


@pytest.fixture
def complete(run: Run, tmp_path):  # type: ignore[no-untyped-def]
    """The candidates for the last word of a line, and the directives as the last of them."""
    config = tmp_path / "config"
    config.write_text(CONFIG)

    def ask(line: str) -> list[str]:
        done = run("__complete", *line.split(" "), environ={"KUBECONFIG": str(config)})
        assert (done.status, done.stderr) == (0, "")
        return [each.partition("\t")[0] for each in done.stdout.splitlines()]

    return ask


def test_verbs_come_first(complete) -> None:  # type: ignore[no-untyped-def]
    assert complete("") == [*VERBS, "help", ":4"]
    assert complete("s") == [verb for verb in VERBS if verb.startswith("s")] + [":4"]
    assert complete("help d") == ["doctor", ":4"]
    assert complete("--v") == ["--version", ":4"]


def test_candidates_say_what_they_are(run: Run) -> None:
    assert "\ndoctor\tTell why" in "\n" + run("__complete", "").stdout
    assert "\t" in run("__complete", "doctor", "--veri").stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_offers_all_its_flags(verb: str, complete) -> None:  # type: ignore[no-untyped-def]
    flags = {
        action.option_strings[-1] for action in verb_parser(verb)._actions if action.option_strings
    }
    assert set(complete(f"{verb} --")) == {flag for flag in flags if flag[:2] == "--"} | {":4"}


@pytest.mark.parametrize("verb", VERBS)
def test_each_flag_offers_its_choices(verb: str, complete) -> None:  # type: ignore[no-untyped-def]
    for action in verb_parser(verb)._actions:
        if action.choices and action.option_strings:
            expected = [*action.choices, ":4"]
            flag = action.option_strings[-1]
            assert complete(f"{verb} {flag}=") == expected
            if not (verb_parser(verb).get_default("bare") or {}).get(flag):
                assert complete(f"{verb} {flag} ") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("doctor -o j", ["json", "junit", ":4"]),
        ("doctor -A -o j", ["json", "junit", ":4"]),
        ("doctor -Ao j", ["json", "junit", ":4"]),
        ("doctor --output=j", ["json", "junit", ":4"]),
        ("doctor --fail-on w", ["warning", ":4"]),
        ("completion z", ["zsh", ":4"]),
        # once is enough, but where a flag can be repeated
        ("doctor --verify --verif", [":4"]),
        ("doctor --only SAT101 --onl", ["--only", ":4"]),
        # targets
        ("doctor po", ["pod/", ":6"]),
        ("doctor pod/x dep", ["deployment/", ":6"]),
        ("doctor sa", ["sa/", ":6"]),
        ("snapshot st", ["statefulset/", ":6"]),
        ("can-i m", ["me", ":4"]),
        ("mint x po", ["pod/", ":6"]),
        ("mint --bound-to n", [":4"]),
        # questions
        ("who-can de", ["delete", "deletecollection", ":4"]),
        ("can-i me wat", ["watch", ":4"]),
        # checks
        ("doctor --only SAT10", [*(f"SAT10{n}" for n in range(1, 10)), ":4"]),
        ("doctor --only SAT101,SAT102,SAT20", None),
        ("explain automount-disabled-s", ["automount-disabled-sa", ":4"]),
        ("explain x automount-disabled-s", ["automount-disabled-sa", ":4"]),
        # the kubeconfig
        ("doctor --context t", ["there", ":4"]),
        ("doctor --cluster f", ["farm", "forest", ":4"]),
        ("mint --user h", ["hunter", ":4"]),
        ("explain --context t", ["there", ":4"]),
        # files are for the shell
        ("doctor -f ", [":0"]),
        ("doctor --kubeconfig=", [":0"]),
        ("mint --out ", [":0"]),
        # a bare flag does not take the next word
        ("can-i --grant m", ["me", ":4"]),
        # nothing that would be known
        ("doctor --token ", [":4"]),
        ("doctor --nonsense ", None),
        ("doctor -- --verif", [":4"]),
        ("nonsense ", [":4"]),
        ("nonsense --", [":4"]),
        # the server is not there
        ("doctor pod/", [":4"]),
        ("doctor -n ", [":4"]),
        ("mint ", None),
    ],
)
def test_what_is_offered(line: str, expected: list[str] | None, complete) -> None:  # type: ignore[no-untyped-def]
    found = complete(line)
    if expected is not None:
        assert found == expected
    assert found[-1].startswith(":")


def test_lists_of_checks_go_on(complete) -> None:  # type: ignore[no-untyped-def]
    codes = [one.code for one in all_checks() if one.code.startswith("SAT20")]
    assert complete("doctor --skip SAT101,SAT20") == [*(f"SAT101,{code}" for code in codes), ":4"]


def test_a_kubeconfig_that_cannot_be_read_is_no_error(run: Run) -> None:
    done = run("__complete", "doctor", "--context", "", environ={"KUBECONFIG": "/proc"})
    assert done == (0, ":4\n", "")


@pytest.mark.parametrize(
    ("metavar", "expected"),
    [
        ("TYPE/NAME", [["TYPE/NAME"]]),
        ("SA | pod/NAME", [["SA", "pod/NAME"]]),
        ("- | FILE | secret/NAME", [["-", "FILE", "secret/NAME"]]),
        ("TARGET VERB TYPE [NAME]", [["TARGET"], ["VERB"], ["TYPE"], ["NAME"]]),
    ],
)
def test_metavars_are_a_grammar(metavar: str, expected: list[list[str]]) -> None:
    assert positions(metavar) == expected


# --- the scripts -----------------------------------------------------------------------------


def test_completion_tells_what_to_do(run: Run) -> None:
    done = run("completion")
    assert done.status == 0
    assert "ln -s kubectl-satoken" in done.stdout
    assert all(len(line) <= 82 for line in done.stdout.splitlines())


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_are_ones_of_their_shells(shell: str, run: Run) -> None:
    script = run("completion", shell).stdout
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not here")
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_that_there_is_no_script_for_is_told(run: Run) -> None:
    done = run("completion", "tcsh")
    assert done.status == 2
    assert "tcsh" in done.stderr
