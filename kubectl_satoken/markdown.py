"""A report as Markdown, for a comment on a pull request."""

from collections.abc import Iterable

from .checks import SEVERITIES
from .cli import PROG
from .diagnosis import Cause, Report
from .errors import visible
from .output import evidence_lines, spread_of, subject_of

# GitHub refuses comments of more than 65536 characters.
LIMIT = 60_000

SPECIAL = {each: f"\\{each}" for each in "\\`*_[]|~$"} | {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    # an empty comment keeps a name from being notified, and a number from becoming a link
    "@": "@<!-- -->",
    "#": "#<!-- -->",
}


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table."""
    return "".join(SPECIAL.get(each, each) for each in visible(text))


def code(text: str) -> str:
    """Text in a code span, also in a cell of a table."""
    text = visible(text)
    if "|" in text and "\\" in text:
        return escape(text)  # the rules for that differ from reader to reader
    text = text.replace("|", "\\|")
    fence = "`" * (longest(text) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def block(lines: Iterable[str], language: str) -> str:
    """Lines in a fenced block, whatever is in them."""
    text = "\n".join(lines)
    fence = "`" * max(3, longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def longest(text: str) -> int:
    """The length of the longest run of backticks."""
    best = run = 0
    for each in text:
        run = run + 1 if each == "`" else 0
        best = max(best, run)
    return best


def document(report: Report) -> str:
    """The whole comment: a heading, a table of the findings, and each with evidence and fix."""
    causes = sorted(report.causes, key=lambda one: SEVERITIES.index(one.finding.severity))
    parts = [f"### {PROG} doctor: {summary(causes)}\n"]
    if causes:
        rows = ["| | check | where | what |\n| --- | --- | --- | --- |\n"]
        rows += [table_row(cause, report) for cause in causes]
        parts.append(fitting(rows, LIMIT // 2, "| | | | and {} more |\n"))
    notes = [f"- not seen: {escape(f'{skip.what}: {skip.why}')}\n" for skip in report.skipped]
    if report.swept and report.swept.broken:
        notes.append(f"- not all was looked at: {escape(report.swept.broken)}\n")
    if notes:
        notes = list(dict.fromkeys(notes))
        parts.append(fitting(notes, LIMIT // 10, "- and {} more\n"))
    if report.ignored:
        parts.append(f"{len(report.ignored)} ignored\n")
    used = sum(map(len, parts))
    more = f"\n{{}} more: {PROG} doctor -o wide shows them\n"
    details = [detail(cause, report) for cause in causes]
    if details:
        parts.append(fitting(details, LIMIT - used, more).lstrip("\n"))
    return "\n".join(parts)


def fitting(items: list[str], limit: int, more: str) -> str:
    """As many of the items as have room, and a word on how many have not."""
    kept = ""
    for index, item in enumerate(items):
        if len(kept) + len(item) > limit:
            return kept + more.format(len(items) - index)
        kept += item
    return kept


def summary(causes: list[Cause]) -> str:
    """How many findings there are of each severity."""
    numbers: dict[str, int] = {}
    for cause in causes:
        severity = cause.finding.severity
        numbers[severity] = numbers.get(severity, 0) + 1
    told = [
        f"{number} {severity}{'' if number == 1 else 's'}" for severity, number in numbers.items()
    ]
    return ", ".join(told) or "no findings"


def subject(cause: Cause, report: Report) -> str:
    """What a finding is about, and how many more such there are."""
    targets = cause.targets or (cause.finding.target,)
    text = code(subject_of(targets[0], spread_of(report)))
    return f"{text} and {len(targets) - 1} more" if len(targets) > 1 else text


def table_row(cause: Cause, report: Report) -> str:
    """A finding as a row of the table."""
    finding = cause.finding
    after = f" (may follow from {cause.root})" if cause.root else ""
    return (
        f"| {finding.severity} | {finding.code} | {subject(cause, report)} "
        f"| {escape(finding.message)}{after} |\n"
    )


def detail(cause: Cause, report: Report) -> str:
    """A finding with its evidence and fix, folded up."""
    finding = cause.finding
    source = " from manifests" if report.source == "manifests" else ""
    title = visible(f"{finding.code} {finding.name}: {subject_of(finding.target, True)}")
    # in HTML the marks of Markdown stand for themselves, but for these
    title = title.replace("&", "&amp;").replace("<", "&lt;").replace("@", "@<!-- -->")
    lines = [
        f"\n<details><summary>{title}</summary>\n\n",
        f"{escape(finding.message)} ({finding.certainty}{source})\n\n",
        block(evidence_lines(finding), "text"),
    ]
    if finding.fix is not None:
        lines.append(f"\nfix: {escape(finding.fix.summary)}\n\n")
        if finding.fix.commands:
            shell = [visible(line) for each in finding.fix.commands for line in each.split("\n")]
            lines.append(block(shell, "sh"))
    lines.append("\n</details>\n")
    return "".join(lines)
