"""The policies of --guard: what is printed is whole, and each stage does what it says."""

from typing import Any

import pytest
import yaml

from kubectl_satoken import guard
from kubectl_satoken.errors import UsageError


def documents(mode: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(guard.manifests(mode)))


def line(mode: str, word: str) -> str:
    """What the comments say after a word."""
    [found] = [one for one in guard.manifests(mode).splitlines() if one.startswith(f"#   {word} ")]
    return found.removeprefix(f"#   {word} ").strip()


@pytest.mark.parametrize(
    ("mode", "policies"),
    [
        ("warn", ["no-new-legacy-token-secrets"]),
        ("deny", ["no-new-legacy-token-secrets"]),
        ("pods", ["no-new-legacy-token-secrets", "no-new-use-of-legacy-tokens"]),
        ("deny,pods", ["no-new-legacy-token-secrets", "no-new-use-of-legacy-tokens"]),
    ],
)
def test_each_policy_comes_with_its_binding(mode: str, policies: list[str]) -> None:
    found = [(one["kind"], one["metadata"]["name"]) for one in documents(mode)]
    assert found == [
        (kind, policy)
        for policy in policies
        for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    ]
    bindings = [one for one in documents(mode) if "Binding" in one["kind"]]
    assert [one["spec"]["policyName"] for one in bindings] == policies
    kinds, names = line(mode, "remove").removeprefix("kubectl delete ").split(maxsplit=1)
    assert names.split() == policies
    assert kinds.split(",") == [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ]


@pytest.mark.parametrize("also", ["", ",pods"])
def test_the_first_stage_only_warns_and_names_the_second(also: str) -> None:
    def actions(mode: str) -> set[str]:
        bindings = [one for one in documents(mode) if "Binding" in one["kind"]]
        return {action for one in bindings for action in one["spec"]["validationActions"]}

    assert actions(f"warn{also}") == {"Warn", "Audit"}
    assert actions(f"deny{also}") == {"Deny", "Audit"}
    assert line(f"warn{also}", "next") == line(f"deny{also}", "apply")
    assert guard.manifests("warn") == guard.manifests()


@pytest.mark.parametrize("mode", ["warn", "deny,pods"])
def test_an_exempt_namespace_is_so_by_the_label_that_is_printed(mode: str) -> None:
    key, _, value = line(mode, "exempt").split()[-1].partition("=")
    for one in documents(mode):
        if "Binding" in one["kind"]:
            selector = one["spec"]["matchResources"]["namespaceSelector"]
            assert selector == {
                "matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]
            }
        else:
            message = one["spec"]["validations"][0]["messageExpression"]
            assert f"{key}={value}" in message


def test_a_message_is_one_line_as_the_api_server_wants_it() -> None:
    for one in documents("deny,pods"):
        for validation in one["spec"].get("validations", []):
            assert "\n" not in validation["messageExpression"]


@pytest.mark.parametrize("mode", ["", "refuse", "deny,", "warn,deny"])
def test_another_mode_is_refused_in_one_line(mode: str) -> None:
    with pytest.raises(UsageError, match=r'^invalid argument .*"--guard" flag: '):
        guard.manifests(mode)
