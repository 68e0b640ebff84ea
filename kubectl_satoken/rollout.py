"""How far a workload's pods follow its template, by the rules of ``kubectl rollout status``."""

from typing import NamedTuple

from .world import Object


class Rollout(NamedTuple):
    """Whether all pods are of the template and ready; whether that will not come about any more;
    and what it waits for, or why it has failed."""

    ready: bool
    failed: bool
    message: str


READY = Rollout(True, False, "")


def rollout(workload: Object) -> Rollout:
    """How far a workload is. What has no rollout of its own (a CronJob, a custom resource) is
    ready."""
    judge = {
        "Deployment": of_deployment,
        "StatefulSet": of_stateful_set,
        "DaemonSet": of_daemon_set,
        "ReplicaSet": of_replica_set,
        "ReplicationController": of_replica_set,
    }.get(workload["kind"])
    group = str(workload.get("apiVersion") or "").rpartition("/")[0]
    if judge is None or group not in ("", "apps"):
        return READY
    if observed(workload) < int(workload["metadata"].get("generation") or 0):
        return waits("its controller has not seen the change yet")
    return judge(workload)


def waits(message: str) -> Rollout:
    """One that goes on."""
    return Rollout(False, False, message)


def observed(workload: Object) -> int:
    """The generation that the controller has acted on."""
    return int((workload.get("status") or {}).get("observedGeneration") or 0)


def number(workload: Object, field: str) -> int:
    """A number of pods in the status; 0 where it is left out."""
    return int((workload.get("status") or {}).get(field) or 0)


def wanted(workload: Object) -> int:
    """The number of pods that are asked for."""
    replicas = workload["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def of_deployment(workload: Object) -> Rollout:
    """pkg/polymorphichelpers/rollout_status.go of kubectl; a paused one replaces nothing."""
    if workload["spec"].get("paused"):
        return Rollout(False, True, "it is paused")
    refused = ""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            refused = str(condition.get("message") or "")
        elif condition.get("reason") == "ProgressDeadlineExceeded":
            why = str(condition.get("message") or "it makes no progress")
            return Rollout(False, True, why.rstrip("."))
    replicas, updated = wanted(workload), number(workload, "updatedReplicas")
    if updated < replicas:
        return waits(refused or f"{updated} of {replicas} pods are new")
    if number(workload, "replicas") > updated:
        return waits(f"{number(workload, 'replicas') - updated} old pods are still there")
    if number(workload, "availableReplicas") < updated:
        return waits(f"{number(workload, 'availableReplicas')} of {updated} pods are available")
    return READY


def of_stateful_set(workload: Object) -> Rollout:
    """The same for a StatefulSet, of which a partition leaves pods as they are."""
    replicas, status = wanted(workload), workload.get("status") or {}
    if number(workload, "readyReplicas") < replicas:
        return waits(f"{number(workload, 'readyReplicas')} of {replicas} pods are ready")
    strategy = workload["spec"].get("updateStrategy") or {}
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    # with OnDelete the current revision never becomes that of the update
    if partition or strategy.get("type") == "OnDelete":
        if number(workload, "updatedReplicas") < replicas - partition:
            return waits(f"{number(workload, 'updatedReplicas')} of {replicas} pods are new")
    elif status.get("updateRevision") != status.get("currentRevision"):
        return waits(f"{number(workload, 'updatedReplicas')} of {replicas} pods are new")
    return READY


def of_daemon_set(workload: Object) -> Rollout:
    """The same for a DaemonSet, whose pods are as many as its nodes."""
    nodes = number(workload, "desiredNumberScheduled")
    if number(workload, "updatedNumberScheduled") < nodes:
        return waits(f"{number(workload, 'updatedNumberScheduled')} of {nodes} pods are new")
    if number(workload, "numberAvailable") < nodes:
        return waits(f"{number(workload, 'numberAvailable')} of {nodes} pods are available")
    return READY


def of_replica_set(workload: Object) -> Rollout:
    """The same for what never replaces a pod: it is ready when its pods are."""
    replicas = wanted(workload)
    if number(workload, "availableReplicas") < replicas:
        return waits(f"{number(workload, 'availableReplicas')} of {replicas} pods are available")
    return READY
