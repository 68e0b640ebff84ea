"""The token is switched off, or was."""

from tests.scenarios import AS_WEB, OFF, PLAIN, POD_IS_THERE, Scenario, template

SCENARIOS = [
    *(
        Scenario(
            f"automount-disabled-sa-{kind.lower()}",
            "SAT102",
            f"{kind.lower()}/web",
            f"{OFF}---{template(AS_WEB, kind=kind)}",
            wait="" if kind == "CronJob" else POD_IS_THERE,
            after=("kubectl -n $NS create job now --from=cronjob/web",)
            if kind == "CronJob"
            else (),
        )
        for kind in (
            "Deployment",
            "Pod",
            "Job",
            "CronJob",
            "StatefulSet",
            "DaemonSet",
            "ReplicaSet",
            "ReplicationController",
        )
    ),
    Scenario(
        "automount-disabled-pod",
        "SAT101",
        "pod",
        template(f"automountServiceAccountToken: false, {PLAIN}"),
        wait=POD_IS_THERE,
    ),
    Scenario(
        "automount-disabled-pod-alone",
        "SAT101",
        "pod/web",
        template(f"automountServiceAccountToken: false, {PLAIN}", kind="Pod"),
    ),
    *(
        Scenario(
            f"automount-changed-after-admission-{kind.lower()}",
            "SAT103",
            "pod",
            f"{OFF}---{template(AS_WEB, kind=kind)}",
            (
                f"until {POD_IS_THERE}; do sleep 0.2; done",
                "sleep 1.1",  # times in Kubernetes are in whole seconds
                "kubectl -n $NS patch serviceaccount web "
                "-p '{\"automountServiceAccountToken\":true}'",
            ),
        )
        for kind in ("Deployment", "Pod", "Job")
    ),
]
