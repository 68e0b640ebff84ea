"""How results look: text for a person, JSON and YAML for programs."""

import json
from collections.abc import Collection, Sequence

from . import times
from .checks import Evidence, Finding, Fix, all_checks
from .cli import PROG
from .diagnosis import Cause, Name, Report, Swept, Token
from .env import Env
from .errors import redact, visible
from .world import KINDS, Object

WIDTH = 80

COLOURS = {"error": "31", "warning": "33", "hint": "36", "ok": "32", "note": "1"}


def paint(word: str, colour: bool, text: str = "") -> str:
    """A severity word, or another text, in its colour if asked for."""
    text = text or word
    return f"\033[{COLOURS[word]}m{text}\033[0m" if colour else text


def report_object(report: Report) -> Object:
    """The report for programs: `kind: Report` of satoken/v1, described in docs/report.schema.json.

    The shape is a promise; it is not the internal one.
    """
    return {
        "apiVersion": "satoken/v1",
        "kind": "Report",
        "source": report.source,
        "targets": [name_object(name) for name in report.targets],
        "findings": [finding_object(cause) for cause in report.causes],
        "ignored": [finding_object(cause) for cause in report.ignored],
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
        "foreign": [
            {
                "target": name_object(target),
                "pod": pod,
                "container": token.container,
                "path": token.path,
                "audience": token.audience,
                "system": token.system or None,
            }
            for target, pod, token in report.foreign
        ],
        "used": [
            {
                "target": name_object(one.target),
                "pod": one.pod,
                "source": one.source,
                "container": one.container or None,
                "by": one.by,
                "taken": one.taken,
                "user": one.user or None,
            }
            for one in report.used
        ],
        "rights": [
            {
                "target": name_object(one.target),
                "user": one.user,
                "may": list(one.may),
                "unseen": one.unseen or None,
            }
            for one in report.rights
        ],
        "skipped": [
            {"code": skip.code or None, "what": skip.what, "why": skip.why}
            for skip in report.skipped
        ],
        "failed": [redact(error.message) for error in report.failed],
        "checked": report.checked,
        **({"swept": swept_object(report.swept)} if report.swept else {}),
    }


def swept_object(swept: Swept) -> Object:
    """What a sweep looked at, for programs."""
    return {
        "namespace": swept.namespace or None,
        "complete": not swept.broken,
        "counts": swept.counts,
        "omitted": [{"code": code, "targets": number} for code, number in swept.omitted.items()],
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
        "root": cause.root or None,
    }
    if cause.targets != (finding.target,):
        result["targets"] = [name_object(name) for name in cause.targets]
    if finding.ignored is not None:
        result["ignored"] = finding.ignored._asdict()
    if finding.fix is not None:
        result["fix"] = fix_object(finding.fix)
    return result


def fix_object(fix: Fix) -> Object:
    """A fix for programs."""
    result: Object = {
        "summary": fix.summary,
        "commands": list(fix.commands),
        "recreates": fix.recreates,
    }
    if fix.manifest:
        result["manifest"] = fix.manifest
    return result


def write_object(value: Object, form: str, env: Env) -> None:
    """Writes an object as JSON or YAML."""
    if form == "json":
        env.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        import yaml

        env.stdout.write(yaml.safe_dump(value, sort_keys=False, width=WIDTH))


def write_names(report: Report, severities: Collection[str], env: Env) -> None:
    """Writes the targets with such findings as kubectl's -o name does: ``deployment.apps/web``."""
    versions = dict(report.kinds)
    lines = []
    for cause in report.causes:
        if cause.finding.severity not in severities:
            continue
        for kind, _, name in cause.targets or (cause.finding.target,):
            known = KINDS.get(kind)
            version = versions.get(kind) or (known.api_version if known else "")
            group = version.rpartition("/")[0]
            resource = f"{kind.lower()}.{group}" if group else kind.lower()
            lines.append(visible(f"{resource}/{name}"))
    env.stdout.write("".join(f"{line}\n" for line in dict.fromkeys(lines)))


def write_table(headers: Sequence[str], rows: Sequence[Sequence[str]], env: Env) -> None:
    """Writes a table as kubectl does: headers in capitals, columns apart, no lines."""
    from tabulate import tabulate

    env.stdout.write(tabulate(rows, headers, tablefmt="plain", disable_numparse=True) + "\n")


def write_report(report: Report, env: Env, *, colour: bool, wide: bool) -> None:
    """Writes a report for a person: for each target the verdict, what leads to it, the fix.

    Of several targets those that are fine are only named, so that what is not can be seen.
    """
    if report.swept is not None:
        write_sweep(report, report.swept, env, colour=colour, wide=wide)
        return
    several = len(report.targets) > 1
    spread = spread_of(report)
    aside = put_aside(report)
    having = {token.target for token in report.tokens}
    by_target: dict[Name, list[Cause]] = {}
    for cause in report.causes:
        by_target.setdefault(cause.finding.target, []).append(cause)
    blocks: list[list[str]] = []
    fine: dict[str, list[str]] = {}
    for name in report.targets:
        causes = by_target.get(name, [])
        subject = subject_of(name, spread)
        if several and not causes and not wide:
            group = "ignored" if name in aside else "ok" if name in having else "none"
            fine.setdefault(group, []).append(subject)
        else:
            blocks.append(verdict(name, subject, causes, report, colour=colour, wide=wide))
    ok, kind = well(report)
    for group, word, text in (
        ("ok", "ok", f"{ok}: {kind}"),
        ("none", "note", "note: no fault found, and no token either"),
        ("ignored", "note", f"note: {ASIDE}"),
    ):
        if group in fine:
            lines = wrap(f"{text}: {', '.join(fine[group])}", "  ")
            blocks.append(painted(lines, word, colour))
    unseen = not_seen(report)
    if unseen and not several and blocks[0][0].startswith(paint("ok", colour)):
        # the facts of a healthy target are a table, and this is its last row
        blocks[0] += [f"  {line}" for line in unseen]
    elif unseen:
        blocks.append(unseen)
    if report.ignored:
        blocks.append(ignored_lines(report, wide))
    env.stdout.write("\n".join("".join(f"{line}\n" for line in block) for block in blocks))


# How many of the targets of a cause, and of the commands that mend them, are shown if not wide.
TARGETS_SHOWN = 4
COMMANDS_SHOWN = 4


def write_sweep(report: Report, swept: Swept, env: Env, *, colour: bool, wide: bool) -> None:
    """Writes the report of a sweep: a block for each root cause, then what was looked at."""
    shown = [cause for cause in report.causes if wide or cause.finding.severity != "hint"]
    roots = [cause for cause in shown if not cause.root]
    hanging = [cause for cause in shown if cause.root]
    blocks: list[list[str]] = []
    for cause in roots:
        under = [one for one in hanging if hangs_under(one, cause)]
        hanging = [one for one in hanging if one not in under]
        blocks.append(sweep_lines(cause, report, swept, colour, wide))
        if under:
            blocks[-1] += ["", "may follow from it:"]
            for one in under:
                blocks[-1] += [f"  {line}" for line in short(one, colour, WIDTH - 2)]
    # a root that was told of other targets only
    blocks += [sweep_lines(cause, report, swept, colour, wide) for cause in hanging]
    for code, number in swept.omitted.items():
        name = next((one.name for one in all_checks() if one.code == code), "")
        blocks.append(wrap(f"and {number:,} more with {code} {name}, counted only", "  "))
    blocks.append(looked_at(report, swept, colour))
    unseen = not_seen(report)
    if unseen:
        blocks.append(unseen)
    if report.ignored:
        blocks.append(ignored_lines(report, wide))
    for index, block in enumerate(blocks):
        env.stdout.write(("\n" if index else "") + "".join(f"{line}\n" for line in block))


def hangs_under(cause: Cause, root: Cause) -> bool:
    """Whether a cause of a sweep may follow from another, wherever it was found."""
    return cause.root == root.finding.code and set(cause.targets) <= set(root.targets)


def sweep_lines(cause: Cause, report: Report, swept: Swept, colour: bool, wide: bool) -> list[str]:
    """A cause of a sweep in full: headline, where, evidence, fix, and where to read more."""
    finding = cause.finding
    spread = not swept.namespace
    headline = wrap(f"{finding.severity}: {finding.message}", "  ")
    lines = painted(headline, finding.severity, colour)
    lines += wrap(f"  {found_on(cause, spread, wide)}", "    ")
    lines += ["", *evidence_lines(finding), ""]
    if finding.fix is not None:
        lines += wrap(f"fix: {finding.fix.summary}", "  ")
        commands = finding.fix.commands
        few = commands if wide else commands[:COMMANDS_SHOWN]
        for command in few:
            lines += indent(command)
        if len(few) < len(commands):
            more = len(commands) - len(few)
            lines.append(f"  ... and {more} more like these (-o wide shows them)")
        lines.append("")
    sure = (
        f"{finding.certainty} from manifests"
        if report.source == "manifests"
        else (finding.certainty)
    )
    root = f", may follow from {cause.root}" if cause.root else ""
    what = f"{finding.code} {finding.name}, {sure}{root}."
    more_of_it = f"More: {PROG} explain {finding.code}"
    if len(what + more_of_it) < WIDTH:
        return [*lines, f"{what} {more_of_it}"]
    return [*lines, what, more_of_it]


def found_on(cause: Cause, spread: bool, wide: bool) -> str:
    """On what a cause was found: how many pods, of which workloads."""
    targets = [subject_of(name, spread) for name in cause.targets]
    few = targets if wide else targets[:TARGETS_SHOWN]
    text = ", ".join(few)
    if len(few) < len(targets):
        text += f" and {len(targets) - len(few):,} more"
    if len(targets) == 1 and cause.affected <= 1:
        return f"in {text}"
    parts = [counted(cause.affected, "pod")] if cause.affected else []
    if len(targets) > 1:
        parts.append(counted(len(targets), "workload"))
    if cause.affected and len(targets) == 1:
        return f"in {parts[0]} of {text}"
    return f"in {' of '.join(parts)}: {text}"


def counted(number: int, word: str) -> str:
    """A number of things."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def looked_at(report: Report, swept: Swept, colour: bool) -> list[str]:
    """What a sweep comes to: how much was looked at, and how much of it is at fault."""
    words = {"pods": "pod", "workloads": "workload", "serviceAccounts": "service account"}
    numbers = [counted(swept.counts[key], word) for key, word in words.items()]
    numbers.append(counted(swept.counts["secrets"], "token Secret"))
    where = f"namespace {swept.namespace}" if swept.namespace else "all namespaces"
    looked = f"{', '.join(numbers)} looked at in {where}"
    if swept.broken:
        looked += ", not to the end"
    severities = [cause.finding.severity for cause in report.causes]
    found = [
        counted(severities.count(severity), severity)
        for severity in ("error", "warning")
        if severities.count(severity)
    ]
    hints = severities.count("hint")
    told = f"; {counted(hints, 'hint')} (-o wide shows {'it' if hints == 1 else 'them'})"
    if found:
        return wrap(f"{looked}: {', '.join(found)}{told if hints else ''}", "  ")
    if not any(swept.counts.values()) and not swept.broken:
        return [f"{paint('note', colour)}: nothing to look at in {where}"]
    word, ok = "ok", f"{well(report)[0]}: no fault found"
    if swept.broken:
        word, ok = "note", "note: no fault found so far"
    elif any(cause.finding.severity != "hint" for cause in report.ignored):
        word, ok = "note", f"note: {ASIDE}"
    return painted(wrap(f"{ok}; {looked}{told if hints else ''}", "  "), word, colour)


def well(report: Report) -> tuple[str, str]:
    """How to say that all is well, and what of: less surely where a grave fault could hide."""
    grave = {"", *(one.code for one in all_checks() if one.severity == "error")}
    if report.wanted is not None and not grave - {""} <= report.wanted:
        return "ok by the checks that ran", "a token"
    blind = any(skip.code in grave for skip in report.skipped)
    return ("ok as far as can be seen", "a token") if blind else ("ok", "a working token")


def spread_of(report: Report) -> bool:
    """Whether the targets are in more than one namespace, so that it has to be said."""
    if report.swept is not None:
        return not report.swept.namespace
    return len({namespace for _, namespace, _ in report.targets}) > 1


def subject_of(name: Name, spread: bool) -> str:
    """A target as it is called, with its namespace where there are several."""
    kind, namespace, own = name
    where = f" in {namespace}" if spread and namespace else ""
    return visible(f"{kind.lower()}/{own}{where}")


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
    # what hangs under the first comes right after it
    for cause in sorted(shown, key=lambda one: one is not causes[0] and not one.root):
        lines += ["", *finding_lines(cause, subject, colour, report.source)]
    rest = also([cause for cause in causes if cause not in shown], colour)
    if rest:
        lines += ["", *rest]
    if any(cause.finding.stage == "access" for cause in faults) and report.source == "cluster":
        asks = dict.fromkeys(one.ask for one in report.rights if one.target == name)
        if asks:
            lines += ["", "what the account may do:", *(f"  {ask}" for ask in asks)]
    return lines if lines[0] else lines[1:]


def finding_lines(cause: Cause, subject: str, colour: bool, source: str = "cluster") -> list[str]:
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
    sure = f"{finding.certainty} from manifests" if source == "manifests" else finding.certainty
    root = f", may follow from {cause.root}" if cause.root else ""
    what = f"{finding.code} {finding.name}, {sure}{affected}{root}."
    more = f"More: {PROG} explain {finding.code}"
    return [*lines, f"{what} {more}"] if len(what + more) < WIDTH else [*lines, what, more]


def indent(command: str) -> list[str]:
    """A command, set in by two columns; a here-document would not survive that and stands as is."""
    lines = [visible(line) for line in command.split("\n")]
    return lines if "<<" in lines[0] else [f"  {line}" for line in lines]


def label(evidence: Evidence) -> str:
    """The object of a piece of evidence, as kubectl would name it."""
    return visible(f"{evidence.kind.lower()}/{evidence.name}" if evidence.kind else evidence.name)


def shown(evidence: Evidence) -> str:
    """The value of a piece of evidence."""
    if evidence.value is None:
        return "not set"
    value = evidence.value
    return visible(value) if isinstance(value, str) else json.dumps(value)


MARK = "  <- here"


def evidence_lines(finding: Finding) -> list[str]:
    """What was looked at: object, path and value in columns, or below each other if too wide."""
    rows = [
        (label(one), visible(one.path), shown(one), MARK if one.here else "")
        for one in finding.evidence or (finding.object,)
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
    for word in map(visible, text.split()):
        if line.strip() and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = further + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def also(causes: list[Cause], colour: bool) -> list[str]:
    """The further findings, short: those that hang under the one that was shown, then the others.

    A fault hides what comes after it in a token's life, so that may be its consequence.
    """
    lines: list[str] = []
    hanging = [cause for cause in causes if cause.root]
    if hanging:
        lines.append("may follow from it:")
    for cause in hanging:
        lines += [f"  {line}" for line in short(cause, colour, WIDTH - 2)]
    for cause in causes:
        if not cause.root:
            lines += short(cause, colour, WIDTH)
    if lines:
        lines.append("  (-o wide shows evidence and fix)")
    return lines


def short(cause: Cause, colour: bool, width: int) -> list[str]:
    """A finding without evidence and fix."""
    finding = cause.finding
    text = wrap(f"{finding.severity}: {finding.message} ({finding.code})", "  ", width)
    return painted(text, finding.severity, colour)


# What is said of a target on which all that was found is ignored.
ASIDE = "nothing found but what is ignored"


def put_aside(report: Report) -> set[Name]:
    """The targets of which something is ignored that would be said, or why they have no token."""
    having = {token.target for token in report.tokens}
    return {
        cause.finding.target
        for cause in report.ignored
        if cause.finding.severity != "hint" or cause.finding.target not in having
    }


def ignored_lines(report: Report, wide: bool) -> list[str]:
    """What does not count: how much, or each with the reason."""
    number = len(report.ignored)
    if not wide:
        them = "finding (-o wide shows it)" if number == 1 else "findings (-o wide shows them)"
        return row("ignored", f"{number} {them}")
    lines = []
    for cause in report.ignored:
        finding = cause.finding
        if finding.ignored is not None:
            reason, _, where = finding.ignored
            subject = subject_of(finding.target, spread_of(report))
            lines += row(
                "ignored", f"{subject}: {finding.code} {finding.name}: {reason} (by {where})"
            )
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
    aside = name in put_aside(report)
    rows: list[tuple[str, str]] = []
    lines = [f"{paint('note', colour)}: {subject}: {ASIDE}", ""]
    if tokens:
        first = tokens[0]
        pods = len({token.pod for token in tokens})
        ok, kind = well(report)
        have = f" has {kind}" if pods == 1 else f": {pods} pods have {kind}"
        if not aside:
            lines = [*painted(wrap(f"{ok}: {subject}{have}", "  "), "ok", colour), ""]
        places: dict[str, list[str]] = {}
        for token in tokens:
            containers = places.setdefault(token.path, [])
            if token.container not in containers:
                containers.append(token.container)
        rows += [("who", first.user), ("for", first.audience or "this API server")]
        where = [f"{path} in {', '.join(names)}" for path, names in places.items() if names[0]]
        rows += [("" if index else "where", text) for index, text in enumerate(where)]
        rows += [
            ("" if index else "lifetime", text) for index, text in enumerate(lifetimes(tokens))
        ]
    elif not aside:
        none = "no fault found, and no token either"
        if any(cause.finding.target == name for cause in report.causes):
            none = "no token"
        lines = [f"{paint('note', colour)}: {subject}: {none}", ""]
    rows += [("" if index else "also", text) for index, text in enumerate(others(name, report))]
    rows += [("note", text) for target, text in report.notes if target == name]
    if len(report.targets) == 1:
        rows += rights_rows(report)
        rows.append(("checked", f"{report.checked} checks; {usage(report)}"))
        if report.rights and report.source == "cluster":
            rows.append(("ask", report.rights[0].ask))
    for head, text in rows:
        if head == "ask" and len(text) > WIDTH - 12:
            lines += ["  ask", f"    {text}"]  # a command is not wrapped
        else:
            lines += [f"  {line}" for line in row(head, text)]
    return lines if rows else lines[:-1]


RIGHTS_SHOWN = 2


def rights_rows(report: Report) -> list[tuple[str, str]]:
    """What the account may do."""
    rows: list[tuple[str, str]] = []
    for rights in report.rights[:1]:
        texts = list(rights.may[:RIGHTS_SHOWN])
        if len(rights.may) > RIGHTS_SHOWN:
            texts[-1] += f", and {len(rights.may) - RIGHTS_SHOWN} more"
        if rights.unseen and report.source == "manifests":
            pass  # files say what is in them; of the rest it is said that it was not seen
        elif rights.unseen:
            texts.append(f"{'maybe more' if texts else 'not known'}: {rights.unseen} not seen")
        elif not texts:
            texts = [f"nothing in {rights.target[1]} but discovery"]
        rows += [("" if index else "may", text) for index, text in enumerate(texts)]
    return rows


def others(name: Name, report: Report) -> list[str]:
    """The tokens of a target that are for somebody else than the API server."""
    places: dict[str, list[str]] = {}
    for target, _, token in report.foreign:
        if target != name:
            continue
        text = f"token for {token.system or token.audience} at {token.path}"
        containers = places.setdefault(text, [])
        if token.container not in containers:
            containers.append(token.container)
    return [f"{text} in {', '.join(containers)}" for text, containers in places.items()]


def usage(report: Report) -> str:
    """Whether the token was put before the API server, and how."""
    taken = list(dict.fromkeys(one.by for one in report.used if one.taken))
    if taken:
        return f"the API server takes the token (by {', '.join(taken)})"
    return "the token itself was not used"


def lifetimes(tokens: list[Token]) -> list[str]:
    """How long tokens live; where some live longer than others, with their places."""
    places: dict[str, dict[str, None]] = {}
    for token in tokens:
        places.setdefault(lifetime(token), {})[token.path] = None
    if len(places) == 1:
        return [*places]
    return [f"{text}: {', '.join(paths)}" for text, paths in places.items()]


def lifetime(token: Token) -> str:
    """How long a token lives."""
    if token.lifetime is None:
        return f"for ever, from secret {token.secret}"
    return f"{times.lifetime(token.lifetime)}, renewed by the kubelet"
