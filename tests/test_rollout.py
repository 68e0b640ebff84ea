"""Rollouts, by statuses as controllers write them; tests/live has the controllers themselves."""

from typing import Any

import pytest

from kubectl_satoken.rollout import rollout

DONE = {
    "observedGeneration": 2,
    "replicas": 3,
    "updatedReplicas": 3,
    "availableReplicas": 3,
    "readyReplicas": 3,
}


def workload(kind: str, status: Any, version: str = "apps/v1", **spec: Any) -> Any:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": 3, **spec},
        "status": status,
    }


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({}, "its controller has not seen the change yet"),
        ({**DONE, "observedGeneration": 1}, "its controller has not seen the change yet"),
        ({**DONE, "updatedReplicas": 1}, "1 of 3 pods are new"),
        ({**DONE, "replicas": 4}, "1 old pods are still there"),
        ({**DONE, "availableReplicas": 2}, "2 of 3 pods are available"),
        (DONE, ""),
    ],
)
def test_a_deployment(status: Any, message: str) -> None:
    found = rollout(workload("Deployment", status))
    assert (found.message, found.ready, found.failed) == (message, not message, False)


def test_a_deployment_that_will_not_get_ready() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    late = workload("Deployment", {**DONE, "updatedReplicas": 1, "conditions": [condition]})
    assert rollout(late).failed
    assert rollout(workload("Deployment", DONE, paused=True)).failed


def test_why_no_pod_is_made_is_told() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}
    item = workload("Deployment", {**DONE, "updatedReplicas": 0, "conditions": [refused]})
    assert rollout(item).message == "exceeded quota: q"


def test_one_that_is_scaled_to_zero_is_ready() -> None:
    assert rollout(workload("Deployment", {"observedGeneration": 2}, replicas=0)).ready
    assert rollout(workload("StatefulSet", {"observedGeneration": 2}, replicas=0)).ready


@pytest.mark.parametrize(
    ("status", "spec", "message"),
    [
        ({**DONE, "readyReplicas": 2}, {}, "2 of 3 pods are ready"),
        (
            {**DONE, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"},
            {},
            "1 of 3 pods are new",
        ),
        ({**DONE, "updateRevision": "b", "currentRevision": "b"}, {}, ""),
        (
            {**DONE, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"},
            {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
            "",
        ),
        (
            {**DONE, "updateRevision": "b", "currentRevision": "a"},
            {"updateStrategy": {"type": "OnDelete"}},
            "",
        ),
        (
            {**DONE, "updatedReplicas": 2},
            {"updateStrategy": {"type": "OnDelete"}},
            "2 of 3 pods are new",
        ),
        (
            {**DONE, "updatedReplicas": 0},
            {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
            "0 of 3 pods are new",
        ),
    ],
)
def test_a_stateful_set(status: Any, spec: Any, message: str) -> None:
    found = rollout(workload("StatefulSet", status, **spec))
    assert (found.message, found.ready) == (message, not message)


@pytest.mark.parametrize(
    ("updated", "available", "message"),
    [(1, 3, "1 of 3 pods are new"), (3, 2, "2 of 3 pods are available"), (3, 3, "")],
)
def test_a_daemon_set(updated: int, available: int, message: str) -> None:
    status = {
        "observedGeneration": 2,
        "desiredNumberScheduled": 3,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
    }
    found = rollout(workload("DaemonSet", status))
    assert (found.message, found.ready) == (message, not message)


def test_what_has_no_rollout_is_ready() -> None:
    assert rollout(workload("CronJob", {}, "batch/v1")).ready
    # whose status means something else, whatever it is called
    assert rollout(workload("Deployment", {}, "example.org/v1")).ready
