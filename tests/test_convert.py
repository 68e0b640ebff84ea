"""From the Secret of a legacy token to a projected one: the same files, the same modes, renewed."""

from copy import deepcopy
from typing import Any

import pytest

from kubectl_satoken.admission import TOKEN_MOUNT_PATH
from kubectl_satoken.changes import changed, is_made, undone
from kubectl_satoken.convert import (
    Conversion,
    TokenSecret,
    projection_for,
    projections_for,
)
from kubectl_satoken.mounts import token_files

SECRET = TokenSecret("web-token", "web")
MOUNT = {"name": "creds", "mountPath": "/creds", "readOnly": True}
TOKEN = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
CA = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
FIELD = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
NAMESPACE = {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": FIELD}]}}


def spec_of(*volumes: Any, mounts: Any = (MOUNT,), **more: Any) -> dict[str, Any]:
    """A pod spec with one container."""
    container = {"name": "app", "image": "app", "volumeMounts": [*mounts]}
    return {
        "serviceAccountName": "web",
        "containers": [container],
        "volumes": [*volumes],
        **more,
    }


def secret_volume(name: str = "creds", **more: Any) -> dict[str, Any]:
    return {"name": name, "secret": {"secretName": "web-token", **more}}


def converted(
    spec: dict[str, Any], secret: TokenSecret = SECRET, account: Any = None
) -> Conversion:
    """The conversion of a spec, of which it is asked that it can be taken back and made again."""
    untouched = deepcopy(spec)
    found = projection_for(spec, secret, account)
    assert spec == untouched
    assert changed(spec, found.changes) == found.spec
    assert changed(found.spec, found.changes) == found.spec
    assert is_made(found.spec, found.changes)
    assert changed(found.spec, undone(found.changes)) == spec
    return found


def why(found: Conversion) -> str:
    assert not found.changes
    [obstacle] = found.obstacles
    assert obstacle.todo
    return obstacle.why


def test_a_secret_volume_becomes_a_projected_one_of_that_name() -> None:
    found = converted(spec_of(secret_volume(defaultMode=420)))
    assert found.spec["volumes"] == [
        {"name": "creds", "projected": {"defaultMode": 420, "sources": [TOKEN, CA, NAMESPACE]}}
    ]
    assert found.spec["containers"] == spec_of()["containers"]
    assert not found.obstacles


def test_only_the_files_that_were_there_are_there_afterwards() -> None:
    items = [{"key": "token", "path": "sa/jwt"}, {"key": "ca.crt", "path": "ca.pem"}]
    [volume] = converted(spec_of(secret_volume(items=items))).spec["volumes"]
    assert volume["projected"]["sources"] == [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "sa/jwt"}},
        {
            "configMap": {
                "name": "kube-root-ca.crt",
                "items": [{"key": "ca.crt", "path": "ca.pem"}],
            }
        },
    ]


def test_the_token_has_its_old_mode_and_so_have_the_others() -> None:
    items = [
        {"key": "token", "path": "token", "mode": 0o400},
        {"key": "ca.crt", "path": "ca.crt"},
        {"key": "namespace", "path": "namespace", "mode": 0o440},
    ]
    volume = secret_volume(items=items, defaultMode=0o444)
    [after] = converted(spec_of(volume)).spec["volumes"]
    _, config_map, downward = after["projected"]["sources"]
    assert after["projected"]["defaultMode"] == 0o400
    assert config_map["configMap"]["items"][0]["mode"] == 0o444
    assert downward["downwardAPI"]["items"][0]["mode"] == 0o440


def test_a_secret_among_other_sources_is_replaced_in_its_place() -> None:
    other = {"configMap": {"name": "settings"}}
    source = {"secret": {"name": "web-token", "items": [{"key": "token", "path": "token"}]}}
    volume = {"name": "creds", "projected": {"defaultMode": 420, "sources": [source, other]}}
    [after] = converted(spec_of(volume)).spec["volumes"]
    assert after["projected"] == {"defaultMode": 420, "sources": [TOKEN, other]}


def test_a_token_that_is_projected_already_is_not_projected_twice() -> None:
    source = {"secret": {"name": "web-token"}}
    volume = {"name": "creds", "projected": {"sources": [source, TOKEN, CA]}}
    [after] = converted(spec_of(volume)).spec["volumes"]
    assert after["projected"]["sources"] == [NAMESPACE, TOKEN, CA]


def test_two_sources_of_one_file_are_for_a_person() -> None:
    foreign = {"serviceAccountToken": {"audience": "vault", "path": "token"}}
    volume = {
        "name": "creds",
        "projected": {"sources": [{"secret": {"name": "web-token"}}, foreign]},
    }
    assert "brings the file token" in why(converted(spec_of(volume)))


@pytest.mark.parametrize("account", [{}, {"automountServiceAccountToken": True}])
def test_what_the_api_server_does_by_itself_is_left_to_it(account: Any) -> None:
    mounts = [{"name": "default-token-x7k2p", "mountPath": TOKEN_MOUNT_PATH}]
    found = converted(spec_of(secret_volume("default-token-x7k2p"), mounts=mounts), account=account)
    assert "volumes" not in found.spec
    assert "volumeMounts" not in found.spec["containers"][0]


@pytest.mark.parametrize(
    ("account", "more", "volume"),
    [
        (None, {}, {}),  # not known
        ({"automountServiceAccountToken": False}, {}, {}),
        ({}, {"automountServiceAccountToken": False}, {}),
        ({}, {}, {"defaultMode": 0o400}),
        ({}, {}, {"items": [{"key": "token", "path": "token"}]}),
    ],
)
def test_where_the_api_server_would_do_otherwise_the_volume_stays(
    account: Any, more: Any, volume: Any
) -> None:
    mounts = [{"name": "creds", "mountPath": TOKEN_MOUNT_PATH}]
    found = converted(spec_of(secret_volume(**volume), mounts=mounts, **more), account=account)
    assert "projected" in found.spec["volumes"][0]
    assert found.spec["containers"][0]["volumeMounts"] == mounts


def test_volumes_that_are_taken_out_go_back_to_their_places() -> None:
    names = ["a", "first", "b", "second", "c"]
    volumes = [
        secret_volume(name) if len(name) > 1 else {"name": name, "emptyDir": {}} for name in names
    ]
    spec = spec_of(*volumes, mounts=[{"name": "first", "mountPath": TOKEN_MOUNT_PATH}])
    second = {"name": "other", "volumeMounts": [{"name": "second", "mountPath": TOKEN_MOUNT_PATH}]}
    spec["containers"].append(second)
    found = converted(spec, account={})
    assert [volume["name"] for volume in found.spec["volumes"]] == ["a", "b", "c"]


def test_pods_of_another_account_would_get_another_identity() -> None:
    spec = spec_of(secret_volume(), serviceAccountName="other")
    assert "is of serviceaccount web, and the pods run as other" in why(converted(spec))


def test_the_certificate_is_the_same_for_every_account() -> None:
    items = [{"key": "ca.crt", "path": "ca.crt"}]
    spec = spec_of(secret_volume(items=items), serviceAccountName="other")
    assert converted(spec).spec["volumes"] == [{"name": "creds", "projected": {"sources": [CA]}}]


@pytest.mark.parametrize(
    "mount",
    [{"subPath": "token"}, {"subPath": "./token"}, {"subPathExpr": "$(WHICH)"}],
)
def test_a_token_by_sub_path_would_never_be_renewed(mount: dict[str, str]) -> None:
    spec = spec_of(secret_volume(), mounts=[{**MOUNT, **mount}])
    assert "never renewed" in why(converted(spec))


def test_a_certificate_by_sub_path_is_as_good_as_before() -> None:
    spec = spec_of(secret_volume(), mounts=[{**MOUNT, "subPath": "ca.crt"}])
    assert not converted(spec).obstacles


def with_env(*variables: Any, **container: Any) -> dict[str, Any]:
    spec = spec_of()
    spec["containers"][0] |= {"env": [*variables], "volumeMounts": [], **container}
    return spec


def from_key(key: str, name: str = "X", **more: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "web-token", "key": key, **more}}}


def test_a_token_in_a_variable_is_for_the_application() -> None:
    found = converted(with_env(from_key("token", "TOKEN")))
    assert "cannot be renewed" in why(found)
    assert f"{TOKEN_MOUNT_PATH}/token" in found.obstacles[0].todo


def test_the_other_keys_in_variables_are_to_be_had_elsewhere() -> None:
    found = converted(
        with_env(from_key("namespace", "NS"), from_key("ca.crt", "CA", optional=True))
    )
    assert [one["valueFrom"] for one in found.spec["containers"][0]["env"]] == [
        {"fieldRef": FIELD},
        {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt", "optional": True}},
    ]


def test_a_variable_that_is_there_twice_is_for_a_person() -> None:
    spec = with_env(from_key("namespace"), {"name": "X", "value": "y"})
    assert "twice" in why(converted(spec))


def test_all_keys_as_variables_are_for_the_application() -> None:
    spec = with_env(envFrom=[{"secretRef": {"name": "web-token"}}])
    assert "none is renewed" in why(converted(spec))


def test_a_token_secret_is_no_login_to_a_registry() -> None:
    spec = spec_of(imagePullSecrets=[{"name": "a"}, {"name": "web-token"}, {"name": "b"}])
    found = converted({**spec, "volumes": []})
    assert found.spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_a_driver_needs_its_own_secret() -> None:
    volume = {"name": "share", "azureFile": {"secretName": "web-token", "shareName": "x"}}
    assert "driver" in why(converted(spec_of(volume)))


def test_what_else_the_secret_holds_would_be_lost() -> None:
    secret = SECRET._replace(extra=True)
    assert "more than a token" in why(converted(spec_of(secret_volume()), secret))
    items = [{"key": "password", "path": "password"}]
    assert "key password" in why(converted(spec_of(secret_volume(items=items)), secret))
    only_token = [{"key": "token", "path": "token"}]
    assert not converted(spec_of(secret_volume(items=only_token)), secret).obstacles


def test_what_can_be_converted_is_though_something_else_stays() -> None:
    spec = with_env(from_key("token"))
    spec["containers"][0]["volumeMounts"] = [MOUNT]
    spec["volumes"] = [secret_volume()]
    found = converted(spec)
    assert "projected" in found.spec["volumes"][0]
    assert [obstacle.use.how for obstacle in found.obstacles] == ["env"]


def test_two_secrets_in_one_volume_are_one_change() -> None:
    sources = [
        {"secret": {"name": name, "items": [{"key": "token", "path": f"{name}/token"}]}}
        for name in ("web-token", "old-token")
    ]
    spec = spec_of({"name": "creds", "projected": {"sources": sources}})
    found = projections_for(spec, [SECRET, TokenSecret("old-token", "web")], None)
    assert len(found.changes) == len(found.reasons) == 1
    assert is_made(found.spec, found.changes)
    assert changed(found.spec, undone(found.changes)) == spec


def test_the_containers_find_their_tokens_where_they_were() -> None:
    items = [{"key": "token", "path": "deep/jwt"}]
    volumes = [secret_volume(), secret_volume("other", items=items)]
    spec = spec_of(*volumes, mounts=[MOUNT, {"name": "other", "mountPath": "/other"}])

    def places(one: dict[str, Any]) -> list[tuple[str, str]]:
        pod = {"metadata": {"name": "p"}, "spec": one}
        return [(file.container, file.path) for file in token_files(pod)]

    after = converted(spec).spec
    assert places(after) == places(spec) == [("app", "/creds/token"), ("app", "/other/deep/jwt")]
