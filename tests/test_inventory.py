"""The inventory of token Secrets: what they are, what uses them, what the cleaner will do."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from kubectl_satoken.changes import changed, undone
from kubectl_satoken.consumers import kinds_to_read
from kubectl_satoken.inventory import (
    ANOTHER,
    MIGRATED_ANNOTATION,
    MISSING,
    THERE,
    UNKNOWN,
    Inventory,
    Token,
    Workload,
    cleaner_will,
    formerly_used,
    remembered,
    take,
)
from kubectl_satoken.kinds import BUILT_IN, Type
from kubectl_satoken.manifests import parse
from kubectl_satoken.times import date, seconds
from kubectl_satoken.world import KINDS, Kind, Object, Ref, Unseen
from tests.checks.given import world

ROBOT = Kind("Robot", "example.org/v1", "robots", True)
ISSUER = Kind("ClusterIssuer", "cert-manager.io/v1", "clusterissuers", False)
KINDS_READ = kinds_to_read([*BUILT_IN, Type(ROBOT, "robot"), Type(ISSUER, "clusterissuer")])
T = Ref("Secret", "shop", "t")
ACCOUNT = """
{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: shop, uid: u1}, MORE}
"""
MOUNTS = """
serviceAccountName: web
containers: [{name: app, image: app, volumeMounts: [{name: v, mountPath: /creds}]}]
volumes: [{name: v, secret: {secretName: t}}]
"""


def secret(name: str = "t", keys: int = 3, labels: Any = None, **metadata: Any) -> Object:
    """A token Secret as a table of the API server has it."""
    annotations = {"kubernetes.io/service-account.name": "web"} | metadata.pop("annotations", {})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "dataCount": keys,
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": "2025-01-01T00:00:00Z",
            "labels": labels or {},
            "annotations": annotations,
            **metadata,
        },
    }


def account(more: str = "secrets: []") -> Object:
    (item,) = parse(ACCOUNT.replace("MORE", more), "test")
    return item


def workload(
    kind: str = "Deployment", name: str = "web", api_version: str = "apps/v1", **fields: Any
) -> Object:
    """A workload whose pods mount the Secret t."""
    import yaml

    metadata = fields.pop("metadata", {})
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", **metadata},
        "spec": {"template": {"spec": yaml.safe_load(MOUNTS)}, **fields},
    }


def stock(*items: Object, secrets: Any = None, unseen: Any = ()) -> Inventory:
    """The inventory of these objects, handed in by kind as a cluster does."""

    def read(kind: Kind) -> Iterator[Object]:
        if kind.kind in unseen:
            raise Unseen(kind.plural, "forbidden to you")
        yield from (one for one in items if one["kind"] == kind.kind)

    return take([secret()] if secrets is None else secrets, KINDS_READ, read, world(""))


def only(found: Inventory) -> Workload:
    (one,) = found.workloads
    return one


def token(found: Inventory) -> Token:
    return found.tokens[T]


# --- the Secret -----------------------------------------------------------------------------------


def test_a_secret_counts_as_generated_when_its_account_lists_it() -> None:
    assert token(stock(account("secrets: [{name: t}]"))).generated
    assert not token(stock(account("secrets: [{name: other}]"))).generated


def test_one_that_another_account_lists_counts_as_made_by_hand() -> None:
    other = account("secrets: [{name: t}]")
    other["metadata"] = {**other["metadata"], "name": "other"}
    found = token(stock(account(), other))
    assert (found.listed, found.generated) == (("other",), False)


@pytest.mark.parametrize(
    ("annotations", "state"),
    [
        ({}, THERE),
        ({"kubernetes.io/service-account.uid": "u1"}, THERE),
        ({"kubernetes.io/service-account.uid": "u0"}, ANOTHER),
        ({"kubernetes.io/service-account.name": "gone"}, MISSING),
    ],
)
def test_what_became_of_the_account(annotations: Any, state: str) -> None:
    found = stock(account(), secrets=[secret(annotations=annotations)])
    assert token(found).account_state == state


def test_an_account_that_cannot_be_seen_is_not_missing() -> None:
    found = stock(unseen=("ServiceAccount",))
    assert token(found).account_state == UNKNOWN
    [blind] = found.blind
    assert (blind.what, blind.essential) == ("serviceaccounts", True)


def test_a_custom_type_that_cannot_be_seen_is_told_apart() -> None:
    [blind] = stock(account(), unseen=("Robot",)).blind
    assert (blind.what, blind.essential) == ("robots", False)


def test_openshifts_own_are_untouchable() -> None:
    mine = secret(annotations={"openshift.io/token-secret.name": "x"})
    assert "OpenShift" in token(stock(secrets=[mine])).untouchable


def test_who_would_make_it_anew_is_known() -> None:
    mine = secret(labels={"app.kubernetes.io/managed-by": "Helm"})
    keeper = token(stock(secrets=[mine])).keeper
    assert keeper is not None
    assert keeper.who == "Helm"


# --- the cleaner ----------------------------------------------------------------------------------

NOW = seconds("2026-11-25T12:00:00Z")
SINCE = seconds("2024-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({}, "marks it invalid on 2026-11-25"),
        ({"kubernetes.io/legacy-token-last-used": "2026-03-01"}, "marks it invalid on 2027-03-02"),
        (
            {"kubernetes.io/legacy-token-invalid-since": "2026-03-01"},
            "deletes it on 2027-03-02",
        ),
        (
            {
                "kubernetes.io/legacy-token-invalid-since": "2026-03-01",
                "kubernetes.io/legacy-token-last-used": "2026-10-01",
            },
            "deletes it on 2027-10-02",
        ),
        (
            {"kubernetes.io/legacy-token-last-used": "lately"},
            "leaves it: the label of its last use is no date",
        ),
    ],
)
def test_when_the_cleaner_comes(labels: Any, says: str) -> None:
    found = stock(account("secrets: [{name: t}]"), secrets=[secret(labels=labels)])
    does, when = cleaner_will(token(found), found.consumers[T], SINCE, NOW)
    assert (f"{does} on {date(when)}" if when else does) == says


def test_the_cleaner_leaves_what_it_cannot_judge() -> None:
    listed = account("secrets: [{name: t}]")
    found = stock(listed)
    assert cleaner_will(token(found), [], None, NOW) == (
        "not known: nothing tells since when uses are noted",
        0.0,
    )
    by_hand = stock(account())
    assert cleaner_will(token(by_hand), [], SINCE, NOW)[0] == "leaves it: made by hand"
    pod = {**workload("Pod", "p", "v1"), "spec": workload()["spec"]["template"]["spec"]}
    used = stock(listed, pod)
    assert "while a pod" in cleaner_will(token(used), used.consumers[T], SINCE, NOW)[0]


# --- workloads ------------------------------------------------------------------------------------


def test_a_template_is_converted_and_notes_what_was_changed() -> None:
    item = workload(metadata={"uid": "u", "resourceVersion": "9", "annotations": {"a": "b"}})
    found = only(stock(account(), item))
    assert (found.uid, found.resource_version, found.converted) == ("u", "9", (T,))
    after = changed(item, found.changes)
    assert "projected" in after["spec"]["template"]["spec"]["volumes"][0]
    assert remembered(after) == found.changes[:-1]
    assert formerly_used(after) == {"t"}
    assert changed(after, undone(found.changes)) == item
    # and without a journal, by the note alone
    note = found.changes[-1]
    assert changed(changed(after, [note.back()]), undone(remembered(after))) == item


def test_a_second_migration_adds_to_the_note() -> None:
    first = workload()
    done = changed(first, only(stock(account(), first)).changes)
    volumes = done["spec"]["template"]["spec"]["volumes"]
    volumes.append({"name": "w", "secret": {"secretName": "s"}})
    second = only(stock(account(), done, secrets=[secret("s")]))
    assert formerly_used(changed(done, second.changes)) == {"s", "t"}


def test_what_was_used_before_is_remembered() -> None:
    first = workload()
    done = changed(first, only(stock(account(), first)).changes)
    found = stock(account(), done)
    assert not found.workloads
    assert list(found.migrated) == [T]


def test_a_note_that_nobody_can_read_is_no_note() -> None:
    item = workload(metadata={"annotations": {MIGRATED_ANNOTATION: "[{]"}})
    assert remembered(item) == ()
    item = workload(metadata={"annotations": {MIGRATED_ANNOTATION: '[{"path": 1}]'}})
    assert remembered(item) == ()


def test_what_another_makes_counts_under_it() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}
    replicas = workload("ReplicaSet", "web-1", metadata={"ownerReferences": [owner]})
    found = stock(account(), workload(), replicas)
    assert only(found).name == "web"
    [consumer] = found.consumers[T]
    assert (consumer.name, consumer.revisions) == ("web", 1)


def test_automount_is_left_to_the_api_server_where_the_account_allows_it() -> None:
    item = workload()
    mount = item["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]
    mount["mountPath"] = "/var/run/secrets/kubernetes.io/serviceaccount"
    after = changed(item, only(stock(account(), item)).changes)
    assert "volumes" not in after["spec"]["template"]["spec"]
    off = account("automountServiceAccountToken: false")
    after = changed(item, only(stock(off, item)).changes)
    assert "projected" in after["spec"]["template"]["spec"]["volumes"][0]
    unseen = only(stock(item, unseen=("ServiceAccount",)))
    assert "volumes" in changed(item, unseen.changes)["spec"]["template"]["spec"]


def test_a_secret_that_cannot_go_everywhere_stays_everywhere() -> None:
    item = workload()
    container = item["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "t", "key": "token"}}}]
    found = only(stock(account(), item))
    assert (found.converted, found.changes) == ((), ())
    assert [one.use.how for one in found.obstacles] == ["env"]


def test_a_pod_and_a_job_are_replaced_by_hand() -> None:
    pod = {**workload("Pod", "p", "v1"), "spec": workload()["spec"]["template"]["spec"]}
    found = only(stock(account(), pod))
    assert "a pod cannot be changed" in found.fixed
    assert "replace --force" in found.commands[0]
    job = only(stock(account(), workload("Job", "j", "batch/v1")))
    assert "the template of a Job" in job.fixed
    assert '"selector":null' in job.commands[0]


@pytest.mark.parametrize(
    ("kind", "fields", "command"),
    [
        (
            "ReplicaSet",
            {"selector": {"matchLabels": {"a": "b"}}},
            "kubectl -n shop delete pod -l a=b",
        ),
        (
            "DaemonSet",
            {
                "selector": {"matchLabels": {"a": "b", "c": "d"}},
                "updateStrategy": {"type": "OnDelete"},
            },
            "kubectl -n shop delete pod -l a=b,c=d",
        ),
        ("Deployment", {"paused": True}, "kubectl -n shop rollout resume deployment/web"),
    ],
)
def test_what_does_not_follow_by_itself_needs_a_person(
    kind: str, fields: Any, command: str
) -> None:
    assert only(stock(account(), workload(kind, **fields))).by_hand == (command,)


def test_a_custom_resource_is_converted_where_its_template_is() -> None:
    robot = workload("Robot", "r", "example.org/v1")
    found = only(stock(account(), robot))
    assert found.kind == ROBOT
    assert "projected" in changed(robot, found.changes)["spec"]["template"]["spec"]["volumes"][0]


def test_a_custom_resource_that_names_a_secret_is_for_a_person() -> None:
    robot = workload("Robot", "r", "example.org/v1")
    robot["spec"] = {"tokenSecret": "t"}
    found = only(stock(account(), robot))
    assert not found.changes
    assert found.obstacles[0].todo == "change it at spec.tokenSecret"


def test_image_pull_secrets_of_a_pod_are_no_use_of_a_token() -> None:
    pod = {
        **workload("Pod", "p", "v1"),
        "spec": {"containers": [{"name": "a"}], "imagePullSecrets": [{"name": "t"}]},
    }
    assert not stock(account(), pod).consumers[T]
    more = stock(account(), pod, secrets=[secret(keys=4)])
    assert [one.name for one in more.consumers[T]] == ["p"]


# --- what only names it ---------------------------------------------------------------------------


def test_what_is_in_no_namespace_may_mean_one_of_any() -> None:
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": "vault", "uid": "i"},
        "spec": {"vault": {"auth": {"kubernetes": {"secretRef": {"name": "t", "key": "token"}}}}},
    }
    elsewhere = secret(namespace="pay", uid="other")
    found = stock(account(), issuer, secrets=[secret(), elsewhere, secret("u")])
    one = only(found)
    assert [str(ref) for ref in one.secrets] == ["secret/t", "secret/t"]
    assert {ref.namespace for ref in one.secrets} == {"shop", "pay"}
    assert str(one.obstacles[0]) == (
        "named at spec.vault.auth.kubernetes.secretRef: a custom resource names it; change it at "
        "spec.vault.auth.kubernetes.secretRef"
    )
    assert [len(consumers) for consumers in found.consumers.values()] == [1, 1, 0]


def test_a_webhook_whose_annotation_names_it() -> None:
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": "hook",
            "uid": "h",
            "annotations": {"cert-manager.io/inject-ca-from-secret": "shop/t"},
        },
    }
    found = stock(account(), hook, secrets=[secret(), secret(namespace="pay", uid="other")])
    one = only(found)
    assert (one.secrets, one.converted) == ((T,), ())
    assert "its controller may read it" in str(one.obstacles[0])


def test_what_may_not_be_looked_at_in_no_namespace_is_said_in_one() -> None:
    unseen = ("ClusterIssuer", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    (blind,) = stock(account(), unseen=unseen).blind
    assert (blind.aside, blind.essential) == (True, False)
    assert blind.what == (
        "clusterissuers, mutatingwebhookconfigurations, validatingwebhookconfigurations"
    )


# --- size -----------------------------------------------------------------------------------------


def test_each_kind_is_read_once_and_memory_does_not_grow_with_the_pods() -> None:
    reads: Counter[str] = Counter()

    def read_of(pods: int) -> Any:
        def read(kind: Kind) -> Iterator[Object]:
            reads[kind.kind] += 1
            if kind == KINDS["Pod"]:
                for number in range(pods):
                    item = workload("Pod", f"p-{number}", "v1")
                    item["spec"] = item["spec"]["template"]["spec"]
                    owner = [{"kind": "Deployment", "name": "web", "uid": "x", "controller": True}]
                    item["metadata"]["ownerReferences"] = owner
                    yield item

        return read

    def peak(pods: int) -> int:
        tracemalloc.start()
        found = take([secret()], KINDS_READ, read_of(pods), world(""))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.consumers[T][0].pods == pods
        return most

    peak(10)
    small, large = peak(100), peak(2000)
    assert large < small + 100_000
    assert set(reads.values()) == {3}
