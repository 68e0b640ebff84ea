"""Fixes as shell lines that work as printed.

A pod cannot be changed, so what is patched is the template that it was made from; a pod that stands
alone, and a Job, are replaced.
"""

import json
from typing import Any

from .checks import Fix
from .workloads import Owner, is_live, owner_of, step_into
from .world import Object, World

# What the Job controller writes into a Job, and refuses to find in a new one.
JOB_GENERATED = ("controller-uid", "batch.kubernetes.io/controller-uid")


def kubectl(world: World, namespace: str, *words: str) -> str:
    """A kubectl command line for the cluster that was looked at, quoted for a shell."""
    from shlex import join

    scope = ["-n", namespace] if namespace else []
    return join(["kubectl", *world.flags, *scope, *words])


def satoken(world: World, namespace: str, *words: str) -> str:
    """A command line of ours; kubectl finds a plugin only where no flag stands before its name."""
    from shlex import join

    scope = ["-n", namespace] if namespace else []
    return join(["kubectl", "satoken", *words, *scope, *world.flags])


def dumps(value: Any) -> str:
    """JSON as short as it gets, for a command line."""
    return json.dumps(value, separators=(",", ":"))


def pipe(*lines: str) -> str:
    """Commands joined by pipes, one on each line, still valid when copied into a shell."""
    return " |\n  ".join(lines)


def patch_pod(
    pod: Object, world: World, patch: Object, summary: str, *, metadata: Object | None = None
) -> Fix:
    """A fix that merges ``patch`` into the pod spec, where that is possible.

    ``metadata`` is merged into that of the pod, or of the template, besides.

    The patch is a strategic merge patch, so lists of containers, volumes and mounts are merged by
    their keys (name, mountPath) and need no index.
    """
    owner = maker(pod, world)
    namespace = pod["metadata"].get("namespace", "")
    name = name_of(pod)
    if (owner.name if owner is not None else name).endswith("*"):
        return written_anew(pod, owner, world, patch, summary, metadata)
    if owner is not None and is_live(pod) and has_already(owner, patch, metadata):
        # the template was mended since the pod was made from it
        return Fix(f"{summary}: the template says so already", tuple(restart(pod, world)), "", True)
    if owner is None:
        whole = with_metadata({"spec": {**patch, "nodeName": None}}, metadata)
        commands = [replace(world, namespace, "pod", name, whole)]
    elif owner.kind == "Job" and owner.built_in:
        commands = [replace(world, namespace, "job", owner.name, job_patch(owner, patch, metadata))]
    else:
        nested: Any = with_metadata({"spec": patch} if patch else {}, metadata)
        words = ["patch", owner.resource, owner.name]
        if not owner.built_in:
            # only the built-in types know how to merge lists
            template = step_into(owner.object, owner.path) if owner.path else None
            if template is None and has_list(patch):
                return Fix(summary, (kubectl(world, namespace, "edit", *words[1:]),), "", True)
            nested = with_whole_lists(template or {}, nested)
            in_list = any(field.isdigit() for field in owner.path)
            words.append("--type=json" if in_list else "--type=merge")
            if in_list:
                nested = operations(template or {}, nested, owner.path)
        if isinstance(nested, dict):
            for field in reversed(owner.template):
                nested = {field: nested}
        commands = [kubectl(world, namespace, *words, "-p", dumps(nested))]
        commands += nudge(pod, owner, world)
    return Fix(summary, tuple(commands), recreates=True)


def written_anew(
    pod: Object,
    owner: Owner | None,
    world: World,
    patch: Object,
    summary: str,
    metadata: Object | None,
) -> Fix:
    """The same for what has no name yet, but a generateName in a manifest: that, patched."""
    from copy import deepcopy

    namespace = pod["metadata"].get("namespace", "")
    written = owner.object if owner else world.get("Pod", namespace, name_of(pod))
    whole = deepcopy(written or {})
    template = step_into(whole, owner.path if owner else ())
    if not template:
        return Fix(summary)
    template["spec"] = merged(template["spec"], patch)
    if metadata:
        template["metadata"] = merged(template.get("metadata") or {}, metadata)
    whole.pop("status", None)
    return and_manifest(world, whole, summary)


def name_of(pod: Object) -> str:
    """The name of a pod, for a command."""
    # past what likeness.py counts as read: no fault depends on what mends it
    return str(dict.__getitem__(pod["metadata"], "name"))


def maker(pod: Object, world: World) -> Owner | None:
    """What a pod is made from, for a command; past what likeness.py counts as read, as well."""
    return owner_of({**pod, "metadata": dict(dict.items(pod["metadata"]))}, world)


def with_metadata(patch: Object, metadata: Object | None) -> Object:
    """A patch with metadata besides, if there is any."""
    return {"metadata": metadata, **patch} if metadata else patch


def has_already(owner: Owner, patch: Object, metadata: Object | None = None) -> bool:
    """Whether the owner's template is as a patch would leave it."""
    template = step_into(owner.object, owner.path) if owner.path else None
    if template is None:
        return False
    own = template.get("metadata") or {}
    return bool(
        merged(template["spec"], patch) == template["spec"] and merged(own, metadata or {}) == own
    )


# The lists of a pod spec that a strategic merge patch merges, and by which field of their items.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
}


def with_whole_lists(value: Object, patch: Object) -> Object:
    """A strategic merge patch of a value as a plain merge patch, in which lists are whole."""
    plain: Object = {}
    for key, change in patch.items():
        if isinstance(change, dict):
            old = value.get(key)
            plain[key] = with_whole_lists(old if isinstance(old, dict) else {}, change)
        elif isinstance(change, list) and key in MERGE_KEYS:
            plain[key] = merged_list(value.get(key) or [], change, MERGE_KEYS[key])
        else:
            plain[key] = change
    return plain


def merged_list(items: list[Object], changes: list[Object], by: str) -> list[Object]:
    """A list with changes merged into the items that have the same key, or added."""
    found = {item.get(by): item for item in items}
    for change in changes:
        if change.get("$patch") == "delete":
            found.pop(change.get(by), None)
        else:
            found[change.get(by)] = merged(found.get(change.get(by)) or {}, change)
    return list(found.values())


def merged(value: Any, patch: Any) -> Any:
    """A value with a strategic merge patch of it applied."""
    if not isinstance(patch, dict):
        return patch
    whole = dict(value) if isinstance(value, dict) else {}
    for key, change in with_whole_lists(whole, patch).items():
        if change is None:
            whole.pop(key, None)
        elif change != [] or key in whole:
            whole[key] = merged(whole.get(key), change)
    return whole


def operations(template: Object, patch: Object, path: tuple[str, ...]) -> list[Object]:
    """A merge patch of a template as a JSON patch, for a template that is in a list."""
    made: list[Object] = []
    for part, fields in patch.items():
        old = template.get(part)
        if not isinstance(old, dict):
            made.append(operation((*path, part), merged({}, fields)))
            continue
        for field, change in fields.items():
            if change is not None:
                made.append(operation((*path, part, field), merged(old.get(field), change)))
            elif field in old:
                made.append({"op": "remove", "path": pointer((*path, part, field))})
    return made


def operation(path: tuple[str, ...], value: Any) -> Object:
    """The operation of a JSON patch that sets a field, whether it is there or not."""
    return {"op": "add", "path": pointer(path), "value": value}


def pointer(path: tuple[str, ...]) -> str:
    """A path as a JSON pointer."""
    return "".join("/" + field.replace("~", "~0").replace("/", "~1") for field in path)


def has_list(value: Any) -> bool:
    """Whether a patch holds a list anywhere."""
    if isinstance(value, dict):
        return any(has_list(item) for item in value.values())
    return isinstance(value, list)


def replace(world: World, namespace: str, kind: str, name: str, patch: Object | None) -> str:
    """Deletes an object and makes it again, with a patch on the way."""
    lines = [kubectl(world, namespace, "get", kind, name, "-o", "json")]
    if patch:
        # local: kubectl patches the text in the pipe and asks no server, so it needs no flags
        lines.append(f"kubectl patch --local -f - -o json -p {quote(dumps(patch))}")
    lines.append(kubectl(world, namespace, "replace", "--force", "-f", "-"))
    return pipe(*lines)


def quote(text: str) -> str:
    """One word for a shell."""
    from shlex import quote as shell_quote

    return shell_quote(text)


def job_patch(owner: Owner, patch: Object, metadata: Object | None = None) -> Object:
    """A patch of a Job that lets it be made again: without what its controller generated."""
    generated: Object = dict.fromkeys(JOB_GENERATED)
    return {
        "metadata": {"labels": generated},
        "spec": {
            "selector": None,
            "template": {
                "metadata": {
                    **(metadata or {}),
                    "labels": {**generated, **((metadata or {}).get("labels") or {})},
                },
                "spec": patch,
            },
        },
    }


def nudge(pod: Object, owner: Owner, world: World) -> list[str]:
    """What it takes, after a template was patched, for the pod to be replaced.

    Deployments and DaemonSets replace their pods by themselves. ReplicaSets never do, a
    StatefulSet waits for a pod that is not ready for ever, and OnDelete means what it says.
    """
    if not is_live(pod):
        return []
    spec = (owner.object or {}).get("spec") or {}
    by_hand = owner.kind in ("ReplicaSet", "ReplicationController") or (
        (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    )
    stuck = owner.kind == "StatefulSet" and not is_ready(pod)
    if not by_hand and not stuck:
        return []
    return [kubectl(world, pod["metadata"]["namespace"], "delete", "pod", name_of(pod))]


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in (pod.get("status") or {}).get("conditions") or []
    )


def restart(pod: Object, world: World) -> list[str]:
    """The commands that make a pod, and those made like it, anew."""
    owner = maker(pod, world)
    namespace = pod["metadata"].get("namespace", "")
    name = name_of(pod)
    if owner is not None and owner.name.endswith("*"):
        return []
    if owner is None:
        if not is_live(pod):
            return []
        return [replace(world, namespace, "pod", name, {"spec": {"nodeName": None}})]
    if owner.built_in and owner.kind in ("Deployment", "DaemonSet", "StatefulSet"):
        commands = [
            kubectl(world, namespace, "rollout", "restart", f"{owner.resource}/{owner.name}")
        ]
        return commands + nudge(pod, owner, world)
    if not is_live(pod):
        return []
    return [kubectl(world, namespace, "delete", "pod", name)]


def and_manifest(world: World, manifest: Object, summary: str) -> Fix:
    """A fix that applies a manifest: the command carries it, so that it can be pasted as it is.

    One with a generateName cannot be applied, but made.
    """
    import yaml

    verb = "apply"
    if (manifest.get("metadata") or {}).get("generateName"):
        # the name was made up when the manifest was read
        kept = {key: value for key, value in manifest["metadata"].items() if key != "name"}
        manifest = {**manifest, "metadata": kept}
        verb = "create"
    text = yaml.safe_dump(manifest, sort_keys=False, default_flow_style=False)
    command = f"{kubectl(world, '', verb, '-f', '-')} <<'EOF'\n{text}EOF"
    return Fix(summary, (command,), manifest=text)
