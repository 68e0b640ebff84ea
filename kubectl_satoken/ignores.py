"""Findings that somebody has said to be meant so, by an annotation on what they are about.

    metadata:
      annotations:
        satoken/ignore: "SAT101 asks nothing of the API; SAT303,SAT304 the path is our own"

Codes or names of checks, then the reason; several such pairs are parted by semicolons. It is heeded
on the object that was examined, on the workload that it is made from and in its template, and on
the object where the fault lies. Without a reason it does not count, and the finding says so.
"""

from collections.abc import Iterator

from .checks import Evidence, Finding, Ignored
from .workloads import dotted, is_live, owner_of, step_into
from .world import KINDS, Object, Unseen, World

ANNOTATION = "satoken/ignore"
PATH = f"metadata.annotations[{ANNOTATION}]"


def heed(finding: Finding, item: Object, world: World) -> Finding:
    """The finding, marked as ignored if an annotation says so with a reason.

    ``item`` is the object on which it was found. A reason that is missing becomes evidence.
    """
    for place, text in annotations(finding, item, world):
        for words, reason in pairs(text):
            if finding.code.lower() not in words and finding.name not in words:
                continue
            if reason:
                where = f"{place.kind.lower()}/{place.name}"
                return finding._replace(ignored=Ignored(reason, "annotation", where))
            told = place._replace(value=f"{text} (no reason, so it does not count)")
            if told not in finding.evidence:
                finding = finding._replace(evidence=(*finding.evidence, told))
    return finding


def pairs(text: str) -> Iterator[tuple[list[str], str]]:
    """Codes or names (in small letters) and the reason, for each part of an annotation.

    People put blanks after commas, and a colon before the reason.
    """
    for part in text.split(";"):
        words = part.split()
        codes: list[str] = []
        while words and (not codes or codes[-1] == "" or words[0].startswith(",")):
            codes = [*filter(None, codes), *words.pop(0).lower().split(",")]
        if words and words[0] == ":":
            words.pop(0)
        named = [code.rstrip(":") for code in codes if code.rstrip(":")]
        if named:
            yield named, " ".join(words)


def annotations(finding: Finding, item: Object, world: World) -> Iterator[tuple[Evidence, str]]:
    """Where the annotation can stand and does: the place, and its text."""
    seen: set[Evidence] = set()
    for kind, path, metadata, own in places(finding, item, world):
        text = (metadata.get("annotations") or {}).get(ANNOTATION)
        if not isinstance(text, str):
            continue
        place = Evidence(kind, own.get("namespace", ""), own["name"], path)
        if place not in seen:
            seen.add(place)
            yield place, text


def places(
    finding: Finding, item: Object, world: World
) -> Iterator[tuple[str, str, Object, Object]]:
    """Where it can stand: kind, path, the metadata with the annotations, those of the object."""
    own = item["metadata"]
    # past what likeness.py counts as read: the places are the same for all pods of a workload
    own_name = dict.__getitem__(own, "name")
    owner = owner_of(item, world) if item["kind"] == "Pod" else None
    if owner is None or is_live(item):
        # that of a template has the name of its workload, where it comes next
        yield item["kind"], PATH, own, own
    if owner is not None and owner.object is not None:
        whole = owner.object["metadata"]
        yield owner.kind, PATH, whole, whole
        template = step_into(owner.object, owner.path)
        yield owner.kind, f"{dotted(owner.path)}.{PATH}", template.get("metadata") or {}, whole
    fault = finding.object
    same = (fault.kind, fault.name) == (item["kind"], own_name)
    if same or fault.kind not in KINDS or not fault.name or fault.name == "*":
        return
    try:
        other = world.get(fault.kind, fault.namespace, fault.name)
    except Unseen:
        return
    if other is not None:
        yield fault.kind, PATH, other["metadata"], other["metadata"]
