"""NetworkPolicies on the way to the API server."""

import pytest

from kubectl_satoken.checks import Finding
from kubectl_satoken.checks.egress import (
    Address,
    block_has,
    lets_through,
    limits_egress,
    port_matches,
)

from . import given
from .given import commands, examined

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, pod-template-hash: abc}}
spec: {SPEC containers: [{name: app, image: app ENV}]}
"""

API = """
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {type: ClusterIP, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default}
addressType: IPv4
endpoints: [{addresses: [172.18.0.2]}]
ports: [{name: https, port: 6443, protocol: TCP}]
"""
TWO = API.replace(
    "{addresses: [172.18.0.2]}", "{addresses: [172.18.0.2]}, {addresses: [172.18.0.3]}"
)


def pod(spec: str = "", env: str = "") -> str:
    return POD.replace("SPEC", spec).replace("ENV", env)


def policy(egress: str, selector: str = "{}", types: str = "[Egress]", name: str = "wall") -> str:
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop}}
spec: {{podSelector: {selector}, policyTypes: {types}, egress: {egress}}}
"""


DNS = "{ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}"
PODS = "{to: [{namespaceSelector: {}}]}"
SERVER = "{to: [{ipBlock: {cidr: 172.18.0.2/32}}], ports: [{port: 6443}]}"
SERVICE = "{to: [{ipBlock: {cidr: 10.96.0.1/32}}], ports: [{port: 443}]}"


def found(text: str) -> list[Finding]:
    return [one for one in given.findings(text) if one.code == "SAT904"]


@pytest.mark.parametrize(
    "egress",
    [
        pytest.param("[]", id="nothing"),
        pytest.param("null", id="no rules"),
        pytest.param(f"[{DNS}]", id="DNS"),
        pytest.param(f"[{PODS}]", id="pods are not it"),
        pytest.param("[{ports: [{port: 80}, {port: https}]}]", id="other ports"),
        pytest.param("[{ports: [{protocol: UDP}]}]", id="another protocol"),
        pytest.param("[{to: [{ipBlock: {cidr: 192.168.0.0/16}}]}]", id="another network"),
        pytest.param(
            "[{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [172.16.0.0/12, 10.0.0.0/8]}}]}]",
            id="all but private networks",
        ),
    ],
)
def test_networkpolicy_egress_blocks_apiserver_fires(egress):
    (finding,) = found(pod() + policy(egress) + API)
    assert (finding.severity, finding.certainty) == ("error", "likely")
    assert (finding.object.kind, finding.object.name) == ("NetworkPolicy", "wall")
    (command,) = commands(finding)
    for line in (
        "name: web-1-to-apiserver",
        "cidr: 10.96.0.1/32",
        "cidr: 172.18.0.2/32",
        "port: 6443",
        "matchLabels:\n      app: web\n",
    ):
        assert line in command


def test_networkpolicy_egress_blocks_apiserver_fires_with_all_policies_named():
    (finding,) = found(pod() + policy("[]") + policy(f"[{DNS}]", name="dns") + API)
    assert finding.message == "networkpolicies wall, dns let no traffic out to the API server"


def test_networkpolicy_egress_blocks_apiserver_fires_as_a_guess():
    (finding,) = found(pod() + policy(f"[{SERVICE}]") + API)
    assert (finding.certainty, finding.severity) == ("possible", "hint")
    assert "not to what is behind it" in finding.message
    (finding,) = found(pod() + policy("[{ports: [{port: 443}]}]") + API)
    assert finding.certainty == "possible"
    (finding,) = found(pod() + policy(f"[{SERVER}]") + TWO)
    assert finding.certainty == "possible"
    assert "172.18.0.2:6443 only" in finding.message
    # the addresses are not in the files
    (finding,) = found(pod() + policy("[]"))
    assert finding.certainty == "possible"
    assert "port: 443" in commands(finding)[0]
    (finding,) = found(
        pod("", ", env: [{name: KUBERNETES_SERVICE_HOST, value: a.b}]") + policy("[]")
    )
    assert finding.certainty == "possible"


def test_networkpolicy_egress_blocks_apiserver_fires_on_a_workload_with_its_own_selector():
    text = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d}
spec:
  selector: {matchLabels: {app: web, tier: front}}
  template: {metadata: {labels: {app: web, tier: front, more: x}}, spec: {containers: [{name: a}]}}
"""
    owner = ", ownerReferences: [{kind: Deployment, name: web, uid: d, controller: true}]}"
    owned = pod().replace("pod-template-hash: abc}}", "pod-template-hash: abc}" + owner)
    (finding,) = found(owned + "---" + text + policy("[]") + API)
    (command,) = commands(finding)
    assert "name: web-to-apiserver" in command
    assert "matchLabels:\n      app: web\n      tier: front\n" in command


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(pod(), id="no policy"),
        pytest.param(pod() + policy("[{}]"), id="everything"),
        pytest.param(pod() + policy(f"[{DNS}, {SERVER}]"), id="it"),
        pytest.param(pod() + policy("[]") + policy(f"[{SERVER}]", name="b"), id="another does"),
        pytest.param(pod() + policy("[]", "{matchLabels: {app: db}}"), id="other pods"),
        pytest.param(pod() + policy("[]", types="[Ingress]"), id="ingress"),
        pytest.param(pod() + policy("[]", types="null"), id="ingress by default"),
        pytest.param(pod("hostNetwork: true,") + policy("[]"), id="on the host"),
        pytest.param(pod("automountServiceAccountToken: false,") + policy("[]"), id="no token"),
        pytest.param(
            pod() + policy("[{ports: [{port: 6000, endPort: 7000}]}]"), id="a range of ports"
        ),
        pytest.param(
            pod("", ", env: [{name: KUBERNETES_SERVICE_HOST, value: api.example}]")
            + policy(f"[{PODS}, {{to: [{{ipBlock: {{cidr: 192.0.2.0/24}}}}]}}]"),
            id="elsewhere",
        ),
    ],
)
def test_networkpolicy_egress_blocks_apiserver_quiet(text):
    assert found(text + API) == []


def test_networkpolicy_egress_blocks_apiserver_quiet_in_other_namespaces():
    assert found(pod() + policy("[]").replace("namespace: shop", "namespace: b") + API) == []


def test_networkpolicy_egress_blocks_apiserver_quiet_where_the_addresses_are_not_seen():
    text = (
        pod()
        .replace("name: web-1", "name: web-1, uid: p")
        .replace(
            "spec: {",
            "spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: "
            "{path: token}}]}}], ",
        )
        .replace(
            "image: app ",
            "image: app, volumeMounts: [{name: v, "
            "mountPath: /var/run/secrets/kubernetes.io/serviceaccount}] ",
        )
    )
    assert found(text + policy("[]") + API)
    _, skipped = examined(
        text + policy("[{ports: [{port: 443}]}]"), unseen=("Service", "EndpointSlice")
    )
    assert ("SAT904", "service kubernetes") in skipped
    # what lets nothing through needs no address
    seen, _ = examined(text + policy(f"[{DNS}]"), unseen=("Service", "EndpointSlice"))
    assert "SAT904" in [one.code for one in seen]


def test_which_policies_are_about_egress():
    assert limits_egress({"spec": {"policyTypes": ["Egress"]}})
    assert limits_egress({"spec": {"egress": [{}]}})
    assert not limits_egress({"spec": {"egress": []}})
    assert not limits_egress({"spec": {"policyTypes": ["Ingress"], "egress": [{}]}})
    assert not limits_egress({})


def test_ports_and_blocks():
    assert port_matches({}, 443)
    assert port_matches({"ports": [{"protocol": "TCP"}]}, 443)
    assert port_matches({"ports": [{"port": 400, "endPort": 500}]}, 443)
    assert not port_matches({"ports": [{"port": "https"}]}, 443)
    assert not port_matches({"ports": [{"protocol": "UDP", "port": 443}]}, 443)
    assert block_has({"cidr": "10.0.0.0/8"}, "10.96.0.1")
    assert not block_has({"cidr": "10.0.0.0/8", "except": ["10.96.0.0/12"]}, "10.96.0.1")
    assert not block_has({"cidr": "fd00::/8"}, "10.96.0.1")
    assert block_has({"cidr": "fd00::/8"}, "fd00::1")
    assert not block_has({"cidr": "rubbish"}, "10.96.0.1")
    assert lets_through([{"to": []}], Address("10.96.0.1", 443))
    assert str(Address("fd00::1", 443)) == "[fd00::1]:443"
    assert Address("fd00::1", 443).block == "fd00::1/128"
