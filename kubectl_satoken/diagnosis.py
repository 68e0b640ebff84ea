"""From targets to a report: which objects are examined, and what the findings have in common."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .admission import ROOT_CA_CONFIG_MAP
from .checks import STAGES, Finding, Skipped, examine, rank
from .errors import Forbidden, NotFound, SatokenError, UsageError
from .fixes import dumps, kubectl, quote, satoken
from .foreign import Foreign, foreign_tokens
from .mounts import ACCOUNT_ANNOTATION, TOKEN_SECRET_TYPE, account_of, api_tokens, has_token
from .rbac import USER_PREFIX, rights, user_of
from .targets import Target, admitted, fetch, pods_for
from .times import words
from .token_secrets import (
    account_named,
    accounts_in_name,
    meant_as_token,
    taken_secrets,
    token_secret,
)
from .workloads import (
    controller_of,
    finished,
    is_live,
    owner_of,
    template_path,
    template_paths,
    template_pod,
)
from .world import Object, Unseen, Want, World, is_custom

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
    found; in a sweep that are the workloads, and ``pods`` are the first few of theirs.
    """

    finding: Finding
    affected: int
    root: str = ""
    targets: tuple[Name, ...] = ()
    pods: tuple[str, ...] = ()


class Swept(NamedTuple):
    """What a sweep has looked at: its namespace (empty: all), and how many of each kind.

    ``omitted`` are the targets whose fault of a code is counted and not told, where there are
    thousands; ``broken`` says why the sweep ended before its end.
    """

    namespace: str
    counts: dict[str, int]
    omitted: dict[str, int]
    broken: str = ""


class Used(NamedTuple):
    """A token that was put before the API server: ``source`` says how it was come by.

    ``by`` is how it was asked, ``taken`` what it said.
    """

    target: Name
    pod: str
    source: str
    container: str
    by: str
    taken: bool
    user: str


class Rights(NamedTuple):
    """What a target's account may do in its namespace, in short phrases.

    ``unseen`` says what could not be looked at, so that there may be more; ``ask`` is the command
    that tells it in full.
    """

    target: Name
    user: str
    may: tuple[str, ...]
    unseen: str
    ask: str


# What --verify and --probe add: the Token objects of a pod, and what could not be asked.
Look = Callable[[Object, list[Skipped]], Iterator[Object]]


class Report(NamedTuple):
    """What doctor has to say: target by target, for each in the order of causes.

    ``ignored`` are the causes that do not count. ``source`` is "cluster", "manifests" or
    "snapshot"; ``wanted`` are the codes of the checks that were to run, if not all; ``kinds`` has
    the apiVersion of each kind of target that is not built in; ``foreign`` are the tokens for
    others than the API server, each with its target and pod; ``failed`` says which targets could
    not be examined, of several.
    """

    targets: list[Name]
    causes: list[Cause]
    skipped: list[Skipped]
    tokens: list[Token]
    notes: list[tuple[Name, str]]
    checked: int
    swept: Swept | None = None
    used: tuple[Used, ...] = ()
    ignored: tuple[Cause, ...] = ()
    source: str = "cluster"
    wanted: frozenset[str] | None = None
    kinds: tuple[tuple[str, str], ...] = ()
    foreign: tuple[tuple[Name, str, Foreign], ...] = ()
    rights: tuple[Rights, ...] = ()
    failed: tuple[SatokenError, ...] = ()


def wants(targets: Sequence[Target], namespace: str) -> Iterator[Want]:
    """What a diagnosis reads in any case, so that it can be fetched at once."""
    for target in targets:
        yield Want(target.kind, namespace, target.name)
    yield Want("ServiceAccount", namespace)
    yield Want("ConfigMap", namespace, ROOT_CA_CONFIG_MAP)
    yield Want("RoleBinding", namespace)
    yield Want("ClusterRoleBinding")
    yield Want("Service", namespace)
    yield Want("NetworkPolicy", namespace)
    for target in targets:
        if target.kind == "Pod":
            yield Want("Event", namespace, target.name)


def diagnose(
    targets: Sequence[Target],
    namespace: str,
    world: World,
    look: Look | None = None,
    *,
    wanted: frozenset[str] | None = None,
) -> Report:
    """Examines the targets. Raises NotFound when none of them is there and nothing tells why.

    As with ``kubectl get``, one that is not there takes nothing from the others. ``look`` brings
    the tokens of a pod, where the user asked for that; ``wanted`` are the codes of the checks to
    run, if not all.
    """
    world.prepare(wants(targets, namespace))
    parts: list[Report] = []
    failed: list[SatokenError] = []
    for target in targets:
        try:
            parts.append(examine_target(target, namespace, world, look, wanted=wanted))
        except (NotFound, Forbidden, UsageError) as error:
            failed.append(error)
    if failed and not parts:
        raise failed[0]
    return combine(parts)._replace(failed=tuple(failed))


def diagnose_objects(
    objects: Iterable[Object], world: World, *, wanted: frozenset[str] | None = None
) -> Report:
    """Examines all of these that have a pod template, are pods or token Secrets.

    What a controller among them has made is examined with it, and not once more by itself.
    """
    objects = list(objects)
    uids = {item["metadata"].get("uid") for item in objects} - {None}
    chosen = [
        item
        for item in objects
        if (item["kind"] == "Pod" or is_for_token(item) or template_path(item))
        and (controller_of(item) or {}).get("uid") not in uids
    ]
    # a file with one thing in it is a question about that thing
    asked = len(chosen) == 1
    return combine(examine_item(item, world, asked=asked, wanted=wanted) for item in chosen)


def is_for_token(item: Object) -> bool:
    """Whether an object is a Secret for a token, be it badly made."""
    return item["kind"] == "Secret" and meant_as_token(item)


def combine(parts: Iterable[Report]) -> Report:
    """One report from those of the single targets."""
    report = Report([], [], [], [], [], 0)
    for part in parts:
        report.targets.extend(part.targets)
        report.causes.extend(part.causes)
        report.tokens.extend(part.tokens)
        report.notes.extend(part.notes)
        report.skipped.extend(skip for skip in part.skipped if skip not in report.skipped)
        report = report._replace(
            checked=report.checked + part.checked,
            used=report.used + part.used,
            foreign=report.foreign + part.foreign,
            rights=report.rights + part.rights,
            ignored=report.ignored + part.ignored,
            wanted=part.wanted,
            kinds=report.kinds + tuple(kind for kind in part.kinds if kind not in report.kinds),
        )
    return report


def examine_target(
    target: Target,
    namespace: str,
    world: World,
    look: Look | None = None,
    *,
    wanted: frozenset[str] | None = None,
) -> Report:
    """Examines a target; a pod that is not there by the workload that could not make it."""
    try:
        item = fetch(target, namespace, world)
    except NotFound as error:
        if target.kind == "Secret":
            error.hint = missing_token_secret(target.name, namespace, world)
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
    return examine_item(item, world, look=look, wanted=wanted)


def missing_token_secret(name: str, namespace: str, world: World) -> str:
    """What to say of a Secret that is not there, where it would be the token of an account.

    Up to 1.23 each account got one by itself, and many a script still takes that for granted.
    """
    for account in accounts_in_name(name):
        try:
            found = world.get("ServiceAccount", namespace, account) if account else None
        except Unseen:
            continue
        if found is not None and account != name:
            create = kubectl(world, namespace, "create", "token", account)
            # one line, as every hint
            apply = kubectl(world, "", "apply", "-f", "-")
            text = quote(dumps(token_secret(namespace, name, account)))
            return (
                "since Kubernetes 1.24 none is made by itself; for a token run "
                f"'{create}', or where a program needs the Secret: {apply} <<<{text}"
            )
    return ""


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


def examine_item(
    item: Object,
    world: World,
    *,
    asked: bool = True,
    look: Look | None = None,
    wanted: frozenset[str] | None = None,
) -> Report:
    """Examines an object and what belongs to it: a workload's pods, a pod's token Secrets."""
    metadata = item["metadata"]
    name: Name = (item["kind"], metadata.get("namespace", ""), metadata["name"])
    report = Report([name], [], [], [], [], 0, wanted=wanted)
    if is_custom(item):
        report = report._replace(kinds=((item["kind"], item.get("apiVersion", "")),))
    found: dict[tuple[str, str, bool], Cause] = {}
    checked = 0
    live = False
    used: list[Used] = []
    foreign: list[tuple[Name, str, Foreign]] = []
    for subject in with_tokens(subjects(item, world, report), look, report, world):
        findings, skipped, ran = examine(subject, world, name, asked=asked, wanted=wanted)
        checked = max(checked, ran) if subject["kind"] == "Pod" else checked + ran
        for skip in skipped:
            if skip not in report.skipped:
                report.skipped.append(skip)
        # a token is that of a pod which was looked at before
        again = subject["kind"] == "Token"
        alive = again or (subject["kind"] == "Pod" and is_live(subject))
        live = live or alive
        for finding in findings:
            # the pods of one workload have one fault, however many they are
            key = (finding.code, maker(subject, world), finding.ignored is None)
            known = found.get(key)
            if known is None or (alive and not known.affected):
                found[key] = Cause(finding, int(alive), targets=(name,))
            elif alive and not again:
                found[key] = known._replace(affected=known.affected + 1)
        if subject["kind"] == "Token":
            if subject.get("file"):
                report.notes.append((name, probed(subject, world)))
            used += [Used(name, *verdict) for verdict in verdicts(subject)]
        elif subject["kind"] == item["kind"] == "Secret":
            report.tokens.extend(token_of_secret(item, name))
            if look is not None and report.tokens:
                text = "--verify and --probe are about pods; inspect is for tokens in Secrets"
                report.notes.append((name, text))
        elif subject["kind"] == "Pod" and (alive or item["kind"] == "Pod"):
            report.tokens.extend(tokens_of(subject, name, world))
            pod = subject["metadata"]["name"]
            foreign += [(name, pod, one) for one in foreign_tokens(subject, world)]
            if finished(subject):
                report.notes.append(
                    (name, f"{subject['metadata']['name']} has ended: nothing renews its token")
                )
    causes = sorted(once(found.values()), key=lambda cause: rank(cause.finding))
    on_paper = world.source != "cluster"
    if not report.tokens and (on_paper or not (live or is_broken(causes))):
        # the template is all there is: these are the tokens that its pods would have
        for path in template_paths(item):
            paper = admitted(template_pod(item, path) or {}, world)
            report.tokens.extend(tokens_of(paper, name, world))
        if report.tokens and not on_paper:
            report.notes.append((name, "by its template: no pod of it was seen"))
    return report._replace(
        causes=rooted([cause for cause in causes if cause.finding.ignored is None]),
        ignored=tuple(cause for cause in causes if cause.finding.ignored is not None),
        checked=checked,
        used=tuple(used),
        foreign=tuple(foreign),
        rights=tuple(rights_of(item, report, world)) if asked and wanted is None else (),
    )


def once(causes: Iterable[Cause]) -> list[Cause]:
    """The causes, those that name one place and one fix as one: several workloads have that."""
    found: list[Cause] = []
    for cause in causes:
        one = cause.finding
        for index, known in enumerate(found):
            other = known.finding._replace(evidence=one.evidence)
            if one == other:
                found[index] = known._replace(affected=known.affected + cause.affected)
                break
        else:
            found.append(cause)
    return found


def is_broken(causes: list[Cause]) -> bool:
    """Whether there is an error among them that counts."""
    return any(
        cause.finding.severity == "error" and cause.finding.ignored is None for cause in causes
    )


def rights_of(item: Object, report: Report, world: World) -> Iterator[Rights]:
    """What the accounts of a target's tokens may do; reads no more than the bindings, and roles."""
    name = report.targets[0]
    users = dict.fromkeys(token.user for token in report.tokens)
    if item["kind"] == "ServiceAccount":
        users[user_of(name[1], name[2])] = None
    for user in users:
        namespace, _, account = user.removeprefix(USER_PREFIX).partition(":")
        may: list[str] = []
        unseen = ""
        try:
            for phrase in rights(world, namespace, account):
                may.append(phrase)
        except Unseen as error:
            unseen = error.what
        may.sort(key=lambda phrase: " everywhere " not in phrase)  # the widest first
        ask = satoken(world, namespace, "can-i", f"sa/{account}", "--list")
        yield Rights(name, user, tuple(may), unseen, ask)


def with_tokens(
    items: Iterable[Object], look: Look | None, report: Report, world: World
) -> Iterator[Object]:
    """The same objects, and after the first pod of each maker that runs its tokens."""
    done: set[str] = set()
    for item in items:
        yield item
        if look is None or item["kind"] != "Pod" or not is_live(item):
            continue
        if maker(item, world) not in done:
            done.add(maker(item, world))
            yield from look(item, report.skipped)


def probed(token: Object, world: World) -> str:
    """What a probe saw, in words."""
    asked, issued = token["asked"], (token.get("payload") or {}).get("iat")
    age = f", {words(world.now() - issued)} old" if isinstance(issued, int | float) else ""
    request = "no curl, python3 or openssl there for a request"
    if not token["file"].get("trust", True):
        request = "no ca.crt there for a request"
    if token.get("reviews"):
        taken = token["reviews"][0]["authenticated"]
        request = f"a request from there was {'taken' if taken else 'refused'}"
    elif token.get("unreached"):
        request = "a request from there got no answer"
    name = f"{token['metadata']['name']} {asked['container']}"
    return f"probe of {name}: token {token['file']['state']}{age}; {request}"


def verdicts(token: Object) -> Iterator[tuple[str, str, str, str, bool, str]]:
    """What the API server says of a token: pod, source, container, by, taken, user."""
    reviews = token.get("reviews") or []
    if not reviews:
        return
    worst = next((one for one in reviews if not one["authenticated"]), reviews[0])
    yield (
        token["metadata"]["name"],
        token["source"],
        token["asked"]["container"],
        worst["by"],
        worst["authenticated"],
        worst.get("user", ""),
    )


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
    """What a pod is made from: workload and template; of what stands alone its own name."""
    owner = owner_of(subject, world) if subject["kind"] == "Pod" else None
    if owner is None:
        return str(subject["metadata"]["name"])
    return f"{owner.kind}/{owner.name} {' '.join(owner.path)}"


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
        yield from listing_accounts(item, world)
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
            secrets.update(dict.fromkeys(taken_secrets(pod)))
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
        if stored is not None and is_for_token(stored):
            yield stored


def listing_accounts(secret: Object, world: World) -> Iterator[Object]:
    """The account of a token Secret, if it names the Secret, which makes a difference to both."""
    metadata = secret["metadata"]
    account = account_named(secret)
    try:
        found = world.get("ServiceAccount", metadata.get("namespace", ""), account)
    except Unseen:
        return  # the checks of the Secret need it as well, and say so
    if found and any(each.get("name") == metadata["name"] for each in found.get("secrets") or []):
        yield found


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
