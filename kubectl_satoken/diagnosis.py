"""From targets to a report: which objects are examined, and what the findings have in common."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .admission import ROOT_CA_CONFIG_MAP
from .checks import STAGES, Finding, Skipped, examine, rank
from .errors import NotFound, UsageError
from .mounts import ACCOUNT_ANNOTATION, TOKEN_SECRET_TYPE, account_of, api_tokens, has_token
from .rbac import user_of
from .targets import Target, admitted, fetch, pods_for
from .workloads import controller_of, finished, is_live, owner_of, template_path
from .world import Object, Unseen, Want, World

Name = tuple[str, str, str]


class Token(NamedTuple):
    """A token that a container or a Secret has; a lifetime in seconds, or None for ever.

    ``pod`` and ``container`` are empty for a Secret, ``path`` is that of the field then.
    """

    target: Name
    pod: str
    user: str
    container: str
    path: str
    audience: str
    lifetime: int | None
    secret: str


class Cause(NamedTuple):
    """A finding, and how many pods it was found on (0: none is there yet).

    ``root`` is the code of the fault that it hangs under: one of the same target that bites earlier
    in a token's life, and may well be all there is to it. ``targets`` are those on which it was
    found, the first few in a sweep.
    """

    finding: Finding
    affected: int
    root: str = ""
    targets: tuple[Name, ...] = ()


class Report(NamedTuple):
    """What doctor has to say: target by target, for each in the order of causes."""

    targets: list[Name]
    causes: list[Cause]
    skipped: list[Skipped]
    tokens: list[Token]
    notes: list[tuple[Name, str]]
    checked: int


def wants(targets: Sequence[Target], namespace: str) -> Iterator[Want]:
    """What a diagnosis reads in any case, so that it can be fetched at once."""
    for target in targets:
        yield Want(target.kind, namespace, target.name)
    yield Want("ServiceAccount", namespace)
    yield Want("ConfigMap", namespace, ROOT_CA_CONFIG_MAP)
    yield Want("RoleBinding", namespace)
    yield Want("ClusterRoleBinding")
    for target in targets:
        if target.kind == "Pod":
            yield Want("Event", namespace, target.name)


def diagnose(targets: Sequence[Target], namespace: str, world: World) -> Report:
    """Examines the targets. Raises NotFound when one of them is not there and nothing tells why."""
    world.prepare(wants(targets, namespace))
    return combine(examine_target(target, namespace, world) for target in targets)


def diagnose_objects(objects: Iterable[Object], world: World) -> Report:
    """Examines all of these that have a pod template, are pods or token Secrets.

    What a controller among them has made is examined with it, and not once more by itself.
    """
    objects = list(objects)
    uids = {item["metadata"].get("uid") for item in objects} - {None}
    chosen = [
        item
        for item in objects
        if (item["kind"] == "Pod" or item.get("type") == TOKEN_SECRET_TYPE or template_path(item))
        and (controller_of(item) or {}).get("uid") not in uids
    ]
    # a file with one thing in it is a question about that thing
    return combine(examine_item(item, world, asked=len(chosen) == 1) for item in chosen)


def combine(parts: Iterable[Report]) -> Report:
    """One report from those of the single targets."""
    report = Report([], [], [], [], [], 0)
    for part in parts:
        report.targets.extend(part.targets)
        report.causes.extend(part.causes)
        report.tokens.extend(part.tokens)
        report.notes.extend(part.notes)
        report.skipped.extend(skip for skip in part.skipped if skip not in report.skipped)
        report = report._replace(checked=report.checked + part.checked)
    return report


def examine_target(target: Target, namespace: str, world: World) -> Report:
    """Examines a target; a pod that is not there by the workload that could not make it."""
    try:
        item = fetch(target, namespace, world)
    except NotFound:
        if target.kind != "Pod":
            raise
        workload = failed_creator(target.name, namespace, world)
        if workload is None:
            raise
        item = workload
    if item["kind"] not in ("Pod", "ServiceAccount", "Secret") and not template_path(item):
        raise UsageError(
            f"{target.kind.lower()}/{target.name} has no pod template, so it has no token",
            "name a pod, a workload, a service account or a Secret",
        )
    return examine_item(item, world)


def failed_creator(pod: str, namespace: str, world: World) -> Object | None:
    """The workload that tells by an event that it could not make a pod of such a name."""
    try:
        events = list(world.list("Event", namespace))
    except Unseen:
        return None
    for event in events:
        if event.get("reason") != "FailedCreate":
            continue
        about = event.get("involvedObject") or {}
        name = about.get("name", "")
        if pod != name and not pod.startswith(f"{name}-"):
            continue
        try:
            item = world.get(about.get("kind", ""), namespace, name, about.get("apiVersion", ""))
            if item is None:
                continue
            owner = owner_of({"metadata": {**item["metadata"], "name": name}}, world)
        except Unseen:
            continue
        return owner.object if owner is not None and owner.object is not None else item
    return None


def examine_item(item: Object, world: World, *, asked: bool = True) -> Report:
    """Examines an object and what belongs to it: a workload's pods, a pod's token Secrets."""
    metadata = item["metadata"]
    name: Name = (item["kind"], metadata.get("namespace", ""), metadata["name"])
    report = Report([name], [], [], [], [], 0)
    found: dict[tuple[str, str], Cause] = {}
    checked = 0
    for subject in subjects(item, world, report):
        findings, skipped, ran = examine(subject, world, name, asked=asked)
        checked = max(checked, ran) if subject["kind"] == "Pod" else checked + ran
        for skip in skipped:
            if skip not in report.skipped:
                report.skipped.append(skip)
        alive = subject["kind"] == "Pod" and is_live(subject)
        for finding in findings:
            # the pods of one workload have one fault, however many they are
            key = (finding.code, maker(subject, world))
            known = found.get(key)
            if known is None or (alive and not known.affected):
                found[key] = Cause(finding, int(alive), targets=(name,))
            elif alive:
                found[key] = known._replace(affected=known.affected + 1)
        if item["kind"] == "Secret":
            report.tokens.extend(token_of_secret(item, name))
        elif subject["kind"] == "Pod" and (alive or item["kind"] == "Pod"):
            report.tokens.extend(tokens_of(subject, name, world))
            if finished(subject):
                report.notes.append(
                    (name, f"{subject['metadata']['name']} has ended: nothing renews its token")
                )
    causes = sorted(found.values(), key=lambda cause: rank(cause.finding))
    return report._replace(causes=rooted(causes), checked=checked)


def rooted(causes: list[Cause]) -> list[Cause]:
    """The causes of one target, in order, with those that hang under the first marked so.

    A fault hides what would come after it in a token's life, so what else is seen there may be its
    consequence; what comes at the same time is a fault of its own.
    """
    if not causes or causes[0].finding.severity == "hint":
        return causes
    root = causes[0].finding
    return [
        cause._replace(root=root.code)
        if STAGES.index(cause.finding.stage) > STAGES.index(root.stage)
        else cause
        for cause in causes
    ]


def maker(subject: Object, world: World) -> str:
    """The name of what a pod is made from; of what stands alone its own."""
    owner = owner_of(subject, world) if subject["kind"] == "Pod" else None
    return f"{owner.kind}/{owner.name}" if owner else str(subject["metadata"]["name"])


def subjects(item: Object, world: World, report: Report) -> Iterator[Object]:
    """What is examined for an object: its pods, and the token Secrets that come with them."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace", "")
    secrets: dict[str, None] = {}
    accounts: dict[str, None] = {}
    if item["kind"] == "Secret":
        if item.get("type") != TOKEN_SECRET_TYPE:
            note = f"its type is {item.get('type') or 'Opaque'}, not {TOKEN_SECRET_TYPE}"
            report.notes.append((report.targets[0], note))
        yield item
        return
    try:
        if item["kind"] == "ServiceAccount":
            pods: Iterable[Object] = (
                admitted(pod, world)
                for pod in world.list("Pod", namespace)
                if account_of(pod) == metadata["name"]
            )
        else:
            pods = pods_for(item, world)
        found = False
        if item["kind"] == "ServiceAccount":
            yield item
        for pod in pods:
            found = True
            yield pod
            accounts[account_of(pod)] = None
            for volume in pod["spec"].get("volumes") or []:
                secret = (volume.get("secret") or {}).get("secretName")
                if secret:
                    secrets[secret] = None
        if item["kind"] == "ServiceAccount" and not found:
            report.notes.append((report.targets[0], "no pod uses it"))
    except Unseen as unseen:
        report.skipped.append(Skipped("", "pods", unseen.what, unseen.why))
    for account in accounts if item["kind"] != "ServiceAccount" else ():
        try:
            known = world.get("ServiceAccount", namespace, account)
        except Unseen as unseen:
            report.skipped.append(Skipped("", "serviceaccounts", unseen.what, unseen.why))
            continue
        if known is not None:
            yield known
    for secret in secrets:
        try:
            stored = world.get("Secret", namespace, secret)
        except Unseen as unseen:
            report.skipped.append(Skipped("", "secrets", unseen.what, unseen.why))
            continue
        if stored is not None and stored.get("type") == TOKEN_SECRET_TYPE:
            yield stored


def token_of_secret(secret: Object, name: Name) -> Iterator[Token]:
    """The token that a Secret holds, if it does."""
    metadata = secret["metadata"]
    account = (metadata.get("annotations") or {}).get(ACCOUNT_ANNOTATION)
    if account and secret.get("type") == TOKEN_SECRET_TYPE and has_token(secret):
        user = user_of(metadata.get("namespace", ""), account)
        yield Token(name, "", user, "", "data.token", "", None, metadata["name"])


def tokens_of(pod: Object, name: Name, world: World) -> Iterator[Token]:
    """The tokens for the API server that a pod has."""
    namespace = pod["metadata"].get("namespace", "")
    for file in api_tokens(pod, world):
        yield Token(
            name,
            pod["metadata"]["name"],
            user_of(namespace, account_of(pod)),
            file.container,
            file.path,
            file.audience,
            file.lifetime,
            file.secret,
        )
