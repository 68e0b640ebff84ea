"""What ends a token: the plans, over worlds in YAML, and how they are told."""

import io
import json
from typing import Any

import pytest

from kubectl_satoken import revocation, revoke, witness, writes
from kubectl_satoken.cluster import connect
from kubectl_satoken.consumers import Consumer, Found, Use
from kubectl_satoken.credentials import Credentials
from kubectl_satoken.denied import grant
from kubectl_satoken.env import Env
from kubectl_satoken.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    SatokenError,
    ServerError,
    TooOld,
    UsageError,
)
from kubectl_satoken.kubeconfig import Target
from kubectl_satoken.revocation import Result, write
from kubectl_satoken.revoke import (
    ALREADY,
    DELETE,
    IMPOSSIBLE,
    INVALIDATE,
    PLANNED,
    RECREATE,
    Plan,
    Wish,
)
from kubectl_satoken.token import LEGACY_ISSUER, Claims
from kubectl_satoken.world import Object, Ref, Unseen
from tests import faults
from tests.checks.given import ACCOUNT, NOON, world
from tests.faults import Reply, status

NOON_SECONDS = 1795348800  # NOON as a token has it
WISH = Wish()

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, uid: pod-uid}
spec: {serviceAccountName: web, nodeName: n1, containers: [{name: app, image: app}]}
---
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1, uid: node-uid}
---
"""
EMPTY_SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: lock, namespace: shop, uid: lock-uid}
type: Opaque
---
"""
FULL_SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: lock, namespace: shop, uid: lock-uid}
type: Opaque
data: {password: eA==}
---
"""
LEGACY = """
apiVersion: v1
kind: Secret
metadata:
  name: web-token
  namespace: shop
  uid: legacy-uid
  annotations: {kubernetes.io/service-account.name: web, kubernetes.io/service-account.uid: sa-web}
type: kubernetes.io/service-account-token
data: {token: eA==}
---
"""


def claims(issuer: str = "https://issuer.example", **bound: Any) -> Claims:
    """The claims of a token of serviceaccount web that is good for an hour from NOON."""
    return Claims(
        {},
        {
            "iss": issuer,
            "sub": "system:serviceaccount:shop:web",
            "aud": ["https://issuer.example"],
            "exp": NOON_SECONDS + 3600,
            "kubernetes.io": {
                "namespace": "shop",
                "serviceaccount": {"name": "web", "uid": "sa-web"},
                **bound,
            },
        },
    )


LEGACY_CLAIMS = Claims(
    {},
    {
        "iss": LEGACY_ISSUER,
        "sub": "system:serviceaccount:shop:web",
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": "web-token",
        "kubernetes.io/serviceaccount/service-account.name": "web",
        "kubernetes.io/serviceaccount/service-account.uid": "sa-web",
    },
)
TO_POD = {"pod": {"name": "web-0", "uid": "pod-uid"}}
TO_SECRET = {"secret": {"name": "lock", "uid": "lock-uid"}}
TO_NODE = {"node": {"name": "n1", "uid": "node-uid"}}


def plan(
    text: str, found: Claims, taken: bool | None = None, wish: Wish = WISH, **options: Any
) -> Plan:
    return revoke.of_token(found, "the token (stdin)", taken, world(text, **options), wish)


def fact(found: Plan, head: str) -> str:
    return next(text for name, text in found.facts if name == head)


# --- what is done ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found", "action", "name"),
    [
        (ACCOUNT + POD, claims(**TO_POD), DELETE, "web-0"),
        # the node that is named beside a pod only tells where it runs
        (ACCOUNT + POD, claims(**TO_POD, **TO_NODE), DELETE, "web-0"),
        (ACCOUNT + EMPTY_SECRET, claims(**TO_SECRET), DELETE, "lock"),
        (ACCOUNT + LEGACY, LEGACY_CLAIMS, INVALIDATE, "web-token"),
    ],
)
@pytest.mark.parametrize("taken", [True, None])
def test_what_ends_it(text: str, found: Claims, action: str, name: str, taken: bool | None) -> None:
    made = plan(text, found, taken)
    assert (made.outcome, made.action) == (PLANNED, action)
    assert made.object is not None
    assert made.object["metadata"]["name"] == name
    assert made.account == Ref("ServiceAccount", "shop", "web")


@pytest.mark.parametrize(
    ("text", "found", "says"),
    [
        (ACCOUNT, claims(), "it is bound to nothing"),
        (ACCOUNT + NODE, claims(**TO_NODE), "it is bound to node/n1, which is not deleted for a"),
        (ACCOUNT + FULL_SECRET, claims(**TO_SECRET), "only deleting secret/lock ends it"),
        (ACCOUNT, Claims({}, {"iss": "https://login", "sub": "jane"}), "its issuer https://login"),
        (ACCOUNT, Claims({}, {}), "only whoever made it"),
        (ACCOUNT, claims("https://other.example", **TO_POD), "its issuer https://other.example"),
        # the subject and the claim must be of one account
        (
            ACCOUNT,
            Claims({}, {**claims().payload, "sub": "system:serviceaccount:shop:other"}),
            "it is no token of this cluster's service accounts",
        ),
    ],
)
def test_what_nothing_ends_alone(text: str, found: Claims, says: str) -> None:
    made = plan(text, found)
    assert (made.outcome, made.action) == (IMPOSSIBLE, "")
    assert says in made.message


@pytest.mark.parametrize(
    ("text", "found", "says"),
    [
        ("", claims(), "serviceaccount web of namespace shop is not there"),
        (ACCOUNT.replace("sa-web", "new"), claims(), "is another than the one it was made for"),
        (ACCOUNT, claims(**TO_POD), "pod/web-0, which it is bound to, is not there"),
        (
            ACCOUNT + POD.replace("pod-uid", "new"),
            claims(**TO_POD),
            "pod/web-0, which it is bound to, is another than the one it was bound to",
        ),
        (ACCOUNT, claims(**TO_NODE), "node/n1, which it is bound to, is not there"),
        (ACCOUNT, LEGACY_CLAIMS, "secret/web-token, which it is from, is not there"),
        (
            ACCOUNT
            + LEGACY.replace(
                "  annotations",
                '  labels: {kubernetes.io/legacy-token-invalid-since: "2026-11-01"}\n  annotations',
            ),
            LEGACY_CLAIMS,
            "is marked invalid since 2026-11-01",
        ),
        (
            ACCOUNT,
            Claims({}, {**claims().payload, "exp": NOON_SECONDS - 7200}),
            "it expired 2h ago",
        ),
    ],
)
def test_what_has_ended_already(text: str, found: Claims, says: str) -> None:
    made = plan(text, found)
    assert (made.outcome, made.action) == (ALREADY, "")
    assert says in made.message


def test_our_clock_does_not_overrule_the_api_server() -> None:
    late = Claims({}, {**claims(**TO_POD).payload, "exp": NOON_SECONDS - 7200})
    assert plan(ACCOUNT + POD, late, taken=True).outcome == PLANNED
    other = claims("https://other.example", **TO_POD)
    assert plan(ACCOUNT + POD, other, taken=True).outcome == PLANNED, "one of several issuers"


def test_an_object_that_cannot_be_seen_is_deleted_by_the_uid_in_the_token() -> None:
    made = plan(ACCOUNT, claims(**TO_POD), unseen=("Pod",))
    assert made.action == DELETE
    assert made.object is not None
    assert made.object["metadata"]["uid"] == "pod-uid"
    assert fact(made, "not seen")
    made = plan(ACCOUNT, claims(**TO_SECRET), unseen=("Secret",))
    assert made.outcome == IMPOSSIBLE, "it may hold more"
    made = plan(ACCOUNT, claims(**TO_SECRET), unseen=("Secret",), wish=Wish(content=True))
    assert made.action == DELETE
    with pytest.raises(Forbidden, match="could not be looked at"):
        plan(ACCOUNT, LEGACY_CLAIMS, unseen=("Secret",))
    assert plan("", claims(**TO_POD), unseen=("ServiceAccount", "Pod")).action == DELETE


def test_content_is_lost_only_when_asked_for() -> None:
    made = plan(ACCOUNT + FULL_SECRET, claims(**TO_SECRET), wish=Wish(content=True))
    assert made.action == DELETE
    assert fact(made, "loses") == "secret/lock holds 1 value, lost with it"


# --- pods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pod", "wish", "within"),
    [
        (POD, WISH, 30 + 60 + 10),
        (POD.replace("nodeName: n1", "terminationGracePeriodSeconds: 5, nodeName: n1"), WISH, 75),
        (POD, Wish(grace=1), 71),
        # nothing of it runs, so it goes at once
        (POD.replace("nodeName: n1, ", ""), WISH, 10),
        (POD.replace("\n---", "\nstatus: {phase: Succeeded}\n---"), WISH, 10),
    ],
)
def test_how_long_the_token_of_a_pod_is_taken(pod: str, wish: Wish, within: int) -> None:
    made = plan(ACCOUNT + pod, claims(**TO_POD), wish=wish)
    assert (made.action, made.within) == (DELETE, within)


def test_a_pod_that_is_on_its_way_out() -> None:
    going = POD.replace("uid: pod-uid", 'uid: pod-uid, deletionTimestamp: "2026-11-22T12:00:20Z"')
    made = plan(ACCOUNT + going, claims(**TO_POD), taken=True)
    assert (made.outcome, made.within) == (ALREADY, 20 + 60 + 10)


def test_what_becomes_of_a_pod() -> None:
    assert "nothing makes again: it is lost" in fact(
        plan(ACCOUNT + POD, claims(**TO_POD)), "breaks"
    )
    assert plan(ACCOUNT + POD, claims(**TO_POD)).undo
    owner = "{apiVersion: x.org/v1, kind: Robot, name: r2, uid: r, controller: true}"
    owned = POD.replace("uid: pod-uid", f"uid: pod-uid, ownerReferences: [{owner}]")
    made = plan(ACCOUNT + owned, claims(**TO_POD))
    assert "robot.x.org/r2" in fact(made, "breaks") or "robot/r2 may make" in fact(made, "breaks")
    assert not made.undo


def test_a_legacy_token_beside_it_lives_on() -> None:
    volume = "{name: t, secret: {secretName: web-token}}"
    mounted = POD.replace("nodeName", f"volumes: [{volume}], nodeName")
    made = plan(ACCOUNT + LEGACY + mounted, claims(**TO_POD))
    assert fact(made, "stays").endswith("kubectl satoken revoke secret/web-token -n shop")


# --- accounts -------------------------------------------------------------------------------------


def test_an_account_with_its_secrets_and_handles() -> None:
    handle = """
apiVersion: v1
kind: Secret
metadata:
  name: web-token-x7k2p
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: kubectl-satoken
    app.kubernetes.io/component: token-handle
  annotations: {satoken/account: web, satoken/purpose: nightly build}
type: Opaque
---
"""
    made = revoke.of_account("shop", "web", world(ACCOUNT + LEGACY + handle + EMPTY_SECRET))
    assert (made.outcome, made.action) == (PLANNED, RECREATE)
    assert made.wanted == (
        Ref("ServiceAccount", "shop", "web"),
        Ref("Secret", "shop", "web-token"),
    )
    assert fact(made, "handle") == "web-token-x7k2p (nightly build) is of no use then"
    made = revoke.of_account("shop", "web", world(ACCOUNT, unseen=("Secret",)))
    assert "its token Secrets and handles" in fact(made, "not seen")


def test_an_account_is_made_again_without_what_goes_with_it() -> None:
    account = """
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
  uid: sa-web
  resourceVersion: "7"
  creationTimestamp: "2026-11-01T00:00:00Z"
  labels: {a: b}
  annotations: {c: d}
  managedFields: []
automountServiceAccountToken: false
secrets: [{name: web-token}, {name: lock}, {name: gone}]
imagePullSecrets: [{name: registry}]
"""
    cluster = world(f"{account}---\n{LEGACY}{EMPTY_SECRET}")
    stored = cluster.get("ServiceAccount", "shop", "web")
    assert stored is not None
    assert revoke.manifest_of(stored, cluster) == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
        },
        "automountServiceAccountToken": False,
        "secrets": [{"name": "lock"}, {"name": "gone"}],
        "imagePullSecrets": [{"name": "registry"}],
    }


def test_a_name_that_is_no_handle() -> None:
    with pytest.raises(UsageError, match="lock is no handle of mint --revocable"):
        revoke.of_handle("shop", "lock", world(EMPTY_SECRET), WISH)


# --- how it is told -------------------------------------------------------------------------------


def text(made: Plan, *consumers: Consumer, wide: bool = False, **fields: Any) -> str:
    found = Found({ref: [*consumers] for ref in made.wanted}, fields.pop("unseen", []))
    result = Result(made, found, fields.pop("outcome", made.outcome), **fields)
    return write(result, world(""), wide=wide, colour=False)


def legacy_plan(**labels: str) -> Plan:
    marked = json.dumps(labels)
    stored = LEGACY.replace("  annotations", f"  labels: {marked}\n  annotations")
    return revoke.of_secret("shop", "web-token", world(ACCOUNT + stored), WISH)


def consumer(name: str, **fields: Any) -> Consumer:
    use = Use("Secret", "web-token", "env", "spec", "TOKEN", "app")
    return Consumer("Deployment", "apps/v1", "shop", name, **{"uses": (use,), **fields})


def test_the_verdict_comes_first_and_then_who_loses_it() -> None:
    said = text(
        legacy_plan(),
        consumer("zero", state="scaled to zero"),
        consumer("web", pods=3),
        consumer("old", uses=(), revisions=2),
        consumer("over", state="finished"),
        command="kubectl satoken revoke secret/web-token -n shop --yes",
    )
    assert said.startswith(
        "would revoke: the token in secret/web-token: by marking secret/web-token\n"
        "  invalid, which can be taken back\n\n"
    )
    assert "  breaks    deployment/zero (scaled to zero): env TOKEN of app\n" in said
    assert "            deployment/web (3 pods): env TOKEN of app\n" in said
    assert "            deployment/old (an older revision only)\n" in said
    assert "  ended     1 that used it and have ended\n" in said
    assert "deployment/over" not in said
    assert all(len(line) <= 80 for line in said.splitlines() if "kubectl" not in line)


def test_many_consumers_are_cut_short() -> None:
    many = [consumer(f"web-{number:02}", pods=1) for number in range(40)]
    assert "and 30 more (-o wide shows them)" in text(legacy_plan(), *many)
    assert "web-39" in text(legacy_plan(), *many, wide=True)


@pytest.mark.parametrize(
    ("labels", "consumers", "unseen", "says"),
    [
        ({}, [], [], "nothing that is known of"),
        ({}, [], [Unseen("pods", "forbidden")], ""),
        (
            {"kubernetes.io/legacy-token-last-used": "2026-11-20"},
            [],
            [],
            "something outside the cluster used the token on 2026-11-20",
        ),
        (
            {"kubernetes.io/legacy-token-last-used": "2026-11-20"},
            [],
            [Unseen("pods", "forbidden")],
            "something used the token on 2026-11-20, and nothing that was looked at does",
        ),
        (
            {"kubernetes.io/legacy-token-last-used": "2026-11-20"},
            [consumer("web", pods=1)],
            [],
            "deployment/web (1 pod): env TOKEN of app",
        ),
    ],
)
def test_use_from_outside(
    labels: dict[str, str], consumers: list[Consumer], unseen: list[Unseen], says: str
) -> None:
    said = " ".join(text(legacy_plan(**labels), *consumers, unseen=unseen).split())
    assert (f"breaks {says}" in said) if says else ("breaks" not in said)
    assert ("not seen pods: forbidden" in said) == bool(unseen)


def test_old_servers_do_not_heed_the_mark() -> None:
    cluster = world(ACCOUNT + LEGACY)
    cluster.text = lambda path: {"major": "1", "minor": "27+"}  # type: ignore[method-assign]
    made = revoke.of_secret("shop", "web-token", cluster, WISH)
    assert made.outcome == IMPOSSIBLE
    assert "(1.27) does not heed the mark" in made.message
    assert made.further == ("kubectl -n shop delete secret web-token",)


# --- the writes -----------------------------------------------------------------------------------

STORED = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"namespace": "shop", "name": "t", "uid": "u", "resourceVersion": "7"},
}
LABEL = {"metadata": {"labels": {"k": "v"}}}


def api(server: Any) -> Any:
    target = Target(server=server.url, credentials=Credentials())
    return connect(target, Env(stderr=io.StringIO(), environ={}))


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_delete_names_the_very_object(dry_run: bool) -> None:
    with faults.serve(Reply(200, {"kind": "Status"})) as server:
        writes.delete(api(server), STORED, grace=5, dry_run=dry_run)
        writes.delete(api(server), STORED, whole=True, dry_run=dry_run)
    first, second = (json.loads(each.body) for each in server.requests)
    assert first["preconditions"] == {"uid": "u"}
    assert first["gracePeriodSeconds"] == 5
    assert second["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    for body in (first, second):
        # in the body: an API server that gets one does not look at the query
        assert body.get("dryRun") == (["All"] if dry_run else None)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_label_is_put_on_the_very_version(dry_run: bool) -> None:
    with faults.serve(Reply(200, {})) as server:
        writes.patch(api(server), STORED, LABEL, dry_run=dry_run)
    (sent,) = server.requests
    assert json.loads(sent.body)["metadata"] == {
        "uid": "u",
        "resourceVersion": "7",
        "labels": {"k": "v"},
    }
    assert sent.path.endswith("?dryRun=All") == dry_run


def test_a_write_is_not_repeated_on_its_own() -> None:
    with faults.serve(Reply(409, status(409, "Conflict", "changed"))) as server:
        with pytest.raises(Conflict):
            writes.delete(api(server), STORED)
        with pytest.raises(Conflict):
            writes.patch(api(server), STORED, LABEL)
    assert len(server.requests) == 2


MANIFEST: Object = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}},
    "imagePullSecrets": [{"name": "r"}],
}


def test_making_an_account_again_outlasts_a_server_that_is_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    broken = Reply(503, status(503, "ServiceUnavailable", "out of order"))
    with faults.serve(broken, broken, Reply(201, MANIFEST)) as server:
        assert writes.recreate(api(server), MANIFEST, "old") == MANIFEST
    assert len(server.requests) == 3
    assert all(json.loads(each.body) == MANIFEST for each in server.requests)


def test_the_account_that_a_controller_made_gets_what_ours_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    there = Reply(409, status(409, "AlreadyExists", "exists"))

    def stored(uid: str) -> Reply:
        same = {"name": "web", "namespace": "shop", "uid": uid, "resourceVersion": "9"}
        return Reply(200, {"metadata": same})

    # on its way out still, then the controller's
    with faults.serve(there, stored("old"), there, stored("new"), Reply(200, {})) as server:
        writes.recreate(api(server), MANIFEST, "old")
    patch = json.loads(server.requests[-1].body)
    assert patch["metadata"] == {**MANIFEST["metadata"], "uid": "new", "resourceVersion": "9"}
    assert patch["imagePullSecrets"] == [{"name": "r"}]
    with faults.serve(there, stored("old"), there, stored("old")) as server:
        server.replies = [there, stored("old")] * 8
        with pytest.raises(AlreadyExists):
            writes.recreate(api(server), MANIFEST, "old")


# --- the rights -----------------------------------------------------------------------------------

REFUSALS = [
    (
        'secrets "t" is forbidden: User "jane" cannot patch resource "secrets" in API group "" '
        'in the namespace "shop"',
        "kubectl -n shop create role r --verb=patch --resource=secrets --resource-name=t && "
        "kubectl -n shop create rolebinding r --role=r --user=jane",
    ),
    (
        'serviceaccounts "web" is forbidden: User "system:serviceaccount:a:b" cannot create '
        'resource "serviceaccounts/token" in API group "" in the namespace "shop"',
        "kubectl -n shop create role r --verb=create --resource=serviceaccounts/token "
        "--resource-name=web && kubectl -n shop create rolebinding r --role=r "
        "--serviceaccount=a:b",
    ),
    (
        'secrets is forbidden: User "jane" cannot create resource "secrets" in API group "" in '
        'the namespace "shop"',
        "kubectl -n shop create role r --verb=create --resource=secrets && "
        "kubectl -n shop create rolebinding r --role=r --user=jane",
    ),
    (
        'tokenreviews.authentication.k8s.io is forbidden: User "jane" cannot create resource '
        '"tokenreviews" in API group "authentication.k8s.io" at the cluster scope',
        "kubectl create clusterrole r --verb=create "
        "--resource=tokenreviews.authentication.k8s.io && "
        "kubectl create clusterrolebinding r --clusterrole=r --user=jane",
    ),
]


@pytest.mark.parametrize(("message", "commands"), REFUSALS)
def test_who_may_grant_it_is_told_how(message: str, commands: str) -> None:
    assert grant(message, "r", world("")) == f"who may grant it: {commands}"
    assert grant("admission webhook says no", "r", world("")) == ""


def test_roles_for_several_verbs_do_not_get_in_each_others_way() -> None:
    said = grant(REFUSALS[0][0], "revoke-t-{verb}", world(""))
    assert "create role revoke-t-patch " in said
    assert said.endswith("create rolebinding revoke-t-patch --role=revoke-t-patch --user=jane")


def test_hundreds_of_types_that_cannot_be_looked_at_are_one_row() -> None:
    unseen = [Unseen(f"robots{number}", "forbidden to you") for number in range(300)]
    unseen += [Unseen("jobs", "forbidden to you"), Unseen("pods", "forbidden to you")]
    said = text(legacy_plan(), unseen=unseen)
    flat = " ".join(said.split())
    assert "not seen pods, jobs, robots0, robots1, robots10, robots100 and 296 more types" in flat
    assert text(legacy_plan(), unseen=unseen, wide=True).count("forbidden to you") == 302


def test_the_time_of_these_worlds() -> None:
    assert world("").now() == NOON_SECONDS, NOON
    assert revocation.WORDS.keys() >= {PLANNED, ALREADY, IMPOSSIBLE}


# --- the token that is made to see others end -----------------------------------------------------


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            Forbidden('User "jane" cannot create resource "serviceaccounts/token" in API group ""'),
            "you may not create serviceaccounts/token",
        ),
        (TooOld("not served", code=404), "this API server makes no tokens"),
        (ServerError("not allowed", code=405), "this API server makes no tokens"),
        (
            Forbidden("admission webhook denied eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"),
            "no token could be made for that: admission webhook denied ***",
        ),
    ],
    ids=["rights", "old", "off", "policy"],
)
def test_why_there_is_no_such_token(error: SatokenError, why: str) -> None:
    assert witness.why_not(error) == why


@pytest.mark.parametrize(
    ("found", "account", "bound"),
    [
        (
            revoke.of_pod_named("shop", "web-0", world(POD), WISH),
            "web",
            ("Pod", "web-0", "pod-uid"),
        ),
        (
            # which tokens are bound to it is written nowhere: that of any account will do
            revoke.of_secret("shop", "lock", world(EMPTY_SECRET), WISH),
            "default",
            ("Secret", "lock", "lock-uid"),
        ),
        (revoke.of_account("shop", "web", world(ACCOUNT)), "web", None),
    ],
    ids=["pod", "secret", "account"],
)
def test_it_is_bound_to_what_is_to_be_deleted_and_short_lived(
    found: Plan, account: str, bound: tuple[str, str, str] | None
) -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
    asked: list[faults.Request] = []

    def reply(request: faults.Request) -> Reply:
        asked.append(request)
        return Reply(201, {"status": {"token": token}})

    with faults.serve(reply) as server:
        made = witness.make(api(server), found)
    (request,) = asked
    assert request.path == f"/api/v1/namespaces/shop/serviceaccounts/{account}/token"
    spec = json.loads(request.body)["spec"]
    assert (spec["audiences"], spec["expirationSeconds"]) == ([], 600)
    reference = spec.get("boundObjectRef")
    assert (reference and tuple(reference[key] for key in ("kind", "name", "uid"))) == bound
    assert token not in repr(made)
    assert f"a token of serviceaccount {account} that was made for this" in made.fact[1]
