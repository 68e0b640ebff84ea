"""What the words before the slash mean. tests/live/test_targets.py asks kubectl, too."""

import pytest

from kubectl_satoken.kinds import builtin_kind
from kubectl_satoken.targets import parse, types, unknown_kind

# A word, and the built-in kind that it means; empty where it means none.
WORDS = {
    "po": "Pod",
    "PO": "",
    "Po": "",
    "pod": "Pod",
    "Pod": "Pod",
    "pods": "Pod",
    "Pods": "Pod",
    "PODS": "Pod",
    "pods.": "Pod",
    "po.v1.": "Pod",
    "pods.v1.": "Pod",
    "Pod.v1.": "Pod",
    "pods..": "Pod",
    "pods.v1": "",
    "pods.v2.": "",
    "pods.core": "",
    "pods.v1.core": "",
    "pods.v1.apps": "",
    ".pods": "",
    "v1.pods": "",
    " po": "",
    "pods ": "",
    "": "",
    "sa": "ServiceAccount",
    "SA": "",
    "Sa": "",
    "ServiceAccount": "ServiceAccount",
    "serviceAccount": "ServiceAccount",
    "SERVICEACCOUNTS": "ServiceAccount",
    "secret": "Secret",
    "ns": "Namespace",
    "NS": "",
    "ev": "Event",
    "events.v1.": "Event",
    "deploy": "Deployment",
    "Deploy": "",
    "DEPLOY": "",
    "deployment": "Deployment",
    "Deployment": "Deployment",
    "Deployments": "Deployment",
    "deployments.": "Deployment",
    "deploy.apps": "Deployment",
    "DEPLOY.apps": "",
    "deploy.v1.apps": "Deployment",
    "deployments.apps": "Deployment",
    "Deployments.apps": "Deployment",
    "Deployment.apps": "Deployment",
    "deployments.v1.apps": "Deployment",
    "Deployment.v1.apps": "Deployment",
    "deployments.v1.": "Deployment",
    "deployments.v1": "",
    "deployments.V1.apps": "",
    "deployments.APPS": "",
    "deployments.apps.": "",
    "deployments.apps.v1": "",
    "deployments.v9.apps": "",
    "jobs.batch": "Job",
    "Job.batch": "Job",
    "jobs.v1.batch": "Job",
    "jobs.v1.": "Job",
    "cj": "CronJob",
    "CJ": "",
    "roles.rbac.authorization.k8s.io": "Role",
    "Role.v1.rbac.authorization.k8s.io": "Role",
    "nosuch": "",
}

# Words that a cluster may have another meaning for.
DISCOVERED = ("deployments.app", "roles.rbac", "cj.batc", "events.events.k8s.io", "hpa")


@pytest.mark.parametrize("word", WORDS)
def test_words_for_built_in_kinds(word: str) -> None:
    kind = builtin_kind(word)
    assert (kind.kind if kind else "") == WORDS[word]


@pytest.mark.parametrize("word", DISCOVERED)
def test_words_that_need_a_cluster(word: str) -> None:
    assert builtin_kind(word) is None


def test_no_type_and_kubectls_word_for_all_mean_everything() -> None:
    assert types([], unknown_kind) == types(["all"], unknown_kind) == []
    assert types(["pod/all"], unknown_kind) is None
    assert types(["all", "x"], unknown_kind) is None


def test_a_kind_as_it_is_written_names_a_target() -> None:
    assert parse(["Deployment.apps/web"], unknown_kind) == parse(["deploy", "web"], unknown_kind)
