"""The roles in docs/rbac/: with just these a command is refused nothing, and needs all of them."""

from collections.abc import Iterator

import pytest

from tests import rights
from tests.cluster import Cluster
from tests.rights import BESIDES, FOLDER, PARTS, granted
from tests.scenarios import Stage


@pytest.fixture
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("rights"))
    stage.open()
    yield stage
    stage.close()


def test_every_role_is_of_a_command_that_is_there() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(PARTS)


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if not part.node])
def test_a_role_is_enough_and_none_of_it_too_much(name: str, stage: Stage) -> None:
    enough_and_no_more(name, stage)


def enough_and_no_more(name: str, stage: Stage) -> None:
    """Plays a part with its role, and that of what it is used besides, and no other right."""
    user = f"only-{name}-{stage.namespace}"
    names = [name, *([BESIDES[name]] if name in BESIDES else [])]
    for one in names:
        stage.kubectl("apply", "-f", str(FOLDER / f"{one}.yaml"))
        bound = f"--clusterrole=satoken-{one}"
        stage.kubectl("create", "clusterrolebinding", f"{user}-{one}", bound, f"--user={user}")
    try:
        for one in names:
            some = min(granted(one))
            resource, _, below = some.resource.partition("/")
            what = some.url or ".".join(filter(None, (resource, some.group)))
            what += f" --subresource={below}" if below else ""
            stage.until(f"kubectl auth can-i {some.verb} {what} --as={user} -A")
        own = granted(name)
        besides = set().union(*(granted(one) for one in names[1:]))
        for _ in range(3):  # what is read depends on how quickly the server answers
            said = "\n".join(rights.play(PARTS[name], stage, user))
            found = rights.atoms(stage.cluster, user)
            if set(found) - besides == own - besides:
                break
    finally:
        for one in names:
            stage.kubectl("delete", "clusterrolebinding", f"{user}-{one}")
    refused = {atom for atom, codes in found.items() if 403 in codes}
    assert not refused, said
    assert "not seen" not in said, said
    assert set(found) - besides == own - besides, said
