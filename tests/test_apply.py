"""How migrate applies and takes back: what stands in the journal when, in which order, for what.

The server here is a loopback that stores one object, to look at the journal at the moment of each
write; what Kubernetes makes of all that is for tests/live.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kubectl_satoken import apply, undo
from kubectl_satoken.apply import Site, Stopped, manifest_of, read_step, recorded, way_back
from kubectl_satoken.changes import Change, Key, as_json, changed
from kubectl_satoken.cluster import connect
from kubectl_satoken.env import Env
from kubectl_satoken.errors import SatokenError
from kubectl_satoken.fixes import dumps
from kubectl_satoken.journal import DONE, INTENDED, UNDONE, Entry, Journal
from kubectl_satoken.kubeconfig import Overrides, load
from kubectl_satoken.plan import DELETE, INVALIDATE, PATCH, UNLIST, Plan, Step, Subject
from kubectl_satoken.undo import noted, to_undo
from kubectl_satoken.world import KINDS, Ref
from tests import faults

VOLUME = {"name": "token", "secret": {"secretName": "web-token"}}
PATH = ("spec", "template", "spec", "volumes", Key("name", "token"))
CHANGE = Change(PATH, VOLUME, None, 0)
ONE, TWO, THREE = (Ref("Secret", "shop", name) for name in ("web-token", "two", "three"))


def subject(kind: str = "CronJob", name: str = "web", uid: str = "u1") -> Subject:
    return Subject(KINDS[kind], "shop", name, uid, "1")


def patch(*secrets: Ref, uid: str = "u1") -> Step:
    return Step(PATCH, subject(uid=uid), secrets or (ONE,), "because", (CHANGE,))


def workload() -> Any:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "1"},
        "spec": {"template": {"spec": {"containers": [], "volumes": [deepcopy(VOLUME)]}}},
    }


class Store:
    """One object behind an API; ``before`` is asked before each request that writes."""

    def __init__(self) -> None:
        self.item = workload()
        self.writes: list[tuple[str, bool]] = []
        self.before: Callable[[str, bool], faults.Reply | None] = lambda method, dry: None

    def reply(self, request: faults.Request) -> faults.Reply:
        if request.method == "GET":
            return faults.Reply(200, self.item)
        dry = "dryRun=All" in request.path
        answer = self.before(request.method, dry)
        self.writes.append((request.method, dry))
        if answer is not None:
            return answer
        body = json.loads(request.body)
        assert body["metadata"]["uid"] == "u1"
        assert body["metadata"]["resourceVersion"] == self.item["metadata"]["resourceVersion"]
        new = {**self.item, "spec": {"template": {"spec": {"containers": []}}}}
        if not dry:
            self.item = {
                **new,
                "metadata": {**new["metadata"], "resourceVersion": f"{len(self.writes) + 1}"},
            }
        return faults.Reply(200, new)


@contextmanager
def site(tmp_path: Path) -> Iterator[tuple[Site, Store]]:
    store = Store()
    with faults.serve(store.reply) as server:
        config = tmp_path / "config"
        config.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": {"server": server.url}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
                    "current-context": "c",
                }
            )
        )
        env = Env(io.StringIO(), io.StringIO(), io.StringIO(), {"HOME": str(tmp_path)})
        api = connect(load(Overrides(kubeconfig=str(config)), env), env)
        with Journal(str(tmp_path / "journal"), server.url, env.now) as journal:
            yield Site(api, env, journal, 0, sleep=lambda seconds: None), store


def lines(tmp_path: Path) -> list[str]:
    """The states in the journal, as they are on the disk."""
    written = (tmp_path / "journal").read_text().splitlines()[1:]
    return [json.loads(line)["state"] for line in written]


def events(steps: list[Step], at: Site) -> list[tuple[str, str]]:
    found = [(one.step.action, one.state) for one in apply.run(Plan(tuple(steps), ()), at)]
    return [one for one in found if one[1] != apply.BEGUN]


# --- forward --------------------------------------------------------------------------------------


def test_a_write_is_tried_then_noted_then_sent_then_noted_as_done(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        seen: list[tuple[bool, list[str]]] = []

        def look(method: str, dry: bool) -> None:
            seen.append((dry, lines(tmp_path)))

        store.before = look
        assert events([patch()], at) == [(PATCH, apply.DONE_NOW)]
        assert seen == [(True, []), (False, [INTENDED])]
        assert lines(tmp_path) == [INTENDED, DONE]


def test_what_is_made_already_is_not_written(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        store.item["spec"]["template"]["spec"].pop("volumes")
        assert events([patch()], at) == [(PATCH, apply.ALREADY)]
        assert store.writes == []
        assert lines(tmp_path) == []


def test_nothing_is_sent_that_could_not_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path) as (at, store):
        monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError(5, "broken")))
        with pytest.raises(Stopped, match="cannot write"):
            events([patch()], at)
        assert store.writes == [("PATCH", True)]


def test_what_was_refused_is_not_to_be_taken_back(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        refused = faults.Reply(403, faults.status(403, "Forbidden", "no"))
        store.before = lambda method, dry: None if dry else refused
        with pytest.raises(Stopped, match="patch cronjob/web: no"):
            events([patch()], at)
        assert lines(tmp_path) == [INTENDED, UNDONE]
        assert at.journal.standing() == []


@pytest.mark.parametrize("reply", [faults.Reply(500), faults.Reply(cut="before")])
def test_what_was_cut_off_is_left_open(tmp_path: Path, reply: faults.Reply) -> None:
    with site(tmp_path) as (at, store):
        store.before = lambda method, dry: None if dry else reply
        with pytest.raises(Stopped):
            events([patch()], at)
        (entry,) = at.journal.standing()
        assert entry.state == INTENDED


def test_an_object_that_keeps_changing_is_looked_at_again_and_given_up_in_the_end(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as (at, store):
        busy = faults.Reply(409, faults.status(409, "Conflict", "the object has been modified"))
        left = [busy, busy]
        store.before = lambda method, dry: left.pop() if left and not dry else None
        assert events([patch()], at) == [(PATCH, apply.DONE_NOW)]
        assert [one.state for one in at.journal.entries.values()] == [UNDONE, UNDONE, DONE]
    other = tmp_path / "other"
    other.mkdir()
    with site(other) as (at, store):
        store.before = lambda method, dry: busy
        with pytest.raises(Stopped, match="modified"):
            events([patch()], at)
        assert len(store.writes) == apply.TRIES


def test_what_somebody_else_has_changed_is_left(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        store.item["spec"]["template"]["spec"]["volumes"][0]["secret"]["optional"] = True
        with pytest.raises(Stopped, match=r"volumes\[name=token\] is not what it was"):
            events([patch()], at)
        assert store.writes == []


def test_what_somebody_has_changed_back_keeps_its_secret(tmp_path: Path) -> None:
    """Even without pods: those that it will have need the token."""
    with site(tmp_path) as (at, store):
        mark = Step(INVALIDATE, subject("Secret", "web-token"), (ONE,), "")
        with pytest.raises(apply.TakenBack, match="cronjob/web back: it uses web-token again"):
            apply.confirm_given_up(mark, [patch()], at)
        apply.confirm_given_up(mark._replace(secrets=(TWO,)), [patch()], at)
        apply.confirm_given_up(mark, [patch(uid="another")], at)
        store.item["spec"]["template"]["spec"].pop("volumes")
        apply.confirm_given_up(mark, [patch()], at)


def test_what_was_made_anew_is_left(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        store.item["metadata"]["uid"] = "u2"
        with pytest.raises(Stopped, match="was made anew since it was looked at"):
            events([patch()], at)
        assert store.writes == []


def test_what_is_blocked_holds_back_what_follows_for_its_secrets_only(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        held = patch(ONE)._replace(blocked=("Helm keeps it",))
        after = Step(DELETE, subject("Secret"), (ONE,), "")
        free = patch(TWO)
        found = list(apply.run(Plan((held, after, free), ()), at))
        told = [(one.step, one.state, one.message) for one in found if one.state != apply.BEGUN]
        assert told == [
            (held, apply.HELD, "Helm keeps it"),
            (after, apply.HELD, "Helm keeps it"),
            (free, apply.DONE_NOW, ""),
        ]


# --- the journal's steps --------------------------------------------------------------------------


def test_a_step_in_the_journal_is_read_as_it_was() -> None:
    step = patch(ONE, TWO)
    entry = Entry(1, json.loads(json.dumps(recorded(step, step.changes))), DONE, "")
    assert read_step(entry) == step._replace(why="")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", ["CronJob"]),
        ("type", None),
        ("changes", [{}]),
        ("changes", [{"path": [1], "before": None, "after": None}]),
        ("changes", 7),
        ("secrets", [["shop"]]),
        ("action", "explode"),
    ],
)
def test_a_step_that_makes_no_sense_is_told_by_number(field: str, value: Any) -> None:
    line = {**recorded(patch(), (CHANGE,)), field: value}
    with pytest.raises(SatokenError, match="step 7 of the journal cannot be understood"):
        read_step(Entry(7, line, DONE, ""))


def test_no_token_gets_into_the_journal_with_a_secret() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
    secret: Any = {
        "metadata": {
            "name": "web-token",
            "namespace": "shop",
            "labels": {"team": "web", "kubernetes.io/legacy-token-invalid-since": "2026-11-25"},
            "annotations": {
                "kubernetes.io/service-account.name": "web",
                "kubernetes.io/service-account.uid": "u",
                "openshift.io/token-secret.value": token,
                "kubectl.kubernetes.io/last-applied-configuration": f'{{"data": "{token}"}}',
                "copy": token,
                "owner": "jane",
            },
        }
    }
    manifest = manifest_of(secret)
    assert token not in json.dumps(manifest)
    assert manifest["metadata"] == {
        "name": "web-token",
        "namespace": "shop",
        "labels": {"team": "web"},
        "annotations": {"kubernetes.io/service-account.name": "web", "owner": "jane"},
    }


# --- back -----------------------------------------------------------------------------------------


def test_steps_are_taken_back_from_the_last_with_all_that_hangs_together(tmp_path: Path) -> None:
    with site(tmp_path) as (at, _):
        journal = at.journal
        alone = journal.intend(recorded(Step(INVALIDATE, subject("Secret"), (THREE,), ""), ()))
        first = journal.intend(recorded(patch(ONE)))
        both = journal.intend(recorded(patch(ONE, TWO, uid="u2")))
        second = journal.intend(recorded(Step(INVALIDATE, subject("Secret"), (TWO,), ""), ()))
        over = journal.intend(recorded(patch(ONE, uid="u3")))
        journal.mark(over, UNDONE)
        assert [back.number for back in to_undo([ONE], journal)] == [second, both, first]
        assert [back.number for back in to_undo([THREE], journal)] == [alone]
        assert to_undo([Ref("Secret", "other", "web-token")], journal) == []


def test_without_a_journal_the_objects_tell() -> None:
    note = {"satoken/migrated": dumps(as_json([CHANGE]))}
    entry = Change(("secrets", Key("name", "web-token")), {"name": "web-token"}, None, 0)
    account = {
        "kind": "ServiceAccount",
        "metadata": {
            **workload()["metadata"],
            "annotations": {"satoken/migrated": dumps(as_json([entry]))},
        },
    }
    marked: Any = {
        "kind": "Secret",
        "metadata": {
            **workload()["metadata"],
            "name": "web-token",
            "labels": {"kubernetes.io/legacy-token-invalid-since": "2026-11-25"},
            "annotations": {"satoken/invalid-since": "2026-11-25T10:00:00Z"},
        },
    }
    item = workload()
    item["metadata"]["annotations"] = note
    items = [
        (KINDS["CronJob"], item),
        (KINDS["CronJob"], workload()),
        (KINDS["ServiceAccount"], account),
        (KINDS["Secret"], marked),
    ]
    found = noted([ONE], items)
    # the token must be good again before a pod gets it
    assert [back.step.action for back in found] == [INVALIDATE, UNLIST, PATCH]
    assert [back.step.secrets for back in found] == [(ONE,)] * 3
    assert noted([TWO], items) == []
    # what others have marked, as revoke does, is not ours to take back
    del marked["metadata"]["annotations"]
    assert [back.step.action for back in noted([ONE], items)] == [UNLIST, PATCH]


def test_what_another_migration_noted_in_an_object_stays_there() -> None:
    other = Change(("spec", "x"), 1, None)
    item = workload()
    item["spec"]["template"]["spec"].pop("volumes")
    item["metadata"]["annotations"] = {"satoken/migrated": dumps(as_json([CHANGE, other]))}
    back = changed(item, way_back((CHANGE,), item))
    assert back["spec"]["template"]["spec"]["volumes"] == [VOLUME]
    assert back["metadata"]["annotations"] == {"satoken/migrated": dumps(as_json([other]))}
    again = changed(back, way_back((CHANGE, other), back))
    assert again["metadata"].get("annotations", {}) == {}


def test_a_way_back_that_is_cut_off_leads_on_from_there(tmp_path: Path) -> None:
    with site(tmp_path) as (at, store):
        step = patch()
        number = at.journal.intend(recorded(step, step.changes))
        # it had never arrived: the object is as before, and nothing is to be written
        done = list(undo.undo(to_undo([ONE], at.journal), at))
        assert done[-1].state == apply.BACK
        assert store.writes == []
        assert at.journal.entries[number].state == UNDONE
