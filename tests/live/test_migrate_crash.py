"""migrate is killed before and after every single write: no pod is ever without a token that is
taken, and what another run makes of it is what one run would have made."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster import Cluster
from tests.migrating import (
    Gate,
    Watch,
    gate,
    pods_run,
    rolled_out,
    run_through,
    secret,
    set_out,
    state,
    workload,
)
from tests.scenarios import Stage

# Namespaces in which runs are at work at once; most of the time is waiting.
AT_ONCE = 3

FORWARD = ("sa/web", "--apply", "--yes", "--grace", "0s")
BACK = ("sa/web", "--undo", "--yes")

JWT = re.compile(r"eyJ[\w-]{10,}|ZXlK[\w-]{10,}")


class Place(NamedTuple):
    """A namespace with a workload, its watched pods, and the gate that runs go through."""

    stage: Stage
    gate: Gate
    watch: Watch
    before: Any


@contextmanager
def place(cluster: Cluster, folder: Path) -> Iterator[Place]:
    """Two Deployments that use one Secret, of which one is scaled to zero."""
    folder.mkdir(parents=True)
    stage = Stage(cluster, folder)
    stage.open()
    try:
        set_out(stage, secret(), workload(), workload("zero", replicas=0))
        with gate(cluster) as before_server, pods_run(stage, steady=("web",)) as watch:
            rolled_out(stage, "deployment/web", "deployment/zero")
            before = state(stage)
            through = before_server.kubeconfig(folder / "gate.kubeconfig", stage.namespace)
            own, stage.environ["KUBECONFIG"] = stage.environ["KUBECONFIG"], str(through)
            watch.start()
            yield Place(stage, before_server, watch, before)
            stage.environ["KUBECONFIG"] = own
            journal = next((folder / ".local" / "state").rglob("*.jsonl"), None)
            assert journal is None or not JWT.search(journal.read_text())
    finally:
        stage.close()


def run(at: Place, *words: str, status: int = 0) -> str:
    """A run that must come to its end."""
    done = run_through(at.gate, at.stage, *words)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert not JWT.search(done.stdout + done.stderr)
    return done.stdout


def killed(at: Place, number: int, when: str, *words: str) -> None:
    """A run that is killed at its write of that number."""
    so_far = len(at.gate.writes)
    at.gate.at[so_far + number] = when
    done = run_through(at.gate, at.stage, *words)
    assert done.returncode == -9, (number, when, done.stdout, done.stderr)
    assert len(at.gate.writes) == so_far + number, "while it waits, nothing else is written"
    assert not at.gate.at


class Known(NamedTuple):
    """What uninterrupted runs come to: how many writes there and back, and the state at the end."""

    there: int
    back: int
    after: Any


@pytest.fixture(scope="module")
def known(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """An uninterrupted run there, and one back."""
    with place(cluster, tmp_path_factory.mktemp("known") / "w") as at:
        run(at, *FORWARD)
        there = len(at.gate.writes)
        after = state(at.stage)
        assert "secrets/web-token" not in after
        assert "web-token" not in str(after["deployments/web"]["spec"])
        run(at, *BACK)
        assert state(at.stage) == at.before
        assert at.watch.asked["legacy"]
        assert at.watch.asked["bound"]
        # two templates, the account, the mark, the Secret
        assert [write.method for write in at.gate.writes[:there]] == ["PATCH"] * 4 + ["DELETE"]
        return Known(there, len(at.gate.writes) - there, after)


def crash_there(at: Place, known: Known, number: int, when: str) -> None:
    """Killed on the way there: one run goes on; and once more: another takes it back."""
    killed(at, number, when, *FORWARD)
    run(at, *FORWARD)
    assert state(at.stage) == known.after, (number, when)
    run(at, *BACK)
    assert state(at.stage) == at.before, (number, when)
    killed(at, number, when, *FORWARD)
    run(at, *BACK)
    assert state(at.stage) == at.before, (number, when)


def crash_back(at: Place, known: Known, number: int, when: str) -> None:
    """Killed on the way back: the next run takes the rest back."""
    run(at, *FORWARD)
    assert state(at.stage) == known.after
    killed(at, number, when, *BACK)
    run(at, *BACK)
    assert state(at.stage) == at.before, (number, when)


def test_killed_at_every_write(cluster: Cluster, known: Known, tmp_path: Path) -> None:
    cases = [
        (crash, number, when)
        for crash, writes in ((crash_there, known.there), (crash_back, known.back))
        for number in range(1, writes + 1)
        for when in ("before", "after")
    ]
    # while it waits for pods with, and for pods without, the Secret
    cases += [(crash_there, 1, "later"), (crash_back, known.back, "later")]

    def work(share: int) -> None:
        with place(cluster, tmp_path / f"{share}") as at:
            for crash, number, when in cases[share::AT_ONCE]:
                crash(at, known, number, when)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one in [pool.submit(work, share) for share in range(AT_ONCE)]:
            one.result()


def test_killed_again_and_again(cluster: Cluster, known: Known, tmp_path: Path) -> None:
    """Each run comes no further than one write, and all of them together to the end."""
    with place(cluster, tmp_path / "w") as at:
        for _ in range(known.there):
            killed(at, 1, "after", *FORWARD)
        run(at, *FORWARD)
        assert state(at.stage) == known.after
        for _ in range(known.back):
            killed(at, 1, "after", *BACK)
        run(at, *BACK)
        assert state(at.stage) == at.before


@pytest.mark.parametrize("what", ["conflict", "cut"])
def test_a_write_that_is_not_answered_well_is_looked_after(
    cluster: Cluster, known: Known, tmp_path: Path, what: str
) -> None:
    """At every write in turn somebody else was quicker, or the answer is lost."""
    with place(cluster, tmp_path / "w") as at:
        at.gate.at = dict.fromkeys(turns(what, known.there), what)
        run(at, *FORWARD)
        assert not at.gate.at
        assert state(at.stage) == known.after
        so_far = len(at.gate.writes)
        # the first makes a Secret again, which meets a conflict where a quota is just counted
        at.gate.at = {so_far + turn: what for turn in turns(what, known.back)}
        run(at, *BACK)
        assert not at.gate.at
        assert at.gate.writes[so_far].method == "POST"
        assert state(at.stage) == at.before


def test_a_secret_that_somebody_else_makes_again_at_the_same_time(
    cluster: Cluster, known: Known, tmp_path: Path
) -> None:
    """It is that one then: no second is made, and it is waited for as for one of ours."""
    with place(cluster, tmp_path / "w") as at:
        run(at, *FORWARD)
        assert state(at.stage) == known.after
        so_far = len(at.gate.writes)
        at.gate.at = {so_far + 1: "taken"}
        said = run(at, *BACK)
        assert not at.gate.at
        methods = [write.method for write in at.gate.writes[so_far:]]
        assert methods == ["POST"] + ["PATCH"] * (known.back - 1)
        assert "delete secret/web-token taken back: made anew" in " ".join(said.split())
        assert state(at.stage) == at.before


def turns(what: str, writes: int) -> range:
    """The writes to be disturbed, where each that meets a conflict is sent once more."""
    return range(1, 2 * writes, 2) if what == "conflict" else range(1, writes + 1)
