"""No pod can be made, or it is made without what a service account brings."""

from tests.scenarios import (
    AS_WEB,
    FAILED_CREATE,
    PLAIN,
    POD_IS_THERE,
    SLEEP,
    TOKEN_SECRET,
    Scenario,
    applied,
    mounted,
    service_account,
    template,
)

# --- a static pod, as its kubelet would mirror it

NODE = """
apiVersion: v1
kind: Node
metadata: {name: n-NS, labels: {kubernetes.io/hostname: n-NS}}
"""

MIRROR = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  ownerReferences:
  - {apiVersion: v1, kind: Node, name: n-$NS, uid: $UID_OF_NODE, controller: true}
  labels: {app: web}
  annotations: {kubernetes.io/config.mirror: x, kubernetes.io/config.source: file}
spec:
  nodeName: n-$NS
  containers: [{name: app, image: 'busybox:1', command: [sleep, '3600']}]
"""

# --- the controller that makes the account default loses its right; the scenario gives it back

DEFAULT_MAKER = "system:controller:service-account-controller"

TAKE_RIGHTS = (
    f"kubectl get clusterrolebinding {DEFAULT_MAKER} -o yaml > $WORK/maker.yaml",
    f"kubectl delete clusterrolebinding {DEFAULT_MAKER}",
    "until ! kubectl auth can-i create serviceaccounts -n $NS "
    "--as=system:serviceaccount:kube-system:service-account-controller; do sleep 0.2; done",
    "kubectl -n $NS delete serviceaccount default",
)

GIVE_RIGHTS = (
    "grep -v -E 'resourceVersion|uid|creationTimestamp' $WORK/maker.yaml | kubectl apply -f -",
)

# --- an account that limits the Secrets of its pods

STRICT = service_account().replace(
    "name: web}", 'name: web, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}'
)

CREDENTIALS = """
apiVersion: v1
kind: Secret
metadata: {name: creds}
stringData: {password: x}
"""


def with_secret(secret: str) -> str:
    """A pod spec with a Secret volume."""
    mount = "{name: s, mountPath: /creds}"
    volume = f"{{name: s, secret: {{secretName: {secret}}}}}"
    return f"serviceAccountName: web, {mounted(mount, volume)}"


FROM_ENV = SLEEP.replace("{name: app,", "{name: app, envFrom: [{secretRef: {name: creds}}],")

SCENARIOS = [
    Scenario(
        "static-pod-no-token",
        "SAT109",
        "pod/web",
        NODE,
        (
            "UID_OF_NODE=$(kubectl get node n-$NS -o jsonpath={.metadata.uid}); "
            f"kubectl -n $NS apply -f - <<EOF\n{MIRROR}EOF",
        ),
        restore=("kubectl delete node n-$NS",),
        where=("live",),
    ),
    Scenario(
        "default-sa-race",
        "SAT112",
        "deploy/web",
        service_account(),
        (*TAKE_RIGHTS, applied(template(PLAIN))),
        wait=FAILED_CREATE,
        undo=GIVE_RIGHTS,
        certainty="likely",
        restore=GIVE_RIGHTS,
        where=("live",),
    ),
    *(
        Scenario(
            f"enforce-mountable-secrets{name}",
            "SAT113",
            "deploy/web",
            f"{STRICT}---{secret}---{template(spec)}",
            wait=FAILED_CREATE,
            where=("live",),
        )
        for name, secret, spec in (
            ("", CREDENTIALS, with_secret("creds")),
            ("-of-a-token", TOKEN_SECRET, with_secret("web-token")),
            ("-environment", CREDENTIALS, f"serviceAccountName: web, containers: [{FROM_ENV}]"),
            ("-for-images", CREDENTIALS, f"imagePullSecrets: [{{name: creds}}], {AS_WEB}"),
        )
    ),
    *(
        Scenario(
            f"serviceaccount-alias-stuck{name}",
            "SAT114",
            "deploy/web",
            service_account(),
            (
                f"kubectl -n $NS apply {flag} -f - <<'EOF'\n{template(AS_WEB)}EOF",
                f"kubectl -n $NS apply {flag} -f - <<'EOF'\n{template(PLAIN)}EOF",
            ),
            wait=POD_IS_THERE,
            proof="[ -z $(kubectl -n $NS get deploy web "
            "-o jsonpath={.spec.template.spec.serviceAccountName}) ]",
            where=("live",),
        )
        for name, flag in (("", ""), ("-server-side", "--server-side"))
    ),
    Scenario(
        "serviceaccount-alias-stuck-and-gone",
        "SAT114",
        "deploy/web",
        template(AS_WEB),
        (applied(template(PLAIN)),),
        wait=FAILED_CREATE,
        where=("live",),
    ),
]
