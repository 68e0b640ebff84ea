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
