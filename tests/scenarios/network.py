"""The token is fine, but the way to the API server is not."""

from tests.scenarios import (
    AS_WEB,
    PLAIN,
    POD_IS_THERE,
    SLEEP,
    Scenario,
    service_account,
    template,
)
from tests.scenarios.root_ca import GIVE_RIGHTS, TAKE_RIGHTS

READY = "kubectl -n $NS wait --for=condition=Ready pod -l app=web --timeout=5s"
# a pod that is being replaced is of no interest
NEWEST = (
    "$(kubectl -n $NS get pod -l app=web --sort-by=.metadata.creationTimestamp -o name | tail -1)"
)
API_IP = "$(kubectl -n default get service kubernetes -o jsonpath={.spec.clusterIP})"
IN_APP = f"kubectl -n $NS exec {NEWEST} -c app -- sh -c"


def service(name: str) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: other}}, ports: [{{port: 8080}}]}}
---
"""


def told(*more: str, spec: str = "") -> str:
    """A workload whose container app has more fields."""
    container = SLEEP.replace("{name: app,", f"{{name: app, {', '.join(more)},")
    return template(f"{spec}containers: [{container}]")


DENY = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: wall}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{ports: [{protocol: UDP, port: 53}]}]
"""

# a certificate that is one, but of nobody here
FOREIGN_CA = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other "
    "-keyout $WORK/other.key -out $WORK/other.crt"
)

# The newest pod of the workload is given the past of one that did not wait for its proxy.
DIED_EARLY = """kubectl -n $NS patch $(kubectl -n $NS get pod -l app=web -o name) \
--subresource=status -p '{"status":{"containerStatuses":[
{"name":"istio-proxy","image":"p","imageID":"","ready":true,"restartCount":0,
"state":{"running":{"startedAt":"2026-11-22T11:00:00Z"}}},
{"name":"app","image":"a","imageID":"","ready":true,"restartCount":1,
"lastState":{"terminated":{"exitCode":1,"startedAt":"2026-11-22T11:00:01Z",
"finishedAt":"2026-11-22T11:00:02Z"}}}]}}'"""

SCENARIOS = [
    Scenario(
        "in-cluster-env-missing",
        "SAT901",
        "pod",
        told("env: [{name: KUBERNETES_SERVICE_HOST, value: ''}]"),
        wait=READY,
        proof=f"{IN_APP} 'test $KUBERNETES_SERVICE_HOST = '{API_IP}",
        where=("node",),
    ),
    Scenario(
        "shadowed-kubernetes-service",
        "SAT902",
        "pod",
        service("kubernetes") + template(PLAIN),
        wait=READY,
        proof=f"{IN_APP} 'test $KUBERNETES_SERVICE_HOST = '{API_IP}",
        certainty="likely",
        where=("node",),
    ),
    Scenario(
        "service-link-env-collision",
        "SAT903",
        "pod",
        service("kubernetes-service") + template(PLAIN),
        # the kubelet decides anew at each start which of the two variables it sets
        wait=f"{READY} >/dev/null && {{ {IN_APP} 'test $KUBERNETES_SERVICE_PORT != 443' || "
        "{ kubectl -n $NS delete pod -l app=web; false; }; }",
        proof=f"{IN_APP} 'test $KUBERNETES_SERVICE_PORT = 443'",
        certainty="likely",
        where=("node",),
    ),
    Scenario(
        "networkpolicy-egress-blocks-apiserver",
        "SAT904",
        "pod",
        template(PLAIN) + DENY,
        wait=POD_IS_THERE,
        proof="kubectl -n $NS get networkpolicy "
        "-o jsonpath='{.items[*].spec.egress[*].to[*].ipBlock.cidr}' | "
        f"grep -q -F {API_IP}/32",
        certainty="likely",
        where=("live",),
    ),
    Scenario(
        "apiserver-ca-mismatch",
        "SAT905",
        "pod",
        service_account() + "---" + template(AS_WEB),
        (
            *TAKE_RIGHTS,
            FOREIGN_CA,
            "kubectl -n $NS create configmap kube-root-ca.crt --from-file=ca.crt=$WORK/other.crt "
            "--dry-run=client -o yaml | kubectl replace -f -",
        ),
        wait=POD_IS_THERE,
        # a client that trusts what the pod trusts
        proof="kubectl -n $NS get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}' "
        "> $WORK/ca.crt && kubectl --certificate-authority=$WORK/ca.crt get --raw /version",
        certainty="likely",
        restore=GIVE_RIGHTS,
        where=("live",),
    ),
    Scenario(
        "proxy-without-no-proxy",
        "SAT906",
        "pod",
        told(
            "env: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}, "
            "{name: NO_PROXY, value: '.svc'}]"
        ),
        wait=READY,
        proof=f"{IN_APP} 'echo $NO_PROXY' | grep -q -F .svc,{API_IP},localhost",
        certainty="likely",
        where=("node",),
    ),
    Scenario(
        "mesh-sidecar-not-ready",
        "SAT907",
        "pod",
        template(f"containers: [{SLEEP}, {SLEEP.replace('name: app', 'name: istio-proxy')}]"),
        (
            "until kubectl -n $NS get pod -l app=web -o name | grep -q pod/; do sleep 0.1; done",
            DIED_EARLY,
        ),
        proof="kubectl -n $NS get pod -o yaml | grep -q holdApplicationUntilProxyStarts",
        certainty="possible",
        where=("live",),
    ),
    Scenario(
        "dns-name-instead-of-ip",
        "SAT908",
        "pod",
        told("args: ['--server=https://kubernetes.default.svc']", spec="dnsPolicy: Default, "),
        wait=POD_IS_THERE,
        proof="kubectl -n $NS get pod -o yaml | grep -q 'dnsPolicy: ClusterFirst'",
        certainty="likely",
        where=("live",),
    ),
    Scenario(
        "sa-lookup-disabled",
        "SAT909",
        "pod",
        template(
            "containers: [{name: app, image: x, "
            "command: [kube-apiserver, --v=2, --service-account-lookup=false]}]"
        ),
        wait=POD_IS_THERE,
        proof="kubectl -n $NS get pod -o custom-columns=C:.spec.containers[0].command "
        "--no-headers | grep -v -q service-account-lookup",
        where=("live",),
    ),
]
