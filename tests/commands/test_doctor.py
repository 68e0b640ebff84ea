"""kubectl satoken doctor on files, from the outside: arguments in; stdout, stderr, status out."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Run

SHOP = str(ROOT / "examples" / "shop.yaml")
HINT = "see 'kubectl satoken doctor --help' for usage"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"

PLAIN = """
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec: {containers: [{name: app, image: app}]}
"""
OFF = """
apiVersion: v1
kind: Pod
metadata: {name: without}
spec: {automountServiceAccountToken: false, containers: [{name: app, image: app}]}
"""
# a finding of severity warning, and one of severity hint
CUSTOM_PATH = """
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  automountServiceAccountToken: false
  containers: [{name: app, image: app, volumeMounts: [{name: v, mountPath: /tokens}]}]
  volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: token}}]}}]
"""
PARTLY = """
apiVersion: v1
kind: Pod
metadata: {name: partly}
spec:
  automountServiceAccountToken: false
  containers:
  - {name: app, image: app}
  - name: other
    image: app
    volumeMounts: [{name: v, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
  volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: token}},
    {configMap: {name: kube-root-ca.crt}}, {downwardAPI: {items: [
    {path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}}]}}]
"""
UNKNOWN_ACCOUNT = """
apiVersion: v1
kind: Pod
metadata: {name: unknown}
spec: {serviceAccountName: web, containers: [{name: app, image: app}]}
"""


# --- what is asked about --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["pod/api-0"],
        ["pods/api-0"],
        ["po/api-0"],
        ["Pod/api-0"],
        ["pod", "api-0"],
        ["pods.v1.", "api-0"],
    ],
    ids=" ".join,
)
def test_a_pod_by_each_of_its_names(words: list[str], run: Run) -> None:
    done = run("doctor", *words, "-n", "shop", "-f", SHOP)
    assert done.stderr == ""
    assert done.status == 0
    assert done.stdout.startswith("ok: pod/api-0 ")


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (["pod/api-0", "deploy/web"], ["Pod/api-0", "Deployment/web"]),
        (["pod", "api-0", "cart-5f6c7d8b49-tq8vn"], ["Pod/api-0", "Pod/cart-5f6c7d8b49-tq8vn"]),
        (["deploy,sa", "web"], ["Deployment/web", "ServiceAccount/web"]),
        (["sts", "api"], ["StatefulSet/api"]),
        (["cj/backup"], ["CronJob/backup"]),
        (["deployments.apps/web"], ["Deployment/web"]),
        (["deployments.v1.apps/web"], ["Deployment/web"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_several_targets(words: list[str], targets: list[str], run: Run) -> None:
    report = run("doctor", *words, "-n", "shop", "-f", SHOP, "-o", "json").object
    assert [f"{one['kind']}/{one['name']}" for one in report["targets"]] == targets


def test_one_of_several_that_is_not_there_takes_nothing_from_the_others(run: Run) -> None:
    shop = ["-n", "shop", "-f", str(SHOP)]
    done = run("doctor", "pod/nope", "pod/api-0", *shop)
    assert done.status == 3
    assert "ok: pod/api-0 has a working token" in done.stdout
    assert done.stderr == 'error: pods "nope" not found\n'
    report = run("doctor", "pod/api-0", "pod/nope", *shop, "-o", "json").object
    assert [one["name"] for one in report["targets"]] == ["api-0"]
    assert report["failed"] == ['pods "nope" not found']
    none = run("doctor", "pod/nope", "pod/nix", *shop)
    assert (none.status, none.stdout) == (3, "")
    assert none.stderr == 'error: pods "nope" not found\n'


@pytest.mark.parametrize("flag", [["-n", "pay"], ["-npay"], ["--namespace=pay"]], ids=" ".join)
def test_the_namespace(flag: list[str], run: Run) -> None:
    done = run("doctor", "deploy/ledger", *flag, "-f", SHOP)
    assert "is for vault" in done.stdout
    done = run("doctor", "deploy/ledger", "-f", SHOP)
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.endswith("hint: not in namespace default, but with -n pay\n")
    assert "hint" not in run("doctor", "deploy/nope", "-f", SHOP).stderr


@pytest.mark.parametrize(
    ("file", "text", "hint"),
    [
        ("kustomization.yaml", "resources: [web.yaml]", "'kubectl kustomize FOLDER' writes"),
        (
            "web.yaml",
            "{{- if .Values.web }}\nkind: Pod\n{{- end }}",
            "'helm template CHART' writes",
        ),
        ("values.yaml", "replicas: 1", "'helm template CHART' writes"),
        ("notes.yaml", "replicas: 1", ""),
    ],
)
def test_what_manifests_are_made_from_is_rendered_first(
    file: str, text: str, hint: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(text)
    done = run("doctor", "-f", str(tmp_path))
    assert done.status == 3
    if hint:
        assert hint.replace("FOLDER", str(tmp_path)) in done.stderr
    else:
        assert "hint" not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nmetadata: {generateName: x-}\nspec: SPEC",
        "kind: Job\nmetadata: {generateName: x-}\nspec: {template: {spec: SPEC}}",
    ],
)
def test_what_gets_its_name_later_is_made_from_its_manifest(text: str, run: Run) -> None:
    spec = "{automountServiceAccountToken: false, containers: [{name: a, image: b}]}"
    manifest = "apiVersion: v1\n" + text.replace("SPEC", spec)
    (finding,) = run("doctor", "-f", "-", "-o", "json", stdin=manifest).object["findings"]
    (command,) = finding["fix"]["commands"]
    assert command.startswith("kubectl create -f - <<'EOF'\n")
    made = yaml.safe_load(command.partition("\n")[2].removesuffix("EOF"))
    assert made["metadata"] == {"generateName": "x-", "namespace": "default"}
    changed = manifest.replace("Token: false", "Token: true")
    assert made["spec"] == yaml.safe_load(changed)["spec"]


def test_flags_and_targets_in_any_order(run: Run) -> None:
    expected = run("doctor", "pod/api-0", "-n", "shop", "-f", SHOP)
    assert run("doctor", "-f", SHOP, "-n", "shop", "pod/api-0") == expected
    assert run("doctor", "-f", SHOP, "pod", "-n", "shop", "api-0") == expected
    assert run("doctor", "-f", SHOP, "-n", "shop", "--", "pod", "api-0") == expected


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("pod/nope", 'pods "nope" not found'),
        ("deploy/nope", 'deployments.apps "nope" not found'),
        ("sa/nope", 'serviceaccounts "nope" not found'),
    ],
)
def test_what_is_not_there(target: str, message: str, run: Run) -> None:
    done = run("doctor", target, "-n", "shop", "-f", SHOP)
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.splitlines()[0] == f"error: {message}"


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-R", "pod/x"], "-R needs -f"),
        (["--nonsense", "pod/x"], "unknown flag: --nonsense"),
        (["--recursiv", "pod/x"], "unknown flag: --recursiv"),
        (["-o"], "argument -o/--output: expected one argument"),
        (["-f"], "argument -f/--filename: expected one argument"),
        (["pod", "-f", SHOP], "pod: one resource and name is needed"),
        (["web-6d4", "-f", SHOP], "web-6d4: one resource and name is needed"),
        (["--only", "SAT1", "pod/x"], 'no check "SAT1"'),
        (["--skip=nonsense", "pod/x"], 'no check "nonsense"'),
        (["--only=SAT101", "--skip=SAT101", "pod/x"], "--only and --skip leave no check to run"),
        (["pod/", "-f", SHOP], "pod/: arguments in resource/name form"),
        (["/x", "-f", SHOP], "/x: arguments in resource/name form"),
        (["a/b/c", "-f", SHOP], "a/b/c: arguments in resource/name form"),
        (["pod/x", "sa", "-f", SHOP], "sa: there is no need to specify a resource type"),
        (["gadget/x", "-f", SHOP], 'the server doesn\'t have a resource type "gadget"'),
        (["--strict=perhaps", "pod/x"], 'invalid argument "perhaps" for "--strict" flag'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_errors_are_a_clear_line_and_a_hint(argv: list[str], message: str, run: Run) -> None:
    done = run("doctor", *argv)
    assert (done.status, done.stdout) == (2, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"error: {message}")
    assert all(line.startswith("hint: ") for line in rest)
    assert len(rest) <= 1


@pytest.mark.parametrize(
    ("argv", "flag"),
    [(["-o", "xml"], "--output"), (["--fail-on=never"], "--fail-on"), (["--color=on"], "--color")],
)
def test_a_wrong_value_names_the_flag_and_the_right_ones(
    argv: list[str], flag: str, run: Run
) -> None:
    done = run("doctor", *argv, "pod/x")
    assert done.status == 2
    assert flag in done.stderr
    assert argv[-1].rpartition("=")[2] in done.stderr
    assert HINT in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["docter"], 'unknown command "docter" for "kubectl satoken"'),
        (["frobnicate"], 'unknown command "frobnicate" for "kubectl satoken"'),
        (["-n", "shop", "doctor"], "unknown flag: -n"),
        (["--context=x", "doctor"], "unknown flag: --context"),
    ],
)
def test_before_the_command(argv: list[str], message: str, run: Run) -> None:
    done = run(*argv)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}\nhint: ")


def test_a_command_that_is_nearly_right_is_suggested(run: Run) -> None:
    assert "did you mean doctor?" in run("docter").stderr


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]], ids=" ".join)
def test_help(argv: list[str], run: Run) -> None:
    done = run(*argv)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: kubectl satoken COMMAND")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_help_of_the_command(run: Run) -> None:
    done = run("help", "doctor")
    assert done.status == 0
    assert done.stdout.startswith("usage: kubectl satoken doctor")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["pod/x", "--help"]], ids=" ".join)
def test_help_flag_of_the_command(argv: list[str], run: Run) -> None:
    done = run("doctor", *argv)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == run("help", "doctor").stdout


# --- a token in the wrong place -------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [JWT],
        [JWT, "pod/x"],
        ["pod/x", JWT],
        [f"{JWT}/x", "-f", SHOP],
        [f"pod/{JWT}", "-f", SHOP],
        ["pod", JWT, "-f", SHOP],
        ["-o", JWT, "pod/x"],
        [f"-o{JWT}", "pod/x"],
        [f"--fail-on={JWT}"],
        ["-v", JWT],
        [f"--strict={JWT}", "pod/x"],
        ["--tokn", JWT, "pod/x"],
        [f"--tokn={JWT}", "pod/x"],
        [f"--{JWT}"],
        [f"-f{JWT}"],
        ["--context", JWT, "pod/x"],
    ],
    ids=lambda argv: " ".join(argv).replace(JWT, "TOKEN").replace(SHOP, "shop.yaml"),
)
def test_a_token_in_a_wrong_argument_is_not_repeated(argv: list[str], run: Run) -> None:
    done = run("doctor", *argv)
    assert done.status in (2, 3)
    assert done.stderr.startswith("error: ")
    for part in JWT.split("."):
        assert part not in done.stdout + done.stderr


def test_a_token_as_a_command_is_not_repeated(run: Run) -> None:
    done = run(JWT)
    assert done.status == 2
    assert JWT not in done.stderr


# --- manifests that cannot be read ----------------------------------------------------------------

GARBAGE = {
    "binary": bytes(range(256)) * 16,
    "UTF-16": PLAIN.encode("utf-16"),
    "a NUL": PLAIN.replace("plain", "pl\0ain").encode(),
    "a control character": PLAIN.replace("plain", "pl\x07ain").encode(),
    "a token alone": JWT.encode(),
    "a list of tokens": f"- {JWT}\n".encode(),
    "a token as a tag": f"!{JWT} x\n".encode(),
    "a token as an anchor": f"a: *{JWT}\n".encode(),
    "a token as a directive": f"%{JWT} x\n---\n".encode(),
    "a token in an open quote": f'kind: Secret\ndata: {{token: "{JWT}\n'.encode(),
    "a token as a key twice": f"{JWT}: &a 1\n? [{JWT}]\n: 2\n".encode(),
    "a token as a kind": f"kind: [{JWT}]\napiVersion: v1\nmetadata: {{name: x}}\n".encode(),
    "a token as a number": f"kind: Pod\napiVersion: {JWT}\nmetadata: {{name: 5}}\n".encode(),
    "a value of the wrong sort": b"a: !!int x\n",
    "a time": b"2026-11-20\n",
    "open brackets": b"[" * 20_000,
    "deep JSON": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "deep YAML": b"".join(b" " * depth + b"a:\n" for depth in range(3_000)),
    "aliases of aliases": b"a: &a [x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 8)) for c in b"bcdefg"),
    "an alias of itself": b"&a [*a]\n",
    "no kind": b"metadata: {name: x}\n",
    "no name": b"apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {}\n",
    "no metadata": b"apiVersion: v1\nkind: Pod\n",
    "a List of nothing": b"apiVersion: v1\nkind: List\nitems: [null]\n",
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_is_one_line_that_repeats_nothing(case: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(GARBAGE[case])
    done = run("doctor", "-f", str(file))
    assert (done.status, done.stdout) == (3, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert str(file) in first
    assert len(first) < 200 + len(str(file))
    assert all(line.startswith("hint: ") for line in rest)
    assert "eyJ" not in done.stderr


# Objects that an API server would refuse: what is wrong with them is not ours to say, but it must
# not be a traceback, nor be taken for fine.
MISSHAPEN = {
    "a pod without spec": "spec: null",
    "a spec that is a list": "spec: [1]",
    "a spec that is text": "spec: x",
    "containers that are a mapping": "spec: {containers: {a: b}}",
    "containers of nothing": "spec: {containers: [null]}",
    "containers without a name": "spec: {containers: [{image: x}]}",
    "mounts that are a number": "spec: {containers: [{name: x, volumeMounts: 5}]}",
    "mounts of nothing": "spec: {containers: [{name: x, volumeMounts: [null]}]}",
    "a mount without a path": "spec: {containers: [{name: x, volumeMounts: [{name: v}]}]}",
    "volumes of nothing": "spec: {containers: [{name: x}], volumes: [null]}",
    "a volume without a name": "spec: {containers: [{name: x}], volumes: [{emptyDir: {}}]}",
    "sources that are text": "spec: {containers: [{name: x}], volumes: [{name: v, projected: x}]}",
    "env that is a mapping": "spec: {containers: [{name: x, env: {A: b}}]}",
    "an account that is a number": "spec: {serviceAccountName: 5, containers: [{name: x}]}",
}


@pytest.mark.parametrize("case", MISSHAPEN)
def test_misshapen_objects_are_errors_and_not_tracebacks(case: str, run: Run) -> None:
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: odd}}\n{MISSHAPEN[case]}\n"
    done = run("doctor", "-f", "-", stdin=text)
    assert done.status == 3
    assert done.stderr.startswith("error: standard input")


def test_a_misshapen_selector_of_a_clusterrole_is_an_error_and_not_a_traceback(run: Run) -> None:
    text = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: odd}\n"
        "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{values: 5}]}]}\n"
    )
    done = run("doctor", "-f", "-", stdin=text)
    assert done.status == 3
    assert "clusterRoleSelectors[0].matchExpressions[0].values must be a list" in done.stderr


@pytest.mark.parametrize(
    "metadata",
    [
        "{name: odd, labels: [a]}",
        "{name: odd, annotations: x}",
        "{name: odd, ownerReferences: {a: b}}",
        "{name: odd, ownerReferences: [null]}",
        "{name: odd, namespace: 5}",
        "{name: odd, uid: 5, creationTimestamp: yesterday}",
    ],
)
def test_misshapen_metadata_is_an_error_and_not_a_traceback(metadata: str, run: Run) -> None:
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {{containers: []}}\n"
    done = run("doctor", "-f", "-", stdin=text)
    assert done.status in (0, 3)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "fields",
    [
        "items: [5]",
        "items: [{kind: Pod}]",
        "items: {a: b}",
        "seen: [x]",
        "seen: [{namespace: x}]",
        "unseen: [x]",
        "time: yesterday",
        "time: 5",
        "documents: [x]",
    ],
)
def test_misshapen_snapshots_are_errors_and_not_tracebacks(fields: str, run: Run) -> None:
    text = f"apiVersion: satoken/v1\nkind: Snapshot\n{fields}\n"
    done = run("doctor", "-f", "-", stdin=text)
    assert done.status == 3
    assert done.stderr.startswith("error: standard input")


@pytest.mark.parametrize("text", ["", "\n", "---\n---\n", "# nothing\n", "null\n"])
def test_nothing_to_look_at_is_said_and_not_taken_for_fine(text: str, run: Run) -> None:
    done = run("doctor", "-f", "-", stdin=text)
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")


def test_files_without_anything_that_has_a_token_are_said_to_be_so(run: Run) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    done = run("doctor", "-f", "-", stdin=text)
    assert done.status == 3
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("path", ["/nonexistent.yaml", "", "/dev/null/x"])
def test_files_that_are_not_there(path: str, run: Run) -> None:
    done = run("doctor", "-f", path)
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error: cannot read {path}")


# --- manifests that can be read -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "---\n" + PLAIN + "---\n",
        json.dumps(yaml.safe_load(PLAIN)),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(PLAIN)]}),
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "PodList",
                "items": [
                    {"metadata": {"name": "plain"}, "spec": yaml.safe_load(PLAIN)["spec"]},
                ],
            }
        ),
    ],
    ids=["YAML", "with a BOM", "with CRLF", "with marks", "JSON", "List", "PodList"],
)
def test_manifests_from_standard_input(text: str, run: Run) -> None:
    done = run("doctor", "-f", "-", stdin=text)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: pod/plain ")


def test_folders_are_read_without_and_with_those_below(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PLAIN)
    (tmp_path / "notes.txt").write_text("[not YAML")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b.yml").write_text(OFF)
    flat = run("doctor", "-f", str(tmp_path), "-o", "json").object
    assert [one["name"] for one in flat["targets"]] == ["plain"]
    deep = run("doctor", "-R", "-f", str(tmp_path), "-o", "json").object
    assert [one["name"] for one in deep["targets"]] == ["plain", "without"]


def test_an_empty_folder_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("doctor", "-f", str(tmp_path))
    assert done.status == 3
    assert done.stderr.startswith(f"error: no manifests in {tmp_path}")


def test_several_files(run: Run, tmp_path: Path) -> None:
    for name, text in (("a.yaml", PLAIN), ("b.yaml", OFF)):
        (tmp_path / name).write_text(text)
    done = run("doctor", "-f", str(tmp_path / "a.yaml"), "-f", str(tmp_path / "b.yaml"))
    assert done.status == 0
    assert "plain" in done.stdout
    assert "without" in done.stdout


def test_what_is_not_among_the_manifests_is_not_taken_for_missing(run: Run) -> None:
    done = run("doctor", "-f", "-", "-o", "json", stdin=UNKNOWN_ACCOUNT)
    assert done.object["findings"] == []
    assert "serviceaccount web" in {one["what"] for one in done.object["skipped"]}


# --- exit status ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "argv", "status"),
    [
        (PLAIN, [], 0),
        (OFF, [], 1),
        (OFF, ["--fail-on=error"], 1),
        (CUSTOM_PATH, [], 1),
        (CUSTOM_PATH, ["--fail-on=warning"], 1),
        (CUSTOM_PATH, ["--fail-on", "error"], 0),
        (PARTLY, [], 0),
        (PARTLY, ["--fail-on=hint"], 1),
        (UNKNOWN_ACCOUNT, [], 0),
        (UNKNOWN_ACCOUNT, ["--strict"], 3),
        (UNKNOWN_ACCOUNT, ["--strict=true"], 3),
        (UNKNOWN_ACCOUNT, ["--strict=false"], 0),
        (UNKNOWN_ACCOUNT, ["--strict", "-o", "json"], 3),
        # a finding tells more than what was not seen; in a sweep a token switched off is a hint
        (OFF + "---" + UNKNOWN_ACCOUNT, ["--strict", "--fail-on=hint"], 1),
        (OFF + "---" + UNKNOWN_ACCOUNT, ["--strict"], 3),
    ],
)
def test_exit_status(text: str, argv: list[str], status: int, run: Run) -> None:
    assert run("doctor", "-f", "-", *argv, stdin=text).status == status


# --- output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flag", [["-o", "json"], ["-o=json"], ["-ojson"], ["--output", "json"], ["--output=json"]]
)
def test_json_in_each_of_its_spellings(flag: list[str], run: Run) -> None:
    done = run("doctor", "pod/api-0", "-n", "shop", "-f", SHOP, *flag)
    assert (done.status, done.stderr) == (0, "")
    assert done.object["kind"] == "Report"


def test_yaml_is_the_same_report(run: Run) -> None:
    words = ("doctor", "deploy/web", "deploy/report", "-n", "shop", "-f", SHOP)
    as_yaml = run(*words, "-o", "yaml")
    assert as_yaml.status == 1
    assert yaml.safe_load(as_yaml.stdout) == run(*words, "-o", "json").object


def test_machine_output_is_never_coloured(run: Run) -> None:
    words = ("doctor", "deploy/web", "-n", "shop", "-f", SHOP, "--color=always")
    assert "\033" not in run(*words, "-o", "json").stdout
    assert "\033" not in run(*words, "-o", "yaml").stdout


def test_wide_shows_every_finding_in_full(run: Run) -> None:
    both = CUSTOM_PATH.replace("/tokens}]}]", "/tokens}]}, {name: second, image: app}]")
    short = run("doctor", "-f", "-", stdin=both).stdout
    wide = run("doctor", "-f", "-", "-o", "wide", stdin=both).stdout
    assert "SAT303" in short
    assert "SAT302" in short
    assert short.count("\nfix: ") == 1
    assert wide.count("\nfix: ") == 2


@pytest.mark.parametrize(
    ("argv", "environ", "terminal", "coloured"),
    [
        ([], {}, False, False),
        ([], {}, True, True),
        ([], {"NO_COLOR": "1"}, True, False),
        ([], {"NO_COLOR": ""}, True, True),
        ([], {"TERM": "dumb"}, True, False),
        (["--color=always"], {}, False, True),
        (["--color=always"], {"NO_COLOR": "1"}, False, True),
        (["--color", "never"], {}, True, False),
    ],
)
def test_colour(
    argv: list[str], environ: dict[str, str], terminal: bool, coloured: bool, run: Run
) -> None:
    done = run("doctor", "-f", "-", *argv, stdin=OFF, environ=environ, terminal=terminal)
    assert ("\033[31merror\033[0m" in done.stdout) == coloured
    assert ("\033" in done.stdout) == coloured


def test_no_line_is_wider_than_a_terminal_but_for_what_is_to_be_copied(run: Run) -> None:
    lines = run("doctor", "-f", SHOP).stdout.splitlines()
    too_long = [line for line in lines if len(line) > 80 and not line.startswith("  kubectl ")]
    assert too_long == []


def test_times_are_those_of_the_snapshot(run: Run) -> None:
    first = run("doctor", "-f", SHOP, now=0.0)
    assert first == run("doctor", "-f", SHOP, now=4e9)
    assert "made again 8m ago" in " ".join(first.stdout.split())


@pytest.mark.parametrize("form", ["sarif", "junit", "markdown", "name", "fix", "fix-yaml"])
def test_formats_for_programs_are_never_coloured(form: str, run: Run) -> None:
    done = run("doctor", "deploy/web", "-nshop", "-f", SHOP, "--color=always", "-o", form)
    assert done.status == 1
    assert "\033" not in done.stdout


def test_the_certainty_says_that_it_is_from_manifests(run: Run) -> None:
    assert "SAT101 automount-disabled-pod, certain from manifests." in " ".join(
        run("doctor", "-f", "-", stdin=OFF).stdout.split()
    )
    # a snapshot tells the state of a cluster
    done = run("doctor", "deploy/web", "-nshop", "-f", SHOP)
    assert "automount-disabled-sa, certain, 2 pods." in done.stdout
    assert run("doctor", "-f", SHOP, "-o", "json").object["source"] == "snapshot"
    assert run("doctor", "-f", "-", "-o", "json", stdin=OFF).object["source"] == "manifests"


def test_names_can_be_handed_on(run: Run) -> None:
    done = run("doctor", "-nshop", "deploy/web", "deploy/report", "-f", SHOP, "-o", "name")
    assert (done.status, done.stdout) == (1, "deployment.apps/web\ndeployment.apps/report\n")


# --- which findings count -------------------------------------------------------------------------


IGNORED = OFF.replace("{name: without}", '{name: without, annotations: {satoken/ignore: "%s"}}')


def test_only_and_skip_choose_the_checks(run: Run) -> None:
    def checked(*words: str) -> tuple[int, int]:
        done = run("doctor", "-f", "-", "-o", "json", *words, stdin=OFF)
        return done.status, done.object["checked"]

    status, everything = checked()
    assert status == 1
    assert checked("--skip", "SAT101") == (0, everything - 1)
    assert checked("--only", "SAT101") == (1, 1)
    assert checked("--only", "automount-disabled-sa,SAT303") == (0, 2)
    assert checked("--only=SAT101,SAT303", "--skip", "sat101") == (0, 1)


def test_what_is_ignored_with_a_reason_does_not_count_but_is_said(run: Run) -> None:
    text = IGNORED % "SAT101 asks nothing"
    done = run("doctor", "-f", "-", stdin=text)
    assert done.status == 0
    assert "1 finding (-o wide shows it)" in done.stdout
    wide = run("doctor", "-f", "-", "-o", "wide", stdin=text)
    assert "SAT101 automount-disabled-pod: asks nothing (by pod/without)" in " ".join(
        wide.stdout.split()
    )
    report = run("doctor", "-f", "-", "-o", "json", stdin=text).object
    assert [one["code"] for one in report["ignored"]] == ["SAT101"]
    for form in ("name", "fix"):
        assert run("doctor", "-f", "-", "-o", form, stdin=text).stdout == ""


def test_what_is_ignored_without_a_reason_counts(run: Run) -> None:
    done = run("doctor", "-f", "-", stdin=IGNORED % "SAT101")
    assert done.status == 1
    assert "(no reason, so it does not count)" in " ".join(done.stdout.split())


# --- a sweep --------------------------------------------------------------------------------------


def test_a_sweep_calls_nothing_healthy_that_has_a_fault(run: Run) -> None:
    """Pods and ReplicaSets share the faults of their Deployment."""
    done = run("doctor", "-f", SHOP)
    for name in ("web", "cart", "backup", "ledger", "indexer"):
        good = [
            line
            for line in done.stdout.splitlines()
            if line.startswith(("ok:", "note: no fault found")) and name in line
        ]
        assert good == []


def test_a_sweep_tells_each_fault_once(run: Run) -> None:
    report = run("doctor", "-f", SHOP, "-o", "json").object
    faults = [(one["code"], one["target"]["name"]) for one in report["findings"]]
    assert len(faults) == len(set(faults))
    assert faults.count(("SAT102", "web")) == 1


# --- the process ----------------------------------------------------------------------------------


def test_a_reader_that_has_enough_is_no_error(installed: Path) -> None:
    """As with `kubectl satoken doctor … | head -1`."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [installed, "doctor", "-f", SHOP, "-o", "json"], stdout=writing, stderr=subprocess.PIPE
    ) as process:
        os.close(writing)
        os.close(reading)
        _, stderr = process.communicate(timeout=30)
    assert stderr == b""
    assert process.returncode in (0, 1)


def test_output_that_the_terminal_cannot_show_is_no_traceback(installed: Path) -> None:
    done = subprocess.run(
        [installed, "doctor", "-f", "-"],
        input=OFF.replace("name: app", 'name: "\\u00e4\\u0142"').encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii", "HOME": "/nonexistent"},
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in (1, 3)


@pytest.mark.parametrize(
    "text", [b'{"a":' * 10**6 + b"1" + b"}" * 10**6, b"[" * 10**6 + b"]" * 10**6]
)
def test_a_depth_that_no_reader_survives_is_an_error_and_not_a_crash(
    text: bytes, installed: Path
) -> None:
    done = subprocess.run(
        [installed, "doctor", "-f", "-"],
        input=text,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: ")


def test_standard_input_that_is_not_text_is_no_traceback(installed: Path) -> None:
    done = subprocess.run(
        [installed, "doctor", "-f", "-"],
        input=bytes(range(256)),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: ")
    assert b"Traceback" not in done.stderr
