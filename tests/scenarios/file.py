"""The token file cannot be read, is not renewed, or is not what the program reads."""

from tests.scenarios import (
    AT_PLACE,
    FULL,
    PLACE,
    PLAIN,
    POD_IS_THERE,
    SLEEP,
    TOKEN_SECRET,
    Scenario,
    mounted,
    service_account,
    template,
)

IN_POD = "kubectl -n $NS exec deploy/web -c app --"
ALONE = template(PLAIN, kind="Pod")
STRICT = FULL.replace("projected: {", "projected: {defaultMode: 256, ")
AS_USER = SLEEP.replace(
    "{name: app,",
    f"{{name: app, securityContext: {{runAsUser: 1000}}, volumeMounts: [{AT_PLACE}],",
)
SIDECAR = SLEEP.replace("name: app,", "name: sidecar, securityContext: {runAsUser: 2000},")
SWITCHING = SLEEP.replace("[sleep, '3600']", "[su, nobody, -s, /bin/sh, -c, 'sleep 3600']")
FROM_SECRET = SLEEP.replace(
    "{name: app,",
    "{name: app, env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: web-token, key: token}}}],",
)

SCENARIOS = [
    Scenario(
        "token-unreadable-common-runasuser",
        "SAT701",
        "pod",
        template(f"securityContext: {{runAsUser: 0}}, containers: [{SWITCHING}]"),
        wait=f"{IN_POD} true",
        certainty="possible",
        proof=f"{IN_POD} su nobody -s /bin/sh -c 'cat {PLACE}/token' >/dev/null",
        where=("node",),
    ),
    Scenario(
        "token-unreadable-defaultmode",
        "SAT702",
        "pod",
        template(f"containers: [{AS_USER}, {SIDECAR}], volumes: [{STRICT}]"),
        wait=f"{IN_POD} true",
        where=("node",),
    ),
    Scenario(
        "subpath-token-never-refreshes",
        "SAT703",
        "pod",
        template(mounted("{name: t, mountPath: /var/run/secrets/web/token, subPath: token}", FULL)),
        wait=f"{IN_POD} true",
        # the kubelet renews a token by turning a link, which a mount of the file is not
        proof=f"{IN_POD} sh -c 'test -L /var/run/secrets/web/token'",
        where=("node",),
    ),
    Scenario(
        "token-in-env",
        "SAT704",
        "pod",
        f"{service_account()}---{TOKEN_SECRET}---"
        + template(f"serviceAccountName: web, containers: [{FROM_SECRET}]"),
        wait=f"{POD_IS_THERE} && kubectl -n $NS get secret web-token -o json | grep '\"token\":'",
        # a pod that does not need the Secret
        proof="kubectl -n $NS get pods -o name | xargs -n1 kubectl -n $NS get "
        "-o jsonpath='{.spec}{\"\\n\"}' | grep kube-api-access | grep -v secretKeyRef",
        where=("live",),
    ),
    Scenario(
        "rotation-stops-when-terminating",
        "SAT705",
        "pod/web",
        ALONE,
        events=(
            "kubectl -n $NS patch pod web --type=merge "
            """-p '{"metadata":{"finalizers":["example.com/hold"]}}'""",
            "kubectl -n $NS delete pod web --wait=false",
        ),
        after=(f"kubectl -n $NS apply -f - <<'EOF'\n{ALONE}EOF",),
        where=("live",),
    ),
]
