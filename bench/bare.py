"""The bare paged LIST of what is read: one connection, pages of 500, bodies thrown away.

    bare.py KUBECONFIG [json|protobuf [sweep|rbac]]

Nothing is parsed but the continue token, so this is the least that any client in Python can take.
"""

import base64
import http.client
import json
import re
import ssl
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit

RBAC = tuple(
    f"/apis/rbac.authorization.k8s.io/v1/{plural}"
    for plural in ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
)
SWEEP = (
    "/api/v1/pods",
    "/api/v1/serviceaccounts",
    "/api/v1/secrets",
    "/api/v1/services",
    "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt",
    "/api/v1/events?fieldSelector=type%3DWarning",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
)
ACCEPT = {"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"}
CONTINUE = {
    "json": re.compile(rb'"continue":"([^"]*)"'),
    # the third field of the ListMeta, behind the second
    "protobuf": re.compile(rb"\x12.\d+\x1a(?:[\x80-\xff][\x01-\x7f]|[\x01-\x7f])([\w=-]+)"),
}


def main() -> None:
    config = json.loads(Path(sys.argv[1]).read_text())
    form = sys.argv[2] if len(sys.argv) > 2 else "json"
    lists = RBAC if sys.argv[3:] == ["rbac"] else SWEEP
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=decoded(cluster, "certificate-authority"))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("certificate", "key"):
            (Path(folder) / name).write_text(decoded(user, f"client-{name}"))
        context.load_cert_chain(Path(folder) / "certificate", Path(folder) / "key")
    address = urlsplit(cluster["server"]).netloc
    connection = http.client.HTTPSConnection(address, context=context)
    size = 0
    for path in lists:
        token = ""
        while True:
            where = f"{path}{'&' if '?' in path else '?'}limit=500"
            where += f"&continue={quote(token)}" if token else ""
            connection.request("GET", where, headers={"Accept": ACCEPT[form]})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{where}: {answer.status} {body[:300]!r}")
            size += len(body)
            found = CONTINUE[form].search(body, 0, 1000)
            token = found[1].decode() if found else ""
            if not token:
                break
    print(size)


def decoded(entry: dict[str, str], name: str) -> str:
    """What a kubeconfig has in itself or in a file."""
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return Path(entry[name]).read_text()


if __name__ == "__main__":
    main()
