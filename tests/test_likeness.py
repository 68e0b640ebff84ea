"""Pods that are like one that was judged: all that was read of that one is the same."""

from collections.abc import Callable
from typing import Any

import pytest

from kubectl_satoken.likeness import READINGS, Likes, moments
from kubectl_satoken.pod_reader import VARYING
from kubectl_satoken.workloads import made_before

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


@pytest.mark.parametrize(
    ("made", "moment", "then", "alike"),
    [
        ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-01T12:00:00Z", True),
        ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z", False),
        ("2026-11-03T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-09T00:00:00Z", True),
        ("2026-11-03T00:00:00Z", "2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z", False),
        ("2026-11-03T00:00:00Z", "2026-11-02T00:00:00Z", ..., False),
        ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", ..., True),
    ],
)
def test_of_two_times_it_counts_which_was_first(
    made: str, moment: str, then: Any, alike: bool
) -> None:
    likes = Likes()
    view, log = likes.watched(other("metadata", "creationTimestamp", value=made))
    assert made_before(view, moment) == (made < moment)
    likes.remember(1, log)
    pod = other("metadata", "creationTimestamp", value=made)
    if then is ...:
        del pod["metadata"]["creationTimestamp"]
    else:
        pod["metadata"]["creationTimestamp"] = then
    assert likes.fine(pod, 1) is alike
    assert made_before(pod, moment) == ((then if then is not ... else "") < moment)


def test_a_truth_is_that_something_is_there_and_not_what() -> None:
    assert fine(lambda pod: bool(pod["status"]), other("status", "phase", value="Failed"))
    assert not fine(lambda pod: bool(pod["status"]), other("status", value={}))


STEADY: list[tuple[Callable[[Any], Any], Any]] = [
    (lambda pod: pod["metadata"]["labels"].get("app"), []),
    (lambda pod: pod["metadata"].get("annotations"), []),
    (lambda pod: pod["metadata"]["ownerReferences"][0]["name"], []),
    (lambda pod: bool(pod["status"]), []),
    (lambda pod: pod["status"]["containerStatuses"][0]["state"].get("waiting"), []),
    (lambda pod: list(pod["status"]["containerStatuses"][0]["state"]), []),
    (lambda pod: "running" in pod["status"]["containerStatuses"][0]["state"], []),
    (lambda pod: made_before(pod, "2026"), [("2026", True)]),
    (lambda pod: pod["metadata"]["name"], None),
    (lambda pod: pod["metadata"].get("uid"), None),
    (lambda pod: "uid" in pod["metadata"], None),
    (lambda pod: pod["metadata"].get("creationTimestamp"), None),
    (lambda pod: pod["metadata"].get("managedFields"), None),
    (lambda pod: list(pod["metadata"]), None),
    (lambda pod: list(pod["status"]), None),
    (lambda pod: len(pod["status"]), None),
    (lambda pod: pod["status"].get("podIP"), None),
    (lambda pod: pod["status"].get("conditions"), None),
    (lambda pod: pod["status"]["containerStatuses"][0].get("imageID"), None),
    (lambda pod: list(pod["status"]["containerStatuses"][0]), None),
    (lambda pod: bool(pod["status"]["containerStatuses"][0]["state"]["running"]), None),
    (lambda pod: pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"], None),
    (lambda pod: pod["spec"].get("nodeName"), None),
]


@pytest.mark.parametrize("case", range(len(STEADY)))
def test_which_readings_have_to_do_with_what_varies(case: int) -> None:
    read, expected = STEADY[case]
    likes = Likes()
    view, log = likes.watched(POD)
    read(view)
    assert moments(likes.remember(1, log), POD, VARYING) == expected
