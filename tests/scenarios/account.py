"""The service account is not there, or not the right one."""

from tests.scenarios import AS_WEB, PLAIN, POD_IS_THERE, Scenario, service_account, template

SCENARIOS = [
    Scenario(
        "sa-not-found",
        "SAT104",
        "deploy/web",
        template(AS_WEB),
        wait="kubectl -n $NS get events | grep -q FailedCreate",
    ),
    Scenario(
        "sa-not-found-asked-for-a-pod",
        "SAT104",
        "pod/web-12345-abcde",
        template(AS_WEB, kind="StatefulSet"),
        wait="kubectl -n $NS get events | grep -q FailedCreate",
    ),
    Scenario(
        "sa-not-found-misspelt",
        "SAT104",
        "deploy/web",
        f"{service_account('webshop')}---{template(AS_WEB.replace('e: web,', 'e: webshopp,'))}",
        wait="kubectl -n $NS get events | grep -q FailedCreate",
    ),
    Scenario(
        "sa-in-other-namespace",
        "SAT111",
        "deploy/web",
        template(AS_WEB),
        (
            "kubectl create namespace $NS-b && kubectl -n $NS-b create serviceaccount web",
            "kubectl create clusterrolebinding $NS-web --clusterrole=view "
            "--serviceaccount=$NS-b:web",
        ),
        wait="kubectl -n $NS get events | grep -q FailedCreate",
        asks="list pods",
        restore=(
            "kubectl delete clusterrolebinding $NS-web",
            "kubectl delete namespace $NS-b --wait=false",
        ),
        where=("live",),
    ),
    Scenario(
        "sa-not-found-nearly-in-the-files",
        "SAT104",
        "deploy/web",
        f"{service_account('webshop')}---{template(AS_WEB.replace('e: web,', 'e: webshopp,'))}",
        undo=("kubectl -n $NS apply -f $WORK/manifest.yaml",),
        certainty="possible",
        file=True,
        where=("live",),
    ),
    Scenario(
        "sa-deleted-after-pod",
        "SAT105",
        "pod",
        f"{service_account()}---{template(AS_WEB)}",
        ("wait-for-pod", "kubectl -n $NS delete serviceaccount web"),
        # the API server remembers that a token was good for ten seconds
        wait="sleep 11",
    ),
    Scenario(
        "sa-recreated-token-stale",
        "SAT106",
        "pod",
        f"{service_account()}---{template(AS_WEB)}",
        (
            "wait-for-pod",
            "sleep 1.1",
            "kubectl -n $NS delete serviceaccount web",
            "kubectl -n $NS create serviceaccount web",
        ),
        wait="sleep 11",
        certainty="likely",
    ),
    Scenario(
        "unexpected-default-sa",
        "SAT107",
        "pod",
        f"{service_account()}---{template(PLAIN)}",
        ("kubectl -n $NS create rolebinding web --clusterrole=view --serviceaccount=$NS:web",),
        wait=POD_IS_THERE,
        certainty="likely",
        asks="list pods",
    ),
]
