"""The fixes alone: a shell script, or the manifests among them as one YAML stream.

The script is for ``sh``: each fix under a comment that says what it mends, in the order of causes,
a command that several findings share once. It stops at the first command that fails.

A patch is never turned into a manifest: ``kubectl apply`` of a part of an object would take away
what an earlier apply had set and this one leaves out.
"""

from collections.abc import Collection, Iterator

from .cli import PROG
from .diagnosis import Cause, Report
from .errors import visible
from .output import spread_of, subject_of
from .sweep import FIXES


def fixes(report: Report, severities: Collection[str]) -> list[Cause]:
    """The causes of these severities that have a fix."""
    return [
        cause
        for cause in report.causes
        if cause.finding.fix is not None and cause.finding.severity in severities
    ]


def script(report: Report, severities: Collection[str]) -> str:
    """A shell script of all fixes; empty where there is nothing to mend."""
    lines: list[str] = []
    found = fixes(report, severities)
    left: dict[str, int] = {}
    for cause in found:
        for command in cause.finding.fix.commands if cause.finding.fix else ():
            left[command] = left.get(command, 0) + 1
    done: set[str] = set()
    for cause in found:
        fix = cause.finding.fix
        assert fix is not None
        lines += ["", *heading(cause, report), f"# {visible(fix.summary)}"]
        for command in fix.commands:
            left[command] -= 1
            if left[command] and comes_last(command):
                lines.append("# (below)")
            elif command in done:
                lines.append("# (as above)")
            else:
                done.add(command)
                lines += by_hand(command) if is_interactive(command) else safe(command)
    return "".join(f"{line}\n" for line in ["#!/bin/sh", "set -e", *lines]) if lines else ""


def heading(cause: Cause, report: Report) -> Iterator[str]:
    """What a fix is for, as comments."""
    finding = cause.finding
    targets = cause.targets or (finding.target,)
    subject = subject_of(targets[0], spread_of(report) or len(targets) > 1)
    if len(targets) > 1:
        subject += f" and {len(targets) - 1} more"
    yield f"# {finding.code} {subject}: {visible(finding.message)}"
    if len(targets) > FIXES:
        yield f"# for the first {FIXES} of them: do this again for the others"
    if cause.root:
        yield f"# may follow from {cause.root}: look again when that is mended"


def comes_last(command: str) -> bool:
    """Whether a command makes pods anew, which is done once all that they need is mended."""
    return verb(command.split()) in ("rollout", "delete", "get")


def safe(command: str) -> list[str]:
    """The lines of a command; control characters, which no command needs, as their escapes."""
    return [visible(line) for line in command.split("\n")]


def by_hand(command: str) -> list[str]:
    """A command that needs a person at the terminal, as comments."""
    return ["# by hand:", *(f"#   {line}" for line in safe(command))]


def is_interactive(command: str) -> bool:
    """Whether a command would take the rest of the script for what is typed: an editor, a shell."""
    words = command.split()
    terminal = any(word in ("-i", "-it", "-ti", "--stdin") for word in words)
    return words[0] == "kubectl" and (terminal or verb(words) == "edit")


def is_apply(command: str) -> bool:
    """Whether a command does nothing but apply the manifest that it carries."""
    first = command.partition("\n")[0]
    return first.startswith("kubectl ") and verb(first.split()) == "apply" and "<<" in first


def verb(words: list[str]) -> str:
    """The verb of a kubectl command line; before it there are flags with their values."""
    index = 1
    while index < len(words) and words[index].startswith("-"):
        index += 1 if "=" in words[index] else 2
    return words[index] if index < len(words) else ""


def stream(report: Report, severities: Collection[str]) -> tuple[str, int]:
    """The manifests among the fixes as one YAML stream, and how many fixes are none."""
    parts: dict[str, list[str]] = {}
    others = 0
    for cause in fixes(report, severities):
        fix = cause.finding.fix
        assert fix is not None
        if fix.manifest and all(map(is_apply, fix.commands)):
            parts.setdefault(fix.manifest, []).extend(heading(cause, report))
        else:
            others += 1
    text = "".join(
        "---\n" + "".join(f"{line}\n" for line in comments) + manifest.removeprefix("---\n")
        for manifest, comments in parts.items()
    )
    return text, others


def remark(number: int) -> str:
    """What is said of the fixes that are no manifests."""
    them = "1 fix is a command" if number == 1 else f"{number} fixes are commands"
    return f"note: {them} and no manifest: '{PROG} doctor -o fix' prints them\n"
