"""Runs the steps of a plan; undo.py takes them back. Nothing else writes for migrate.

Every write is for the very object that was looked at (uid and resourceVersion go with it), was
tried by the API server before (dryRun=All), and stands in the journal before it is sent. A write
that was cut off is not repeated blindly: what the object is like tells whether it arrived. So a run
can be killed at any point, and another one goes on, or takes all of it back.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .changes import Change, Key, Moved, as_json, changed, from_json, is_made, merge_patch, undone
from .cluster import JSON, path_of
from .consumers import is_built_in
from .errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    SatokenError,
    ServerError,
    TooManyRequests,
    Unreachable,
)
from .fixes import dumps, satoken
from .inventory import MIGRATED_ANNOTATION, note_in, remembered
from .journal import DONE, SETTLED, UNDONE, Entry, Journal
from .plan import (
    DELETE,
    INVALIDATE,
    PATCH,
    ROLLOUT,
    VERIFY,
    WAIT,
    WRITES,
    Plan,
    Step,
    Subject,
    not_before,
)
from .rollout import rollout
from .token_secrets import INVALID_SINCE_LABEL, account_named, token_secret
from .workloads import controller_of, finished
from .world import KINDS, Kind, Object, Ref, Unseen
from .writes import DRY_RUN, MERGE

if TYPE_CHECKING:
    from .cluster import Api
    from .env import Env
    from .live import ClusterWorld

# Where an object notes what was changed in it.
NOTE = ("metadata", "annotations", MIGRATED_ANNOTATION)

# Secrets come without their data.
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"

TIMEOUT = 600.0  # seconds that a rollout gets, as the progress deadline of a Deployment by default
POLL = 1.0  # seconds between two looks, at first less
SHORT = 60.0  # seconds of a grace period that are waited for; a longer one is for another run
TRIES = 6  # of a write whose object keeps changing meanwhile
PODS = 3  # of each workload whose tokens are verified
QUIET = 2.0  # seconds after which it is said what is waited for
FRESH = 5.0  # seconds for which it is taken as known who uses a Secret

# After these it is not known whether a write was done; what the object is like tells.
UNCLEAR = (ServerError, TooManyRequests, Unreachable)

# What became of a step.
CHECKED = "checked"  # the API server would do it
BEGUN = "begun"
WOULD_NOT = "refused"
DONE_NOW = "done"
ALREADY = "already done"
HELD = "held back"
BACK = "taken back"


class Event(NamedTuple):
    """What became of a step, for whoever watches."""

    step: Step
    state: str
    message: str = ""


class Stopped(SatokenError):
    """A step failed. What was done before it stands in the journal."""

    def __init__(self, step: Step, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.step = step


class Gone(Conflict):
    """An object that was made anew: what was changed in the old one is gone with it."""


class Held(Exception):
    """Why a step, and what follows for its Secrets, is not done now; nothing is wrong with that."""


class TakenBack(Held):
    """A template that uses a Secret again: somebody else has undone what was done to it."""


class Site:
    """Where steps are run.

    ``grace`` is how long a Secret stays marked before it is deleted, ``timeout`` what a rollout
    gets, both in seconds. ``flags`` are those by which kubectl reaches the cluster.
    """

    def __init__(
        self,
        api: "Api",
        env: "Env",
        journal: Journal,
        grace: float,
        *,
        timeout: float = TIMEOUT,
        flags: tuple[str, ...] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.api = api
        self.env = env
        self.journal = journal
        self.grace = grace
        self.timeout = timeout
        self.flags = flags
        self.sleep = sleep
        # by namespace: when it was looked at, and which pods use which Secrets
        self.users: dict[str, tuple[float, dict[str, list[str]]]] = {}

    def world(self) -> "ClusterWorld":
        """The cluster as it is now."""
        from .live import ClusterWorld

        world = ClusterWorld(self.api, self.env)
        world.flags = self.flags
        return world


# --- a step in the journal ------------------------------------------------------------------------


def recorded(step: Step, changes: Iterable[Change] = (), manifest: Object | None = None) -> Object:
    """A step as it stands in the journal. ``manifest`` makes its Secret again."""
    subject = step.subject
    line: Object = {
        "action": step.action,
        "type": list(subject.kind[:4]),
        "namespace": subject.namespace,
        "name": subject.name,
        "uid": subject.uid,
        "resourceVersion": subject.resource_version,
        "secrets": [[ref.namespace, ref.name] for ref in step.secrets],
        "changes": as_json(changes),
    }
    return {**line, "manifest": manifest} if manifest else line


def read_step(entry: Entry) -> Step:
    """The step of an entry. Raises SatokenError for what is none."""
    line = entry.step
    try:
        kind, api_version, plural, namespaced = line["type"]
        named = Kind(str(kind), str(api_version), str(plural), bool(namespaced))
        known = KINDS.get(named.kind, named)
        subject = Subject(
            known if known[:4] == named[:4] else named,
            *(str(line[field]) for field in ("namespace", "name", "uid", "resourceVersion")),
        )
        secrets = tuple(Ref("Secret", str(one), str(other)) for one, other in line["secrets"])
        changes = from_json(line["changes"])
        action = str(line["action"])
        if action not in WRITES:
            raise ValueError(action)
    except (KeyError, TypeError, ValueError):
        raise SatokenError(f"step {entry.number} of the journal cannot be understood") from None
    return Step(action, subject, secrets, "", changes)


# --- forward --------------------------------------------------------------------------------------


def rehearse(plan: Plan, at: Site) -> Iterator[Event]:
    """Has the API server try every write of a plan, of which it stores nothing.

    An event for each; those in the state WOULD_NOT say why, and must not be run.
    """
    for step in plan.steps:
        if step.blocked:
            continue
        try:
            if step.action in WRITES and step.action != DELETE:
                item = current(step.subject, at)
                if step.action == PATCH and not is_made(item, step.changes):
                    confirm_ready(item)
                send(step.subject, item, step.changes, at, dry_run=True)
            elif step.action == DELETE:
                remove(current(step.subject, at), at, dry_run=True)
            elif step.action != VERIFY or not verify_account(step, at):
                continue
        except Moved as error:
            yield Event(step, WOULD_NOT, f"{error}: somebody else has changed it")
        except (Forbidden, Conflict, Invalid, NotFound, Held) as error:
            yield Event(step, WOULD_NOT, getattr(error, "message", str(error)))
        else:
            yield Event(step, CHECKED)


def confirm_ready(workload: Object) -> None:
    """Raises Held for a workload that is not as it should be before anything was done to it."""
    state = rollout(workload)
    if not state.ready:
        raise Held(f"it is not ready as it is: {state.message}")


def verify_account(step: Step, at: Site) -> bool:
    """Whether the API server could be asked for a token of a workload's account.

    Raises Held where it gives none that it would take.
    """
    account = account_in(current(step.subject, at))
    if account is None:
        return False
    try:
        refused = token_refused(at, step.subject.namespace, account)
    except Forbidden:
        return False
    if refused:
        raise Held(f"the API server takes no new token of serviceaccount {account}: {refused}")
    return True


def unfinished(secrets: Iterable[Ref], journal: Journal) -> Plan:
    """What an earlier run did not come to: to see that the pods of the templates it has changed for
    some Secrets are new, and have tokens.

    To be run before a plan is made, since pods that are on their way out are in its way.
    """
    wanted = set(secrets)
    steps = []
    for entry in journal.standing():
        step = read_step(entry)
        if step.action == PATCH and entry.state != SETTLED and wanted & {*step.secrets}:
            steps += [step._replace(action=action, changes=()) for action in (ROLLOUT, VERIFY)]
    return Plan(tuple(steps), ())


def run(plan: Plan, at: Site) -> Iterator[Event]:
    """Does the steps of a plan, in order. Raises Stopped at the first that fails.

    What is blocked, or has to wait, holds back all that follows for the same Secrets.
    """
    held: dict[Ref, str] = {}
    changed: list[Step] = []
    for step in plan.steps:
        why = "; ".join(step.blocked) or next(
            (held[ref] for ref in step.secrets if ref in held), ""
        )
        if not why:
            yield Event(step, BEGUN)
            try:
                if step.action in (INVALIDATE, DELETE):
                    confirm_given_up(step, changed, at)
                yield Event(step, *do(step, at))
                changed += [step] if step.action == PATCH else []
                continue
            except Held as reason:
                why = str(reason)
            except Moved as error:
                raise Stopped(
                    step,
                    f"{step.subject.resource}: {error}, somebody else has changed it since it "
                    "was looked at",
                ) from error
            except Stopped:
                raise
            except SatokenError as error:
                raise Stopped(
                    step, f"{step.action} {step.subject.resource}: {error.message}", error.hint
                ) from error
        held.update(dict.fromkeys(step.secrets, why))
        yield Event(step, HELD, why)


def do(step: Step, at: Site) -> tuple[str, str]:
    """Does one step; returns what became of it and a word for a person."""
    if step.action in (INVALIDATE, DELETE):
        confirm_unused(step, at)
    if step.action == DELETE:
        return insist(at, lambda: delete(step, at)), ""
    if step.action in WRITES:
        return insist(at, lambda: change(step, at)), ""
    watch = {ROLLOUT: follow, VERIFY: verify, WAIT: wait}[step.action]
    return DONE_NOW, watch(step, at)


Came = TypeVar("Came")


def insist(at: Site, act: Callable[[], Came], *also: type[SatokenError]) -> Came:
    """Does again what failed because its object had changed meanwhile, and after some other errors.

    It looks at the object anew each time. Raises ApiError at last.
    """
    passing: tuple[type[SatokenError], ...] = (Conflict, *also)
    for attempt in range(TRIES):
        try:
            return act()
        except Gone:
            raise
        except passing:
            if attempt == TRIES - 1:
                raise
            at.sleep(min(0.1 * 2**attempt, 2.0))
    raise AssertionError


def change(step: Step, at: Site) -> str:
    """Makes the changes of a step, unless they are made already. Raises Moved and ApiError."""
    subject = step.subject
    item = current(subject, at)
    if is_made(item, step.changes):
        return ALREADY
    tried = send(subject, item, step.changes, at, dry_run=True)
    # as the API server stores it: it adds its defaults, and perhaps more
    changes = tuple(as_stored(one, tried) for one in step.changes)
    manifest = manifest_of(item) if subject.kind == KINDS["Secret"] else None
    write(
        recorded(step, changes, manifest),
        at,
        lambda: send(subject, item, step.changes, at),
        lambda: is_made(current(subject, at), changes),
    )
    return DONE_NOW


def write(line: Object, at: Site, send: Callable[[], Any], has_arrived: Callable[[], bool]) -> None:
    """Sends what stands in the journal then, and notes there what came of it. Raises ApiError."""
    number = at.journal.intend(line)
    try:
        send()
    except (Forbidden, Conflict, Invalid, NotFound):
        at.journal.mark(number, UNDONE)  # it was refused, so nothing was done
        raise
    except UNCLEAR:
        at.sleep(POLL)
        if not has_arrived():
            raise
    at.journal.mark(number, DONE)


def ticks(at: Site, seconds: float) -> Iterator[bool]:
    """Looks at something again and again: yields True, and at the end, after so many seconds, once
    False."""
    end = time.monotonic() + seconds
    pause = POLL / 5
    while time.monotonic() < end:
        yield True
        at.sleep(pause)
        pause = min(pause * 1.5, POLL)
    yield False


def current(subject: Subject, at: Site) -> Object:
    """The object of a step as it is now; a Secret without its data. Raises NotFound, and Gone for
    one that was made anew."""
    accept = METADATA if subject.kind.kind == "Secret" else JSON
    item: Object = at.api.request("GET", where(subject), accept=accept)
    if item["metadata"].get("uid") != subject.uid:
        raise Gone(f"{subject.resource} was made anew since it was looked at")
    return {**item, "kind": subject.kind.kind, "apiVersion": subject.kind.api_version}


def where(subject: Subject) -> str:
    """The path of an object."""
    return path_of(subject.kind, subject.namespace, subject.name)


def send(
    subject: Subject, item: Object, changes: Sequence[Change], at: Site, *, dry_run: bool = False
) -> Object:
    """Makes changes in an object that is as it was looked at. Raises Moved and ApiError."""
    patch = merge_patch(item, changed(item, changes))
    metadata = item["metadata"]
    only_if = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    body = {**patch, "metadata": {**patch.get("metadata", {}), **only_if}}
    accept = METADATA if subject.kind.kind == "Secret" else JSON
    query = DRY_RUN if dry_run else ()
    answer: Object = at.api.request(
        "PATCH", where(subject), body, query, content_type=MERGE, accept=accept
    )
    return answer


def as_stored(one: Change, item: Object) -> Change:
    """A change with what the API server made of it."""
    here: Any = item
    for part in one.path:
        if isinstance(part, Key):
            found = [entry for entry in here or () if entry.get(part.field) == part.value]
            here = found[0] if found else None
        else:
            here = here.get(part) if isinstance(here, dict) else None
    return one._replace(after=here)


def label(item: Object, key: str) -> str:
    """A label of an object; empty if it has none of that name."""
    return str((item["metadata"].get("labels") or {}).get(key) or "")


def restore(step: Step, at: Site) -> None:
    """Takes the changes of a step back, as far as they are made. Raises Moved, Gone, ApiError."""

    def once() -> None:
        item = current(step.subject, at)
        back = way_back(step.changes, item)
        if not is_made(item, back):
            send(step.subject, item, back, at)

    insist(at, once, *UNCLEAR)


def way_back(changes: Iterable[Change], item: Object) -> tuple[Change, ...]:
    """What takes changes back, and what the object notes of them; other notes in it stay."""
    own = [change for change in changes if change.path != NOTE]
    places = {(change.path, dumps(change.before)) for change in own}
    rest = [
        change for change in remembered(item) if (change.path, dumps(change.before)) not in places
    ]
    note = Change(NOTE, note_in(item) or None, dumps(as_json(rest)) if rest else None)
    return (*undone(own), note)


# --- the Secret -----------------------------------------------------------------------------------


def manifest_of(secret: Object) -> Object:
    """What makes a token Secret again, with a new token. Nothing that may be a token is in it."""
    from .errors import redact
    from .token_secrets import VALUE_ANNOTATIONS

    metadata = secret["metadata"]
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key not in VALUE_ANNOTATIONS and redact(value) == value
    }
    like = {"metadata": {**metadata, "annotations": annotations}}
    account = account_named(secret)
    return token_secret(metadata["namespace"], metadata["name"], account, like)


def delete(step: Step, at: Site) -> str:
    """Deletes a Secret that is marked invalid and that nobody has tried to use since."""
    subject = step.subject
    try:
        item = current(subject, at)
        if left(item, at) > 0:
            raise Held(not_yet(item, at))
        remove(item, at, dry_run=True)
        write(
            recorded(step, (), manifest_of(item)),
            at,
            lambda: remove(item, at),
            lambda: not is_there(subject, at),
        )
    except NotFound:
        return ALREADY
    return DONE_NOW


def remove(item: Object, at: Site, *, dry_run: bool = False) -> None:
    """Deletes a Secret that is as it was looked at. Raises ApiError."""
    from .writes import delete as delete_object

    if dry_run and not item["metadata"].get("deletionTimestamp"):
        delete_object(at.api, item, dry_run=True)
    elif not dry_run:
        delete_object(at.api, item, whole=True)


def is_there(subject: Subject, at: Site) -> bool:
    """Whether an object is there, and still that one."""
    try:
        current(subject, at)
    except (NotFound, Gone):
        return False
    return True


def confirm_unused(step: Step, at: Site) -> None:
    """Raises Held where a pod uses the Secret of a step."""
    for ref in step.secrets:
        pods = users(ref, at)
        if pods:
            more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
            raise Held(f"pod/{pods[0]}{more} uses it")


def confirm_given_up(step: Step, changed: Iterable[Step], at: Site) -> None:
    """Raises Held where a template that was changed uses the Secret of a step again, even if there
    is no pod of it now."""
    for one in changed:
        wanted = {*one.secrets} & {*step.secrets}
        if not wanted:
            continue
        try:
            confirm_template(current(one.subject, at), one.subject, wanted)
        except (NotFound, Gone):
            continue


def confirm_template(item: Object, subject: Subject, secrets: Iterable[Ref]) -> None:
    """Raises TakenBack where the template of a workload uses one of these Secrets."""
    from .consumers import PULL, pod_specs, secret_uses

    names = {ref.name for ref in secrets}
    for _, spec in pod_specs(item):
        for use in secret_uses(spec):
            if use.name in names and use.how != PULL:
                raise TakenBack(
                    f"somebody has changed {subject.resource} back: it uses {use.name} again"
                )


def users(ref: Ref, at: Site) -> list[str]:
    """The pods that use a Secret and have not ended. Raises Held where they cannot be seen."""
    looked, found = at.users.get(ref.namespace, (-FRESH, {}))
    if time.monotonic() - looked > FRESH:
        found = {}
        for pod in pods(ref.namespace, at.world()):
            for name in secrets_of(pod):
                found.setdefault(name, []).append(pod["metadata"]["name"])
        at.users[ref.namespace] = (time.monotonic(), found)
    return found.get(ref.name, [])


def pods(
    namespace: str, world: "ClusterWorld", query: Sequence[tuple[str, str]] = ()
) -> Iterator[Object]:
    """The pods of a namespace that have not ended. Raises Held where they cannot be seen."""
    try:
        for page in world.pages(KINDS["Pod"], namespace, query):
            yield from (pod for pod in page if not finished(pod))
    except Unseen as error:
        raise Held(f"its pods cannot be seen: {error}") from error


def secrets_of(pod: Object) -> set[str]:
    """The Secrets that a pod uses, but for its imagePullSecrets: a token is no login to a registry,
    and pods get those of their account again and again."""
    from .consumers import PULL, secret_uses

    return {use.name for use in secret_uses(pod["spec"]) if use.how != PULL}


def wait(step: Step, at: Site) -> str:
    """Waits out the rest of a grace period, if it is short. Raises Held."""
    item = current(step.subject, at)
    rest = left(item, at)
    if rest > SHORT:
        raise Held(not_yet(item, at))
    if rest > 0:
        at.sleep(rest)
    return ""


def left(secret: Object, at: Site) -> float:
    """The seconds before which a Secret must not be deleted; infinite while it is not marked."""
    now = at.env.now()
    return not_before(secret, at.grace, now) - now


def not_yet(secret: Object, at: Site) -> str:
    """Why a Secret is not deleted now."""
    from .times import timestamp

    if not label(secret, INVALID_SINCE_LABEL):
        return "it is not marked invalid"
    rest = left(secret, at)
    if rest == float("inf"):
        return "its labels do not tell since when it is marked, or when it was last used"
    return f"it is deleted after {timestamp(at.env.now() + rest)}, if nobody tries to use it"


# --- the pods -------------------------------------------------------------------------------------


def follow(step: Step, at: Site) -> str:
    """Waits until no pod of a workload uses the Secrets; takes the change back if its pods do not
    get ready. Raises Stopped and Held."""
    entry = patch_of(step.subject, at)
    if entry is not None and not arrived(entry, at):
        at.journal.mark(entry.number, UNDONE)
        return "its template is as it was before"
    try:
        failed = await_rollout(step, at)
    except TakenBack:
        if entry is not None and not arrived(entry, at):
            at.journal.mark(entry.number, UNDONE)
        raise
    if not failed:
        return ""
    if entry is None:
        raise Stopped(step, f"{step.subject.resource} does not get ready: {failed}")
    came_back = take_back_patch(step, entry, at)
    raise Stopped(
        step,
        f"{step.subject.resource} did not get ready without its Secret: {failed}; "
        f"its template is as it was before, {came_back}",
        f"why: {satoken(at.world(), step.subject.namespace, 'doctor', step.subject.resource)}",
    )


def arrived(entry: Entry, at: Site) -> bool:
    """Whether a change in the journal is in the object: it may have been cut off before it got
    there, or have been taken back by somebody since."""
    step = read_step(entry)
    try:
        item = current(step.subject, at)
    except (NotFound, Gone):
        return False
    return not is_made(item, undone(one for one in step.changes if one.path != NOTE))


def await_rollout(step: Step, at: Site) -> str:
    """Waits for a rollout; returns why it does not come about, or nothing when it has.

    Raises Held where all is well but old pods go on (a Job of a CronJob), or have to be replaced
    by hand; and TakenBack.
    """
    from .inventory import by_hand

    began = time.monotonic()
    for goes_on in ticks(at, at.timeout):
        try:
            item = current(step.subject, at)
        except NotFound:  # deleted, and its pods with it
            return ""
        confirm_template(item, step.subject, step.secrets)
        state, todo = rollout(item), by_hand(item, at.world())
        if state.failed and not todo:
            return state.message
        left = []
        if state.ready or todo:
            left = [pod for pod in of_workload(item, at) if uses(pod, step)]
            if state.ready and not left:
                return ""
            if left and todo:
                raise Held(f"its pods are replaced by hand: {'; '.join(todo)}")
        if not goes_on:
            if not state.ready:
                return state.message
            raise Held(f"pod/{left[0]['metadata']['name']} uses it and has not ended yet")
        if time.monotonic() - began > QUIET:
            why = state.message or f"pod/{left[0]['metadata']['name']} has not ended yet"
            at.api.say(f"waiting for {step.subject.resource}: {why}")
    raise AssertionError


def uses(pod: Object, step: Step) -> bool:
    """Whether a pod uses one of a step's Secrets."""
    return any(ref.name in secrets_of(pod) for ref in step.secrets)


def of_workload(workload: Object, at: Site) -> Iterator[Object]:
    """The pods of a workload that have not ended, also those on their way out. Raises Held."""
    world = at.world()
    namespace, uid = workload["metadata"].get("namespace", ""), workload["metadata"]["uid"]
    for pod in pods(namespace, world, selector(workload)):
        item: Object | None = pod
        for _ in range(5):
            reference = controller_of(item) if item else None
            if reference is None:
                break
            if reference.get("uid") == uid:
                yield pod
                break
            kind, version = reference["kind"], reference.get("apiVersion", "")
            try:
                item = world.get(kind, namespace, reference["name"], version)
            except Unseen:  # who made it is not known: it may be ours
                yield pod
                break


def selector(workload: Object) -> list[tuple[str, str]]:
    """The query for the pods that a workload may have, where its type tells by which labels."""
    if workload["kind"] == "CronJob" or not is_built_in(workload):
        return []
    labels = workload["spec"].get("selector") or {}
    if workload["kind"] != "ReplicationController":
        labels = labels.get("matchLabels") or {}
    words = ",".join(f"{key}={value}" for key, value in labels.items())
    return [("labelSelector", words)] if words else []


def patch_of(subject: Subject, at: Site) -> Entry | None:
    """The last change to a workload's template that stands in the journal."""
    for entry in reversed(at.journal.standing()):
        if entry.step.get("action") == PATCH and entry.step.get("uid") == subject.uid:
            return entry
    return None


def take_back_patch(step: Step, entry: Entry, at: Site) -> str:
    """Restores a template whose pods did not get ready, and tells in words what came of it."""
    before = read_step(entry)
    restore(before, at)
    at.journal.mark(entry.number, UNDONE)
    if step.subject.kind.kind == "StatefulSet":
        delete_stuck(step, at)
    failed = await_ready(step.subject, at)
    return f"but its pods are not ready again: {failed}" if failed else "and its pods are ready"


def await_ready(subject: Subject, at: Site) -> str:
    """Waits for the rollout of a template as it was; returns why it does not come about."""
    for goes_on in ticks(at, at.timeout):
        state = rollout(current(subject, at))
        # what an earlier template came to is no verdict on this one
        if state.ready or not goes_on:
            return state.message
    raise AssertionError


def delete_stuck(step: Step, at: Site) -> None:
    """Deletes the pods that did not get ready: a StatefulSet would wait for them for ever."""
    from .fixes import is_ready
    from .writes import delete as delete_object

    with suppress(Held, ApiError):
        for pod in of_workload(current(step.subject, at), at):
            if not uses(pod, step) and not is_ready(pod):
                delete_object(at.api, pod)


def verify(step: Step, at: Site) -> str:
    """Sees that the API server takes the tokens that a workload's pods have now.

    Where it does not, the change is taken back. Raises Stopped.
    """
    from .mounts import account_of

    checked = 0
    unseen = ""
    for pod in of_workload(current(step.subject, at), at):
        if checked == PODS or unseen:
            break
        if pod["metadata"].get("deletionTimestamp") or not has_token(pod):
            continue
        try:
            refused = token_refused(at, step.subject.namespace, account_of(pod), pod)
        except NotFound as error:
            if error.details.get("kind") == "pods":  # it was replaced
                continue
            refused = error.message
        except Forbidden as error:
            unseen = error.message
            continue
        checked += 1
        if refused:
            raise not_taken(step, pod, refused, at)
    entry = patch_of(step.subject, at)
    if entry is not None:
        at.journal.mark(entry.number, SETTLED)
    if unseen:
        return f"not verified: {unseen}"
    if not checked:
        return "there are no pods of it with a token now"
    return f"the API server takes the tokens of {checked} pod{'s' * (checked != 1)}"


def not_taken(step: Step, pod: Object, why: str, at: Site) -> Stopped:
    """The error of a pod whose token is refused, after its workload's template was restored."""
    message = f"the API server does not take the token of pod/{pod['metadata']['name']}: {why}"
    entry = patch_of(step.subject, at)
    if entry is None:
        return Stopped(step, message)
    came_back = take_back_patch(step, entry, at)
    whose = f"the template of {step.subject.resource} is as it was before"
    return Stopped(step, f"{message}; {whose}, {came_back}")


def has_token(pod: Object) -> bool:
    """Whether a pod has a projected token for the API server."""
    from .pod_tokens import sources

    return any(not one.audience for one in sources(pod))


def token_refused(at: Site, namespace: str, account: str, pod: Object | None = None) -> str:
    """Why the API server does not take the token that the kubelet would get; empty if it does.

    Raises Forbidden where it may not be asked.
    """
    from .mint import Ask, Bound, mint
    from .review import review

    bound = None
    if pod is not None:
        bound = Bound("Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
    minted = mint(at.api, Ask(namespace, account, (), None, bound))
    verdict = review(at.api, minted.token)
    return "" if verdict["authenticated"] else str(verdict["error"] or "unauthorized")


def account_in(workload: Object) -> str | None:
    """The account that a workload's pods run as; None where it has no template."""
    from .mounts import account_of
    from .workloads import template_pod

    pod = template_pod(workload)
    return account_of(pod) if pod else None
