"""A report as JUnit XML, for the test tab of a CI system.

Each target is a test suite. In it each finding is a test: a failure if it is an error or a warning,
passed with a word on it if it is a hint, skipped if it is ignored. A target without any has one
test that passes. What could not be looked at are skipped tests of a suite of their own.
"""

from typing import TYPE_CHECKING

from .diagnosis import Cause, Name, Report
from .errors import visible
from .output import finding_lines, subject_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def document(report: Report) -> str:
    """The XML text."""
    from xml.etree import ElementTree

    by_target: dict[Name, list[Cause]] = {name: [] for name in report.targets}
    for cause in (*report.causes, *report.ignored):
        for target in cause.targets or (cause.finding.target,):
            by_target.setdefault(target, []).append(cause)
    root = ElementTree.Element("testsuites", name="kubectl satoken doctor")
    for target, causes in by_target.items():
        name = (
            f"{target[1]}/{subject_of(target, False)}" if target[1] else subject_of(target, False)
        )
        suite = ElementTree.SubElement(root, "testsuite", name=visible(name))
        for cause in causes:
            add_finding(suite, cause, report)
        if not causes:
            case(suite, "no fault found")
    if not by_target:  # a sweep names no targets, and readers take no test at all for a fault
        case(ElementTree.SubElement(root, "testsuite", name="the whole"), "no fault found")
    if report.skipped:
        suite = ElementTree.SubElement(root, "testsuite", name="not seen")
        for skip in report.skipped:
            one = case(suite, f"{skip.code} {skip.name}".strip())
            why = visible(f"{skip.what}: {skip.why}")
            ElementTree.SubElement(one, "skipped", message=why)
    if report.swept and report.swept.broken:
        suite = ElementTree.SubElement(root, "testsuite", name="the whole")
        one = case(suite, "everything was looked at")
        ElementTree.SubElement(one, "error", message=visible(report.swept.broken))
    for suite in root:
        count(suite, [suite])
    count(root, list(root))
    del root.attrib["skipped"]  # which Jenkins allows of suites only
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def add_finding(suite: "Element", cause: Cause, report: Report) -> None:
    """A finding as a test of the suite."""
    from xml.etree import ElementTree

    finding = cause.finding
    one = case(suite, f"{finding.code} {finding.name}")
    subject = subject_of(finding.target, False)
    text = "\n".join(finding_lines(cause, subject, False, report.source))
    if finding.ignored is not None:
        why = visible(f"ignored: {finding.ignored.reason} (by {finding.ignored.where})")
        ElementTree.SubElement(one, "skipped", message=why)
    elif finding.severity == "hint":
        ElementTree.SubElement(one, "system-out").text = text
    else:
        message = visible(finding.message)
        failure = ElementTree.SubElement(one, "failure", message=message, type=finding.severity)
        failure.text = text


def case(suite: "Element", name: str) -> "Element":
    """A test of a suite."""
    from xml.etree import ElementTree

    place = {"name": visible(name), "classname": suite.get("name", ""), "time": "0"}
    return ElementTree.SubElement(suite, "testcase", place)


def count(element: "Element", suites: list["Element"]) -> None:
    """Writes the numbers of tests, failures and skipped ones into an element."""
    numbers = {"tests": "testcase", "failures": ".//failure", "errors": ".//error"}
    for attribute, path in (*numbers.items(), ("skipped", ".//skipped")):
        element.set(attribute, str(sum(len(suite.findall(path)) for suite in suites)))
    element.set("time", "0")
