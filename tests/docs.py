"""The documents that are made from the program. ``make docs`` writes them, the tests compare.

docs/checks.md      the pages of the checks
docs/messages.md    the error texts that explain knows
man/*.1             a page for the program and one for each command
README.md           the block between the help marks, and the output of each example
.krew.yaml          plugin.yaml as krew-release-bot takes it
"""

import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from argparse_manpage.manpage import Manpage

from kubectl_satoken import __version__
from kubectl_satoken.checks import all_checks
from kubectl_satoken.cli import DESCRIPTION, VERBS, command_of, run, top_parser, verb_parser
from kubectl_satoken.commands.explain import messages_reference, reference
from kubectl_satoken.env import Env

ROOT = Path(__file__).parent.parent
PROGRAM = "kubectl-satoken"

HELP = re.compile(r"(<!-- help: made by `make docs` -->\n).*?(<!-- end of help -->)", re.DOTALL)
CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)

EXIT_STATUS = (
    ("0", "Fine, yes, done."),
    ("1", "There are findings, of the severity that --fail-on names or worse."),
    ("2", "The command line is wrong."),
    (
        "3",
        "It could not be told: kubeconfig, network, not allowed, a manifest that cannot be read; "
        "with --strict also when a part could not be seen.",
    ),
    ("130", "Interrupted."),
)


def documents() -> dict[Path, str]:
    """All of them, by path."""
    made = {
        ROOT / "docs" / "checks.md": reference(),
        ROOT / "docs" / "messages.md": messages_reference(),
        ROOT / "README.md": readme(),
        ROOT / ".krew.yaml": release_template(),
    }
    for name, text in man_pages().items():
        made[ROOT / "man" / name] = text
    return made


def call(line: str) -> str:
    """What a command line of ours prints, stdout and stderr as a terminal would show them."""
    words = shlex.split(line)
    assert words[:2] == ["kubectl", "satoken"], line
    screen = io.StringIO()
    run(words[2:], Env(io.StringIO(), screen, screen, {"HOME": "/nonexistent"}))
    return screen.getvalue()


# --- README.md -------------------------------------------------------------------------------


def readme() -> str:
    """The README with its help block and the output of its examples as they are now."""
    text = (ROOT / "README.md").read_text()
    shown = f"```text\n{call('kubectl satoken --help')}```\n"
    text = HELP.sub(lambda found: found[1] + shown + found[2], text)
    return CONSOLE.sub(lambda found: console(found[0]), text)


def console(block: str) -> str:
    """A block of examples, each with what it prints now."""
    blocks = [f"$ {line}\n{call(line)}" for line in commands(block)]
    return "\n".join(blocks)


def commands(block: str) -> Iterator[str]:
    """The command lines of a block of examples."""
    for line in block.splitlines():
        if line.startswith("$ "):
            yield line[2:]


# --- krew ------------------------------------------------------------------------------------


def release_template() -> str:
    """plugin.yaml with what krew-release-bot fills in for a release: version, address, checksum."""
    text = (ROOT / "plugin.yaml").read_text()
    text = re.sub(
        r"\A(#.*\n)+", "# Made from plugin.yaml by `make docs`, for krew-release-bot.\n", text
    )
    text = text.replace(f"v{__version__}", "{{ .TagName }}")
    archive = re.compile(r"uri: (.+)\n +sha256: .*")
    return archive.sub(r'{{addURIAndSha "\1" .TagName }}', text)


# --- manual pages ----------------------------------------------------------------------------


def man_pages() -> dict[str, str]:
    """The manual pages by file name."""
    pages = {f"{PROGRAM}.1": top_page()}
    for verb in VERBS:
        pages[f"{PROGRAM}-{verb}.1"] = verb_page(verb)
    return pages


def top_page() -> str:
    """The page of the program: its commands, exit statuses and checks."""
    parser = top_parser(PROGRAM)
    sections = {
        **examples(parser.epilog or ""),
        "exit status": items(EXIT_STATUS),
        "checks": items((f"{one.code} {one.name}", one.title) for one in all_checks()),
        "see also": ", ".join([*(f"{PROGRAM}\\-{verb}(1)" for verb in VERBS), "kubectl(1)"]),
    }
    parser.usage = f"{PROGRAM} COMMAND [ARGUMENT ...]"
    return page(parser, PROGRAM, DESCRIPTION, sections)


def verb_page(verb: str) -> str:
    """The page of a command."""
    parser = verb_parser(verb, PROGRAM)
    sections = {
        **examples(parser.epilog or ""),
        "exit status": items(getattr(command_of(verb), "EXIT_STATUS", EXIT_STATUS)),
        "see also": f"{PROGRAM}(1)",
    }
    words = [f"[{one.metavar} ...]" for one in parser._get_positional_actions()]
    parser.usage = " ".join([PROGRAM, verb, "[OPTION ...]", *words])
    return page(parser, f"{PROGRAM}-{verb}", command_of(verb).HELP, sections)


def page(parser, name: str, summary: str, sections: dict[str, str]) -> str:  # type: ignore[no-untyped-def]
    """A manual page of a parser."""
    parser.prog = name
    parser.epilog = None  # argparse-manpage would fill its lines
    date = dated()
    made = Manpage(
        parser,
        _data={
            "project_name": PROGRAM,
            "version": __version__,
            "date": date,
            "manual_title": "kubectl plugins",
            "description": summary.rstrip("."),
        },
    )
    for heading, content in sections.items():
        made.add_section(heading, "=", content)
    # a date with the hyphens of words is none to mandoc
    text = str(made).replace(date.replace("-", r"\-"), date, 1)
    # nothing but the text may end a line: the page is compared
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def dated() -> str:
    """The date of this version by the changelog: of its release, or before that of its last change.

    A manual page must have one: mandoc warns of a word in its place, as of nothing.
    """
    changes = (ROOT / "CHANGELOG.md").read_text()
    heading = rf"^## {re.escape(__version__)} .*?(\d{{4}}-\d\d-\d\d)"
    found = re.search(heading, changes, re.MULTILINE)
    assert found, f"CHANGELOG.md has no heading with {__version__} and a date"
    return found[1]


def roff(text: str) -> str:
    """Text for troff: nothing in it is a macro or a typographic hyphen."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def items(pairs) -> str:  # type: ignore[no-untyped-def]
    """A list of words and what they mean."""
    return "\n".join(f".TP\n\\fB{roff(word)}\\fR\n{roff(text)}" for word, text in pairs)


def examples(epilog: str) -> dict[str, str]:
    """The examples of an epilog as a section."""
    text = epilog.partition("Examples:\n")[2].partition("\nExit status")[0].strip("\n")
    return {"examples": f".nf\n{roff(text)}\n.fi"} if text else {}


def main() -> int:
    """Writes the documents that are not as they should be."""
    os.chdir(ROOT)
    for path, text in documents().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
