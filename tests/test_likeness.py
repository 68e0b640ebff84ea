"""Pods that are like one that was judged: all that was read of that one is the same."""

from collections.abc import Callable
from typing import Any

import pytest

from kubectl_satoken.likeness import READINGS, Likes

POD: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {
        "name": "a",
        "namespace": "shop",
        "labels": {"app": "web"},
        "ownerReferences": [{"name": "rs", "controller": True}],
    },
    "spec": {"nodeName": "n1", "containers": [{"name": "app"}]},
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "app", "state": {"running": {"startedAt": "then"}}}],
    },
}


def other(*path: Any, value: Any) -> dict[str, Any]:
    """The pod with one thing that is different; an ellipsis takes it away."""
    import copy

    changed = copy.deepcopy(POD)
    here: Any = changed
    for key in path[:-1]:
        here = here[key]
    if value is ...:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return changed


def fine(read: Callable[[Any], Any], pod: dict[str, Any]) -> bool:
    """Whether a pod counts as like POD after that was judged by what is read so."""
    likes = Likes()
    view, log = likes.watched(POD)
    read(view)
    likes.remember(1, log)
    assert likes.fine(POD, 1)
    assert not likes.fine(POD, 2)
    return likes.fine(pod, 1)


READS: list[tuple[Callable[[Any], Any], tuple[Any, ...], Any]] = [
    (lambda pod: pod["metadata"]["name"], ("metadata", "name"), "b"),
    (lambda pod: pod["metadata"].get("name"), ("metadata", "name"), ...),
    (lambda pod: pod["metadata"].get("uid"), ("metadata", "uid"), "x"),
    (lambda pod: "uid" in pod["metadata"], ("metadata", "uid"), "x"),
    (lambda pod: "labels" in pod["metadata"], ("metadata", "labels"), ...),
    (lambda pod: pod["metadata"]["labels"].get("app"), ("metadata", "labels", "app"), "x"),
    (lambda pod: pod["metadata"]["labels"].get("tier"), ("metadata", "labels", "tier"), "x"),
    (lambda pod: [*pod["metadata"]["labels"]], ("metadata", "labels", "tier"), "x"),
    (lambda pod: bool(pod["metadata"]["labels"]), ("metadata", "labels"), {}),
    (lambda pod: {**pod["metadata"]["labels"]}, ("metadata", "labels", "app"), "x"),
    (lambda pod: dict(pod["metadata"]["labels"]), ("metadata", "labels", "app"), "x"),
    (lambda pod: pod["metadata"]["labels"] | {}, ("metadata", "labels", "app"), "x"),
    (lambda pod: pod["metadata"]["labels"] == {}, ("metadata", "labels", "app"), "x"),
    (lambda pod: pod["metadata"]["labels"].items(), ("metadata", "labels", "app"), "x"),
    (lambda pod: pod["metadata"]["labels"].values(), ("metadata", "labels", "app"), "x"),
    (lambda pod: pod["metadata"]["labels"].copy(), ("metadata", "labels", "app"), "x"),
    (
        lambda pod: [one["name"] for one in pod["metadata"]["ownerReferences"]],
        ("metadata", "ownerReferences", 0, "name"),
        "x",
    ),
    (
        lambda pod: pod["metadata"]["ownerReferences"],
        ("metadata", "ownerReferences"),
        [],
    ),
    (lambda pod: pod["status"].get("phase"), ("status", "phase"), "Failed"),
    (
        lambda pod: pod["status"]["containerStatuses"][0]["state"].get("waiting"),
        ("status", "containerStatuses", 0, "state"),
        {"waiting": {}},
    ),
    (lambda pod: pod["spec"].get("nodeName"), ("spec", "nodeName"), "n2"),
    (lambda pod: pod["spec"]["nodeName"], ("spec", "nodeName"), "n2"),
    (lambda pod: "nodeName" in pod["spec"], ("spec", "nodeName"), ...),
    (lambda pod: {**pod["spec"]}, ("spec", "nodeName"), "n2"),
    (lambda pod: pod["spec"].items(), ("spec", "nodeName"), "n2"),
]


@pytest.mark.parametrize("case", range(len(READS)))
def test_what_was_read_and_differs_makes_unlike(case: int) -> None:
    read, path, value = READS[case]
    assert not fine(read, other(*path, value=value))


@pytest.mark.parametrize("case", range(len(READS)))
def test_what_was_not_read_may_differ(case: int) -> None:
    read, path, _ = READS[case]
    if path[:2] == ("metadata", "annotations"):
        return
    assert fine(read, other("metadata", "annotations", value={"a": "b"})) or "dict" in str(read)
    started = ("status", "containerStatuses", 0, "state", "running", "startedAt")
    assert fine(read, other(*started, value="now"))


def test_the_last_readings_are_kept() -> None:
    likes = Likes()
    for number in range(READINGS + 3):
        likes.remember(1, {("metadata", "name"): str(number)})
    assert len(likes.known[1]) == READINGS
    assert likes.fine(other("metadata", "name", value=str(READINGS + 2)), 1)
    assert not likes.fine(other("metadata", "name", value="0"), 1)
