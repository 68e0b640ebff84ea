"""Answers that no API server of today gives: those under conditions (KEP-5681)."""

import json
from typing import Any

import pytest

from kubectl_satoken.authorize import Account, Asker
from kubectl_satoken.rbac import Attributes, Question
from tests import faults
from tests.faults import Reply
from tests.test_cluster import api

WEB = Account("shop", "web")
CREATE_PODS = Question("shop", Attributes("create", "", "pods"))

CHAIN = [
    {
        "authorizerName": "policies",
        "conditions": [
            {
                "id": "dev",
                "effect": "Allow",
                "type": "k8s.io/cel",
                "condition": "object.metadata.labels.env == 'dev'",
                "description": "it is labelled env=dev",
            },
            {"id": "none", "effect": "Deny", "condition": "object.spec.hostNetwork"},
        ],
    },
    {"authorizerName": "rbac", "denied": True},
]


def answer(status: dict[str, Any], user: Account | None = WEB) -> Any:
    """The answer, where the API server's review says this; and the body of the review."""
    with faults.serve(Reply(201, {"status": status})) as server:
        made = api(server)
        given = Asker(made, None, user).ask(CREATE_PODS)  # type: ignore[arg-type]
        return given, server.requests[0]


@pytest.mark.parametrize("field", ["conditionSetChain", "conditionsChain"])
def test_what_is_allowed_under_conditions_is_neither_yes_nor_no(field: str) -> None:
    given, request = answer({"allowed": False, field: CHAIN})
    assert (given.allowed, given.denied, given.conditional) == (False, False, True)
    assert given.conditions == (
        "policies: allowed if: it is labelled env=dev",
        "policies: denied if: object.spec.hostNetwork",
        "rbac: denied otherwise",
    )
    # they have to be asked for, and servers that do not know of them must not warn
    spec = json.loads(request.body)["spec"]
    assert spec["conditionalAuthorization"] == {"mode": "HumanReadable"}
    assert request.path.endswith("/subjectaccessreviews?fieldValidation=Ignore")


def test_a_plain_answer_has_no_conditions() -> None:
    for status in ({"allowed": True}, {"allowed": False}, {"allowed": False, "denied": True}):
        given, _ = answer(status)
        assert (given.conditional, given.conditions) == (False, ())


def test_the_users_own_review_asks_for_them_too() -> None:
    given, request = answer({"allowed": False, "conditionSetChain": CHAIN}, None)
    assert given.conditional
    assert "/selfsubjectaccessreviews?" in request.path
