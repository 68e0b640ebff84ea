"""What looks like a fault and is none: section by section what doctor must not report.

Each case is something that other tools, or people, take for the cause. None may become an error or
a warning; where a hint is given, the test says which.
"""

import pytest

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.diagnosis import diagnose, diagnose_objects
from kubectl_satoken.errors import ManifestError
from kubectl_satoken.manifests import parse as parse_manifests
from kubectl_satoken.targets import admitted, parse, unknown_kind
from kubectl_satoken.verify import token_object
from tests.checks.given import NOON, first, world

INJECTED = """
  - name: kube-api-access-x7k2p
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {expirationSeconds: 3607, path: token}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI:
          items:
          - {path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}
"""
MOUNT = (
    "{name: kube-api-access-x7k2p, readOnly: true, "
    "mountPath: /var/run/secrets/kubernetes.io/serviceaccount}"
)
RUNNING = "status: {phase: Running, startTime: '2026-11-22T11:00:00Z'}"

BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
subjects: [{kind: ServiceAccount, name: web}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}}
rules: [{apiGroups: [''], resources: [pods], verbs: [get, list, watch]}]
---
"""
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
---
"""


def pod(
    spec: str = "",
    *,
    container: str = "",
    mount: str = MOUNT,
    volumes: str = INJECTED,
    metadata: str = "",
    status: str = RUNNING,
    more: str = "",
) -> str:
    """A running pod of an account with rights, as the API server stores it, with changes."""
    mounts = f", volumeMounts: [{mount}]" if mount else ""
    return f"""
{ACCOUNT}{BINDING}{more}
apiVersion: v1
kind: Pod
metadata:
  name: x
  namespace: shop
  uid: pod-x
  creationTimestamp: "2026-11-22T11:00:00Z"
  {metadata}
spec:
  serviceAccountName: web
  serviceAccount: web
  nodeName: n1
  {spec}
  containers:
  - {{name: app, image: app{mounts}{container}}}
  volumes:{volumes or " []"}
{status}
"""


def faults(text: str, kind: str = "Pod") -> list[str]:
    """The errors and warnings on the first object of a kind, and on what comes with it."""
    cluster = world(text)
    item = first(cluster, kind)
    word = f"{kind.lower()}/{item['metadata']['name']}"
    report = diagnose(parse([word], unknown_kind), "shop", cluster)
    return [
        f"{one.finding.code} {one.finding.message}"
        for one in report.causes
        if one.finding.severity != "hint"
    ]


def test_the_pod_that_the_cases_start_from_is_healthy() -> None:
    assert faults(pod()) == []


def test_1_automount_off_with_a_complete_volume_of_ones_own() -> None:
    own = INJECTED.replace("kube-api-access-x7k2p", "token")
    text = pod(
        "automountServiceAccountToken: false",
        mount=MOUNT.replace("kube-api-access-x7k2p", "token"),
        volumes=own,
    )
    assert faults(text) == []


def test_2_a_token_that_expires_in_a_year() -> None:
    cluster = world(pod())
    now = 1795348800  # NOON
    token = token_object(
        first(cluster, "Pod"),
        "a test",
        asked={"audience": "", "lifetime": 3607, "path": "/t", "container": "app"},
        granted={"lifetime": 3607},
        header={"kid": "k"},
        payload={
            "iss": "https://issuer.example",
            "aud": ["https://issuer.example"],
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 365 * 86400,
            "kubernetes.io": {
                "serviceaccount": {"name": "web", "uid": "sa-web"},
                "pod": {"name": "x", "uid": "pod-x"},
                "warnafter": now + 3547,
            },
        },
        reviews=[{"by": "TokenReview", "authenticated": True, "audiences": [], "error": ""}],
    )
    found, _, _ = examine(token, cluster)
    assert found == []
    assert NOON == "2026-11-22T12:00:00Z"


def test_3_an_account_without_secrets() -> None:
    assert faults(f"{ACCOUNT}{BINDING}".rstrip("-\n"), "ServiceAccount") == []


EVENT = """
apiVersion: v1
kind: Event
metadata: {{name: x.1, namespace: shop}}
involvedObject: {{kind: Pod, name: x, namespace: shop, uid: pod-x}}
type: Warning
reason: FailedMount
count: {count}
firstTimestamp: "2026-11-22T11:00:01Z"
lastTimestamp: "2026-11-22T11:00:{last:02}Z"
source: {{component: kubelet, host: n1}}
message: '{message}'
---
"""
VOLUME_FAILED = 'MountVolume.SetUp failed for volume "kube-api-access-x7k2p" : '


def test_4_kube_root_ca_not_registered_once() -> None:
    message = VOLUME_FAILED + 'object "shop"/"kube-root-ca.crt" not registered'
    for status in (RUNNING, "status: {phase: Succeeded}"):
        assert faults(pod(status=status, more=EVENT.format(count=1, last=2, message=message))) == []


def test_5_invalid_bearer_token_before_the_real_reason() -> None:
    cluster = world(pod())
    token = token_object(
        first(cluster, "Pod"),
        "a test",
        asked={"audience": "", "lifetime": 3607, "path": "/t", "container": "app"},
        header={},
        payload={"iss": "https://issuer.example", "exp": 1, "iat": 0},
        reviews=[
            {
                "by": "TokenReview",
                "authenticated": False,
                "audiences": [],
                "error": "[invalid bearer token, service account token has expired]",
            }
        ],
    )
    found, _, _ = examine(token, cluster)
    assert [one.name for one in found] == ["token-expired"]


def test_6_no_relationship_found_in_the_first_minute() -> None:
    message = (
        VOLUME_FAILED + 'failed to fetch token: serviceaccounts "web" is forbidden: User '
        '"system:node:n1" cannot create resource "serviceaccounts/token" in API group "" in the '
        "namespace \"shop\": no relationship found between node ''n1'' and this object"
    )
    assert faults(pod(more=EVENT.format(count=2, last=3, message=message))) == []


def test_7_read_only_file_systems_and_mounts() -> None:
    container = ", securityContext: {readOnlyRootFilesystem: true}"
    assert faults(pod(container=container)) == []


def test_8_the_pods_flag_is_false_and_the_volume_is_there() -> None:
    assert faults(pod("automountServiceAccountToken: false")) == []


def test_9_subjects_without_and_with_a_needless_namespace() -> None:
    group = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: group, namespace: shop}
subjects: [{kind: Group, name: 'system:serviceaccounts:shop', namespace: elsewhere}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
"""
    assert faults(pod(more=group)) == []


def test_10_roles_without_bindings_and_bindings_with_a_dead_subject() -> None:
    others = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: unused, namespace: shop}
rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: several, namespace: shop}
subjects: [{kind: ServiceAccount, name: gone}, {kind: ServiceAccount, name: web}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
"""
    assert faults(pod(more=others)) == []


def test_11_a_sidecar_without_a_token() -> None:
    sidecar = "\n  - {name: mesh, image: mesh}\n  volumes:"
    assert faults(pod().replace("\n  volumes:", sidecar)) == []


SECRET = """
apiVersion: v1
kind: Secret
metadata:
  name: web-robot
  namespace: shop
  uid: secret-1
  creationTimestamp: "2025-01-01T00:00:00Z"
  annotations:
    kubernetes.io/service-account.name: web
    kubernetes.io/service-account.uid: sa-web
  labels: {%s}
type: kubernetes.io/service-account-token
dataCount: 3
"""


def test_12_a_manual_secret_without_a_last_used_label() -> None:
    assert faults(ACCOUNT + SECRET % "", "Secret") == []


def test_13_a_last_used_label_of_yesterday() -> None:
    label = "kubernetes.io/legacy-token-last-used: '2026-11-21'"
    assert faults(ACCOUNT + SECRET % label, "Secret") == []


@pytest.mark.parametrize("path", ["/api", "/version"])
def test_14_anonymous_probes_are_explained_as_such(path: str) -> None:
    # no object shows them; what explains texts must not call it RBAC (tests/test_messages.py)
    assert faults(pod(container=f", args: [--health={path}]")) == []


def test_15_default_modes_are_decimal_in_yaml() -> None:
    for mode in (420, 292, 0o440):
        assert (
            faults(
                pod(
                    volumes=INJECTED.replace("420", str(mode)),
                    spec="securityContext: {fsGroup: 1000}",
                )
            )
            == []
        )


def test_16_a_policy_that_takes_tokens_out_on_purpose_is_named_and_no_fault_in_a_sweep() -> None:
    patched = (
        "annotations: {policies.kyverno.io/last-applied-patches: "
        '"rule.remove-serviceaccount-token.kyverno.io: removed /spec/volumes/0\\n"}'
    )
    cluster = world(pod(mount="", volumes="", metadata=patched))
    item = first(cluster, "Pod")
    (finding,) = [
        one for one in examine(item, cluster, asked=False)[0] if one.code.startswith("SAT1")
    ]
    assert (finding.code, finding.severity) == ("SAT110", "hint")
    assert "Kyverno policy remove-serviceaccount-token does that" in finding.message


def test_17_host_network_and_daemon_sets_get_tokens_like_any_other() -> None:
    assert faults(pod("hostNetwork: true")) == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_18_the_token_of_a_pod_that_has_ended(phase: str) -> None:
    later = ACCOUNT.replace("2026-11-01T00:00:00Z", "2026-11-22T11:30:00Z")
    text = pod(status=f"status: {{phase: {phase}}}").replace(ACCOUNT, later)
    assert faults(text) == []


def test_19_an_api_server_address_from_a_config_map() -> None:
    for container in (
        ", envFrom: [{configMapRef: {name: kubernetes-services-endpoint, optional: true}}]",
        ", env: [{name: KUBERNETES_SERVICE_HOST, value: api.shoot.example.com}, "
        "{name: KUBERNETES_SERVICE_PORT, value: '443'}]",
        ", env: [{name: KUBERNETES_SERVICE_HOST, value: 172.20.0.10}, "
        "{name: KUBERNETES_SERVICE_PORT, value: '6443'}]",
    ):
        assert faults(pod(container=container)) == []


def test_20_the_default_account_without_rights() -> None:
    text = pod().replace(
        "serviceAccountName: web\n  serviceAccount: web", "serviceAccountName: default"
    )
    text = text.replace(ACCOUNT, "").replace("name: web,", "name: other,")
    assert faults(text) == []


# --- and what the catalogue's corrections say


def test_a_secret_or_config_map_above_the_tokens_place() -> None:
    volumes = INJECTED + "  - {name: above, configMap: {name: c}}\n"
    mount = MOUNT + ", {name: above, mountPath: /var/run/secrets}"
    assert faults(pod(mount=mount, volumes=volumes)) == []


def test_tokens_for_others_beside_the_one_for_the_api() -> None:
    volumes = INJECTED + (
        "  - name: aws-iam-token\n"
        "    projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, "
        "expirationSeconds: 86400, path: token}}]}\n"
    )
    mount = (
        MOUNT + ", {name: aws-iam-token, "
        "mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount, readOnly: true}"
    )
    assert faults(pod(mount=mount, volumes=volumes)) == []


def test_a_kustomization_and_a_configuration_beside_the_manifests() -> None:
    text = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [pod.yaml]
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
---
apiVersion: v1
kind: Pod
metadata: {name: x}
spec: {containers: [{name: app, image: app}]}
"""
    assert [item["kind"] for item in parse_manifests(text, "test")] == ["Pod"]
    with pytest.raises(ManifestError, match="ConfigMap without metadata.name"):
        parse_manifests("apiVersion: v1\nkind: ConfigMap\n", "test")


def test_a_pod_that_runs_as_root_in_all_containers() -> None:
    assert faults(pod("securityContext: {runAsUser: 0}")) == []


def test_a_pod_that_runs_as_one_user() -> None:
    assert faults(pod("securityContext: {runAsUser: 1000, runAsGroup: 1000}")) == []


def test_a_running_pod_with_old_events() -> None:
    message = VOLUME_FAILED + 'failed to fetch token: serviceaccounts "web" not found'
    assert faults(pod(more=EVENT.format(count=9, last=30, message=message))) == []


def test_a_sweep_of_files_calls_what_is_switched_off_a_hint() -> None:
    off = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {automountServiceAccountToken: false, containers: [{name: app, image: app}]}
"""
    cluster = world("---".join(off.replace("NAME", name) for name in ("a", "b")))
    report = diagnose_objects(cluster.objects(), cluster)
    assert {one.finding.severity for one in report.causes} == {"hint"}


def test_what_was_not_seen_is_no_finding() -> None:
    everything = (
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "Event",
        "RoleBinding",
        "ClusterRoleBinding",
    )
    cluster = world(pod().replace(ACCOUNT + BINDING, ""), unseen=everything, usual=False)
    found: list[Finding]
    found, skipped, _ = examine(admitted(first(cluster, "Pod"), cluster), cluster)
    assert [one for one in found if one.severity != "hint"] == []
    assert skipped
