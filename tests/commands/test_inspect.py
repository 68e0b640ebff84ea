"""kubectl satoken inspect without a cluster: what a token says, in which words, what is hidden."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_satoken.messages import find_message
from kubectl_satoken.token_faults import UNCLEAR
from kubectl_satoken.token_health import REFUSALS
from tests import faults
from tests.conftest import ROOT, Result, Run
from tests.faults import Reply, Request, status
from tests.test_startup import CLIENT, HEAVY, loaded
from tests.test_token_source import TOKEN, jwt

SCHEMA = json.loads((ROOT / "docs" / "inspection.schema.json").read_text())

NOON = 1_800_000_000
ISSUER = "https://kubernetes.default.svc.cluster.local"
PREFIX = "kubernetes.io/serviceaccount/"


def claims(**changes: Any) -> Any:
    """The claims of a token of shop/web, made at noon for an hour."""
    private = {"namespace": "shop", "serviceaccount": {"name": "web", "uid": "sa-web"}}
    return {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": "system:serviceaccount:shop:web",
        "iat": NOON,
        "nbf": NOON,
        "exp": NOON + 3600,
        "kubernetes.io": private | changes.pop("bound", {}),
        **changes,
    }


LEGACY = {
    "iss": "kubernetes/serviceaccount",
    "sub": "system:serviceaccount:shop:web",
    f"{PREFIX}namespace": "shop",
    f"{PREFIX}secret.name": "web-token",
    f"{PREFIX}service-account.name": "web",
    f"{PREFIX}service-account.uid": "sa-web",
}


def offline(run: Run, token: str, *words: str, now: float = NOON + 600) -> Result:
    return run("inspect", "-", "--offline", *words, stdin=token, now=now)


def inspected(run: Run, token: str, *words: str, now: float = NOON + 600) -> Any:
    found = offline(run, token, "-o", "json", *words, now=now).object
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    return found


def test_the_schema_is_one_and_is_closed() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for one in (SCHEMA, *SCHEMA["$defs"].values()):
        assert one["additionalProperties"] is False
        assert set(one["required"]) == set(one["properties"])


def test_the_claims_of_a_token_are_told_in_words(run: Run) -> None:
    done = offline(run, jwt(claims(bound={"pod": {"name": "web-0", "uid": "pod-0"}})))
    assert done.status == 3
    assert (
        done.stdout
        == f"""\
note: whether the API server takes this token is not known: --offline was given;
  nothing in it speaks against that

  from      stdin
  who       system:serviceaccount:shop:web
  kind      bound to pod/web-0
  for       {ISSUER}
  issuer    {ISSUER}
  times     issued 10m ago, 2027-01-15T08:00:00Z
            expires in 50m, 2027-01-15T09:00:00Z
  key       RS256, id k: signature not checked: no cluster was asked
  alive     pod/web-0: not seen: --offline was given
  ends by   deleting pod/web-0, to which it is bound
    kubectl satoken revoke pod/web-0 -n shop
"""
    )


def test_an_expired_token_is_refused_without_a_cluster(run: Run) -> None:
    done = offline(run, jwt(claims()), now=NOON + 7300)
    assert done.status == 1
    first, *rest = done.stdout.splitlines()
    assert first == "error: the API server would not take this token: it expired 1h ago"
    assert rest[-1] == "More: kubectl satoken explain token-expired"
    assert run("explain", "token-expired").status == 0
    assert "  ends by   nothing: it has ended already" in rest


@pytest.mark.parametrize("seconds", [3600, 3659])
def test_the_leeway_of_a_minute_is_left(seconds: int, run: Run) -> None:
    assert inspected(run, jwt(claims()), now=NOON + seconds)["verdict"] == "unknown"


def test_an_extended_token_says_what_it_was_made_for(run: Run) -> None:
    token = jwt(claims(exp=NOON + 365 * 86400, bound={"warnafter": NOON + 3607}))
    text = " ".join(offline(run, token).stdout.split())
    assert "extended: made for 1h, taken for 365d for clients that keep the first" in text
    assert "to be renewed in 50m" in text
    assert inspected(run, token)["claims"]["warnAfter"] == "2027-01-15T09:00:07Z"


def test_a_token_of_a_secret_is_known_by_its_issuer(run: Run) -> None:
    found = inspected(run, jwt(LEGACY))
    assert (found["type"], found["user"]) == ("legacy", "system:serviceaccount:shop:web")
    assert found["endedBy"]["commands"] == ["kubectl satoken revoke secret/web-token -n shop"]
    assert "it never expires" in offline(run, jwt(LEGACY)).stdout


@pytest.mark.parametrize(
    ("bound", "summary", "command"),
    [
        ({}, "only making serviceaccount web anew", "sa/web"),
        ({"secret": {"name": "h", "uid": "u"}}, "deleting secret/h", "secret/h"),
        ({"node": {"name": "n", "uid": "u"}}, "the end of node/n, or that of", "sa/web"),
        (
            {"pod": {"name": "p", "uid": "u"}, "node": {"name": "n", "uid": "u"}},
            "deleting pod/p",
            "pod/p",
        ),
    ],
)
def test_what_ends_it_is_said(bound: Any, summary: str, command: str, run: Run) -> None:
    found = inspected(run, jwt(claims(bound=bound)))
    assert summary in found["endedBy"]["summary"]
    assert found["endedBy"]["commands"] == [f"kubectl satoken revoke {command} -n shop"]


@pytest.mark.parametrize(
    ("payload", "kind", "system"),
    [
        (claims(iss="https://oidc.eks.eu-west-1.amazonaws.com/id/AB"), "bound", "an EKS cluster"),
        (
            claims(iss="https://container.googleapis.com/v1/projects/p/locations/l/clusters/c"),
            "bound",
            "a GKE cluster",
        ),
        (claims(iss="https://eastus.oic.prod-aks.azure.com/t/c/"), "bound", "an AKS cluster"),
        ({"iss": "https://accounts.google.com", "sub": "1"}, "foreign", "a Google account"),
        (
            {"iss": "https://login.microsoftonline.com/t/v2.0", "sub": "1"},
            "foreign",
            "Microsoft Entra ID",
        ),
        (
            {"iss": "https://token.actions.githubusercontent.com", "sub": "repo:a/b"},
            "foreign",
            "a job of GitHub Actions",
        ),
        ({"iss": "https://gitlab.com", "sub": "project_path:a/b"}, "foreign", "GitLab"),
        ({"iss": "https://vault:8200/v1/identity/oidc", "sub": "1"}, "foreign", "Vault"),
        ({"iss": "https://sso/realms/main", "sub": "1"}, "foreign", "Keycloak"),
        ({"iss": "https://id.example", "sub": "1"}, "foreign", None),
        ({}, "foreign", None),
    ],
)
def test_tokens_of_others_are_named(payload: Any, kind: str, system: str | None, run: Run) -> None:
    found = inspected(run, jwt(payload))
    assert (found["type"], found["system"]) == (kind, system)
    if kind == "foreign":
        assert "Kubernetes cannot end it" in found["endedBy"]["summary"]
        assert found["endedBy"]["commands"] == []
    if system:
        assert system in " ".join(offline(run, jwt(payload)).stdout.split())


@pytest.mark.parametrize(
    ("audience", "system"),
    [
        ("sts.amazonaws.com", "AWS STS (EKS IRSA)"),
        ("api://AzureADTokenExchange", "Azure Workload Identity"),
        ("project.svc.id.goog", "Google Cloud"),
        ("vault", "Vault"),
    ],
)
def test_whom_a_token_is_for_is_named(audience: str, system: str, run: Run) -> None:
    done = offline(run, jwt(claims(aud=[audience])))
    assert f"  for       {audience} ({system})\n" in done.stdout
    assert done.status == 3  # for the API server it is not, but it may be good there


def test_an_audience_that_it_is_not_for_needs_no_cluster(run: Run) -> None:
    done = offline(run, jwt(claims()), "--audience", "vault")
    assert done.status == 1
    assert done.stdout.startswith("error: vault would not take this token: it is for")
    assert offline(run, jwt(claims()), "--audience", ISSUER).status == 3


def test_a_token_that_says_nothing_is_named(run: Run) -> None:
    done = offline(run, "hvs.CAESIJ0123456789abcdefghij\n")
    assert done.status == 3
    assert "a token of Vault" in done.stdout
    assert "0123456789" not in done.stdout
    assert inspected(run, "hvs.CAESIJ0123456789abcdefghij")["claims"] is None


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", 3, "stdin: it is empty"),
        ("hello", 3, "stdin: it is not a token: one word"),
        ("\x00\x01", 3, "stdin: it is binary"),
        ("kind: Config\nusers: []\n", 3, "stdin: it is a kubeconfig, and there is no token in it"),
        (TOKEN[:70], 1, "stdin: not a token: 2 parts where a JWT has 3"),
        (TOKEN.replace(".", ".*", 1), 1, "stdin: not a token: its payload is not base64url"),
    ],
)
def test_what_is_no_token_gets_one_line(text: str, code: int, message: str, run: Run) -> None:
    for words in ((), ("-o", "json"), ("--offline",)):
        done = run("inspect", "-", *words, stdin=text)
        assert (done.status, done.stdout) == (code, "")
        assert done.stderr.startswith(f"error: {message}")
        assert done.stderr.count("\n") <= 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a token is needed"),
        ((TOKEN,), "a token does not belong on the command line"),
        (("a", "b"), "one token at a time"),
        (("sa/web",), "sa holds no token"),
        (("-", "--container", "app"), "--container and --probe-image are for pod/NAME"),
        (("-", "--audience", ""), "--audience must not be an empty string"),
        (("secret/x", "--offline"), "--offline asks no cluster, where secret/x is"),
        (("pod/x", "--token", TOKEN), "--token cannot be handed on to kubectl exec"),
        (("-", "-o", "xml"), "argument -o/--output"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line(
    words: tuple[str, ...], message: str, run: Run
) -> None:
    done = run("inspect", *words, stdin=TOKEN)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert "eyJ" not in done.stderr


def test_a_file_that_is_not_there_is_named(run: Run) -> None:
    done = run("inspect", "./none")
    assert (done.status, done.stderr) == (
        3,
        "error: cannot read ./none: no such file or directory\n",
    )


@pytest.mark.parametrize("name", [*REFUSALS, UNCLEAR])
def test_each_reason_can_be_explained(name: str) -> None:
    assert find_message(name) is not None


# --- a server that fails --------------------------------------------------------------------------


# of a user, since an account that is not found would be an answer
USERS = jwt({"iss": "https://id.example", "sub": "jane", "exp": NOON + 3600})


def asked(run: Run, *replies: Any, words: tuple[str, ...] = ()) -> Result:
    with faults.serve(*replies) as server:
        return run(
            *("inspect", "-", "-o", "json", "-s", server.url, *words),
            stdin=USERS,
            now=NOON + 600,
        )


def reviews(reply: Reply) -> Any:
    """A server that has nothing but this to say to a TokenReview."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("reviews"):
            return reply
        return Reply(404, status(404, "NotFound", "not found"))

    return answer


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (
            Reply(500, status(500, "InternalError", "error validating audiences")),
            "error validating",
        ),
        (Reply(503, "busy"), ""),
        (Reply(200, "<html>Sign in</html>"), "not answered with a JSON object"),
        (Reply(404, "no"), ""),
    ],
)
def test_a_server_that_cannot_say_leaves_it_unknown(reply: Reply, why: str, run: Run) -> None:
    done = asked(run, reviews(reply))
    assert done.status == 3
    found = done.object
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    assert (found["verdict"], found["answer"]) == ("unknown", None)
    assert why in found["unknown"]


@pytest.mark.parametrize("answer", [{}, {"status": {}}, {"status": {"user": {}}}])
def test_a_review_that_says_nothing_takes_nothing(answer: Any, run: Run) -> None:
    found = asked(run, reviews(Reply(201, answer))).object
    assert found["verdict"] == "refused"


def test_a_server_that_repeats_the_token_does_not_make_us_repeat_it(run: Run) -> None:
    def answer(request: Request) -> Reply:
        body = request.body.decode(errors="replace")
        return Reply(500, status(500, "InternalError", f"cannot read {body}"))

    for words in ((), ("-v=9",)):
        done = asked(run, answer, words=words)
        assert USERS[:30] not in done.stdout + done.stderr
        assert USERS[-30:] not in done.stdout + done.stderr


# --- whatever it is -------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "kubernetes.io"),
        *(f"{PREFIX}{name}" for name in ("namespace", "secret.name", "service-account.name")),
    ]
)
TIES = st.sampled_from(["namespace", "serviceaccount", "pod", "secret", "node", "warnafter", "x"])
ODD = st.dictionaries(
    NAMES,
    JSON
    | st.sampled_from([ISSUER, "kubernetes/serviceaccount", "https://accounts.google.com"])
    | st.sampled_from([NOON, NOON * 1000, -NOON, 1e308, 10**300])
    | st.dictionaries(TIES, JSON | st.dictionaries(st.sampled_from(["name", "uid"]), JSON)),
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), JSON)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ODD, HEADERS, st.sampled_from(["", "json", "yaml", "wide"]))
def test_a_token_with_any_claims_is_told_without_a_traceback_or_an_echo(
    run: Run, payload: Any, header: Any, form: str
) -> None:
    token = jwt(payload, header)
    done = offline(run, token, *(["-o", form] if form else []))
    assert done.status in (1, 3), done.stderr
    assert done.stderr == ""
    for part in token.split("."):
        assert len(part) < 12 or part[:12] not in done.stdout
    if form == "json":
        jsonschema.validate(done.object, SCHEMA, jsonschema.Draft202012Validator)
    elif form != "yaml":
        assert all(line.isprintable() for line in done.stdout.splitlines())


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(max_size=200) | st.lists(st.sampled_from([*TOKEN, TOKEN, " "])).map("".join))
def test_any_text_is_told_without_a_traceback_or_an_echo(run: Run, text: str) -> None:
    done = run("inspect", "-", "--offline", stdin=text)
    assert done.status in (1, 3)
    assert "a bug" not in done.stderr
    assert "eyJ" not in done.stdout + done.stderr


# --- starting -------------------------------------------------------------------------------------


def test_without_a_cluster_no_client_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    modules = loaded(["inspect", str(file), "--offline"])
    assert "kubectl_satoken.token_health" in modules
    assert not modules & {"kubernetes", "urllib3", "ssl", "jwt", "cryptography", "yaml"}
    assert not loaded(["inspect", "--help"]) & {"yaml", "tabulate", *CLIENT, *HEAVY} - {"inspect"}
