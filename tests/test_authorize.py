"""Answers that no API server of today gives: those under conditions (KEP-5681).

Up to 1.37.2, and in 1.38's second alpha, there are neither the feature gate nor the fields in
authorization.k8s.io: only the library of the API server has decisions of that kind. So the answers
here have the shape of the types in the KEP's text, all required fields included; in its older
versions the chain has another name.
"""

import json
from typing import Any

import pytest

from kubectl_satoken.authorize import Account, Asker
from kubectl_satoken.rbac import Attributes, Question
from kubectl_satoken.rbac_words import builtin_types
from tests import faults
from tests.faults import Reply
from tests.test_cluster import api

WEB = Account("shop", "web")
CREATE_PODS = Question("shop", Attributes("create", "", "pods"))
TYPES = builtin_types()

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
            {
                "id": "none",
                "effect": "Deny",
                "type": "k8s.io/cel",
                "condition": "object.spec.hostNetwork",
            },
        ],
        "failureMode": "Deny",
    },
    {"authorizerName": "freeze", "denied": True},
]


def answer(status: dict[str, Any], user: Account | None = WEB) -> Any:
    """The answer, where the API server's review says this; and the body of the review."""
    with faults.serve(Reply(201, {"status": status})) as server:
        made = api(server)
        asker = Asker(made, None, user, types=TYPES)  # type: ignore[arg-type]
        return asker.ask(CREATE_PODS), server.requests[0]


@pytest.mark.parametrize("field", ["conditionSetChain", "conditionsChain"])
def test_what_is_allowed_under_conditions_is_neither_yes_nor_no(field: str) -> None:
    given, request = answer({"allowed": False, "denied": False, field: CHAIN})
    assert (given.allowed, given.denied, given.conditional) == (False, False, True)
    assert given.conditions == (
        "policies: allowed if: it is labelled env=dev",
        "policies: denied if: object.spec.hostNetwork",
        "freeze: denied otherwise",
    )
    # they have to be asked for, and servers that do not know of them must not warn
    spec = json.loads(request.body)["spec"]
    assert spec["conditionalAuthorization"] == {"mode": "HumanReadable"}
    assert request.path.endswith("/subjectaccessreviews?fieldValidation=Ignore")
    # and of one type in one version
    assert spec["resourceAttributes"]["version"] == "v1"


def test_a_plain_answer_has_no_conditions() -> None:
    for status in ({"allowed": True}, {"allowed": False}, {"allowed": False, "denied": True}):
        given, _ = answer(status)
        assert (given.conditional, given.conditions) == (False, ())


def test_the_users_own_review_asks_for_them_too() -> None:
    given, request = answer({"allowed": False, "conditionSetChain": CHAIN}, None)
    assert given.conditional
    assert "/selfsubjectaccessreviews?" in request.path
