"""A real Kubernetes for the tests: etcd, the control plane, and a node where one can run.

    from tests.cluster import start

    cluster = start(tmp_path, issuer="https://issuer.example")
    try:
        subprocess.run(["kubectl", "--kubeconfig", cluster.kubeconfig, "get", "serviceaccounts"])
        subprocess.run(["kubectl", "--kubeconfig", cluster.user("jane", ["dev"]), "auth", "whoami"])
    finally:
        cluster.stop()

By hand: ``python -m tests.cluster up|down|status --dir DIR [--node]``, ``build`` and ``deps``.

A fixture skips on ``Unavailable`` (this machine, or the cluster that stands in, does not offer what
the test needs) and lets every other error fail. ``missing_for_node()`` says beforehand why there
can be no node.

Nothing is downloaded but Go modules and Debian packages. The programs are built from Kubernetes'
published modules, once, and kept in the user's cache. ``KUBEBUILDER_ASSETS`` (a folder with
envtest's etcd and kube-apiserver) replaces them. ``SATOKEN_TEST_KUBECONFIG`` (an existing cluster)
replaces everything, and is never stopped; what has to be started with flags is unavailable then.

Pods: ``image: busybox:1`` is on the node; it is a static busybox with ``apiget``, which reads the
token and the CA where client-go does and asks the API server: ``apiget /api``, ``apiget whoami``.
``image: tools:1`` has openssl besides, and ``image: bare:1`` has sleep and no shell.
There is no kube-proxy and no DNS, but the address in ``KUBERNETES_SERVICE_HOST`` reaches the API
server from every pod, with or without a network of its own. No other Service is reachable.
"""

from tests.cluster.cluster import Cluster, find, join, start, status
from tests.cluster.errors import ClusterError, Unavailable
from tests.cluster.node import IMAGE, missing_for_node

__all__ = [
    "IMAGE",
    "Cluster",
    "ClusterError",
    "Unavailable",
    "find",
    "join",
    "missing_for_node",
    "start",
    "status",
]
