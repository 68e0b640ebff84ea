"""Changes of objects: made, made again, and taken back, whatever else has changed since."""

from typing import Any

import pytest

from kubectl_satoken.changes import (
    Change,
    Key,
    Moved,
    changed,
    is_made,
    joined,
    merge_patch,
    text,
    undone,
)

PATH = ("spec", "volumes", Key("name", "b"))
OLD, NEW = {"name": "b", "secret": {}}, {"name": "b", "projected": {}}
CHANGE = Change(PATH, OLD, NEW, 1)


def item(*volumes: Any, **spec: Any) -> dict[str, Any]:
    return {"spec": {"volumes": [*volumes], **spec}}


def test_a_change_is_made_once_and_what_is_beside_it_stays() -> None:
    before = item({"name": "a"}, OLD, replicas=3)
    after = changed(before, (CHANGE,))
    assert after == item({"name": "a"}, NEW, replicas=3)
    assert before == item({"name": "a"}, OLD, replicas=3)
    assert changed(after, (CHANGE,)) == after
    assert is_made(after, (CHANGE,))
    assert not is_made(before, (CHANGE,))


def test_what_others_changed_since_is_kept_when_it_is_taken_back() -> None:
    after = item(NEW, {"name": "new"}, replicas=5)
    assert changed(after, undone([CHANGE])) == item(OLD, {"name": "new"}, replicas=5)


def test_an_entry_goes_back_to_its_place() -> None:
    removal = CHANGE._replace(after=None)
    before = item({"name": "a"}, OLD, {"name": "c"})
    after = changed(before, (removal,))
    assert after == item({"name": "a"}, {"name": "c"})
    assert changed(after, undone([removal])) == before


def test_a_list_that_gets_empty_is_no_field_any_more() -> None:
    removal = CHANGE._replace(after=None, place=0)
    assert changed(item(OLD), (removal,)) == {"spec": {}}
    assert changed({"spec": {}}, undone([removal])) == item(OLD)


def test_a_field_is_set_and_taken_away() -> None:
    label = Change(("metadata", "labels", "kubernetes.io/x"), None, "y")
    assert changed({"metadata": {}}, (label,)) == {"metadata": {"labels": {"kubernetes.io/x": "y"}}}
    marked = {"metadata": {"labels": {"kubernetes.io/x": "y", "a": "b"}}}
    assert changed(marked, undone([label])) == {"metadata": {"labels": {"a": "b"}}}


@pytest.mark.parametrize(
    "moved",
    [
        item({"name": "b", "emptyDir": {}}),  # somebody else's
        item(OLD, OLD),  # which one?
        {"spec": {"volumes": "x"}},
        {"spec": []},
    ],
)
def test_what_somebody_else_changed_is_not_overwritten(moved: dict[str, Any]) -> None:
    with pytest.raises(Moved, match=r"^spec\.volumes\[name=b\] is not what it was$"):
        changed(moved, (CHANGE,))
    assert not is_made(moved, (CHANGE,))


def test_changes_of_one_place_are_one() -> None:
    third = {"name": "b", "emptyDir": {}}
    [one] = joined([CHANGE, Change(PATH, NEW, third)])
    assert (one.before, one.after) == (OLD, third)


def test_a_merge_patch_says_what_differs() -> None:
    old = {"a": 1, "b": {"c": 1, "d": 2}, "l": [1], "gone": 1}
    new = {"a": 1, "b": {"c": 1, "d": 3}, "l": [2], "new": {}}
    assert merge_patch(old, new) == {"gone": None, "b": {"d": 3}, "l": [2], "new": {}}
    assert merge_patch(old, old) == {}


def test_a_path_in_words() -> None:
    assert text(PATH) == "spec.volumes[name=b]"
    assert text(CHANGE.below("template").path) == "template.spec.volumes[name=b]"
