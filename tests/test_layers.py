"""Who may import whom, and where a secret may be opened: the house rules, read from the sources."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "kubectl_satoken"
MODULES = {
    str(path.relative_to(PACKAGE).with_suffix("")).replace("/", "."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Third-party modules, and the only modules of ours that may import them.
THIRD_PARTY = {
    "kubernetes": {"cluster"},
    # what kubernetes itself is built on
    "certifi": {"tls"},
    "urllib3": {"cluster", "failures", "oidc"},
    "yaml": {
        "commands.migrate",
        "commands.snapshot",
        "documents",
        "fixes",
        "kubeconfig_merge",
        "least",
        "manifests",
        "migration",
        "oidc",
        "output",
        "positions",
        "suppress",
        "yaml_edit",
    },
    "tabulate": {"output"},
    "jwt": {"jwks"},
}

# Pure functions over a world: no I/O, no clock, no printing.
PURE = {
    "checks",
    "world",
    "rbac",
    "token",
    "token_faults",
    "token_health",
    "token_remedies",
    "token_ties",
    "jwks",
    "admission",
    "mounts",
    "foreign",
    "token_secrets",
    "managed_fields",
    "selectors",
    "server",
    "events",
    "workloads",
    "fixes",
    "question",
    "kinds",
    "near",
    "rbac_faults",
    "rbac_words",
    "least",
    "denied",
    "consumers",
    "changes",
    "convert",
    "keepers",
    "inventory",
    "plan",
    "ignores",
    "guard",
    "messages",
    "times",
    "errors",
}

# Modules through which a check could look, or act, past the world that it is given.
EFFECTS = {
    "http",
    "io",
    "os",
    "pathlib",
    "random",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
}

# Each function that opens a sealed secret, and what for.
REVEALED = {
    "cluster.Api.headers": "the Authorization header of a request",
    "credentials.bearer": "becomes that header, sealed again",
    "credentials.basic": "becomes that header, sealed again",
    "oidc.Oidc._get": "the settings of a provider, for its own server",
    "oidc.Oidc._expired": "its expiry is read from it",
    "oidc.Oidc._exchange": "the header of the request to the provider",
    "tls.load_certificate": "the private key, for OpenSSL",
    "kubeconfig.read_pem": "certificate or key, sealed again where it is a key",
    "token.decode": "its claims are read, which are no secret",
    "jwks.check": "its signature is checked, here",
    "review.by_token_review": "the token that the API server is asked about",
    "oidc.with_tokens": "tokens that were renewed, written back to the kubeconfig",
    "commands.mint.Job.hand_over": "what mint prints",
    "secret_file.put": "what mint writes to the file of --out",
    "token_output.token_text": "the token with a line break, sealed again",
    "token_output.request_text": "a TokenRequest, sealed again",
    "token_output.header_text": "a header for curl, sealed again",
    "token_output.env_text": "variables of a shell, sealed again",
    "token_output.secret_text": "the manifest of a Secret, sealed again",
    "token_output.credential_text": "an ExecCredential, sealed again",
    "token_cache.write": "the credential that is kept, in a file of mode 0600",
    "kubeconfig_merge.token_user": "a user of a kubeconfig, sealed again",
    "kubeconfig_merge.items": "the entries of a kubeconfig, sealed again with it",
    "kubeconfig_merge.with_entries": "a kubeconfig that is added to, sealed again",
    "kubeconfig_merge.confirm_merged": "a kubeconfig, read once more before it is written",
}


# Each function that sends an API server anything but a GET, and what for.
WRITES = {
    "writes.create": "a handle of mint, an account that revoke makes again",
    "writes.patch": "the date of a handle, the mark of a token that revoke ends",
    "writes.delete": "what revoke ends a token by, a handle whose token was not made",
    "apply.send": "what a step of migrate changes, as its plan has shown it",
    "undo.ensure_secret.once": "a token Secret, again, that migrate had deleted",
    "mint.request_token": "a token, of which nothing is stored",
    "review.by_token_review": "a question",
    "review.by_using_it": "a question",
    "rights.reviewed": "a question",
    "authorize.Asker.review": "a question",
    "authorize.user_name": "a question",
}


def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def named(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """All nodes below one, each with the dotted name of the function or class that it is in."""
    for inner in ast.iter_child_nodes(node):
        own = prefix
        if isinstance(inner, ast.FunctionDef | ast.ClassDef):
            own = f"{prefix}.{inner.name}"
        yield own, inner
        yield from named(inner, own)


def imports(name: str, *, at_run_time: bool = False) -> Iterator[str]:
    """What a module imports: ``.name`` for ours, the top-level name for others."""
    parents = ["kubectl_satoken", *name.split(".")[:-1]]
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree(name)):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(inner for line in node.body for inner in ast.walk(line))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield (node.module or "").partition(".")[0]
                continue
            base = parents[: len(parents) - node.level + 1]
            found = [*base, node.module] if node.module else base
            where = ".".join(found).removeprefix("kubectl_satoken").removeprefix(".")
            if where:
                yield f".{where.partition('.')[0]}"
            else:
                yield from (f".{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", MODULES)
def test_third_party_modules_are_imported_where_they_belong(name: str) -> None:
    for imported in imports(name):
        if imported.startswith(".") or imported in sys.stdlib_module_names:
            continue
        assert imported in THIRD_PARTY, f"{imported} is nowhere allowed"
        assert name in THIRD_PARTY[imported], f"{imported} is not for {name}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.partition(".")[0] in PURE])
def test_what_judges_does_no_input_or_output(name: str) -> None:
    # the registry finds its modules by looking into its folder
    allowed = {"os"} if name == "checks.__init__" else set()
    for imported in imports(name, at_run_time=True):
        assert imported not in EFFECTS - allowed, f"{name} imports {imported}"
        if imported.startswith("."):
            assert imported[1:] in PURE | {"__version__"}, f"{name} imports {imported}"


def test_nothing_below_the_commands_knows_the_command_line() -> None:
    for name in MODULES:
        if name in ("cli", "flags", "__main__") or name.startswith("commands."):
            continue
        found = set(imports(name))
        assert "argparse" not in found, name
        assert ".commands" not in found, name


def test_secrets_are_opened_only_where_they_are_meant_to_leave() -> None:
    found = {
        place
        for name in MODULES
        for place, node in named(tree(name), name)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    }
    assert found == set(REVEALED)


def test_the_cluster_is_written_to_only_where_that_is_meant() -> None:
    found = {
        place
        for name in MODULES
        for place, node in named(tree(name), name)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "request"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in ("POST", "PUT", "PATCH", "DELETE")
    }
    assert found == set(WRITES)


def test_only_the_seal_itself_knows_what_is_in_it() -> None:
    for name in MODULES:
        for place, node in named(tree(name), name):
            if isinstance(node, ast.Attribute) and node.attr == "_secret":
                assert place.startswith("world.Sealed."), place


@pytest.mark.parametrize("name", MODULES)
def test_output_goes_through_the_environment(name: str) -> None:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "input", "breakpoint", "exit", "quit"), (
                f"{name}:{node.lineno}"
            )


def test_the_modules_were_found() -> None:
    assert {"cli", "output", "cluster", "commands.doctor", "checks.mount"} <= set(MODULES)
    assert all(isinstance(path, Path) for path in MODULES.values())
