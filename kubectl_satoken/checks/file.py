"""The token file is there, but cannot be read, is not renewed, or is not what the program reads."""

import posixpath
from collections.abc import Iterator

from ..admission import TOKEN_MOUNT_PATH
from ..fixes import kubectl, patch_pod
from ..mounts import (
    DEFAULT_PLACE,
    TOKEN_SECRET_TYPE,
    account_of,
    api_tokens,
    cleaned,
    container_paths,
    default_mount,
    has_token,
    is_mirror,
    is_token_secret,
    is_windows,
    looks_generated,
    same_place,
    token_files,
    volume_tokens,
    volumes,
    within,
)
from ..times import lifetime as lasting
from ..times import seconds, words
from ..workloads import finished, is_live
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .mount import and_automount, grouped, listed, mount_evidence, plural

# Readable by everybody; YAML takes 0644 for the same.
READABLE = 0o644

# Programs that go on as another user.
SWITCHES = ("gosu", "su-exec", "setpriv", "runuser", "su", "chpst", "setuidgid", "s6-setuidgid")

# The API server accepts a bound token for so long after its pod was to be gone
# (pkg/serviceaccount/claims.go), and for so long after its expiry.
LEEWAY = 60

# The lifetime by which the API server knows its own default projection; it is good for a year.
EXTENDED = 3607


def security(pod: Object, container: Object, name: str) -> object:
    """A field of the security context of a container, else of its pod."""
    own = (container.get("securityContext") or {}).get(name)
    return own if own is not None else (pod["spec"].get("securityContext") or {}).get(name)


def common_user(pod: Object) -> object:
    """The user that all containers of a pod are said to run as; None where they differ.

    The kubelet gives the token file to that user, with mode 0600, whatever defaultMode says
    (FsUserFrom in pkg/volume/util, and pkg/volume/projected).
    """
    spec = pod["spec"]
    every = [item for _, item in container_paths(pod)] + list(spec.get("ephemeralContainers") or [])
    users = {security(pod, container, "runAsUser") for container in every}
    return users.pop() if len(users) == 1 else None


def switches(container: Object) -> list[str]:
    """A container's command from the word on that makes it another user; empty without one."""
    said = " ".join([*(container.get("command") or []), *(container.get("args") or [])]).split()
    for number, word in enumerate(said):
        if posixpath.basename(word) in SWITCHES:
            return said[number:]
    return []


def group_of(command: list[str]) -> int | None:
    """The number of the group to which a command switches, where it is said in figures."""
    for number, word in enumerate(command[1:], 1):
        flag, _, value = word.partition("=")
        if flag in ("--regid", "-g", "--group", "--rgid"):
            value = value or (command[number + 1] if number + 1 < len(command) else "")
            return int(value) if value.isdecimal() else None
        user, mark, group = word.lstrip(":").partition(":")
        if mark and user and group.isdecimal():
            return int(group)
    return None


def denied(pod: Object, container: str) -> str:
    """What a container said of a token that it may not read, when it ended."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if status.get("name") != container:
            continue
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            message = str((state.get("terminated") or {}).get("message") or "")
            for line in message.splitlines():
                if "permission denied" in line.lower() and "serviceaccount/token" in line:
                    return line.strip()
    return ""


@check("SAT701", on="Pod", severity="error", stage="file")
def token_unreadable_common_runasuser(pod: Object, world: World) -> Iterator[Finding]:
    """The token belongs to root, and the program goes on as another user.

    ### What goes wrong

    Where all containers of a pod have the same `runAsUser`, the kubelet gives the token file to
    that user alone (mode 0600), and `defaultMode` has no say. With `runAsUser: 0` that is root. A
    program that is started by root and then becomes another user (`gosu`, `su-exec`, `setpriv`)
    cannot read it any more: `open …/serviceaccount/token: permission denied`.

    ### How to fix it

    Give the file to the program's group with `fsGroup`, run the container as the final user, or do
    not say `runAsUser: 0` where the image's user is root anyway: the file is then for all to read.
    """
    if is_mirror(pod) or finished(pod) or is_windows(pod) or common_user(pod) != 0:
        return
    spec = pod["spec"]
    if (spec.get("securityContext") or {}).get("fsGroup") is not None:
        return
    suspects = {
        item["name"]: (path, item, switches(item), said)
        for path, item in container_paths(pod)
        if (said := denied(pod, item["name"])) or switches(item)
    }
    if not suspects:
        return
    for file in api_tokens(pod, world):
        if file.secret or file.container not in suspects:
            continue
        path, container, command, said = suspects[file.container]
        own = (container.get("securityContext") or {}).get("runAsUser") is not None
        here = at(
            pod,
            f"{path}.securityContext.runAsUser" if own else "spec.securityContext.runAsUser",
            0,
            here=True,
        )
        evidence = [here, at(pod, "spec.securityContext.fsGroup")]
        if command:
            evidence.append(at(pod, f"{path}.command", " ".join(command[:4])))
        if said:
            evidence.append(at(pod, "status.containerStatuses[*].message", said))
        group = group_of(command)
        unset: Object = {"securityContext": {"runAsUser": None}}
        if group is not None:
            patch: Object = {"securityContext": {"fsGroup": group}}
            summary = "give the file to the group of the program (pods are recreated)"
        else:
            patch = grouped(pod, {file.container: unset}) if own else unset
            summary = (
                "leave the user to the image, if that is root: the file is then for all to read "
                "(pods are recreated); or give it to the program's group with fsGroup"
            )
        yield Finding(
            f"the token is for root alone, and container {file.container} "
            + ("may not read it" if said else f"goes on as another user ({command[0]})"),
            here,
            tuple(evidence),
            patch_pod(pod, world, patch, summary),
            certainty="likely" if said else "possible",
        )
        return


def modes(volume: Object) -> Iterator[tuple[str, int]]:
    """What says the mode of the files in a volume: (its path in the volume, the mode)."""
    for kind in ("projected", "secret"):
        source = volume.get(kind)
        if source and source.get("defaultMode") is not None:
            yield f"{kind}.defaultMode", source["defaultMode"]
    secret = volume.get("secret") or {}
    for number, item in enumerate(secret.get("items") or []):
        if item.get("key") == "token" and item.get("mode") is not None:
            yield f"secret.items[{number}].mode", item["mode"]


def may_read(pod: Object, container: Object, mode: int) -> bool:
    """Whether a container may read a file of root with such a mode, as far as can be told."""
    user = security(pod, container, "runAsUser")
    if user == 0 or (user is None and not security(pod, container, "runAsNonRoot")):
        return True
    if mode & 0o004:
        return True
    if mode & 0o040:
        # without a word on the group it is the image's, and often root
        group = security(pod, container, "runAsGroup")
        more = (pod["spec"].get("securityContext") or {}).get("supplementalGroups") or []
        return group is None or group == 0 or 0 in more
    return False


@check("SAT702", on="Pod", severity="error", stage="file")
def token_unreadable_defaultmode(pod: Object, world: World) -> Iterator[Finding]:
    """The token file is for root alone, and the container is not root.

    ### What goes wrong

    The volume with the token has a `defaultMode` such as 0400 (256 in decimal), its files belong to
    root, and the container runs as another user: `open …/token: permission denied`. For a projected
    token the kubelet gives the file to the container's user only where all containers of the pod
    have the same `runAsUser`; for a Secret it never does.

    ### How to fix it

    Leave `defaultMode` out: 0644 is the default, and only containers that mount the volume see the
    file. Or set `fsGroup`, which makes the file readable for the group.
    """
    if is_mirror(pod) or finished(pod) or is_windows(pod):
        return
    if (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None:
        return
    strict = {}
    for index, volume in enumerate(pod["spec"].get("volumes") or []):
        for path, mode in modes(volume):
            if not mode & 0o004:
                strict[volume["name"]] = (index, volume, path, mode)
    if not strict:
        return
    by_name = {item["name"]: (path, item) for path, item in container_paths(pod)}
    shared = common_user(pod) is not None
    unread: dict[str, Object] = {}
    evidence: list[Evidence] = []
    found: Object = {}
    others = False
    for file in token_files(pod):
        if file.volume not in strict:
            others = others or not file.secret
            continue
        where, container = by_name[file.container]
        index, volume, path, mode = strict[file.volume]
        if (shared and not file.secret) or may_read(pod, container, mode):
            others = True
            continue
        if file.secret and not is_token_secret(file, pod, world):
            continue
        if not unread:
            evidence.append(at(pod, f"spec.volumes[{index}].{path}", f"0{mode:o}", here=True))
            found = volume
        if file.container not in unread:
            evidence.append(user_evidence(pod, where, container))
        unread[file.container] = {}
    if not unread:
        return
    evidence.append(at(pod, "spec.securityContext.fsGroup"))
    yield Finding(
        f"{plural('container', list(unread))} may not read the token: the files of volume "
        f"{found['name']} are for root",
        evidence[0],
        tuple(evidence),
        patch_pod(
            pod, world, {"volumes": [readable(found)]}, "let the file be read (pods are recreated)"
        ),
        severity="warning" if others else "",
    )


def readable(volume: Object) -> Object:
    """A patch of a volume that gives its files the usual mode."""
    if volume.get("projected"):
        return {"name": volume["name"], "projected": {"defaultMode": READABLE}}
    changed: Object = {"defaultMode": READABLE}
    items = volume["secret"].get("items")
    if items:
        changed["items"] = [
            {key: value for key, value in item.items() if key != "mode"} for item in items
        ]
    return {"name": volume["name"], "secret": changed}


def user_evidence(pod: Object, path: str, container: Object) -> Evidence:
    """Where it is said that a container does not run as root."""
    own, name = container.get("securityContext") or {}, "runAsUser"
    value = security(pod, container, name)
    if value is None:
        name, value = "runAsNonRoot", security(pod, container, "runAsNonRoot")
    where = path if own.get(name) is not None else "spec"
    return at(pod, f"{where}.securityContext.{name}", value)


@check("SAT703", on="Pod", severity="warning", stage="file")
def subpath_token_never_refreshes(pod: Object, world: World) -> Iterator[Finding]:
    """The token is mounted by subPath, so the container never sees a renewed one.

    ### What goes wrong

    The kubelet renews a projected token by writing a new folder and turning a link. A mount with
    `subPath` is a mount of the one file that was there when the container started: it stays the
    same until the container is restarted. When that token expires, the API server answers 401
    Unauthorized. A token of 3607 seconds for the API server is usually taken for a year.

    ### How to fix it

    Mount the folder, without `subPath`, and let the program read the token from there.
    """
    if is_mirror(pod) or finished(pod):
        return
    by_name = volumes(pod)
    for _, container in container_paths(pod):
        for mount in container.get("volumeMounts") or []:
            sub_path = mount.get("subPath") or mount.get("subPathExpr")
            volume = by_name.get(mount.get("name", ""))
            if not sub_path or volume is None:
                continue
            for path, audience, lifetime, secret in volume_tokens(volume):
                # a token from a Secret does not expire
                if secret or lifetime is None or not within(path, sub_path):
                    continue
                here = mount_evidence(pod, container["name"], mount, here=True)
                here = here._replace(value=f"{here.value}, subPath {sub_path}")
                patch, place = whole_volume(container, mount, path)
                long = lifetime == EXTENDED and not audience
                # a Job may well be done by then
                ends = pod["spec"].get("restartPolicy") in ("Never", "OnFailure")
                yield Finding(
                    f"the token at {mount['mountPath']} of container {container['name']} is never "
                    f"renewed and expires after {'up to a year' if long else lasting(lifetime)}",
                    here,
                    (here,),
                    patch_pod(
                        pod,
                        world,
                        grouped(pod, {container["name"]: {"volumeMounts": patch}}),
                        f"mount the folder, and read the token from {place} (pods are recreated)",
                    ),
                    severity="hint" if ends else "",
                )
                return


def whole_volume(container: Object, mount: Object, path: str) -> tuple[list[Object], str]:
    """A patch of volumeMounts that mounts a whole volume, and where its token is then.

    The folder of the file is taken where it is one for such files; elsewhere it may hold something
    of the image's.
    """
    gone = {"mountPath": mount["mountPath"], "$patch": "delete"}
    folder, _, file = cleaned(mount["mountPath"]).rpartition("/")
    others = [one for one in container["volumeMounts"] if one is not mount]
    if same_place(folder) == DEFAULT_PLACE and default_mount(container) is not None:
        # the API server's own lies below already
        return [gone], f"{TOKEN_MOUNT_PATH}/token"
    taken = any(same_place(one["mountPath"]) == same_place(folder) for one in others)
    if file != path or taken or not same_place(folder).startswith("/run/"):
        folder = f"/var/run/secrets/{mount['name']}"
    added = {"name": mount["name"], "mountPath": folder, "readOnly": True}
    return [gone, added], posixpath.join(folder, path)


@check("SAT704", on="Pod", severity="warning", stage="file")
def token_in_env(pod: Object, world: World) -> Iterator[Finding]:
    """The token is an environment variable, which nothing renews or takes back.

    ### What goes wrong

    A variable takes its value from the key `token` of a token Secret when the container starts, and
    keeps it. A token from there does not expire; when the Secret is deleted or replaced, the
    program goes on with a dead token and gets 401 Unauthorized until it is restarted, and restarts
    fail where the Secret is gone. Variables are also shown by `kubectl describe`, in crash reports
    and to every child process. There is no way to put a projected token into a variable.

    ### How to fix it

    Let the program read the mounted file, which is renewed, and take the variable out.
    """
    if is_mirror(pod) or finished(pod):
        return
    changes: dict[str, Object] = {}
    evidence: list[Evidence] = []
    certainty = "certain"
    unseen: Unseen | None = None
    namespace = pod["metadata"].get("namespace", "")
    for path, container in container_paths(pod):
        for number, variable in enumerate(container.get("env") or []):
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            name = reference.get("name", "")
            if reference.get("key") != "token" or not name:
                continue
            try:
                secret = world.get("Secret", namespace, name)
            except Unseen as error:
                if not looks_generated(name):
                    unseen = error
                    continue
                certainty = "likely"
            else:
                # one that is gone is SAT203
                if not secret or secret.get("type") != TOKEN_SECRET_TYPE or not has_token(secret):
                    continue
            change = changes.setdefault(container["name"], {"env": []})
            change["env"].append({"name": variable["name"], "$patch": "delete"})
            where = f"{path}.env[{number}].valueFrom.secretKeyRef"
            evidence.append(at(pod, where, f"token of {name}", here=True))
    if changes:
        yield Finding(
            f"{listed(list(changes))} the token of a Secret in a variable, where it stays as "
            "it was when the container started",
            evidence[0],
            tuple(evidence),
            patch_pod(
                pod,
                world,
                and_automount(pod, world, grouped(pod, changes)),
                f"let the program read {TOKEN_MOUNT_PATH}/token instead, which is that of "
                f"serviceaccount {account_of(pod)}; then take the variable out (pods are "
                "recreated)",
            ),
            certainty=certainty,
        )
    elif unseen is not None:
        raise unseen


@check("SAT705", on="Pod", severity="error", stage="token", deliberate=True)
def rotation_stops_when_terminating(pod: Object, world: World) -> Iterator[Finding]:
    """The pod is being deleted, and its token ends with it or before.

    ### What goes wrong

    The kubelet renews no token of a pod that is being deleted, and the API server refuses the
    tokens of a pod from a minute after the time at which it was to be gone
    (`metadata.deletionTimestamp`), whatever keeps it: `service account token has been invalidated`.
    A finalizer, or a `preStop` hook that still works then, is cut off. With a
    `terminationGracePeriodSeconds` that is longer than the token lives, the token may expire while
    the program is still cleaning up.

    ### How to fix it

    Let the pod go: whoever set the finalizer must take it off. What has to clean up for long needs
    a token that lives longer than that, or is not the pod's.
    """
    if is_mirror(pod) or finished(pod):
        return
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        if is_live(pod):
            yield from outlived(pod, world)
        return
    grace = pod["spec"].get("terminationGracePeriodSeconds") or 0
    if grace < 600:
        # no token lives shorter
        return
    for file in api_tokens(pod, world):
        # the usual token is taken for a year
        if file.secret or file.lifetime is None or file.lifetime == EXTENDED:
            continue
        if grace <= file.lifetime:
            continue
        yield too_long(pod, world, file.volume, file.lifetime, grace)
        return


def outlived(pod: Object, world: World) -> Iterator[Finding]:
    """The finding that a pod has outlived the time at which it was to be gone."""
    metadata = pod["metadata"]
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    finalizers = metadata.get("finalizers") or []
    late = world.now() - seconds(metadata["deletionTimestamp"])
    ended = statuses and all((one.get("state") or {}).get("terminated") for one in statuses)
    # every pod is a few seconds late: only a finalizer is known to keep it
    if ended or late < 0 or (late < LEEWAY and not finalizers) or not api_tokens(pod, world):
        return
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    here = at(pod, "metadata.deletionTimestamp", f"{words(late)} ago", here=True)
    evidence = [here]
    if finalizers:
        evidence.append(at(pod, "metadata.finalizers", ", ".join(finalizers)))
        clear = '{"metadata":{"finalizers":null}}'
        command = kubectl(world, namespace, "patch", "pod", name, "--type=merge", "-p", clear)
        fix = Fix("if what set the finalizer is gone for good, let the pod go", (command,))
    else:
        command = kubectl(
            world, namespace, "delete", "pod", name, "--force", "--grace-period=0", "--wait=false"
        )
        fix = Fix("if its node is gone for good, take the pod out", (command,))
    dead = late >= LEEWAY
    yield Finding(
        f"pod {name} was to be gone {words(late)} ago: the API server "
        + ("refuses its tokens since then" if dead else f"refuses its tokens from {LEEWAY}s on"),
        here,
        tuple(evidence),
        fix,
        severity="" if dead else "warning",
    )


def too_long(pod: Object, world: World, name: str, lifetime: int, grace: int) -> Finding:
    """The finding that a pod may take longer to end than its token lives."""
    index, volume = next(
        (index, volume)
        for index, volume in enumerate(pod["spec"]["volumes"])
        if volume["name"] == name
    )
    sources: list[Object] = []
    for source in volume["projected"]["sources"]:
        projection = source.get("serviceAccountToken")
        if projection and (projection.get("expirationSeconds") or 3600) == lifetime:
            # a token that is renewed at 80 % of its life has a fifth of it left at the worst
            longer = {**projection, "expirationSeconds": grace * 5}
            source = {"serviceAccountToken": longer}
        sources.append(source)
    here = at(pod, "spec.terminationGracePeriodSeconds", grace, here=True)
    evidence = (
        here,
        at(pod, f"spec.volumes[{index}].projected", f"a token of {lasting(lifetime)}"),
    )
    return Finding(
        f"the pod may take {lasting(grace)} to end, and nothing renews its token of "
        f"{lasting(lifetime)} meanwhile",
        here,
        evidence,
        patch_pod(
            pod,
            world,
            {"volumes": [{"name": name, "projected": {"sources": sources}}]},
            "ask for a token that lives longer than that (pods are recreated)",
        ),
        certainty="likely",
        severity="warning",
    )
