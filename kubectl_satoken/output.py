"""How results look: text for a person, JSON and YAML for programs."""

import json
from collections.abc import Sequence

from . import times
from .checks import Evidence, Finding, all_checks
from .cli import PROG
from .diagnosis import Cause, Name, Report, Token
from .env import Env
from .world import Object

WIDTH = 80

COLOURS = {"error": "31", "warning": "33", "hint": "36", "ok": "32", "note": "1"}


def paint(word: str, colour: bool) -> str:
    """A severity word, coloured if asked for."""
    return f"\033[{COLOURS[word]}m{word}\033[0m" if colour else word


def report_object(report: Report) -> Object:
    """The report for programs: `kind: Report` of satoken/v1, described in docs/report.schema.json.

    The shape is a promise; it is not the internal one.
    """
    return {
        "apiVersion": "satoken/v1",
        "kind": "Report",
        "targets": [name_object(name) for name in report.targets],
        "findings": [finding_object(cause) for cause in report.causes],
        "tokens": [
            {
                "target": name_object(token.target),
                "pod": token.pod or None,
                "user": token.user,
                "container": token.container or None,
                "path": token.path,
                "audience": token.audience or None,
                "lifetimeSeconds": token.lifetime,
                "secret": token.secret or None,
            }
            for token in report.tokens
        ],
        "skipped": [
            {"code": skip.code or None, "what": skip.what, "why": skip.why}
            for skip in report.skipped
        ],
        "checked": report.checked,
    }


def name_object(name: Name) -> Object:
    """An object's name for programs."""
    return {"kind": name[0], "namespace": name[1], "name": name[2]}


def evidence_object(evidence: Evidence) -> Object:
    """A piece of evidence for programs."""
    return {
        "kind": evidence.kind,
        "namespace": evidence.namespace,
        "name": evidence.name,
        "path": evidence.path,
        "value": evidence.value,
    }


def finding_object(cause: Cause) -> Object:
    """A finding for programs."""
    finding = cause.finding
    result: Object = {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "certainty": finding.certainty,
        "target": name_object(finding.target),
        "object": evidence_object(finding.object),
        "message": finding.message,
        "evidence": [evidence_object(evidence) for evidence in finding.evidence],
        "affected": cause.affected,
    }
    if finding.fix is not None:
        result["fix"] = {
            "summary": finding.fix.summary,
            "commands": list(finding.fix.commands),
            "recreates": finding.fix.recreates,
        }
        if finding.fix.manifest:
            result["fix"]["manifest"] = finding.fix.manifest
    return result


def write_object(value: Object, form: str, env: Env) -> None:
    """Writes an object as JSON or YAML."""
    if form == "json":
        env.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        import yaml

        env.stdout.write(yaml.safe_dump(value, sort_keys=False, width=WIDTH))


def write_table(headers: Sequence[str], rows: Sequence[Sequence[str]], env: Env) -> None:
    """Writes a table as kubectl does: headers in capitals, columns apart, no lines."""
    from tabulate import tabulate

    env.stdout.write(tabulate(rows, headers, tablefmt="plain") + "\n")


def write_report(report: Report, env: Env, *, colour: bool, wide: bool) -> None:
    """Writes a report for a person: for each target the verdict, what leads to it, the fix.

    Of several targets those that are fine are only named, so that what is not can be seen.
    """
    several = len(report.targets) > 1
    spread = len({namespace for _, namespace, _ in report.targets}) > 1
    blocks: list[list[str]] = []
    fine: dict[str, list[str]] = {}
    for name in report.targets:
        causes = [cause for cause in report.causes if cause.finding.target == name]
        subject = subject_of(name, spread)
        if several and not causes and not wide:
            kept = any(token.target == name for token in report.tokens)
            fine.setdefault("ok" if kept else "note", []).append(subject)
        else:
            blocks.append(verdict(name, subject, causes, report, colour=colour, wide=wide))
    ok, kind = well(report)
    for word, text in (
        ("ok", f"{ok}: {kind}"),
        ("note", "note: no fault found, and no token either"),
    ):
        if word in fine:
            lines = wrap(f"{text}: {', '.join(fine[word])}", "  ")
            blocks.append(painted(lines, word, colour))
    unseen = not_seen(report)
    if unseen and not several and blocks[0][0].startswith(paint("ok", colour)):
        # the facts of a healthy target are a table, and this is its last row
        blocks[0] += [f"  {line}" for line in unseen]
    elif unseen:
        blocks.append(unseen)
    env.stdout.write("\n".join("".join(f"{line}\n" for line in block) for block in blocks))


def well(report: Report) -> tuple[str, str]:
    """How to say that all is well, and what of: less surely where a grave fault could hide."""
    grave = {"", *(one.code for one in all_checks() if one.severity == "error")}
    blind = any(skip.code in grave for skip in report.skipped)
    return ("ok as far as can be seen", "a token") if blind else ("ok", "a working token")


def subject_of(name: Name, spread: bool) -> str:
    """A target as it is called, with its namespace where there are several."""
    kind, namespace, own = name
    return f"{kind.lower()}/{own}" + (f" in {namespace}" if spread and namespace else "")


def painted(lines: list[str], word: str, colour: bool) -> list[str]:
    """Lines with the word that they begin with in colour, if asked for."""
    return [lines[0].replace(word, paint(word, colour), 1), *lines[1:]]


def verdict(
    name: Name, subject: str, causes: list[Cause], report: Report, *, colour: bool, wide: bool
) -> list[str]:
    """What is said of one target."""
    faults = [cause for cause in causes if cause.finding.severity != "hint"]
    if faults:
        lines: list[str] = []
        shown = causes if wide else faults[:1]
    else:
        lines = healthy(name, subject, report, colour)
        shown = causes if wide else []
    for cause in shown:
        lines += ["", *finding_lines(cause, subject, colour)]
    rest = also([cause for cause in causes if cause not in shown], colour)
    if rest:
        lines += ["", *rest]
    return lines if lines[0] else lines[1:]


def finding_lines(cause: Cause, subject: str, colour: bool) -> list[str]:
    """A finding in full: headline, evidence, fix, and where to read more."""
    finding = cause.finding
    headline = wrap(f"{finding.severity}: {subject}: {finding.message}", "  ")
    lines = [*painted(headline, finding.severity, colour), "", *evidence_lines(finding), ""]
    if finding.fix is not None:
        lines += wrap(f"fix: {finding.fix.summary}", "  ")
        for command in finding.fix.commands:
            lines += indent(command)
        lines.append("")
    affected = f", {cause.affected} pods" if cause.affected > 1 else ""
    what = f"{finding.code} {finding.name}, {finding.certainty}{affected}."
    more = f"More: {PROG} explain {finding.code}"
    return [*lines, f"{what} {more}"] if len(what + more) < WIDTH else [*lines, what, more]


def indent(command: str) -> list[str]:
    """A command, set in by two columns; a here-document would not survive that and stands as is."""
    lines = command.split("\n")
    return lines if "<<" in lines[0] else [f"  {line}" for line in lines]


def label(evidence: Evidence) -> str:
    """The object of a piece of evidence, as kubectl would name it."""
    return f"{evidence.kind.lower()}/{evidence.name}" if evidence.kind else evidence.name


def shown(evidence: Evidence) -> str:
    """The value of a piece of evidence."""
    if evidence.value is None:
        return "not set"
    return evidence.value if isinstance(evidence.value, str) else json.dumps(evidence.value)


MARK = "  <- here"


def evidence_lines(finding: Finding) -> list[str]:
    """What was looked at: object, path and value in columns, or below each other if too wide."""
    rows = [
        (label(one), one.path, shown(one), MARK if one.here else "") for one in finding.evidence
    ]
    first = max(len(name) for name, *_ in rows)
    second = max(len(path) for _, path, *_ in rows)
    lines = [
        f"  {name:<{first}}  {path:<{second}}  {value}{mark}" for name, path, value, mark in rows
    ]
    if max(len(line) for line in lines) <= WIDTH:
        return lines
    # too wide for columns: each object becomes a heading with its facts below
    lines = []
    for heading in dict.fromkeys(name for name, *_ in rows):
        lines.append(f"  {heading}")
        for name, path, value, mark in rows:
            if name == heading:
                lines += fact_lines(path, value, mark)
    return lines


def fact_lines(path: str, value: str, mark: str) -> list[str]:
    """A path and its value below the name of their object."""
    line = f"    {path}  {value}{mark}" if path else f"    {value}{mark}"
    if len(line) <= WIDTH:
        return [line]
    *upper, last = [" " * 6 + part for part in wrap(value, "  ", WIDTH - 6 - len(mark))]
    return [f"    {path}", *upper, last + mark] if path else [*upper, last + mark]


def wrap(text: str, further: str, width: int = WIDTH) -> list[str]:
    """Text in lines of at most 80 columns; words are never broken, so paths stay whole.

    Not textwrap: compiling its patterns costs a twentieth of a whole doctor.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line.strip() and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = further + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def also(causes: list[Cause], colour: bool) -> list[str]:
    """The further findings, short."""
    lines: list[str] = []
    for cause in causes:
        finding = cause.finding
        text = wrap(f"{finding.severity}: {finding.message} ({finding.code})", "  ")
        lines += painted(text, finding.severity, colour)
    if lines:
        lines.append("  (-o wide shows evidence and fix)")
    return lines


def not_seen(report: Report) -> list[str]:
    """What could not be looked at, so that silence about it is not taken for health."""
    found = {cause.finding.code for cause in report.causes}
    # what a finding rests on was seen another way
    unseen = {skip.what: skip.why for skip in report.skipped if skip.code not in found}
    lines = []
    for what, why in unseen.items():
        lines += row("not seen", f"{what}: {why}")
    return lines


def row(head: str, text: str) -> list[str]:
    """A row of the table of facts."""
    first, *rest = wrap(text, "", WIDTH - 12)
    return [f"{head:<8}  {first}", *(" " * 10 + line for line in rest)]


def healthy(name: Name, subject: str, report: Report, colour: bool) -> list[str]:
    """What is said of a target without a fault: the token it has."""
    tokens = [token for token in report.tokens if token.target == name]
    rows: list[tuple[str, str]] = []
    if tokens:
        first = tokens[0]
        pods = len({token.pod for token in tokens})
        ok, kind = well(report)
        have = f" has {kind}" if pods == 1 else f": {pods} pods have {kind}"
        lines = [*painted(wrap(f"{ok}: {subject}{have}", "  "), "ok", colour), ""]
        places: dict[str, list[str]] = {}
        for token in tokens:
            containers = places.setdefault(token.path, [])
            if token.container not in containers:
                containers.append(token.container)
        rows += [("who", first.user), ("for", first.audience or "this API server")]
        where = [f"{path} in {', '.join(names)}" for path, names in places.items() if names[0]]
        rows += [("" if index else "where", text) for index, text in enumerate(where)]
        rows += [("lifetime", lifetime(first))]
    else:
        none = "no fault found, and no token either"
        if any(cause.finding.target == name for cause in report.causes):
            none = "no token"
        lines = [f"{paint('note', colour)}: {subject}: {none}", ""]
    rows += [("note", text) for target, text in report.notes if target == name]
    if len(report.targets) == 1:
        rows.append(("checked", f"{report.checked} checks; the token itself was not used"))
    for head, text in rows:
        lines += [f"  {line}" for line in row(head, text)]
    return lines if rows else lines[:-1]


def lifetime(token: Token) -> str:
    """How long a token lives."""
    if token.lifetime is None:
        return f"for ever, from secret {token.secret}"
    return f"{times.lifetime(token.lifetime)}, renewed by the kubelet"
