"""The checks: each a generator function over (object, world), with its page as docstring.

A check lives in any module of this package and is found by walking it:

    @check("SAT999", on="Pod", severity="error", stage="mount")
    def pod_is_purple(pod, world):
        '''The pod is purple.

        ### What goes wrong
        ...
        ### How to fix it
        ...
        '''
        if colour(pod) == "purple":
            yield Finding("the pod is purple", at(pod, "spec.colour", "purple"), fix=Fix(...))

Its name is the function's with dashes. A check never mentions permissions: what it may not look at
raises Unseen from the world, and the engine reports that as skipped, never as fine.
"""

from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

from ..world import Object, Unseen, World

SEVERITIES = ("error", "warning", "hint")
CERTAINTIES = ("certain", "likely", "possible")

# Where in a token's life a fault bites, first things first: a fault of an earlier stage hides those
# of the later ones, so it is the cause and they hang under it.
STAGES = ("creation", "kubelet", "mount", "file", "network", "token", "access")


class Evidence(NamedTuple):
    """A fact that was looked at: an object, the path of a field in it, and its value.

    A value of None says that the field is not set; a path of "" speaks of the object itself.
    ``here`` marks the place of the fault.
    """

    kind: str
    namespace: str
    name: str
    path: str = ""
    value: Any = None
    here: bool = False


class Fix(NamedTuple):
    """What mends it: ``commands`` are shell lines that work as printed, in this order.

    ``manifest`` is YAML to apply instead or besides; ``recreates`` says that pods are replaced.
    """

    summary: str
    commands: tuple[str, ...] = ()
    manifest: str = ""
    recreates: bool = False


class Ignored(NamedTuple):
    """Why a finding does not count: ``by`` is "annotation" or "baseline", ``where`` has it."""

    reason: str
    by: str
    where: str


class Finding(NamedTuple):
    """A fault: one sentence, where it is, what shows it, how sure, what mends it.

    Code, name, severity, stage, target and ignored are filled in by the engine.
    """

    message: str
    object: Evidence
    evidence: tuple[Evidence, ...] = ()
    fix: Fix | None = None
    certainty: str = "certain"
    severity: str = ""
    code: str = ""
    name: str = ""
    stage: str = ""
    target: tuple[str, str, str] = ("", "", "")
    ignored: Ignored | None = None


class Skipped(NamedTuple):
    """A check that could not look: what it needed and why that could not be seen."""

    code: str
    name: str
    what: str
    why: str


Function = Callable[[Object, World], Iterator[Finding]]


class Check(NamedTuple):
    """A registered check; ``on`` is the kind of object that it judges.

    What it finds may be ``deliberate``: a good many pods have no token because they need none. Then
    it is a hint only, unless the user asked about that very object.
    """

    code: str
    name: str
    on: str
    severity: str
    stage: str
    title: str
    function: Function
    deliberate: bool = False

    @property
    def page(self) -> str:
        """The documentation page, from the docstring."""
        from inspect import getdoc

        return getdoc(self.function) or ""


registry: dict[str, Check] = {}


def check(
    code: str, *, on: str, severity: str, stage: str, deliberate: bool = False
) -> Callable[[Function], Function]:
    """Registers a check function under a code that never changes its meaning."""

    def register(function: Function) -> Function:
        if code in registry:
            raise ValueError(f"{code} is taken by {registry[code].name}")
        title = (function.__doc__ or "").partition("\n")[0].strip()
        name = function.__name__.replace("_", "-")
        registry[code] = Check(code, name, on, severity, stage, title, function, deliberate)
        return function

    return register


def all_checks() -> list[Check]:
    """All checks, by code. An empty registry is an error: it would call everything healthy."""
    import os
    from importlib import import_module

    # pkgutil would do the same, and read zip files, for a twentieth of a whole doctor
    names = {file.partition(".")[0] for folder in __path__ for file in os.listdir(folder)}
    for name in sorted(names):
        if not name.startswith("_"):
            import_module(f"{__name__}.{name}")
    if not registry:
        raise RuntimeError("no checks found: the installation is broken")
    return [registry[code] for code in sorted(registry)]


_on: dict[tuple[str, int], list[Check]] = {}


def checks_on(kind: str) -> list[Check]:
    """The checks that judge a kind of object, by code."""
    found = _on.get((kind, len(registry)))
    if found is None:
        found = [one for one in all_checks() if one.on == kind]
        _on[kind, len(registry)] = found  # by number, too: a test may register one more
    return found


def find_check(text: str) -> Check | None:
    """The check of that code or name, in any case."""
    wanted = text.strip().lower()
    for item in all_checks():
        if wanted in (item.code.lower(), item.name):
            return item
    return None


def at(item: Object, path: str = "", value: Any = None, *, here: bool = False) -> Evidence:
    """Evidence in an object at hand."""
    metadata = item["metadata"]
    # past what likeness.py counts as read: evidence is made before it is known to be needed
    name = dict.__getitem__(metadata, "name")
    return Evidence(item.get("kind", ""), metadata.get("namespace", ""), name, path, value, here)


def examine(
    item: Object,
    world: World,
    target: tuple[str, str, str] | None = None,
    *,
    asked: bool = True,
    wanted: Container[str] | None = None,
    heeding: bool = True,
) -> tuple[list[Finding], list[Skipped], int]:
    """Runs the checks for an object's kind: (findings, what could not be looked at, checks run).

    The findings are in the order of causes, those that an annotation says to ignore among them,
    and marked so if ``heeding`` that. ``target`` is what the user asked about, where that is not
    the object itself; in a sweep nobody ``asked``. ``wanted`` are the codes of the checks to run,
    if not all.
    """
    metadata = item["metadata"]
    target = target or (item["kind"], metadata.get("namespace", ""), metadata["name"])
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    ran = 0
    for one in checks_on(item["kind"]):
        if wanted is not None and one.code not in wanted:
            continue
        ran += 1
        try:
            for finding in one.function(item, world):
                # a guess is never the cause, and what may be meant so is none where nobody asked,
                # unless the check itself saw that this one hurts
                meant = one.deliberate and not asked and finding.severity != "error"
                hint = finding.certainty == "possible" or meant
                findings.append(
                    finding._replace(
                        code=one.code,
                        name=one.name,
                        severity="hint" if hint else finding.severity or one.severity,
                        stage=one.stage,
                        target=target,
                    )
                )
        except Unseen as unseen:
            skipped.append(Skipped(one.code, one.name, unseen.what, unseen.why))
    if findings and heeding:
        from ..ignores import heed

        findings = [heed(finding, item, world) for finding in findings]
    if findings and item["kind"] == "Pod" and not dict.get(metadata, "uid"):
        from ..workloads import template_of

        made_from = template_of(item, world)
        if made_from is not None:
            findings = [of_template(finding, item, *made_from) for finding in findings]
    return sorted(findings, key=rank), skipped, ran


def of_template(finding: Finding, pod: Object, workload: Object, path: tuple[str, ...]) -> Finding:
    """A finding on the pod that a template describes as one on that template.

    There is no such pod; and what a program makes of a template at an uncommon place, in a kind of
    its own, is not known for certain.
    """
    from ..workloads import TEMPLATE_PATHS, dotted

    own = (pod["kind"], pod["metadata"].get("namespace", ""), pod["metadata"]["name"])

    def moved(one: Evidence) -> Evidence:
        if one[:3] != own:
            return one
        place = one.path
        if not place or place.startswith(("spec.", "metadata.")):
            place = f"{dotted(path)}.{place}".rstrip(".")
        return one._replace(kind=workload["kind"], path=place)

    certainty = finding.certainty
    if path not in TEMPLATE_PATHS and certainty == "certain":
        certainty = "likely"
    return finding._replace(
        object=moved(finding.object),
        evidence=tuple(moved(one) for one in finding.evidence),
        certainty=certainty,
    )


def rank(finding: Finding) -> tuple[int, int, int, str]:
    """The place of a finding among others: the worst, earliest in a token's life, surest first."""
    return (
        SEVERITIES.index(finding.severity),
        STAGES.index(finding.stage),
        CERTAINTIES.index(finding.certainty),
        finding.code,
    )
