"""The steps that replace legacy tokens: their order, what holds them back, when they are over."""

from typing import Any

import pytest

from kubectl_satoken.changes import changed, undone
from kubectl_satoken.inventory import MIGRATED_ANNOTATION, Inventory
from kubectl_satoken.plan import (
    DELETE,
    GRACE,
    INVALIDATE,
    PATCH,
    ROLLOUT,
    STAGES,
    UNLIST,
    VERIFY,
    WAIT,
    Plan,
    Step,
    Wish,
    make,
    not_before,
)
from kubectl_satoken.times import date, seconds
from kubectl_satoken.world import Object
from tests.test_inventory import account, secret, stock, workload

USED = "kubernetes.io/legacy-token-last-used"
INVALID = "kubernetes.io/legacy-token-invalid-since"
NOW = seconds("2026-11-25T12:00:00Z")
DAY = 24 * 3600
INFINITY = float("inf")


def plan(found: Inventory, **wish: Any) -> Plan:
    return make(found, Wish(**wish), NOW)


def actions(made: Plan, *, blocked: bool = False) -> list[str]:
    return [
        f"{step.action} {step.subject.resource}"
        for step in made.steps
        if bool(step.blocked) == blocked
    ]


def step(made: Plan, action: str) -> Step:
    (one,) = [step for step in made.steps if step.action == action]
    return one


def of(labels: Any = None, annotations: Any = None, *items: Object) -> Inventory:
    """An inventory of one Secret."""
    mine = secret(labels=labels, annotations=annotations or {})
    return stock(account(), *items, secrets=[mine])


def test_a_template_comes_first_and_the_secret_last() -> None:
    made = plan(stock(account("secrets: [{name: t}]"), workload()))
    assert actions(made) == [
        "patch deployment/web",
        "rollout deployment/web",
        "verify deployment/web",
        "unlist serviceaccount/web",
        "invalidate secret/t",
        "wait secret/t",
        "delete secret/t",
    ]
    assert not made.left


@pytest.mark.parametrize(
    ("stage", "last"),
    [*zip(STAGES, (None, VERIFY, INVALIDATE, DELETE), strict=True)],
)
def test_a_stage_is_the_last_that_is_done(stage: str, last: str | None) -> None:
    made = plan(stock(account("secrets: [{name: t}]"), workload()), stage=stage)
    assert (made.steps[-1].action if made.steps else None) == last


def test_accounts_forget_what_they_list_and_can_remember_it() -> None:
    item = account("secrets: [{name: a}, {name: t}, {name: b}, {name: s}], imagePullSecrets: []")
    item["imagePullSecrets"] = [{"name": "t"}, {"name": "login"}]
    item["metadata"] = {**item["metadata"], "annotations": {"a": "b"}}
    found = stock(item, secrets=[secret(), secret("s")])
    made = step(plan(found), UNLIST)
    after = changed(item, made.changes)
    assert after["secrets"] == [{"name": "a"}, {"name": "b"}]
    assert after["imagePullSecrets"] == [{"name": "login"}]
    assert changed(after, undone(made.changes)) == item


def test_what_somebody_uses_still_is_not_ended() -> None:
    pod = {**workload("Pod", "p", "v1"), "spec": workload()["spec"]["template"]["spec"]}
    made = plan(stock(account("secrets: [{name: t}]"), workload(), pod))
    assert actions(made) == [
        "patch deployment/web",
        "rollout deployment/web",
        "verify deployment/web",
    ]
    assert actions(made, blocked=True) == [
        "patch pod/p",
        "unlist serviceaccount/web",
        "invalidate secret/t",
        "wait secret/t",
        "delete secret/t",
    ]
    assert "pod/p: a pod cannot be changed" in step(made, INVALIDATE).blocked[0]


def test_a_list_that_somebody_would_write_again_is_for_a_person() -> None:
    item = account("secrets: [{name: t}]")
    fields: Object = {"f:secrets": {}}
    entry = {"manager": "helm", "fieldsV1": fields}
    item["metadata"] = {**item["metadata"], "managedFields": [entry]}
    made = plan(stock(item))
    assert not actions(made)
    assert step(made, INVALIDATE).blocked == (
        "serviceaccount/web names it, and helm keeps that: change what helm makes it from",
    )


def test_only_what_was_named_is_changed() -> None:
    found = stock(account(), workload(), workload("StatefulSet", "db"))
    made = plan(found, only=frozenset({"deployment/web"}))
    assert actions(made) == [
        "patch deployment/web",
        "rollout deployment/web",
        "verify deployment/web",
    ]
    assert step(made, INVALIDATE).blocked == (
        "statefulset/db uses it as well: it is to be migrated first",
    )


def test_what_a_controller_keeps_is_not_patched() -> None:
    annotations = {"meta.helm.sh/release-name": "shop"}
    made = plan(of(None, None, workload(metadata={"annotations": annotations})))
    assert not actions(made)
    assert "Helm (release shop) keeps it" in step(made, PATCH).blocked[0]
    assert not any(one.action in (ROLLOUT, VERIFY) for one in made.steps)


def test_a_job_that_has_ended_uses_nothing() -> None:
    job = workload("Job", "j", "batch/v1")
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert actions(plan(of(None, None, job))) == [
        "invalidate secret/t",
        "wait secret/t",
        "delete secret/t",
    ]


def test_pods_of_an_older_template_are_users() -> None:
    owner = [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True}]
    pod = workload("Pod", "db-0", "v1", metadata={"ownerReferences": owner})
    pod["spec"] = pod["spec"]["template"]["spec"]
    made = plan(of(None, None, pod))
    assert step(made, INVALIDATE).blocked == (
        "statefulset/db still has pods that use it: they must be made anew",
    )


def test_pods_of_an_older_template_are_told_apart_from_others_of_that_name() -> None:
    owner = [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True}]
    pod = workload("Pod", "db-0", "v1", metadata={"ownerReferences": owner})
    pod["spec"] = pod["spec"]["template"]["spec"]
    elsewhere = workload("StatefulSet", "db", metadata={"namespace": "other"})
    second = secret("t", namespace="other")
    made = plan(stock(account(), pod, elsewhere, secrets=[secret(), second]))
    assert [bool(one.blocked) for one in made.steps if one.action == INVALIDATE] == [False, True]


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "ServiceAccount"])
def test_what_could_not_be_looked_at_may_use_it(kind: str) -> None:
    made = plan(stock(account(), unseen=(kind,)))
    assert not actions(made)
    assert "could not be looked at: forbidden to you" in step(made, INVALIDATE).blocked[0]


def test_without_all_custom_types_it_can_be_marked_and_not_deleted() -> None:
    made = plan(stock(account(), unseen=("Robot",)))
    assert actions(made) == ["invalidate secret/t"]
    assert step(made, DELETE).blocked == ("robots could not be looked at: forbidden to you",)


# --- from outside ---------------------------------------------------------------------------------


def test_who_uses_it_from_outside_is_not_cut_off() -> None:
    made = plan(of({USED: "2026-11-20"}))
    assert not actions(made)
    assert "was used on 2026-11-20: somebody outside does" in step(made, INVALIDATE).blocked[0]
    assert actions(plan(of({USED: "2026-11-17"}))) == [
        "invalidate secret/t",
        "wait secret/t",
        "delete secret/t",
    ]


def migrated_at(moment: str) -> Object:
    """A workload that used the Secret up to then."""
    done = changed(workload(), stock(account(), workload()).workloads[0].changes)
    fields: Object = {"f:metadata": {"f:annotations": {f"f:{MIGRATED_ANNOTATION}": {}}}}
    entry = {"manager": "kubectl-satoken", "time": moment, "fieldsV1": fields}
    done["metadata"] = {**done["metadata"], "managedFields": [entry]}
    return done


@pytest.mark.parametrize("used", ["2026-11-19", "2026-11-20"])
def test_a_use_by_what_was_migrated_is_not_from_outside(used: str) -> None:
    made = plan(of({USED: used}, None, migrated_at("2026-11-20T08:00:00Z")))
    assert actions(made)[0] == "invalidate secret/t"


def test_a_use_after_all_was_migrated_is_from_outside() -> None:
    made = plan(of({USED: "2026-11-21"}, None, migrated_at("2026-11-20T08:00:00Z")))
    assert not actions(made)
    assert (
        step(made, INVALIDATE)
        .blocked[0]
        .startswith(
            "nothing in the cluster uses it since 2026-11-20, yet it was used on 2026-11-21"
        )
    )


def test_that_others_may_use_it_as_well_is_said() -> None:
    made = plan(of({USED: "2026-11-25"}, None, workload()))
    assert "only --audit-log can tell" in step(made, INVALIDATE).why


def test_a_new_secret_may_be_about_to_be_used() -> None:
    new = secret(creationTimestamp="2026-11-24T12:00:00Z")
    made = plan(stock(account(), secrets=[new]))
    assert "it is so new" in step(made, INVALIDATE).blocked[0]


def test_no_use_means_nothing_before_uses_were_noted() -> None:
    made = plan(of(), since=NOW - DAY)
    assert "noted only since 2026-11-24" in step(made, INVALIDATE).blocked[0]
    assert actions(plan(of(), since=NOW - GRACE))


def test_an_api_server_that_does_not_heed_the_mark() -> None:
    made = plan(of(), version=(1, 28))
    assert "(1.28) does not heed the mark" in step(made, INVALIDATE).blocked[0]


# --- the Secret itself ----------------------------------------------------------------------------


def test_what_is_marked_already_is_not_marked_again() -> None:
    made = plan(of({INVALID: "2026-11-20"}))
    assert [one.action for one in made.steps] == [WAIT, DELETE]
    assert date(step(made, WAIT).until) == "2026-11-28"
    assert [one.action for one in plan(of({INVALID: "2026-11-01"})).steps] == [DELETE]


def test_the_mark_can_be_taken_off() -> None:
    made = step(plan(of()), INVALIDATE)
    item = secret()
    marked = changed(item, made.changes)
    assert marked["metadata"]["labels"] == {INVALID: "2026-11-25"}
    assert not_before(marked, 60, NOW) == NOW + 60
    assert changed(marked, undone(made.changes)) == {
        **item,
        "metadata": {**item["metadata"], "labels": {}},
    }


@pytest.mark.parametrize("name", [USED, INVALID])
def test_a_label_that_is_no_date_keeps_it_from_being_deleted(name: str) -> None:
    made = plan(of({INVALID: "2026-01-01", name: "lately"}))
    assert step(made, DELETE).blocked == (f"its label {name} is no date: lately",)


def test_what_somebody_would_make_anew_is_marked_and_not_deleted() -> None:
    found = of({"app.kubernetes.io/managed-by": "Helm"})
    made = plan(found)
    assert actions(made) == ["invalidate secret/t"]
    assert "Helm keeps it and would make it anew" in step(made, DELETE).blocked[0]


def test_what_is_on_its_way_out_has_its_users_moved_all_the_same() -> None:
    leaving = secret(deletionTimestamp="2026-11-25T11:00:00Z")
    made = plan(stock(account("secrets: [{name: t}]"), workload(), secrets=[leaving]))
    assert [one.action for one in made.steps] == [PATCH, ROLLOUT, VERIFY]
    assert [why for _, why in made.left] == ["it is being deleted"]


def test_what_is_openshifts_is_left_alone_and_so_are_its_users() -> None:
    mine = secret(annotations={"openshift.io/internal-registry-auth-token.binding": "legacy"})
    made = plan(stock(account("secrets: [{name: t}]"), workload(), secrets=[mine]))
    assert not made.steps
    assert [ref.name for ref, _ in made.left] == ["t"]


@pytest.mark.parametrize(
    ("labels", "annotations", "grace", "when"),
    [
        ({}, {}, 0, INFINITY),  # not marked
        ({INVALID: "soon"}, {}, 0, INFINITY),
        ({INVALID: "2026-11-20", USED: "soon"}, {}, 0, INFINITY),
        # a day counts as a whole
        ({INVALID: "2026-11-20"}, {}, 60, seconds("2026-11-21T00:01:00Z")),
        # but not what is still to come of it
        ({INVALID: "2026-11-25"}, {}, 60, NOW + 60),
        # where the moment is known
        (
            {INVALID: "2026-11-20"},
            {"satoken/invalid-since": "2026-11-20T08:00:00Z"},
            60,
            seconds("2026-11-20T08:01:00Z"),
        ),
        # of another mark than this
        (
            {INVALID: "2026-11-20"},
            {"satoken/invalid-since": "2026-11-18T08:00:00Z"},
            60,
            seconds("2026-11-21T00:01:00Z"),
        ),
        ({INVALID: "2026-11-20"}, {"satoken/invalid-since": "x"}, 0, seconds("2026-11-21T00:00Z")),
        # who tries to use it begins the time anew
        ({INVALID: "2026-11-20", USED: "2026-11-22"}, {}, 0, seconds("2026-11-23T00:00:00Z")),
        ({INVALID: "2026-11-20", USED: "2026-11-25"}, {}, DAY, NOW + DAY),
    ],
)
def test_when_a_secret_may_be_deleted(
    labels: Any, annotations: Any, grace: float, when: float
) -> None:
    assert not_before(secret(labels=labels, annotations=annotations), grace, NOW) == when


def test_a_step_goes_by_the_same_name_in_each_run() -> None:
    one, other = (step(plan(of()), INVALIDATE) for _ in range(2))
    assert one.id == other.id == "invalidate secret/t shop uid-t"
