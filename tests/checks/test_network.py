"""The way to the API server is not what it should be."""

import pytest

from kubectl_satoken.checks import Finding

from . import given
from .given import commands, examined, the

SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, uid: s, creationTimestamp: "{made}"}}
spec: {{type: ClusterIP, clusterIP: {ip}, ports: [{{port: 443}}]}}
"""


def findings(text: str) -> list[Finding]:
    """What is found on the way to the API server; the pods here are no more than that."""
    return [one for one in given.findings(text) if one.code.startswith("SAT9")]


def codes(text: str) -> list[str]:
    return [one.code for one in findings(text)]


def service(
    name: str,
    namespace: str = "shop",
    ip: str = "10.96.7.7",
    made: str = "2026-11-20T00:00:00Z",
) -> str:
    return SERVICE.format(name=name, namespace=namespace, ip=ip, made=made)


API = service("kubernetes", "default", "10.96.0.1")


def pod(
    container: str = "",
    spec: str = "",
    *,
    namespace: str = "shop",
    metadata: str = "",
    status: str = "",
) -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: x, namespace: {namespace}{metadata}}}
spec:
  {spec}
  containers:
  - name: app
    image: app
    {container}
{status}
"""


LIVE = ", uid: p"
MOUNTED = """volumeMounts: [{name: kube-api-access-x,
      mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]"""
VOLUME = """volumes: [{name: kube-api-access-x, projected: {sources: [
    {serviceAccountToken: {path: token}},
    {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}]}}]"""


def env(*pairs: tuple[str, str], more: str = "") -> str:
    listed = ", ".join(f'{{name: {name}, value: "{value}"}}' for name, value in pairs)
    return f"env: [{listed}{more}]"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KUBERNETES_SERVICE_HOST", "", "KUBERNETES_SERVICE_HOST is empty in app"),
        ("KUBERNETES_SERVICE_HOST", "https://10.96.0.1", "KUBERNETES_SERVICE_HOST is https://"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1:443", "KUBERNETES_SERVICE_HOST is 10.96.0.1:443"),
        ("KUBERNETES_SERVICE_PORT", "", "KUBERNETES_SERVICE_PORT is empty in app"),
        ("KUBERNETES_SERVICE_PORT", "https", "KUBERNETES_SERVICE_PORT is https in app"),
        ("KUBERNETES_SERVICE_PORT", "tcp://10.96.0.1:443", "KUBERNETES_SERVICE_PORT is tcp://"),
    ],
)
def test_in_cluster_env_missing_fires(name, value, words):
    found = findings(pod(env(("A", "b"), (name, value))))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT901", "error", "certain")
    ]
    assert words in found[0].message
    assert found[0].object.path == "spec.containers[0].env[1]"
    (command,) = commands(found[0])
    assert f'"env":[{{"name":"{name}","$patch":"delete"}}]' in command


def test_in_cluster_env_missing_fires_on_the_last_of_two():
    twice = env(("KUBERNETES_SERVICE_HOST", "10.1.1.1"), ("KUBERNETES_SERVICE_HOST", ""))
    assert the(findings(pod(twice)), "SAT901").object.path == "spec.containers[0].env[1]"


def test_in_cluster_env_missing_fires_on_a_variable_without_a_value():
    assert codes(pod("env: [{name: KUBERNETES_SERVICE_HOST}]")) == ["SAT901"]


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(env(("KUBERNETES_SERVICE_HOST", "api.garden.example")), id="Gardener"),
        pytest.param(
            env(("KUBERNETES_SERVICE_HOST", "192.0.2.7"), ("KUBERNETES_SERVICE_PORT", "6443")),
            id="Cilium",
        ),
        pytest.param(env(("KUBERNETES_SERVICE_HOST", "fd00::1")), id="IPv6"),
        pytest.param(env(("KUBERNETES_SERVICE_HOST", "$(OTHER)")), id="a reference"),
        pytest.param(
            "env: [{name: KUBERNETES_SERVICE_HOST, valueFrom: {configMapKeyRef: "
            "{name: kubernetes-services-endpoint, key: KUBERNETES_SERVICE_HOST}}}]",
            id="Calico",
        ),
    ],
)
def test_in_cluster_env_missing_quiet(variables):
    assert codes(pod(variables)) == []


def test_in_cluster_env_missing_quiet_without_a_token():
    empty = env(("KUBERNETES_SERVICE_HOST", ""))
    assert "SAT901" not in codes(pod(empty, "automountServiceAccountToken: false"))
    assert "SAT901" not in codes(pod(empty) + "status: {phase: Succeeded}\n")


def test_shadowed_kubernetes_service_fires():
    found = findings(pod() + service("kubernetes"))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT902", "error", "likely")
    ]
    assert (found[0].object.kind, found[0].object.name) == ("Service", "kubernetes")
    (command,) = commands(found[0])
    assert '"enableServiceLinks":false' in command


def test_shadowed_kubernetes_service_fires_as_a_warning_where_it_came_after_the_container():
    status = """status: {containerStatuses: [
    {name: app, state: {running: {startedAt: "2026-11-19T00:00:00Z"}}}]}"""
    running = pod(MOUNTED, VOLUME, metadata=LIVE, status=status)
    found = findings(running + service("kubernetes"))
    assert [(one.code, one.severity) for one in found] == [("SAT902", "warning")]
    assert found[0].message.endswith("from the next start on")
    older = service("kubernetes", made="2026-11-18T00:00:00Z")
    assert [one.severity for one in findings(running + older)] == ["error"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(pod() + service("kubernetes", "other"), id="another namespace"),
        pytest.param(pod() + service("kubernetes", ip="None"), id="headless"),
        pytest.param(pod("", "enableServiceLinks: false") + service("kubernetes"), id="no links"),
        pytest.param(pod(namespace="default") + API, id="the real one"),
        pytest.param(
            pod(env(("KUBERNETES_SERVICE_HOST", "192.0.2.7"))) + service("kubernetes"), id="own"
        ),
        pytest.param(
            pod("", "automountServiceAccountToken: false") + service("kubernetes"), id="no token"
        ),
        pytest.param(
            pod() + service("kubernetes").replace("ClusterIP,", "ExternalName,"), id="a name"
        ),
    ],
)
def test_shadowed_kubernetes_service_quiet(text):
    found, _ = examined(text)
    assert "SAT902" not in [one.code for one in found]


def test_services_that_are_not_seen_are_said_so():
    live = pod(MOUNTED, VOLUME, metadata=LIVE)
    _, skipped = examined(live, unseen=("Service",))
    assert ("SAT902", "services") in skipped
    assert ("SAT903", "services") in skipped
    # but a file is not blamed for what it does not hold
    _, skipped = examined(pod(), unseen=("Service",))
    assert ("SAT902", "services") not in skipped


def test_service_link_env_collision_fires():
    found = findings(pod() + service("kubernetes-service"))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT903", "error", "likely")
    ]
    (command,) = commands(found[0])
    assert '"enableServiceLinks":false' in command


def test_service_link_env_collision_fires_in_the_default_namespace_too():
    text = pod(namespace="default") + service("kubernetes-service", "default")
    found, _ = examined(text)
    assert "SAT903" in [one.code for one in found]


def test_service_link_env_collision_quiet():
    assert codes(pod() + service("kubernetes-services")) == []
    assert codes(pod() + service("kubernetes-service", ip="None")) == []
    assert codes(pod("", "enableServiceLinks: false") + service("kubernetes-service")) == []
    own = env(("KUBERNETES_SERVICE_PORT", "443"))
    assert codes(pod(own) + service("kubernetes-service")) == []


PEM = "-----BEGIN CERTIFICATE-----\\n{}\\n-----END CERTIFICATE-----\\n"


def root_ca(namespace: str, text: str, manager: str = "kube-controller-manager") -> str:
    return f"""
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-root-ca.crt
  namespace: {namespace}
  uid: cm-{namespace}
  managedFields: [{{manager: {manager}, fieldsV1: {{"f:data": {{"f:ca.crt": {{}}}}}}}}]
data: {{ca.crt: "{text}"}}
"""


def with_ca(own: str, system: str = PEM.format("AAAA")) -> str:
    return pod(MOUNTED, VOLUME, metadata=LIVE) + own + root_ca("kube-system", system)


def test_apiserver_ca_mismatch_fires():
    found = findings(with_ca(root_ca("shop", PEM.format("BBBB"), "kubectl-edit")))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT905", "error", "likely")
    ]
    assert found[0].object.value == "written by kubectl-edit"
    delete, create = commands(found[0])
    assert "delete configmap kube-root-ca.crt" in delete
    assert "-n kube-system get configmap" in create


def test_apiserver_ca_mismatch_fires_on_what_is_no_certificate():
    found = findings(with_ca(root_ca("shop", "CHANGE ME")))
    assert [(one.code, one.certainty) for one in found] == [("SAT905", "certain")]


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(root_ca("shop", PEM.format("AAAA")), id="published"),
        pytest.param(root_ca("shop", PEM.format("AA\\nAA"), "kubectl-create"), id="a copy"),
        pytest.param(
            root_ca("shop", PEM.format("BBBB") + PEM.format("AAAA"), "kubectl-edit"), id="a bundle"
        ),
        pytest.param(root_ca("shop", PEM.format("BBBB")), id="about to be published"),
    ],
)
def test_apiserver_ca_mismatch_quiet(own):
    assert codes(with_ca(own)) == []


def test_apiserver_ca_mismatch_quiet_where_it_is_not_mounted():
    text = pod(MOUNTED, VOLUME.replace("kube-root-ca.crt", "mine"), metadata=LIVE)
    assert "SAT905" not in codes(text + root_ca("shop", "CHANGE ME"))


def test_proxy_without_no_proxy_fires():
    found = findings(pod(env(("HTTPS_PROXY", "http://proxy:3128"))) + API)
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT906", "warning", "likely")
    ]
    (command,) = commands(found[0])
    assert '"name":"NO_PROXY","value":"$(KUBERNETES_SERVICE_HOST),localhost,' in command


def test_proxy_without_no_proxy_fires_where_only_names_are_excepted():
    text = pod(env(("https_proxy", "http://proxy:3128"), ("no_proxy", ".svc,.cluster.local")))
    found = findings(text + API)
    assert found[0].object.path == "spec.containers[0].env[1]"
    (command,) = commands(found[0])
    assert '"name":"no_proxy","value":".svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)' in command


def test_proxy_without_no_proxy_fires_where_another_network_is_excepted():
    text = pod(env(("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", "192.168.0.0/16")))
    assert codes(text + API) == ["SAT906"]


@pytest.mark.parametrize(
    "no_proxy",
    [
        "10.96.0.1",
        "10.96.0.1:443",
        "10.96.0.0/12,.svc",
        ".svc, 10.0.0.0/8",
        "*",
        "10.*",
        "localhost,$(KUBERNETES_SERVICE_HOST)",
    ],
)
def test_proxy_without_no_proxy_quiet(no_proxy):
    assert codes(pod(env(("HTTPS_PROXY", "http://p"), ("NO_PROXY", no_proxy))) + API) == []
    assert codes(pod(env(("HTTPS_PROXY", "http://p"), ("no_proxy", no_proxy))) + API) == []


@pytest.mark.parametrize(
    "container",
    [
        pytest.param(env(("HTTP_PROXY", "http://proxy:3128")), id="for http only"),
        pytest.param(env(("HTTPS_PROXY", "")), id="none"),
        pytest.param(
            env(("HTTPS_PROXY", "http://p"))
            + "\n    envFrom: [{configMapRef: {name: proxy-settings}}]",
            id="the rest is not seen",
        ),
        pytest.param(
            "env: [{name: HTTPS_PROXY, value: http://p}, {name: NO_PROXY, valueFrom: "
            "{configMapKeyRef: {name: proxy, key: no}}}]",
            id="not seen",
        ),
    ],
)
def test_proxy_without_no_proxy_quiet_without_a_proxy_or_knowledge(container):
    assert codes(pod(container) + API) == []


MESH_SPEC = f"""{VOLUME}
  initContainers:
  - {{name: istio-init, image: i}}
  - {{name: migrate, image: i, {MOUNTED}}}"""
MESHED = f"""{MOUNTED}
  - name: istio-proxy
    image: proxy"""


def ended(name: str, start: str, end: str, code: int = 1) -> str:
    return (
        f"{{name: {name}, lastState: {{terminated: {{exitCode: {code}, "
        f'startedAt: "2026-11-22T{start}Z", finishedAt: "2026-11-22T{end}Z"}}}}}}'
    )


PROXY = '{name: istio-proxy, state: {running: {startedAt: "2026-11-22T11:00:00Z"}}}'


def meshed(*statuses: str, metadata: str = "", init: str = "") -> str:
    status = f"status: {{containerStatuses: [{', '.join(statuses)}], "
    status += f"initContainerStatuses: [{init}]}}"
    return pod(MESHED, MESH_SPEC, metadata=LIVE + metadata, status=status)


def test_mesh_sidecar_not_ready_fires():
    found = findings(meshed(PROXY, ended("app", "11:00:01", "11:00:03")))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT907", "hint", "possible")
    ]
    (command,) = commands(found[0])
    assert '"proxy.istio.io/config":"holdApplicationUntilProxyStarts: true"' in command


def test_mesh_sidecar_not_ready_fires_on_init_containers():
    found = findings(meshed(PROXY, init=ended("migrate", "11:00:01", "11:00:03")) + API)
    assert [one.code for one in found] == ["SAT907"]
    (command,) = commands(found[0])
    assert '"traffic.sidecar.istio.io/excludeOutboundIPRanges":"10.96.0.1/32"' in command


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(meshed(PROXY), id="all is well"),
        pytest.param(meshed(PROXY, ended("app", "11:30:01", "11:30:03")), id="later"),
        pytest.param(meshed(PROXY, ended("app", "11:00:01", "11:20:00")), id="lived for long"),
        pytest.param(meshed(PROXY, ended("app", "11:00:01", "11:00:03", 0)), id="done"),
        pytest.param(
            meshed(PROXY, init=ended("istio-init", "11:00:01", "11:00:03")), id="the mesh's own"
        ),
        pytest.param(
            meshed(
                PROXY,
                ended("app", "11:00:01", "11:00:03"),
                metadata=", annotations: {proxy.istio.io/config: "
                "'holdApplicationUntilProxyStarts: true'}",
            ),
            id="waits",
        ),
    ],
)
def test_mesh_sidecar_not_ready_quiet(text):
    assert codes(text + API) == []


NAMED = "args: [--server=https://kubernetes.default.svc:443]"


@pytest.mark.parametrize(
    ("container", "spec", "wanted"),
    [
        (NAMED, "dnsPolicy: Default", '"dnsPolicy":"ClusterFirst"'),
        (NAMED, "hostNetwork: true", '"dnsPolicy":"ClusterFirstWithHostNet"'),
        (
            NAMED,
            "dnsPolicy: None\n  dnsConfig: {nameservers: [8.8.8.8]}",
            '"dnsPolicy":"ClusterFirst","dnsConfig":null',
        ),
        ("command: [curl, https://kubernetes.default/api]", "dnsPolicy: Default", "ClusterFirst"),
        (env(("API", "kubernetes.default.svc.cluster.local")), "dnsPolicy: Default", "Cluster"),
    ],
)
def test_dns_name_instead_of_ip_fires(container, spec, wanted):
    found = findings(pod(container, spec))
    assert [(one.code, one.severity, one.certainty) for one in found] == [
        ("SAT908", "error", "likely")
    ]
    (command,) = commands(found[0])
    assert wanted in command


@pytest.mark.parametrize(
    ("container", "spec"),
    [
        (NAMED, ""),
        (NAMED, "dnsPolicy: ClusterFirst"),
        (NAMED, "hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet"),
        (NAMED, "dnsPolicy: None\n  dnsConfig: {nameservers: [10.96.0.10]}"),
        (NAMED, "dnsPolicy: Default\n  dnsConfig: {nameservers: [10.96.0.10]}"),
        ("args: [--port=80]", "dnsPolicy: Default"),
        ("args: [--api-audiences, https://kubernetes.default.svc]", "dnsPolicy: Default"),
        ("args: ['--service-account-issuer=https://kubernetes.default.svc']", "hostNetwork: true"),
        (env(("NO_PROXY", "kubernetes.default.svc")), "dnsPolicy: Default"),
    ],
)
def test_dns_name_instead_of_ip_quiet(container, spec):
    assert codes(pod(container, spec)) == []


SERVER = "command: [kube-apiserver, --v=2, --service-account-lookup=false]"


def test_sa_lookup_disabled_fires():
    found = findings(pod(SERVER))
    assert [(one.code, one.severity) for one in found] == [("SAT909", "hint")]
    (command,) = commands(found[0])
    assert '"command":["kube-apiserver","--v=2"]' in command


def test_sa_lookup_disabled_fires_on_a_static_pod():
    mirror = ", uid: p, annotations: {kubernetes.io/config.mirror: abc}"
    found = findings(pod(SERVER, "nodeName: n1", metadata=mirror))
    assert [one.code for one in found] == ["SAT909"]
    assert "/etc/kubernetes/manifests/kube-apiserver.yaml on n1" in found[0].fix.summary


def test_sa_lookup_disabled_quiet():
    assert codes(pod("command: [kube-apiserver, --service-account-lookup=true]")) == []
    assert codes(pod("command: [kube-apiserver]")) == []
    assert codes(pod("command: [other, --service-account-lookup=false]")) == []
