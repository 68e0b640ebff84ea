"""Rewritten manifests on a real API server: they say what the patches of migrate say, and mount."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.scenarios import AT_PLACE, PLACE, SLEEP, TOKEN_SECRET, Stage, service_account, template

OTHER = TOKEN_SECRET.replace("web-token", "old-token")
FROM = "{secretKeyRef: {name: web-token, key: %s}}"


def pod(volume: str, mount: str = "{name: t, mountPath: /token}", more: str = "") -> str:
    """A pod spec without braces, with a volume and its mount."""
    container = SLEEP.replace("{name: app,", f"{{name: app, volumeMounts: [{mount}],")
    return f"serviceAccountName: web, containers: [{container}], volumes: [{volume}]{more}"


def with_variables() -> str:
    """A pod spec that takes from the Secret what can be had elsewhere."""
    names = {"NS": "namespace", "CA": "ca.crt"}
    env = ", ".join(f"{{name: {one}, valueFrom: {FROM % key}}}" for one, key in names.items())
    container = SLEEP.replace("{name: app,", f"{{name: app, env: [{env}],")
    return f"serviceAccountName: web, containers: [{container}]"


WHOLE = "{name: t, secret: {secretName: web-token}}"
SPECS = {
    "whole": pod(WHOLE),
    "modes": pod(
        "{name: t, secret: {secretName: web-token, defaultMode: 0400, items: "
        "[{key: token, path: a/token}, {key: ca.crt, path: ca, mode: 0444}]}}"
    ),
    "optional": pod("{name: t, secret: {secretName: web-token, optional: true}}"),
    "projected": pod(
        "{name: t, projected: {defaultMode: 0440, sources: [{configMap: {name: c, optional: true}},"
        " {secret: {name: web-token}}]}}"
    ),
    "variables": with_variables(),
    "pulls": f"serviceAccountName: web, containers: [{SLEEP}], "
    "imagePullSecrets: [{name: web-token}, {name: login}]",
    "two": pod(
        f"{WHOLE}, {{name: o, secret: {{secretName: old-token}}}}, {{name: d, emptyDir: {{}}}}",
        "{name: t, mountPath: /token}, {name: o, mountPath: /old}, {name: d, mountPath: /d}",
    ),
    "by itself": pod(WHOLE, AT_PLACE),
}
OTHER_KINDS = ("StatefulSet", "DaemonSet", "CronJob", "ReplicationController")
STYLES = {
    "block": lambda item: yaml.safe_dump(item, sort_keys=False),
    "json": lambda item: json.dumps(item, indent=2),
}


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("rewrite"))
    stage.open()
    first = "---".join((service_account(), TOKEN_SECRET, OTHER))
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=first)
    yield stage
    stage.close()


@pytest.fixture
def file(stage: Stage) -> Path:
    """The manifest that is rewritten."""
    folder = Path(stage.environ["WORK"]) / "manifests"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    return folder / "web.yaml"


def satoken(stage: Stage, *words: str) -> str:
    """What migrate prints."""
    done = stage.satoken("migrate", "-n", stage.namespace, *words)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_server(stage: Stage, *words: str) -> Any:
    """What the API server would store, as far as a manifest says it."""
    found = json.loads(
        stage.kubectl("-n", stage.namespace, *words, "--dry-run=server", "-o", "json")
    )
    return found["spec"]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [*(("Deployment", spec) for spec in SPECS), *((kind, "two") for kind in OTHER_KINDS)],
)
def test_a_manifest_becomes_what_the_patch_makes_of_the_object(
    stage: Stage, file: Path, kind: str, spec: str
) -> None:
    style = STYLES["json" if kind == "StatefulSet" else "block"]
    file.write_text(style(yaml.safe_load(template(SPECS[spec], kind=kind))))
    stage.kubectl("-n", stage.namespace, "apply", "-f", str(file))
    target = f"{kind.lower()}/web"
    try:
        [patch] = list(yaml.safe_load_all(satoken(stage, target, "--stage", "patch", "-o", "yaml")))
        path = file.with_suffix(".patch")
        path.write_text(yaml.safe_dump(patch))
        wanted = on_server(stage, "patch", target, "--patch-file", str(path))
        assert wanted != stage.get(target)["spec"]

        # as a diff, and written
        lines = satoken(stage, "-f", str(file), "--stage", "patch")
        before = file.read_text()
        assert lines.startswith("--- ")
        satoken(stage, "-f", str(file), "--stage", "patch", "--apply")
        assert file.read_text() != before
        assert on_server(stage, "apply", "-f", str(file)) == wanted
        # and there is nothing to do a second time
        assert satoken(stage, "-f", str(file), "--stage", "patch") == ""
    finally:
        stage.kubectl("-n", stage.namespace, "delete", target, "--wait=false")


@pytest.mark.parametrize("kind", ["Pod", "Job"])
def test_what_cannot_be_changed_is_told_how_to_be_made_anew(
    stage: Stage, file: Path, kind: str
) -> None:
    file.write_text(template(pod(WHOLE), kind=kind))
    stage.kubectl("-n", stage.namespace, "apply", "-f", str(file))
    done = stage.satoken("migrate", "-n", stage.namespace, "-f", str(file), "--apply")
    assert done.returncode == 0
    [delete] = [
        line.partition("is fixed: ")[2].partition(", then")[0]
        for line in done.stderr.splitlines()
        if line.startswith("then: ")
    ]
    stage.shell(delete)
    stage.kubectl("-n", stage.namespace, "apply", "-f", str(file))
    item = stage.get(f"{kind.lower()}/web")
    spec = item["spec"] if kind == "Pod" else item["spec"]["template"]["spec"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "t"]
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["path"] == "token"
    stage.shell(delete)


def test_what_another_program_prints_is_handed_on(stage: Stage, file: Path) -> None:
    # as behind helm template; the token Secret is known to the cluster alone
    source = "---\n# Source: web/templates/piped.yaml"
    file.write_text(source + template(pod(WHOLE), name="piped"))
    migrate = "kubectl satoken migrate -n $NS -f - --apply"
    done = stage.shell(f"cat {file} | {migrate} | kubectl apply -n $NS -f -")
    assert "standard input:" in done.stderr
    assert "deployment/piped: volume t: a projected token" in done.stderr
    spec = stage.get("deployment/piped")["spec"]["template"]["spec"]
    assert [list(one) for one in spec["volumes"]] == [["name", "projected"]]


def test_what_belongs_to_openshift_is_left(stage: Stage, file: Path) -> None:
    taken = TOKEN_SECRET.replace("web-token", "web-dockercfg-source").replace(
        "annotations: {", "annotations: {openshift.io/token-secret.name: x, "
    )
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=taken)
    file.write_text(template(pod(WHOLE.replace("web-token", "web-dockercfg-source"))))
    assert satoken(stage, "-f", str(file)) == ""


def test_an_account_keeps_what_is_no_token(stage: Stage, file: Path) -> None:
    listed = "secrets: [{name: old-token}, {name: login}]"
    file.write_text(service_account("listing", listed))
    stage.kubectl("-n", stage.namespace, "apply", "-f", str(file))
    satoken(stage, "-f", str(file), "--apply")
    stage.kubectl("-n", stage.namespace, "apply", "-f", str(file))
    assert stage.get("serviceaccount/listing")["secrets"] == [{"name": "login"}]


def test_tokens_are_where_they_were(stage: Stage, file: Path) -> None:
    # what a kubelet would put there: the same paths, of the same account
    file.write_text(template(SPECS["modes"]))
    satoken(stage, "-f", str(file), "--apply")
    spec = on_server(stage, "apply", "-f", str(file))["template"]["spec"]
    [volume] = spec["volumes"]
    assert PLACE not in str(volume)
    files = {
        item["path"]: item.get("mode")
        for source in volume["projected"]["sources"]
        for item in (
            [source["serviceAccountToken"]]
            if "serviceAccountToken" in source
            else source["configMap"]["items"]
        )
    }
    assert files == {"a/token": None, "ca": 0o444}
    assert volume["projected"]["defaultMode"] == 0o400
