"""What a file says that an account must and must not be able to do."""

import pytest

from kubectl_satoken.errors import ManifestError
from kubectl_satoken.expect import read
from kubectl_satoken.kinds import BUILT_IN
from kubectl_satoken.question import in_words
from tests.test_question import TYPES

FILE = """\
# what the deployer may and may not
must list pods
must get pods/log -n shop     # the logs of the shop
must-not get deploy -A
must not get pods/web
must get /healthz
must patch deployments --subresource scale web --namespace=shop

sa/backup:
must-not create pods/exec -nkube-system

me:
must list nodes
"""


def said(text: str) -> list[tuple[str, bool, str]]:
    return [
        (one.target, one.must, in_words(one.asked.question)) for one in read(text, TYPES, "dev")
    ]


def test_a_line_is_a_question_with_its_flags() -> None:
    assert said(FILE) == [
        ("", True, "list pods in namespace dev"),
        ("", True, "get pods/log in namespace shop"),
        ("", False, "get deployments.apps"),
        ("", False, "get pods web in namespace dev"),
        ("", True, "get /healthz"),
        ("", True, "patch deployments.apps/scale web in namespace shop"),
        ("sa/backup", False, "create pods/exec in namespace kube-system"),
        ("me", True, "list nodes"),
    ]


def test_a_line_knows_where_it_stands() -> None:
    first, second, *_ = read(FILE, TYPES, "dev")
    assert (first.number, first.line) == (2, "must list pods")
    assert (second.number, second.line) == (3, "must get pods/log -n shop")


def test_an_account_of_another_namespace_is_a_heading() -> None:
    assert said("sa/shop:web:\nmust get pods")[0][0] == "sa/shop:web"


def test_line_ends_of_windows_and_a_byte_order_mark_do_no_harm() -> None:
    assert said("\ufeffmust list pods\r\nmust get pods\r\n") == [
        ("", True, "list pods in namespace dev"),
        ("", True, "get pods in namespace dev"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("list pods", "list: a line begins with must or must-not"),
        ("must", "a question is VERB TYPE"),
        ("must list", "a question is VERB TYPE"),
        ("must get pods web more", "a question is VERB TYPE"),
        ("must list pods -n", "flag needs an argument: -n"),
        ("must list pods --namespace=", "flag needs an argument: --namespace"),
        ("must list pods --subresource", "flag needs an argument: --subresource"),
        ("must list pods -A -n shop", "-n and -A cannot be used together"),
        ("must list pods --context x", "unknown flag: --context"),
        ("must list 'pods", "no closing quotation"),
        ("sa/web: must list pods", "sa/web:: a line begins"),
        ("sa/web more:", "sa/web more:: a heading is a TARGET and a colon"),
        ("web:", "web:: a heading is a TARGET and a colon"),
        (":", ":: a heading is a TARGET and a colon"),
        ("must get /metrics x", "/metrics: a URL has neither a name nor a subresource"),
    ],
)
def test_what_is_no_expectation_is_an_error_with_its_line(line: str, message: str) -> None:
    with pytest.raises(ManifestError) as raised:
        read(f"must list pods\n\n{line}\n", TYPES, "dev", "rights.txt")
    assert raised.value.message.startswith(f"rights.txt:3: {message}")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (
            "must-not get secretts",
            "the server doesn't have a resource type 'secretts'",
            "TYPE.GROUP",
        ),
        ("must-not gett pods", "unknown verb: gett", "did you mean get?"),
        ("must-not GET pods", "unknown verb: GET", "did you mean get?"),
        ("must-not get pods/logs web", "pods has no subresource logs", "exec, log, status"),
    ],
)
def test_what_no_answer_could_refute_is_an_error(line: str, message: str, hint: str) -> None:
    with pytest.raises(ManifestError) as raised:
        read(line, TYPES, "dev", "rights.txt")
    assert raised.value.message == f"rights.txt:1: {message}"
    assert hint in raised.value.hint


def test_a_type_with_its_group_need_not_be_there_yet() -> None:
    assert said("must-not list gadgets.example.org\nmust frobnicate pods\nmust-not * *") == [
        ("", False, "list gadgets.example.org in namespace dev"),
        ("", True, "frobnicate pods in namespace dev"),
        ("", False, "* * in namespace dev"),
    ]


def test_without_a_server_subresources_are_taken_as_they_stand() -> None:
    (one,) = read("must get pods/log web", BUILT_IN, "dev")
    assert in_words(one.asked.question) == "get pods/log web in namespace dev"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "sa/web:\n"])
def test_a_file_that_expects_nothing_is_an_error(text: str) -> None:
    with pytest.raises(ManifestError) as raised:
        read(text, TYPES, "dev", "rights.txt")
    assert raised.value.message == "rights.txt: nothing is expected in it"
