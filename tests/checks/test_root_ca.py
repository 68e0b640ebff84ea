"""The ConfigMap with the CA certificate."""

import pytest

from .given import examined

POD = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: shop}
"""

ROOT_CA = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: NAMESPACE}
data: {KEY: certificate}
"""


def root_ca(namespace: str = "shop", key: str = "ca.crt") -> str:
    return ROOT_CA.replace("NAMESPACE", namespace).replace("KEY", key)


def codes_and_fix(text: str) -> tuple[list[str], tuple[str, ...]]:
    found, skipped = examined(text, usual=False)
    assert not skipped
    fix = found[0].fix if found else None
    return [finding.code for finding in found], fix.commands if fix else ()


def test_kube_root_ca_missing_fires_and_takes_it_from_the_kubeconfig():
    codes, fix = codes_and_fix(POD)
    assert codes == ["SAT305"]
    assert fix[0].startswith("kubectl config view --raw --minify --flatten")


def test_kube_root_ca_missing_fires_and_copies_it_from_kube_system():
    codes, fix = codes_and_fix(POD + root_ca("kube-system"))
    assert codes == ["SAT305"]
    assert fix[0].startswith("kubectl -n kube-system get configmap kube-root-ca.crt")
    assert fix[0].endswith(
        "kubectl -n shop create configmap kube-root-ca.crt --from-file=ca.crt=/dev/stdin"
    )


def test_kube_root_ca_missing_fires_for_another_key_and_removes_it_first():
    codes, fix = codes_and_fix(POD + root_ca(key="ca.pem"))
    assert codes == ["SAT305"]
    assert fix[0] == "kubectl -n shop delete configmap kube-root-ca.crt"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(POD + root_ca(), id="it is there"),
        pytest.param(
            POD.replace("spec: {", "spec: {automountServiceAccountToken: false, "),
            id="the pod does not use it",
        ),
    ],
)
def test_kube_root_ca_missing_quiet(text):
    assert "SAT305" not in codes_and_fix(text)[0]


EVENT = """
---
apiVersion: v1
kind: Event
metadata: {name: x.1, namespace: shop}
involvedObject: {kind: Pod, name: x, uid: pod-x}
reason: FailedMount
message: 'MountVolume.SetUp failed for volume "kube-api-access-x" : MESSAGE'
lastTimestamp: "2026-11-22T11:59:00Z"
"""

WAITING = """
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod-x}
spec:
  nodeName: n1
  serviceAccountName: default
  containers:
  - name: app
    image: app
    volumeMounts:
    - {name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}
  volumes:
  - name: kube-api-access-x
    projected:
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
status: {phase: Pending}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: shop}
"""


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ('configmap "kube-root-ca.crt" not found', "does not exist"),
        ("configmap references non-existent config key: ca.crt", "has no ca.crt"),
    ],
)
def test_kube_root_ca_missing_fires_by_the_kubelets_word_alone(message, says):
    text = WAITING + EVENT.replace("MESSAGE", message)
    found, _ = examined(text, usual=False, unseen=("ConfigMap",))
    finding = next(one for one in found if one.code == "SAT305")
    assert finding.certainty == "likely"
    assert says in finding.message


def test_kube_root_ca_missing_fires_with_openshifts_own_as_evidence():
    text = WAITING + EVENT.replace("MESSAGE", 'configmap "openshift-service-ca.crt" not found')
    found, _ = examined(text, usual=False)
    finding = next(one for one in found if one.code == "SAT305")
    assert "openshift-service-ca.crt" in finding.evidence[-1].value


def test_kube_root_ca_missing_quiet_where_it_was_put_back_since():
    text = WAITING + root_ca() + EVENT.replace("MESSAGE", 'configmap "kube-root-ca.crt" not found')
    found, _ = examined(text, usual=False)
    assert "SAT305" not in [one.code for one in found]
