"""Tokens from Secrets."""

from tests.scenarios import (
    AS_WEB,
    AT_PLACE,
    POD_IS_THERE,
    SLEEP,
    TOKEN_SECRET,
    Scenario,
    mounted,
    service_account,
    template,
)

# A policy that keeps the token controller from filling Secrets of the namespace.

NO_FILLING = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-filling-NS}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [secrets]}
  validations: [{expression: 'false', message: not now}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-filling-NS}
spec:
  policyName: no-filling-NS
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
---
"""

TOUCH_PROBE = "kubectl -n $NS label --overwrite secret probe at=$(date +%N)"

FILLED = "kubectl -n $NS get secret %s -o jsonpath={.data.token} | grep -q ."
TAKEN = "kubectl -n $NS get secret %s -o go-template='{{.data.token | base64decode}}'"

# Says whose token is in Secret web-token, and shows nothing of it.
WHOSE = (
    f"t=$({TAKEN % 'web-token'}); "
    """printf '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":"""
    """{"token":"%s"}}' "$t" | kubectl create -f - -o jsonpath={.status.user.username}"""
)

# Puts the token of a Secret into a file of its own, which only `kubectl --kubeconfig` sees.
BECOME = (
    "kubectl config view --raw --minify --flatten > $WORK/legacy && "
    f'kubectl --kubeconfig $WORK/legacy config set-credentials legacy --token="$({TAKEN})" && '
    "kubectl --kubeconfig $WORK/legacy config set-context --current --user=legacy"
)
# What the API server says to whoever uses a token that it takes for auto-generated.
NOT_WARNED = (
    "said=$(kubectl --kubeconfig $WORK/legacy auth whoami 2>&1) && "
    '! grep -q "instead of auto-generated" <<<"$said"'
)

# Makes another Secret of one, with the token in it.
RENAMED = (
    '{"metadata":{"name":"web-token","uid":null,"resourceVersion":null,'
    '"annotations":{"kubernetes.io/service-account.uid":null}}}'
)

GENERATED = TOKEN_SECRET.replace("web-token", "web-token-x7k2p")
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"

# Applied, the Secret is there for a moment and then it is not.
VANISHES = (
    "kubectl -n $NS apply -f $WORK/manifest.yaml",
    "sleep 1; while kubectl -n $NS get secret web-token; do sleep 0.3; done",
)


def uid_of_another(text: str) -> str:
    """A manifest of a Secret with the uid of an account that is gone."""
    return text.replace("name: web}", "name: web, kubernetes.io/service-account.uid: gone}")


FROM_FILES = [
    Scenario(
        "legacy-secret-before-sa",
        "SAT205",
        "secret/web-token",
        f"{TOKEN_SECRET}---{service_account()}",
        # the account would be there at the second try, or at the first if the controller is slow
        (
            VANISHES[0],
            "sleep 2; while kubectl -n $NS get secret web-token; do "
            "kubectl -n $NS delete secret/web-token serviceaccount/web --ignore-not-found; "
            "kubectl -n $NS apply -f $WORK/manifest.yaml; sleep 2; done",
            "kubectl -n $NS delete serviceaccount web",
        ),
        certainty="likely",
    ),
    Scenario(
        "legacy-secret-before-sa-by-its-name",
        "SAT205",
        "secret/web-token",
        f"{service_account('shop-web')}---{TOKEN_SECRET}",
        VANISHES,
        certainty="likely",
    ),
    Scenario(
        "legacy-secret-before-sa-by-its-uid",
        "SAT205",
        "secret/web-token",
        f"{service_account()}---{uid_of_another(TOKEN_SECRET)}",
        VANISHES,
        certainty="likely",
    ),
    Scenario(
        "legacy-secret-other-namespace",
        "SAT207",
        "secret/web-token",
        service_account().replace("name: web", "name: web, namespace: NS")
        + "---"
        + TOKEN_SECRET.replace("name: web-token", "name: web-token\n  namespace: default"),
        (
            "kubectl -n $NS create serviceaccount web",
            "kubectl apply -f $WORK/manifest.yaml",
            "sleep 1; while kubectl -n default get secret web-token; do sleep 0.3; done",
        ),
        certainty="likely",
    ),
    Scenario(
        "legacy-base64-missing",
        "SAT215",
        "secret/web-token",
        f"{service_account()}---{TOKEN_SECRET}stringData: {{token: BARE}}\n",
        (
            "kubectl -n $NS create serviceaccount web",
            "sed -i s/stringData/data/ $WORK/manifest.yaml",
            "sed -i s/BARE/$(kubectl -n $NS create token web)/ $WORK/manifest.yaml",
            "kubectl -n $NS apply -f $WORK/manifest.yaml 2>&1 | grep 'illegal base64 data'",
        ),
    ),
    Scenario(
        "legacy-base64-twice",
        "SAT215",
        "secret/web-token",
        f"{service_account()}---{TOKEN_SECRET}stringData: {{token: BARE}}\n",
        (
            "kubectl -n $NS create serviceaccount web",
            "sed -i s/BARE/$(kubectl -n $NS create token web | base64 -w0)/ $WORK/manifest.yaml",
            "kubectl -n $NS apply -f $WORK/manifest.yaml",
        ),
    ),
    Scenario(
        "legacy-copied-token-data-in-a-manifest",
        "SAT209",
        "secret/web-token",
        f"{service_account()}---{TOKEN_SECRET}stringData: {{token: BARE}}\n",
        (
            "kubectl -n $NS create serviceaccount web",
            f"kubectl -n $NS apply -f - <<'EOF'\n{GENERATED}EOF",
            f"until {FILLED % 'web-token-x7k2p'}; do sleep 0.3; done",
            f"sed -i s/BARE/$({TAKEN % 'web-token-x7k2p'})/ $WORK/manifest.yaml",
            "kubectl -n $NS delete secret web-token-x7k2p",
            "kubectl -n $NS apply -f $WORK/manifest.yaml",
        ),
        certainty="likely",
    ),
]

SCENARIOS = [
    *(scenario._replace(file=True, where=("live",)) for scenario in FROM_FILES),
    Scenario(
        "legacy-secret-wrong-type",
        "SAT204",
        "secret/web-token",
        service_account()
        + "---"
        + TOKEN_SECRET.replace("type: kubernetes.io/service-account-token\n", ""),
        where=("live",),
    ),
    Scenario(
        "legacy-secret-immutable",
        "SAT208",
        "secret/web-token",
        f"{service_account()}---{TOKEN_SECRET}immutable: true\n",
        certainty="likely",
        where=("live",),
    ),
    Scenario(
        "legacy-secret-wrong-sa-name",
        "SAT206",
        "secret/web-token",
        f"{service_account()}---{TOKEN_SECRET.replace('name: web}', 'name: default}')}",
        wait=FILLED % "web-token",
        proof=f"{WHOSE} | grep -qx system:serviceaccount:$NS:web",
        certainty="likely",
        where=("live",),
    ),
    Scenario(
        # one Secret's token in another, as a restored backup has it
        "legacy-copied-token-data",
        "SAT209",
        "secret/web-token",
        f"{service_account()}---{GENERATED}",
        (
            f"until {FILLED % 'web-token-x7k2p'}; do sleep 0.3; done",
            "kubectl -n $NS get secret web-token-x7k2p -o json | "
            f"kubectl patch --local -f - -o json -p '{RENAMED}' | "
            "kubectl -n $NS create -f -",
            "kubectl -n $NS delete secret web-token-x7k2p",
            "sleep 31",
        ),
        certainty="likely",
        where=("live",),
    ),
    Scenario(
        "legacy-token-marked-invalid",
        "SAT210",
        "secret/web-token",
        f"{service_account()}---{TOKEN_SECRET}",
        (
            f"until {FILLED % 'web-token'}; do sleep 0.3; done",
            "kubectl -n $NS label secret web-token "
            "kubernetes.io/legacy-token-invalid-since=2026-01-01",
        ),
        where=("live",),
    ),
    Scenario(
        "manual-token-in-sa-secrets",
        "SAT212",
        "secret/web-token",
        f"{service_account(more='secrets: [{name: web-token}]')}---{TOKEN_SECRET}",
        (f"until {FILLED % 'web-token'}; do sleep 0.3; done", BECOME % "web-token"),
        # what the server thinks of a token it remembers for ten seconds
        proof=NOT_WARNED,
        where=("live",),
    ),
    Scenario(
        "sa-secrets-dangling",
        "SAT213",
        "pod",
        service_account(more="imagePullSecrets: [{name: registry}]") + "---" + template(AS_WEB),
        wait=POD_IS_THERE,
        # what the API server gives to the next pod of the account
        proof="pod=$(kubectl -n $NS run probe --image=x --dry-run=server -o json --overrides="
        """'{"spec":{"serviceAccountName":"web"}}') && ! grep -q imagePullSecrets <<<"$pod" """,
        where=("live",),
    ),
    Scenario(
        "legacy-tracking-configmap-missing",
        "SAT214",
        "secret/web-token-x7k2p",
        f"{service_account(more='secrets: [{name: web-token-x7k2p}]')}---{GENERATED}",
        (
            f"until {FILLED % 'web-token-x7k2p'}; do sleep 0.3; done",
            f"kubectl -n kube-system delete configmap {TRACKING}",
        ),
        proof=f"kubectl -n kube-system get configmap {TRACKING} -o jsonpath={{.data.since}} | "
        "grep -qxE '20[0-9]{2}-[0-9]{2}-[0-9]{2}'",
        restore=(
            f"kubectl -n kube-system get configmap {TRACKING} || kubectl -n kube-system create "
            f"configmap {TRACKING} --from-literal=since=$(date -u +%F)",
        ),
        where=("live",),
    ),
    Scenario(
        "openshift-legacy-secrets",
        "SAT216",
        "secret/web-token-x7k2p",
        service_account()
        + "---"
        + GENERATED.replace(
            "name: web}",
            "name: web, kubernetes.io/created-by: openshift.io/create-dockercfg-secrets}",
        )
        + "---"
        + template(
            "serviceAccountName: web, "
            + mounted(AT_PLACE, "{name: t, secret: {secretName: web-token-x7k2p}}"),
            kind="Pod",
        ),
        wait=FILLED % "web-token-x7k2p",
        proof="kubectl -n $NS get pod web -o json | grep -q '\"serviceAccountToken\"'",
        where=("live",),
    ),
    Scenario(
        "legacy-secret-not-populated",
        "SAT201",
        "secret/web-token",
        f"{service_account()}---{NO_FILLING}",
        (
            # a policy takes a moment until it is enforced
            f"kubectl -n $NS create secret generic probe; while {TOUCH_PROBE}; do sleep 0.3; done",
            f"kubectl -n $NS apply -f - <<'EOF'\n{TOKEN_SECRET}EOF",
            "sleep 32",
        ),
        # what kept the controller from it goes away; it has given up by then
        undo=(
            "kubectl delete validatingadmissionpolicybinding no-filling-$NS",
            "kubectl delete validatingadmissionpolicy no-filling-$NS",
            f"until {TOUCH_PROBE}; do sleep 0.3; done",
        ),
        where=("live",),  # no kubelet has to do with it
    ),
    Scenario(
        "pod-references-missing-token-secret",
        "SAT203",
        "pod",
        template(mounted(AT_PLACE, "{name: t, secret: {secretName: default-token-x7k2p}}")),
        wait=POD_IS_THERE,
    ),
    Scenario(
        "pod-references-missing-token-secret-in-a-variable",
        "SAT203",
        "pod",
        template(
            "containers: ["
            + SLEEP.replace(
                "{name: app,",
                "{name: app, env: [{name: TOKEN, valueFrom: "
                "{secretKeyRef: {name: web-token, key: token}}}],",
            )
            + "]"
        ),
        wait=POD_IS_THERE,
        secret="web-token",
    ),
]
