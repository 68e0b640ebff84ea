"""What the API server itself says to a question, as an object: the oracle for what we compute."""

from typing import Any

from kubectl_satoken.authorize import REVIEWS, attributes_of
from kubectl_satoken.cluster import Api
from kubectl_satoken.rbac import Question, groups_of, user_of


def review(api: Api, user: str, groups: tuple[str, ...], question: Question) -> dict[str, Any]:
    """The status of a SubjectAccessReview of a user."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": [*groups], **attributes_of(question)},
    }
    status: dict[str, Any] = api.request("POST", f"{REVIEWS}/subjectaccessreviews", body)["status"]
    return status


def reviewed(api: Api, namespace: str, name: str, question: Question) -> dict[str, Any]:
    """The same of a service account, with its groups."""
    return review(api, user_of(namespace, name), groups_of(namespace), question)
