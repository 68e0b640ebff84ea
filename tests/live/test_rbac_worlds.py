"""rbac.py and who.py against SubjectAccessReview: worlds of roles and bindings, many questions.

Each world is drawn by hypothesis and so can shrink; the questions about it are drawn from a seed
that belongs to it. RBAC_CASES=200000 asks for more than the usual number of cases.
"""

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubectl_satoken.authorize import Account, granting
from kubectl_satoken.cluster import Api
from kubectl_satoken.env import Env
from kubectl_satoken.kinds import Type
from kubectl_satoken.live import ClusterWorld
from kubectl_satoken.manifests import ManifestWorld
from kubectl_satoken.question import Asked
from kubectl_satoken.rbac import Attributes, Granting, Question, allows, grants
from kubectl_satoken.selectors import selects
from kubectl_satoken.who import find, members_of
from kubectl_satoken.world import Kind, Unseen
from tests.cluster import Cluster
from tests.live.reviews import review, reviewed
from tests.scenarios import Stage

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
SUBJECT_GROUP = {"apiGroup": GROUP}

CASES = int(os.environ.get("RBAC_CASES", "20000"))
QUESTIONS = 500  # about each world
WORLDS = CASES // QUESTIONS

ROOMS = ("one", "two")  # namespaces, by what is added to that of the stage

VERBS = ("get", "list", "create", "*", "*", "GET", "deletecollection")
GROUPS = ("", "apps", "*", "*", "core", "example.org")
ENTRIES = ("pods", "pods/log", "*", "*/log", "pods/*", "deployments", "Pods", "widgets/status")
NAMES = ("x", "y", "*")
PATHS = ("/a", "/a/", "/a/b", "/a*", "/a/*", "/*/b", "*", "a")
LABELS = ("true", "True", "yes")


def some(words: tuple[str, ...], most: int = 2) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=most, unique=True)


@st.composite
def rules(draw: st.DrawFn, urls: bool) -> dict[str, Any]:
    """A rule that the API server takes."""
    if urls and draw(st.integers(0, 3)) == 0:
        return {"verbs": draw(some(VERBS)), "nonResourceURLs": draw(some(PATHS))}
    rule: dict[str, Any] = {
        "verbs": draw(some(VERBS, 3)),
        "apiGroups": draw(some(GROUPS)),
        "resources": draw(some(ENTRIES, 3)),
    }
    if draw(st.integers(0, 2)) == 0:
        rule["resourceNames"] = draw(some(NAMES))
    return rule


@st.composite
def subjects(draw: st.DrawFn, wide: bool) -> dict[str, Any]:
    """A subject that the API server takes, right or nearly."""
    kind = draw(st.sampled_from(["ServiceAccount"] * 3 + ["User", "Group"]))
    room, name = (
        draw(st.sampled_from(ROOMS)),
        draw(st.sampled_from(("web", "web", "web", "job", "default", "wep"))),
    )
    if kind == "ServiceAccount":
        subject = {"kind": kind, "name": name}
        if wide or draw(st.booleans()):
            subject["namespace"] = room
        return subject
    if kind == "User":
        users = (f"system:serviceaccount:{room}:{name}", name, f"{room}:{name}")
        return {"kind": kind, **SUBJECT_GROUP, "name": draw(st.sampled_from(users))}
    groups = (
        "system:serviceaccounts",
        f"system:serviceaccounts:{room}",
        f"system:serviceaccount:{room}",
        "system:authenticated",
        "system:unauthenticated",
    )
    return {"kind": kind, **SUBJECT_GROUP, "name": draw(st.sampled_from(groups))}


@st.composite
def worlds(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Roles and bindings; rooms and names still stand for those of one run."""
    objects: list[dict[str, Any]] = []
    cluster_roles = draw(st.integers(1, 4))
    for number in range(cluster_roles):
        item: dict[str, Any] = {"kind": "ClusterRole", "metadata": {"name": f"c{number}"}}
        if number and draw(st.integers(0, 2)) == 0:
            key = draw(st.sampled_from(("up", "side")))
            if draw(st.booleans()):
                selector: dict[str, Any] = {"matchLabels": {key: "true"}}
            else:
                values = draw(some(LABELS))
                expression = {"key": key, "operator": "In", "values": values}
                selector = {"matchExpressions": [expression]}
            item["aggregationRule"] = {"clusterRoleSelectors": [selector]}
        else:
            item["rules"] = draw(st.lists(rules(urls=True), min_size=2, max_size=6))
        keys = draw(st.lists(st.sampled_from(("up", "side")), max_size=1))
        item["metadata"]["labels"] = {key: draw(st.sampled_from(LABELS)) for key in keys}
        objects.append(item)
    for room in ROOMS:
        for number in range(draw(st.integers(0, 2))):
            metadata = {"name": f"r{number}", "namespace": room}
            given = draw(st.lists(rules(urls=False), min_size=1, max_size=5))
            objects.append({"kind": "Role", "metadata": metadata, "rules": given})
    for number in range(draw(st.integers(6, 14))):
        wide = draw(st.integers(0, 2)) == 0
        room = "" if wide else draw(st.sampled_from(ROOMS))
        role_kind = "ClusterRole" if wide or draw(st.booleans()) else "Role"
        # one number more than there are: some refer to nothing
        last = cluster_roles if role_kind == "ClusterRole" else 2
        name = f"{role_kind[0].lower()}{draw(st.integers(0, last))}"
        metadata = {"name": f"b{number}", **({"namespace": room} if room else {})}
        objects.append(
            {
                "kind": "ClusterRoleBinding" if wide else "RoleBinding",
                "metadata": metadata,
                "roleRef": {**SUBJECT_GROUP, "kind": role_kind, "name": name},
                "subjects": draw(st.lists(subjects(wide), min_size=1, max_size=3)),
            }
        )
    return objects


def questions(chance: random.Random, number: int) -> Iterator[tuple[Account, Question]]:
    """Who asks what."""
    for _ in range(number):
        account = Account(
            chance.choice(ROOMS), chance.choice(("web", "web", "web", "job", "default", "gone"))
        )
        verb = chance.choice(("get", "list", "create", "deletecollection", "watch"))
        if chance.randrange(5) == 0:
            path = chance.choice(("/a", "/a/", "/a/b", "/ab", "/c/b", "/"))
            yield account, Question("", Attributes(verb, path=path))
            continue
        asked = Attributes(
            verb,
            chance.choice(("", "apps", "example.org")),
            chance.choice(("pods", "deployments", "widgets")),
            chance.choice(("", "", "log", "status")),
            chance.choice(("", "", "x", "z")),
        )
        yield account, Question(chance.choice((*ROOMS, *ROOMS, "")), asked)


class Run:
    """A place for worlds on the cluster, one after the other."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.api: Api = stage.api()
        self.number = 0
        self.cases = self.allowed = self.compared = 0
        self.rooms = {room: f"{stage.namespace}-{room}" for room in ROOMS}

    def put(self, item: dict[str, Any]) -> dict[str, Any]:
        """Makes an object in the cluster."""
        metadata = item["metadata"]
        plural = item["kind"].lower() + "s"
        where = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        body = {"apiVersion": f"{GROUP}/v1", **item}
        made: dict[str, Any] = self.api.request("POST", f"{RBAC}{where}/{plural}", body)
        return made

    def named(self, value: Any) -> Any:
        """A drawn value with the names of this run, and of this world."""
        if isinstance(value, dict):
            return {key: self.named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.named(each) for each in value]
        if isinstance(value, str):
            for room, name in self.rooms.items():
                if value == room or f":{room}" in value:
                    return value.replace(room, name)
                if value.startswith(f"{room}:"):
                    return value.replace(room, name)
        return value

    def build(self, objects: list[dict[str, Any]]) -> None:
        """Makes a world, and waits until it is in force."""
        self.number += 1
        mine = f"{self.stage.namespace}-{self.number}"
        for drawn in objects:
            item = self.named(drawn)
            metadata = {**item["metadata"]}
            labels = {f"{key}-{mine}": value for key, value in metadata.pop("labels", {}).items()}
            metadata["name"] = f"{mine}-{metadata['name']}"
            metadata["labels"] = {**labels, "worlds": self.stage.namespace}
            item = {**item, "metadata": metadata}
            if "roleRef" in item:
                name = f"{mine}-{item['roleRef']['name']}"
                item["roleRef"] = {**item["roleRef"], "name": name}
            for selector in (item.get("aggregationRule") or {}).get("clusterRoleSelectors", []):
                for key in list(selector.get("matchLabels", {})):
                    selector["matchLabels"][f"{key}-{mine}"] = selector["matchLabels"].pop(key)
                for expression in selector.get("matchExpressions", []):
                    expression["key"] += f"-{mine}"
            self.put(item)
        self.wait_for_aggregation()
        self.witness(True)

    def wait_for_aggregation(self) -> None:
        """Waits until each aggregated role has the rules of those that it takes in."""
        end = time.monotonic() + 20
        while True:
            roles = self.listed("clusterroles")
            if all(self.gathered(role, roles) for role in roles if role.get("aggregationRule")):
                return
            assert time.monotonic() < end, "aggregation did not end"
            time.sleep(0.02)

    def gathered(self, role: dict[str, Any], roles: list[dict[str, Any]]) -> bool:
        """Whether an aggregated role has the rules of those that it takes in."""
        wanted: list[Any] = []
        for other in roles:
            labels = other["metadata"].get("labels") or {}
            chosen = role["aggregationRule"]["clusterRoleSelectors"]
            if other is not role and any(selects(one, labels) for one in chosen):
                wanted += other.get("rules") or []
        there = role.get("rules") or []
        return all(rule in there for rule in wanted) and all(rule in wanted for rule in there)

    def listed(self, plural: str, room: str = "") -> list[dict[str, Any]]:
        """The objects of this test, of one kind."""
        where = f"/namespaces/{self.rooms[room]}" if room else ""
        query = [("labelSelector", f"worlds={self.stage.namespace}")]
        found = self.api.request("GET", f"{RBAC}{where}/{plural}", query=query)
        return list(found.get("items") or [])

    def witness(self, there: bool) -> None:
        """Waits until the last word of each kind of object is heard, of those made or deleted."""
        name = f"{self.stage.namespace}-{self.number}-zz"
        labels = {"worlds": self.stage.namespace}
        resource = f"w{self.number}"
        rule = {"apiGroups": ["witness.example"], "resources": [resource], "verbs": ["get"]}
        scopes = ["", *self.rooms.values()]
        if there:
            for scope in scopes:
                metadata = {"name": name, "labels": labels}
                metadata |= {"namespace": scope} if scope else {}
                kind = "Role" if scope else "ClusterRole"
                user = {**SUBJECT_GROUP, "kind": "User", "name": f"witness-{name}"}
                self.put({"kind": kind, "metadata": metadata, "rules": [rule]})
                self.put(
                    {
                        "kind": f"{kind}Binding",
                        "metadata": metadata,
                        "roleRef": {**SUBJECT_GROUP, "kind": kind, "name": name},
                        "subjects": [user],
                    }
                )
        end = time.monotonic() + 20
        asked = Attributes("get", "witness.example", resource)
        for scope in reversed(scopes):
            question = Question(scope, asked)
            while review(self.api, f"witness-{name}", (), question)["allowed"] is not there:
                assert time.monotonic() < end, "the authorizer did not catch up"
                time.sleep(0.005)

    def clear(self) -> None:
        """Takes a world away."""
        query = [("labelSelector", f"worlds={self.stage.namespace}")]
        for plural in ("rolebindings", "roles"):
            for room in self.rooms.values():
                path = f"{RBAC}/namespaces/{room}/{plural}"
                self.api.request("DELETE", path, query=query)
        for plural in ("clusterrolebindings", "clusterroles"):
            self.api.request("DELETE", f"{RBAC}/{plural}", query=query)
        self.witness(False)

    def asked_by(self, pair: tuple[Account, Question]) -> dict[str, Any]:
        """The API server's answer to an account."""
        return reviewed(self.api, *pair[0], pair[1])


@pytest.fixture(scope="module")
def run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    stage = Stage(cluster, tmp_path_factory.mktemp("worlds"))
    stage.open()
    run = Run(stage)
    for name in run.rooms.values():
        stage.kubectl("create", "namespace", name)
    yield run
    for name in run.rooms.values():
        stage.kubectl("delete", "namespace", name, "--wait=false")
    stage.close()


def compare(objects: list[dict[str, Any]], seed: int, run: Run) -> None:
    """Builds a world and compares every answer about it."""
    run.build(objects)
    try:
        world = ClusterWorld(run.api, Env())
        for kind in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"):
            list(world.list(kind))
        read = [
            item
            for kind in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
            for item in world.list(kind)
        ]
        files = ManifestWorld(read, "default", 0)
        chance = random.Random(seed)
        asked = [
            (Account(run.rooms[account.namespace], account.name), question)
            for account, drawn in questions(chance, QUESTIONS)
            for question in [drawn._replace(namespace=run.rooms.get(drawn.namespace, ""))]
        ]
        with ThreadPoolExecutor(4) as pool:
            theirs = list(pool.map(run.asked_by, asked))
        wrong = []
        for (account, question), status in zip(asked, theirs, strict=True):
            theirs_says, reason = status["allowed"], status.get("reason", "")
            where = [question.namespace] if question.namespace else []
            found = named(granting(world, account, question))
            ours = bool(found)
            # what the reason spares us takes nothing away
            assert not ours or found == named(
                granting(world, account, question, reason, rules=False)
            ), (account, question, reason)
            by_files = any(
                allows(grant.rules or [], question.asked) for grant in held(files, account, where)
            )
            if not ours == by_files == theirs_says:
                wrong.append((account, question, theirs_says, ours, by_files))
            run.cases += 1
            run.allowed += theirs_says
        assert wrong == []
        for (account, question), status in list(zip(asked, theirs, strict=True))[:60]:
            assert may(files, account, question) is status["allowed"], (account, question)
            run.compared += 1
    finally:
        run.clear()


def named(found: tuple[list[Granting], list[Unseen]]) -> list[tuple[str, str, str, str]]:
    """The bindings that grant something, and their roles, by name. Nothing may be unseen."""
    assert found[1] == []
    return [
        (one.binding["kind"], one.binding["metadata"]["name"], one.role["kind"])
        + (one.role["metadata"]["name"],)
        for one in found[0]
    ]


def held(files: ManifestWorld, account: Account, where: list[str]) -> Iterator[Any]:
    """The grants that files tell of; they cannot tell that there are no more."""
    with suppress(Unseen):
        yield from grants(files, *account, where)


def may(files: ManifestWorld, account: Account, question: Question) -> bool:
    """Whether who-can names an account, or a group that it is in."""
    kind = Type(Kind("Any", "v1", question.asked.resource, bool(question.namespace), ()), "any")
    found = find(files, Asked(question, kind), everywhere=False)
    for one in found.holders:
        if one.names:
            continue
        if one.kind == "ServiceAccount" and (one.namespace, one.name) == account:
            return True
        if one.kind == "Group" and members_of(one.name) in ("", account.namespace):
            return True
    return False


@settings(max_examples=WORLDS, deadline=None, suppress_health_check=list(HealthCheck))
@given(objects=worlds(), seed=st.integers(0, 1 << 32))
def ask_about_worlds(objects: list[dict[str, Any]], seed: int, run: Run) -> None:
    compare(objects, seed, run)


def test_our_answers_are_those_of_the_api_server(run: Run) -> None:
    ask_about_worlds(run=run)
    assert run.cases >= WORLDS * QUESTIONS * 0.95
    # both answers have to be common, or nothing was asked
    assert 0.05 < run.allowed / run.cases < 0.9, run.allowed / run.cases
    print(f"{run.cases} cases, {run.allowed} allowed, {run.compared} by who-can")
