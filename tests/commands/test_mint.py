"""kubectl satoken mint where there is no token to be had: wrong words, old servers, odd answers."""

import json

import pytest

from tests import faults
from tests.conftest import Result, Run
from tests.faults import Reply, status

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "exactly one NAME is required, got 0"),
        ("a b", "exactly one NAME is required, got 2"),
        ("web --list", "--list takes no NAME"),
        ("--list -o kubeconfig", "--list has no -o kubeconfig"),
        ("web --duration=x", 'invalid argument "x" for "--duration" flag'),
        ("web --duration=1.5s", "--duration cannot be expressed in units less than seconds"),
        ("web --audience=", "--audience must not be an empty string"),
        ("web --bound-object-kind=pod", "supported --bound-object-kind values are Node, Pod, Secr"),
        ("web --bound-to=deploy/x", "--bound-to deploy/x: must be pod/NAME, secret/NAME or node/N"),
        ("web --bound-to=pod/x --revocable", "--bound-to and --revocable cannot be used together"),
        ("web --purpose=x", "--purpose is for --revocable"),
        ("web --revocable -o exec-credential", "--revocable cannot be used with -o exec-credent"),
        ("web --revocable -o claims", "--revocable cannot be used with -o claims: nobody would"),
        ("web --out=-", "--out needs a file; without it the token goes to stdout"),
        ("web --renew -o token", "--renew makes a kubeconfig, not -o token"),
        ("web --merge --out=x", "--merge and --out cannot be used together"),
        ("web --allow-open-folder", "--allow-open-folder is for --out"),
        ("web -A", "--all-namespaces is for --list"),
        ("web --volume=x", "--volume is for pod/NAME"),
    ],
)
def test_wrong_words_are_one_line_and_status_2(words: str, error: str, run: Run) -> None:
    done = run("mint", *words.split(), "--server=http://127.0.0.1:1")
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}"), done.stderr


def minted(run: Run, *replies: Reply) -> Result:
    """What mint says to a server with these answers; the last one again and again."""
    with faults.serve(*replies) as server:
        return run("mint", "web", "-n", "shop", "--server", server.url, "--request-timeout=5s")


@pytest.mark.parametrize(
    "reply",
    [
        # before 1.10 there is no such subresource, and up to 1.21 it can be switched off
        Reply(404, "404 page not found\n"),
        Reply(404, status(404, "NotFound", "the server could not find the requested resource")),
        Reply(405, status(405, "MethodNotAllowed", "the server does not allow this method")),
    ],
    ids=["no-path", "no-resource", "no-method"],
)
def test_a_server_that_makes_no_tokens_is_said_to_be_old(reply: Reply, run: Run) -> None:
    done = minted(run, reply)
    assert (done.status, done.stdout) == (3, "")
    error, hint = done.stderr.splitlines()
    assert error == (
        "error: failed to create token: this API server makes no tokens (TokenRequest is not "
        "served)"
    )
    assert "older than Kubernetes 1.22" in hint
    assert "kubernetes.io/service-account-token" in hint


@pytest.mark.parametrize(
    "body", [{}, {"status": {}}, {"status": {"token": ""}}, {"status": {"token": 7}}]
)
def test_an_answer_without_a_token_is_an_error(body: object, run: Run) -> None:
    done = minted(run, Reply(201, body))
    assert (done.status, done.stdout) == (3, "")
    assert done.stderr.startswith("error: failed to create token: the answer to a TokenRequest")


def test_a_refusal_that_repeats_a_token_is_told_without_it(run: Run) -> None:
    done = minted(run, Reply(500, status(500, "InternalError", f"could not sign {JWT}")))
    assert done.status == 3
    assert "eyJ" not in done.stderr
    assert "could not sign ***" in done.stderr


def test_what_a_server_gives_is_handed_over_as_it_is(run: Run) -> None:
    answer = {"spec": {"expirationSeconds": 3600}, "status": {"token": JWT}}
    done = minted(run, Reply(201, answer))
    assert (done.status, done.stdout) == (0, JWT)
    with faults.serve(Reply(201, answer)) as server:
        told = run("mint", "web", "--server", server.url, "-o", "json")
    assert json.loads(told.stdout)["status"]["token"] == JWT
