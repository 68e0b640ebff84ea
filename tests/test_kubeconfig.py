"""What live comparisons cannot show: time, terminals, bad input, and what is never written."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_satoken import kubeconfig_files, oidc
from kubectl_satoken.credentials import Certificate, Credentials
from kubectl_satoken.documents import parse_yaml
from kubectl_satoken.env import Env
from kubectl_satoken.errors import KubeconfigError, SatokenError, UsageError
from kubectl_satoken.kubeconfig import Impersonation, Overrides, Target, load
from kubectl_satoken.tls import ssl_context
from kubectl_satoken.world import Sealed

KEY = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIJmS2B8dBqQp1QjvQm9wXv0pZrXyJ6jN0sVtVhVfRZ0WoAoGCCqGSM49
-----END EC PRIVATE KEY-----
"""


class Home:
    """A folder for a home, and what is loaded from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"}
        self.stderr = io.StringIO()
        self.env = Env(io.StringIO("input"), io.StringIO(), self.stderr, self.environ, now=1000.0)

    @property
    def file(self) -> Path:
        return self.folder / ".kube" / "config"

    def write(self, user: str, cluster: str = "server: https://127.0.0.1:1", **more: str) -> Path:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(
            f"clusters: [{{name: c, cluster: {{{cluster}}}}}]\n"
            f"users: [{{name: u, user: {{{user}}}}}]\n"
            f"contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n"
            "current-context: x\n"
        )
        for name, content in more.items():
            path = self.folder / name
            path.write_text(content)
            path.chmod(0o700)
        return self.file

    def load(self, service_account: str = "/nowhere", **flags: Any) -> Target:
        return load(Overrides(**flags), self.env, service_account)

    def authorization(self) -> str:
        header = self.load().credentials.authorization()
        return header.reveal() if header else ""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def plugin(status: str) -> str:
    """A plugin that counts its runs, and puts the count where the status has a dollar sign."""
    return f"""#!/bin/sh
echo run >> "$HOME/runs"
n=$(($(wc -l < "$HOME/runs")))
cat <<END
{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
  "status": {status.replace("$", "$n")}}}
END
"""


EXEC = (
    "exec: {command: plugin, apiVersion: client.authentication.k8s.io/v1, "
    "interactiveMode: IfAvailable}"
)


# --- credentials over time ------------------------------------------------------------------------


def test_a_token_file_is_read_again_after_a_while(home: Home) -> None:
    home.write("tokenFile: ../t", t="one\n")
    credentials = home.load().credentials
    assert credentials.authorization() == Sealed("Bearer one")
    (home.folder / "t").write_text("two\n")
    home.env.fixed_now = 1049.0
    assert credentials.authorization() == Sealed("Bearer one")
    home.env.fixed_now = 1051.0
    assert credentials.authorization() == Sealed("Bearer two")


def test_a_token_file_that_goes_away_leaves_its_last_token(home: Home) -> None:
    home.write("tokenFile: ../t", t="one\n")
    credentials = home.load().credentials
    credentials.authorization()
    (home.folder / "t").unlink()
    home.env.fixed_now = 2000.0
    assert credentials.authorization() == Sealed("Bearer one")


def test_a_refused_token_file_is_read_at_once(home: Home) -> None:
    home.write("tokenFile: ../t", t="one\n")
    credentials = home.load().credentials
    credentials.authorization()
    assert not credentials.refresh_after_401()
    (home.folder / "t").write_text("two\n")
    assert credentials.refresh_after_401()
    assert credentials.authorization() == Sealed("Bearer two")


def test_a_plugin_runs_once(home: Home) -> None:
    home.write(EXEC, plugin=plugin('{"token": "t$"}'))
    credentials = home.load().credentials
    for _ in range(3):
        assert credentials.authorization() == Sealed("Bearer t1")
        assert credentials.certificate() is None


def test_a_plugin_is_not_run_before_it_is_needed(home: Home) -> None:
    home.write(EXEC, plugin=plugin('{"token": "t$"}'))
    home.load()
    assert not (home.folder / "runs").exists()


def test_a_plugin_runs_again_when_its_credential_expires(home: Home) -> None:
    expiry = "1970-01-01T00:30:00Z"
    home.write(EXEC, plugin=plugin(f'{{"token": "t$", "expirationTimestamp": "{expiry}"}}'))
    credentials = home.load().credentials
    assert credentials.authorization() == Sealed("Bearer t1")
    home.env.fixed_now = 1800.0
    assert credentials.authorization() == Sealed("Bearer t1")
    home.env.fixed_now = 1801.0
    assert credentials.authorization() == Sealed("Bearer t2")


def test_a_plugin_runs_again_when_its_credential_is_refused(home: Home) -> None:
    status = '{"token": "t$", "clientCertificateData": "c$", "clientKeyData": "k$"}'
    home.write(EXEC, plugin=plugin(status))
    credentials = home.load().credentials
    assert credentials.certificate() == Certificate("c1", Sealed("k1"))
    assert credentials.refresh_after_401()
    assert credentials.certificate() == Certificate("c2", Sealed("k2"))
    assert credentials.authorization() == Sealed("Bearer t2")


def test_a_plugin_that_fails_is_never_anonymous(home: Home) -> None:
    home.write(EXEC, plugin="#!/bin/sh\nexit 3\n")
    credentials = home.load().credentials
    for ask in (credentials.authorization, credentials.certificate, credentials.authorization):
        with pytest.raises(KubeconfigError, match="executable plugin failed with exit code 3"):
            ask()


def test_a_plugin_that_is_missing_says_how_to_get_it(home: Home) -> None:
    home.write(EXEC.replace("command: plugin", 'command: no-plugin, installHint: "get \\e[1m"'))
    with pytest.raises(KubeconfigError) as caught:
        home.load().credentials.authorization()
    assert caught.value.hint == "get U+001B[1m"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("mode", ["IfAvailable", "Always"])
def test_a_plugin_gets_our_terminal(home: Home, mode: str) -> None:
    import pty

    script = "#!/bin/sh\nread answer\n" + plugin('{"token": "x"}').partition("\n")[2]
    script = script.replace('"x"', '"$answer"')
    home.write(EXEC.replace("IfAvailable", mode), plugin=script)
    ours, theirs = pty.openpty()
    try:
        with os.fdopen(theirs) as terminal:
            home.env.stdin = terminal
            os.write(ours, b"typed\n")
            assert home.authorization() == "Bearer typed"
    finally:
        os.close(ours)


def jwt(expiry: int) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expiry}).encode()).decode()
    return f"e30.{claims.rstrip('=')}.c2ln"


@pytest.mark.parametrize(("expiry", "works"), [(1011, True), (1010, False)])
def test_an_id_token_counts_as_expired_ten_seconds_early(
    home: Home, expiry: int, works: bool
) -> None:
    token = jwt(expiry)
    config = f"idp-issuer-url: https://i, client-id: c, id-token: {token}"
    home.write(f"auth-provider: {{name: oidc, config: {{{config}}}}}")
    credentials = home.load().credentials
    if works:
        assert credentials.authorization() == Sealed(f"Bearer {token}")
    else:
        with pytest.raises(KubeconfigError, match="cannot refresh without refresh-token"):
            credentials.authorization()


# --- writing OIDC tokens back ---------------------------------------------------------------------

LAYOUTS = {
    "block": """\
# mine
users:
- name: other
  user: {token: x}
- name: u  # me
  user:
    auth-provider:
      name: oidc
      config:
        client-id: c # public
        id-token: old
        refresh-token: "older"
""",
    "no id-token": """\
users:
  - name: u
    user:
      auth-provider:
        config:
          refresh-token: older  # keep
""",
    "empty id-token": "users: [{name: u, user: {auth-provider: {config: {x: y, id-token: }}}}]\n",
    "flow": "users: [{name: u, user: {auth-provider: {config: {client-id: c}}}}] # end\n",
    "json": '{"users": [{"name": "u", "user": {"auth-provider": {"config": {"a": "b"}}}}]}',
    "folded": """\
users:
- name: u
  user:
    auth-provider:
      config:
        id-token: >-
          old
        client-id: c
""",
    "no config": "users: [{name: u, user: {auth-provider: {name: oidc}}}]\n",
    "alias": """\
users:
- name: v
  user: &user
    auth-provider: {config: {id-token: old}}
- name: u
  user: *user
""",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_refreshed_tokens_are_written_and_nothing_else_changes(tmp_path: Path, layout: str) -> None:
    file = tmp_path / "config"
    file.write_text(LAYOUTS[layout])
    file.chmod(0o640)
    (tmp_path / "link").symlink_to("config")
    changed = {"id-token": Sealed("new: #1"), "refresh-token": Sealed("newer")}
    oidc.write_tokens(str(tmp_path / "link"), "u", changed)
    before, after = (parse_yaml(text) for text in (LAYOUTS[layout], file.read_text()))
    for entry in before["users"]:
        if entry["name"] == "u":
            config = entry["user"]["auth-provider"].setdefault("config", {})
            config.update({"id-token": "new: #1", "refresh-token": "newer"})
    assert after == before
    assert LAYOUTS[layout].count("#") in (0, file.read_text().count("#") - 1)
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "link"]


# --- in a pod -------------------------------------------------------------------------------------


def test_a_pod_has_its_service_account(home: Home) -> None:
    folder = home.folder / "account"
    folder.mkdir()
    for name, content in (("token", "t\n"), ("namespace", "shop"), ("ca.crt", "none")):
        (folder / name).write_text(content)
    home.environ |= {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    target = home.load(str(folder))
    assert (target.server, target.namespace, target.ca) == ("https://[fd00::1]:443", "shop", None)
    assert target.credentials.authorization() == Sealed("Bearer t")


# --- what is said when nothing was found ----------------------------------------------------------


def test_the_default_server_says_why_it_is_asked(home: Home) -> None:
    assert home.load().server == "http://localhost:8080"
    assert "no kubeconfig was found" in home.load().why_here
    home.write("token: t")
    home.file.write_text(home.file.read_text().replace("current-context: x", ""))
    assert "no current-context" in home.load().why_here
    assert home.load(context="x").why_here == ""


def test_a_missing_context_names_those_that_are_there(home: Home) -> None:
    home.write("token: t")
    with pytest.raises(KubeconfigError) as caught:
        home.load(context="y")
    assert caught.value.message == 'context "y" does not exist'
    assert caught.value.hint == "in the kubeconfig: x"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("0", 0),
        ("30", 30),
        ("1m", 60),
        ("1h2m3.5s", 3723.5),
        ("5ms", 0.005),
        ("-5s", 0),
    ],
)
def test_request_timeout(home: Home, text: str, seconds: float | None) -> None:
    assert home.load(request_timeout=text).request_timeout == seconds


@pytest.mark.parametrize("text", ["soon", "1d", "-1", "1 s", "s", "1.2", "٣"])
def test_request_timeout_that_is_no_time(home: Home, text: str) -> None:
    with pytest.raises(UsageError, match="--request-timeout"):
        home.load(request_timeout=text)


def test_impersonation_headers_repeat_and_escape() -> None:
    who = Impersonation("eve", "7", ("a", "b"), (("example.org/x%", ("1", "2")),))
    assert who.headers() == [
        ("Impersonate-User", "eve"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-example.org%2Fx%25", "1"),
        ("Impersonate-Extra-example.org%2Fx%25", "2"),
    ]


# --- bad input ------------------------------------------------------------------------------------

FIELDS = st.sampled_from(
    [
        field
        for shape in (
            kubeconfig_files.CONFIG,
            kubeconfig_files.CLUSTER,
            kubeconfig_files.USER,
            kubeconfig_files.EXEC,
        )
        for field in shape
    ]
    + ["name", "user", "cluster", "context", "config", "value", "extension"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | FIELDS,
    lambda child: st.lists(child, max_size=3) | st.dictionaries(FIELDS, child, max_size=4),
    max_leaves=12,
)


def refusal(home: Home, **flags: str) -> str:
    """What is wrong; empty if nothing is."""
    try:
        home.load(**flags)
    except SatokenError as error:
        return error.message
    return ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_file_is_loaded_or_refused_in_one_line(home: Home, content: bytes) -> None:
    home.file.parent.mkdir(exist_ok=True)
    home.file.write_bytes(content)
    assert "\n" not in refusal(home)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(user=VALUES, cluster=VALUES, name=st.text(max_size=3))
def test_any_user_and_cluster_are_used_or_refused_in_one_line(
    home: Home, user: object, cluster: object, name: str
) -> None:
    home.write("token: t")
    content = {
        "users": [{"name": name, "user": user}],
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"user": name, "cluster": name}}],
        "current-context": name,
    }
    home.file.write_text(json.dumps(content))
    assert "\n" not in refusal(home)
    assert "\n" not in refusal(home, server="https://127.0.0.1:1")


def test_a_name_of_two_lines_is_refused_in_one(home: Home) -> None:
    home.file.parent.mkdir()
    home.file.write_text(r'current-context: "a\nb"')
    assert refusal(home).endswith("context was not found for specified context: a b")


@pytest.mark.parametrize(
    "user",
    [
        "token: *s3cr3t",
        "token: !s3cr3t x",
        "token: '%s3cr3t",
        "token: @s3cr3t",
        "token: [s3cr3t]",
        "password: {s3cr3t: s3cr3t}",
        "client-key-data: '%s3cr3t'",
        'token: "s3cr3t\\n"',
        "token: s3cr3t, username: s3cr3t-less",
    ],
)
def test_errors_do_not_repeat_secrets(home: Home, user: str) -> None:
    home.write(user)
    with pytest.raises(KubeconfigError) as caught:
        home.load()
    assert "s3cr3t" not in caught.value.message + caught.value.hint


def test_a_target_does_not_show_its_secrets(home: Home) -> None:
    proxy = "proxy-url: 'http://u:s3cr3t@127.0.0.1:1'"
    home.write("token: s3cr3t", f"server: 'https://u:s3cr3t@127.0.0.1:1', {proxy}")
    assert "s3cr3t" not in repr(home.load())


def test_a_name_in_braces_is_a_name(home: Home) -> None:
    flags = {"client-certificate": "/nowhere", "client-key": "/nowhere"}
    content = {
        "users": [{"name": "{x}", "user": flags}],
        "contexts": [{"name": "c", "context": {"user": "{x}"}}],
        "current-context": "c",
    }
    home.write("token: t")
    home.file.write_text(json.dumps(content))
    assert "unable to read client-cert /nowhere for {x} due to" in refusal(home)


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "proxied"),
    [
        ("", True),
        ("10.0.0.0/8", True),
        ("10.0.0.0/8,fd00::/8,example.com", False),
        ("10.0.0.1,.example.com", True),
        ("*", False),
    ],
)
def test_a_server_with_a_name_and_no_proxy_for_networks(
    home: Home, rules: str, proxied: bool
) -> None:
    home.write("token: t", "server: 'https://example.com'")
    home.environ |= {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": rules}
    assert home.load().proxy_url == ("http://proxy:3128" if proxied else None)


# --- certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [True, False])
def test_a_key_that_cannot_be_read_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with pytest.raises(KubeconfigError, match="failed to parse the client certificate"):
        ssl_context(None, certificate=Certificate("none", Sealed(KEY)))
    assert list(tmp_path.iterdir()) == []


def test_credentials_without_anything_are_none() -> None:
    credentials = Credentials()
    assert credentials.authorization() is None
    assert credentials.certificate() is None
    assert not credentials.refresh_after_401()


def test_importing_it_loads_nothing_that_is_slow() -> None:
    code = """
import sys, kubectl_satoken.kubeconfig
print({"ssl", "subprocess", "yaml", "urllib3", "kubernetes", "tempfile"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout == "set()\n"
