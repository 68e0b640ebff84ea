"""The commands of the README without an output: each is run, as it stands there, on a cluster where
pods run, by somebody at a terminal."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.conftest import ROOT

RUN = """image: 'tools:1', imagePullPolicy: Never, command: [sh, -c],
  args: ["apiget /api/v1/namespaces/shop/pods; sleep 3600"]"""
POD = f"""{{serviceAccountName: web, terminationGracePeriodSeconds: 0,
  containers: [{{name: app, {RUN}}}]}}"""
OLD = f"""{{serviceAccountName: web, terminationGracePeriodSeconds: 0,
  containers: [{{name: app, {RUN}, volumeMounts: [{{name: old, mountPath: /old}}]}}],
  volumes: [{{name: old, secret: {{secretName: web-token}}}}]}}"""

SHOP = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web}}
---
apiVersion: v1
kind: Secret
metadata: {{name: ci-token, annotations: {{kubernetes.io/service-account.name: web}}}}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: Secret
metadata: {{name: web-token, annotations: {{kubernetes.io/service-account.name: web}}}}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: Pod
metadata: {{name: web-6d4f8b9c7d-x2k9p, labels: {{app: web}}}}
spec: {POD}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: shop}}}}
  template: {{metadata: {{labels: {{app: shop}}}}, spec: {OLD}}}
"""

# What else is there: files, and a kubeconfig whose namespace is that of the examples.
READY = r"""
kubectl create namespace shop
until kubectl -n shop get sa default; do sleep 0.2; done
kubectl config set-context --current --namespace shop
kubectl apply -f objects.yaml
mkdir manifests && kubectl get deploy web -o yaml > manifests/web.yaml
kubectl wait --for condition=Ready pod/web-6d4f8b9c7d-x2k9p --timeout 60s
kubectl rollout status deploy/web --timeout 60s
until kubectl logs deploy/web | grep forbidden; do sleep 0.2; done
until kubectl get secret ci-token -o jsonpath='{.data.token}' | grep -q .; do sleep 0.2; done
kubectl create token web > token
kubectl create token web --bound-object-kind Pod \
  --bound-object-name web-6d4f8b9c7d-x2k9p > leaked.txt
"""

# Each command of the README that needs a cluster, its exit status, and what it says.
SAID = {
    "doctor pod/web-6d4f8b9c7d-x2k9p -n shop": (0, "ok: pod/web-6d4f8b9c7d-x2k9p has a working"),
    "doctor deploy/web sa/web": (0, "ok: serviceaccount/web: 2 pods have a working token"),
    "doctor -f manifests/ -R": (0, "ok as far as can be seen: deployment/web has a token"),
    "doctor -A": (0, "ok: no fault found; "),
    "doctor pods -l app=web": (0, "ok: no fault found; 1 pod, 0 workloads, "),
    "doctor deploy/web --verify": (0, "the API server takes the token (by TokenReview)"),
    "doctor deploy/web --probe": (0, "the API server takes the token (by a request from the"),
    "snapshot -n shop > shop.yaml": (0, ""),
    "logs deploy/web | kubectl satoken explain -": (0, "kubectl satoken can-i sa/web list pods"),
    "can-i deploy/web list pods -n shop": (1, "no: serviceaccount web may not list pods"),
    "logs deploy/web | kubectl satoken can-i deploy/web --from-errors - --grant": (
        0,
        'rules:\n- apiGroups:\n  - ""\n  resources:\n  - pods\n  verbs:\n  - list\n---\n',
    ),
    "who-can get secrets -n shop": (0, "only parts of Kubernetes may get secrets"),
    'mint web --revocable --purpose "nightly build"': (0, "eyJ"),
    "mint web --renew --merge": (0, "note: context shop/web@test is in "),
    "inspect - < token": (0, "ok: the API server takes this token: serviceaccount web in shop"),
    "inspect secret/ci-token": (0, "kind      legacy: of secret/ci-token, and never expires"),
    "inspect pod/web-6d4f8b9c7d-x2k9p -n shop": (0, "answer    taken, by a request from the pod"),
    "revoke leaked.txt": (0, "would revoke: the token (file leaked.txt): by deleting pod/web-6d"),
    "revoke secret/ci-token -n shop --yes": (0, "revoked: the token in secret/ci-token"),
    "migrate -A --stage inventory": (0, "deployment/web\n"),
    "migrate deploy/web -n shop": (0, "  verify deployment/web: that the API server takes the"),
    "migrate deploy/web -n shop --apply": (0, "\ninvalidate secret/web-token done\n"),
    "doctor -f manifests/ -o json > known.json": (0, ""),
    "doctor -f manifests/ --baseline known.json": (0, "ok as far as can be seen"),
}

Terminal = Callable[[str], tuple[int, str]]


@pytest.fixture
def terminal(node_cluster: Cluster, tmp_path: Path) -> Iterator[Terminal]:
    """Runs a command on a terminal, where whoever is asked says yes; its exit status and output."""
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "config"),
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    (tmp_path / "config").write_bytes(node_cluster.kubeconfig.read_bytes())
    (tmp_path / "config").chmod(0o600)

    def run(command: str) -> tuple[int, str]:
        keyboard, typed = pty.openpty()
        os.write(keyboard, b"y\n")
        with (tmp_path / "output").open("w+b") as output:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=tmp_path,
                env=environ,
                stdin=typed,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=180,
            )
            output.seek(0)
            said = output.read().decode()
        os.close(keyboard)
        os.close(typed)
        return done.returncode, said

    (tmp_path / "objects.yaml").write_text(SHOP)
    status, said = run(f"set -e\n{READY}")
    assert status == 0, said
    yield run
    run("kubectl delete namespace shop --wait=false")


def commands() -> list[str]:
    """The lines of the README's blocks in sh that call the plugin for a cluster."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if "kubectl satoken" in line]


def test_every_command_of_the_readme_does_what_it_says(terminal: Terminal) -> None:
    found = {}
    for command in commands():
        status, said = terminal(command)
        found[command.removeprefix("kubectl satoken ").removeprefix("kubectl ")] = (status, said)
    assert list(found) == list(SAID)
    for command, (status, said) in found.items():
        assert status == SAID[command][0], f"{command}\n{said}"
        assert SAID[command][1] in said, f"{command}\n{said}"
