"""A report as a SARIF 2.1.0 log, for code scanning."""

import json
import os
from typing import TYPE_CHECKING

from . import __version__
from .checks import Check, Finding, all_checks
from .diagnosis import Cause, Report
from .output import label, spread_of, subject_of
from .world import Object

if TYPE_CHECKING:
    from .positions import Position, Positions

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
LEVELS = {"error": "error", "warning": "warning", "hint": "note"}
# The scale of code scanning: how much of what a rule says is right.
PRECISION = {"certain": "very-high", "likely": "high", "possible": "low"}


def log(report: Report, positions: "Positions | None" = None) -> Object:
    """The log; ``positions`` knows where the objects stand in files, if they come from such."""
    rules = [one for one in all_checks() if report.wanted is None or one.code in report.wanted]
    index = {one.code: number for number, one in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "kubectl-satoken",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [rule(one) for one in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": not (report.swept and report.swept.broken),
                        "toolExecutionNotifications": notifications(report, index),
                    }
                ],
                "results": [
                    result(cause, report, index, positions)
                    for cause in (*report.causes, *report.ignored)
                ],
            }
        ],
    }


def rule(one: Check) -> Object:
    """A check as a rule, with its page as help."""
    body = one.page.partition("\n")[2].strip()
    return {
        "id": one.code,
        "name": one.name,
        "shortDescription": {"text": one.title},
        "fullDescription": {"text": one.title},
        "help": {"text": body, "markdown": body},
        "defaultConfiguration": {"level": LEVELS[one.severity]},
        "properties": {"tags": ["kubernetes", "service-account", one.stage]},
    }


def notifications(report: Report, index: dict[str, int]) -> list[Object]:
    """What could not be looked at, so that silence about it is not taken for health."""
    found: list[Object] = []
    for skip in report.skipped:
        note: Object = {
            "level": "warning",
            "message": {"text": f"not seen: {skip.what}: {skip.why}"},
        }
        if skip.code in index:
            note["associatedRule"] = {"id": skip.code, "index": index[skip.code]}
        found.append(note)
    if report.swept and report.swept.broken:
        text = f"not all was looked at: {report.swept.broken}"
        found.append({"level": "error", "message": {"text": text}})
    return found


def result(
    cause: Cause, report: Report, index: dict[str, int], positions: "Positions | None"
) -> Object:
    """A finding as a result."""
    finding = cause.finding
    subject = subject_of(finding.target, spread_of(report))
    made: Object = {
        "ruleId": finding.code,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{subject}: {finding.message}" + mend(finding)},
        "locations": [location(finding, positions)],
        "partialFingerprints": {"satoken/v1": fingerprint(finding)},
        "suppressions": [],
        "properties": {
            "certainty": finding.certainty,
            "precision": PRECISION[finding.certainty],
            "affected": cause.affected,
            "root": cause.root or None,
        },
    }
    if finding.code in index:
        made["ruleIndex"] = index[finding.code]
    if finding.ignored is not None:
        made["suppressions"] = [
            {
                "kind": "inSource" if finding.ignored.by == "annotation" else "external",
                "justification": finding.ignored.reason,
            }
        ]
    return made


def mend(finding: Finding) -> str:
    """The fix as a part of the message."""
    if finding.fix is None:
        return ""
    return "\n\n" + "\n".join((f"fix: {finding.fix.summary}", *finding.fix.commands))


def location(finding: Finding, positions: "Positions | None") -> Object:
    """Where a fault is: by object and field, and in a file if there is one."""
    place = finding.object
    whole = f"{place.namespace}/{label(place)}" if place.namespace else label(place)
    found: Object = {
        "logicalLocations": [
            {
                "name": place.name,
                "fullyQualifiedName": f"{whole}:{place.path}" if place.path else whole,
                "kind": "object" if not place.path else "member",
            }
        ]
    }
    position = positions.of(finding) if positions is not None else None
    if position is not None and position.file != "-":
        found["physicalLocation"] = {
            "artifactLocation": {"uri": uri(position.file)},
            "region": region(position),
        }
    return found


def uri(file: str) -> str:
    """A file as a relative URI if it is below the working directory, else as a whole one."""
    from pathlib import Path
    from urllib.parse import quote

    relative = os.path.relpath(file)
    if relative.startswith(os.pardir):
        return Path(os.path.abspath(file)).as_uri()
    # what would be read as a scheme is none: "a:b.yaml"
    path = quote(relative.replace(os.sep, "/"))
    return f"./{path}" if ":" in path.partition("/")[0] else path


def region(position: "Position") -> Object:
    """A position as a region."""
    made = {"startLine": position.line, "startColumn": position.column}
    if position.end is not None:
        made |= {"endLine": position.line, "endColumn": position.end}
    return made


def fingerprint(finding: Finding) -> str:
    """What stays the same as long as it is the same fault: neither message nor line counts."""
    from hashlib import sha256

    place = finding.object
    facts = [finding.code, place.kind, place.namespace, place.name, place.path, *finding.target]
    return sha256(json.dumps(facts).encode()).hexdigest()
