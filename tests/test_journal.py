"""The journal of migrate: what is in it is on the disk, and what is wrong with it is told."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kubectl_satoken import journal
from kubectl_satoken.errors import SatokenError
from kubectl_satoken.journal import DONE, INTENDED, UNDONE, Journal

SERVER = "https://192.0.2.1:6443"
STEP = {"action": "patch", "name": "web"}


def opened(path: Path) -> Journal:
    return Journal(str(path), SERVER, lambda: 1_700_000_000.0)


def test_what_was_noted_is_there_for_the_next_run(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as first:
        one = first.intend(STEP)
        two = first.intend({"action": "unlist"})
        three = first.intend({"action": "invalidate"})
        first.mark(one, DONE)
        first.mark(three, UNDONE)
    with opened(tmp_path / "j") as again:
        standing = again.standing()
        assert again.intend(STEP) == three + 1
    assert [(entry.number, entry.state) for entry in standing] == [(one, DONE), (two, INTENDED)]
    assert standing[0].step == STEP
    assert standing[0].at == "2023-11-14T22:13:20Z"


def test_it_is_for_its_owner_alone_with_the_folders_it_is_in(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        opened(tmp_path / "state" / "own" / "j").close()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state" / "own" / "j").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state" / "own").stat().st_mode) == 0o700


def test_each_line_is_on_the_disk_when_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with opened(tmp_path / "j") as book:
        before = len(synced)
        assert before >= 2, "the file, and the folder it is new in"
        book.intend(STEP)
        assert synced[before:] == [book.descriptor]
        book.mark(1, DONE)
        assert synced[before:] == [book.descriptor] * 2


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_last_line_that_was_cut_off_was_never_written(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "j"
    with opened(path) as book:
        book.intend(STEP)
        book.intend({"action": "unlist"})
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole[: -len(last)] + last[:kept])
    with opened(path) as again:
        assert [entry.step for entry in again.standing()] == [STEP]
        again.intend({"action": "invalidate"})
    with opened(path) as third:
        assert [entry.step["action"] for entry in third.standing()] == ["patch", "invalidate"]


def test_a_file_that_was_cut_off_at_once_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.touch(mode=0o600)
    with opened(path) as book:
        book.intend(STEP)
    path.write_bytes(b'{"apiVersion":"sato')
    with opened(path) as book:
        assert book.standing() == []
    assert json.loads(path.read_text())["kind"] == "MigrationJournal"


HEAD = json.dumps({"apiVersion": "satoken/v1", "kind": "MigrationJournal", "server": SERVER})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("hello\n", "line 1: it is not a JSON object"),
        ("[]\n", "line 1: it is not a JSON object"),
        ('{"kind": "List"}\n', "line 1: it does not begin as a journal of migrate does"),
        (HEAD.replace("v1", "v9") + "\n", "line 1: it is of another version than satoken/v1"),
        (HEAD + "\nx\n", "line 2: it is not a JSON object"),
        (HEAD + '\n{"number": 1}\n', "line 2: it is no step"),
        (HEAD + '\n{"number": 1, "state": "done", "at": ""}\n', "line 2: it is no step"),
        (HEAD + '\n{"number": 1, "state": "lost", "at": ""}\n', "line 2: it is no step"),
        (HEAD + '\n{"number": 1, "state": "intended", "at": "", "step": 1}\n', "it is no step"),
        (b"\xff\xfe\n", "line 1: it is not a JSON object"),
    ],
)
def test_what_cannot_be_understood_is_told_by_line(
    tmp_path: Path, content: str | bytes, why: str
) -> None:
    path = tmp_path / "j"
    path.touch(mode=0o600)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    with pytest.raises(SatokenError) as caught:
        opened(path)
    assert why in caught.value.message
    assert str(path) in caught.value.message
    assert "move the file away" in caught.value.hint
    assert path.read_bytes() == before


def test_the_journal_of_another_cluster_is_not_taken(tmp_path: Path) -> None:
    opened(tmp_path / "j").close()
    with pytest.raises(SatokenError) as caught:
        Journal(str(tmp_path / "j"), "https://other:6443", lambda: 0.0)
    assert f"is the journal of a migration on {SERVER}" in caught.value.message


@pytest.mark.skipif(os.name == "nt", reason="modes of Unix")
@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
def test_what_others_may_have_written_is_not_followed(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "j"
    opened(path).close()
    path.chmod(mode)
    with pytest.raises(SatokenError) as caught:
        opened(path)
    assert f"mode {mode:04o}" in caught.value.message


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "j").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SatokenError, match="cannot write"):
        opened(tmp_path / "j")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("path", ["", "folder"])
def test_a_place_that_is_no_file_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SatokenError, match="cannot write|regular file"):
        opened(tmp_path / path)


def test_two_at_once_do_not_write_into_one_another(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with opened(path):
        with pytest.raises(SatokenError, match="another migrate is at work") as caught:
            opened(path)
        assert caught.value.hint
    opened(path).close()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "j"
    code = (
        "import os, sys; from kubectl_satoken.journal import Journal; "
        f"j = Journal({str(path)!r}, {SERVER!r}, lambda: 0.0); j.intend({{'action': 'patch'}}); "
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -9
    with opened(path) as again:
        assert [entry.step["action"] for entry in again.standing()] == ["patch"]


def test_a_full_disk_is_an_error_before_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "j") as book:
        monkeypatch.setattr(os, "write", lambda fd, data: len(data) // 2)
        with pytest.raises(SatokenError, match="cannot write .*no space left"):
            book.intend(STEP)
        assert book.standing() == []


def test_where_it_is_kept() -> None:
    def at(**environ: str) -> str | None:
        return journal.default_path(environ, SERVER)

    home = at(HOME="/home/jane")
    assert home
    assert home.startswith("/home/jane/.local/state/kubectl-satoken/migrate-")
    assert at(HOME="/home/jane", XDG_STATE_HOME="/state") == home.replace(
        "/home/jane/.local/state", "/state"
    )
    assert at(HOME="/home/jane", XDG_STATE_HOME="not/absolute") == home
    assert journal.default_path({"HOME": "/home/jane"}, "https://other:6443") != home
    assert at() is None
