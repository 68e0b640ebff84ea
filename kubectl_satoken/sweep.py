"""A sweep: everything of a cluster or namespace is looked at; what has one root is told once."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any, Protocol

from .checks import Finding, Fix, Skipped, examine, rank
from .diagnosis import Cause, Name, Report, Swept, rooted
from .errors import Forbidden, Invalid, SatokenError, UsageError
from .ignores import ANNOTATION
from .likeness import Codes, Likes, moments
from .mounts import account_of
from .pod_reader import VARYING, Sketch
from .targets import admitted
from .token_secrets import meant_as_token, taken_secrets
from .workloads import (
    CONTROLLERS,
    controller_of,
    owner_of,
    template_path,
    template_paths,
    template_pod,
)
from .world import KINDS, Kind, Object, Unseen, World, known_kind

# So that memory stays small where everything is at fault: how many causes of one check are told in
# full, for how many targets of one cause its own commands are, and how many pods are named.
CAUSES = {"error": 1000, "warning": 1000, "hint": 300}
FIXES = 50
PODS = 3
SKIPS = 100
FAMILIAR = 1000

# Between these and their pods stands another controller.
BETWEEN = {"Deployment": "ReplicaSet", "CronJob": "Job"}
NEAREST = ("ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


# An object, or a pod still to be read, or why some could not be seen.
Item = Sketch | Object | Unseen


class Sweepable(World, Protocol):
    """A World that can be read from end to end."""

    namespace: str

    def each(self, kind: Kind, selector: str = "", *, metadata: bool = False) -> Iterator[Object]:
        """All of a kind that is looked at, without keeping any. Raises Unseen, even midway."""

    def sketches(self, selector: str = "") -> Iterator[Sketch | Object]:
        """The pods that are looked at, maybe still to be read. Raises Unseen, even midway."""

    def some(self, kind: Kind, wanted: Callable[[Object], bool]) -> Iterator[Object]:
        """The workloads of a kind for which that holds, by their counts and their status.

        Raises Unseen, even midway.
        """

    def warnings(self) -> Iterator[Object]:
        """The warning events of all that is looked at. Raises Unseen."""


NOBODY: Name = ("Pod", "", "")
Names = dict[tuple[str, str], None]  # namespace and name (or kind and apiVersion), in order
Told = Callable[[dict[str, int], int], None]


def sweep(
    items: Iterable[Item],
    world: World,
    tell: Told | None = None,
    wanted: Container[str] | None = None,
) -> Report:
    """Examines pods, workloads (by their template), service accounts and token Secrets.

    They come one by one and none is kept; what cannot be seen comes as the reason for that.
    ``tell`` hears how many there were, and how many faults; ``wanted`` are the codes of the checks
    to run, if not all. An interrupt, or an error midway, ends it: the report says so, and what was
    found stays. Raises what goes wrong before anything was looked at.
    """
    tally = Tally(world, wanted)
    broken = ""
    error: SatokenError | None = None
    try:
        for item in items:
            tally.take(item)
            if tell is not None:
                tell(tally.counts, tally.faults)
    except KeyboardInterrupt:
        broken = "interrupted"
    except (SatokenError, Unseen) as reason:
        error = forbidden(reason, world) if isinstance(reason, Unseen) else reason
        if not any(tally.counts.values()):
            raise error from reason
        broken = error.message
    return tally.report(broken)


def forbidden(unseen: Unseen, world: World) -> SatokenError:
    """What to say when that which a sweep is about may not be listed."""
    if isinstance(unseen.__cause__, Invalid):  # all else that we send is right
        return UsageError(f"the label selector is wrong: {unseen.__cause__.message}")
    hint = ""
    if not getattr(world, "namespace", "") and isinstance(unseen.__cause__, Forbidden):
        hint = "-n NAMESPACE looks at one namespace only"
    return SatokenError(f"{unseen.what} cannot be listed: {unseen.why}", hint)


class Tally:
    """What was found so far, by workload and check."""

    def __init__(self, world: World, wanted: Container[str] | None = None) -> None:
        self.world = world
        self.wanted = wanted
        self.counts = {"pods": 0, "workloads": 0, "serviceAccounts": 0, "secrets": 0}
        self.faults = 0
        self.likes = Likes()
        self.familiar: dict[Any, tuple[Codes, list[tuple[str, bool]], Name]] = {}
        self.checked: dict[str, int] = {}
        self.skipped: dict[tuple[str, str], Skipped] = {}
        self.workloads: set[tuple[str, str]] = set()
        # what each target has, by code; None where there is too much of it to keep
        self.found: dict[Name, dict[str, Cause | None]] = {}
        # by target and code, of pods that are like others: whether it counts; None: that depends
        self.settled: dict[Name, dict[str, bool | None]] = {}
        self.ignored: dict[Name, dict[str, Cause | None]] = {}
        self.kept: dict[str, int] = {}
        self.owners: dict[str, Name] = {}
        self.kinds: Names = {}

    def take(self, item: Item) -> None:
        """Examines one object and notes what it comes to."""
        key = None
        if isinstance(item, Unseen):
            self.note_skipped([Skipped("", item.what, item.what, item.why)])
            return
        if isinstance(item, Sketch):
            if self.met(item):
                self.counts["pods"] += 1
                return
            key = item.key
            item = item.whole()
        kind = item["kind"]
        wanted = self.wanted
        like = False
        if kind == "Pod":
            self.counts["pods"] += 1
            self.note_workload(item)
            number = getattr(item, "like", 0)
            # one that has a word on itself is like no other
            if number and ANNOTATION not in (item["metadata"].get("annotations") or {}):
                codes = self.like((number, namespace_of(item)), item, key)
                if self.counted(codes, item):
                    return
                wanted = frozenset(codes)
                like = True
        elif kind == "ServiceAccount":
            self.counts["serviceAccounts"] += 1
        elif kind == "Secret":
            self.counts["secrets"] += 1
        else:
            for path in template_paths(item):
                self.workloads.add((namespace_of(item), item["metadata"]["name"]))
                self.judge(admitted(template_pod(item, path) or {}, self.world), False, wanted)
            return
        self.judge(item, kind == "Pod", wanted, like)

    def judge(
        self, subject: Object, live: bool, wanted: Container[str] | None, like: bool = False
    ) -> None:
        """Examines an object and notes what is found; ``like`` one that is like others."""
        findings, skipped, ran = examine(subject, self.world, asked=False, wanted=wanted)
        if wanted is self.wanted:
            self.checked[subject["kind"]] = ran
            self.note_skipped(skipped)
        noted: set[tuple[str, bool]] = set()
        for finding in findings:
            one = (finding.code, finding.ignored is None)
            if one in noted:  # another container, say: it is one pod all the same
                continue
            noted.add(one)
            if like:
                flags = self.settled.setdefault(self.target_of(subject), {})
                same = flags.get(finding.code, one[1]) == one[1]
                flags[finding.code] = one[1] if same else None
            if finding.ignored is None:
                self.note(finding, subject, live)
            else:
                self.note_ignored(finding, subject, live)

    def note_skipped(self, skipped: list[Skipped]) -> None:
        """Notes what could not be looked at."""
        for skip in skipped:
            if len(self.skipped) < SKIPS:
                self.skipped.setdefault((skip.code, skip.why), skip)

    def met(self, sketch: Sketch) -> bool:
        """Whether a pod is one of those that were met, and if they are at fault is counted so."""
        found = self.familiar.get(sketch.key)
        if found is None:
            return False
        codes, moments, target = found
        if moments:
            made = sketch.made()
            if any((made < moment) != before for moment, before in moments):
                return False
        return not codes or self.count(codes, target, sketch.name())

    def like(self, spec: tuple[int, str], pod: Object, key: Any) -> Codes:
        """The codes of the checks that find something on a pod, or on those that it is like."""
        reading = self.likes.judged(pod, spec)
        if reading is None:
            view, log = self.likes.watched(pod)
            findings, skipped, ran = examine(
                view, self.world, NOBODY, asked=False, wanted=self.wanted, heeding=False
            )
            self.checked["Pod"] = ran
            self.note_skipped(skipped)
            codes = tuple({finding.code: None for finding in findings})
            reading = self.likes.remember(spec, log, codes)
        before = moments(reading, pod, VARYING) if key is not None else None
        if before is not None:
            if len(self.familiar) >= FAMILIAR:
                self.familiar.clear()
            target = self.target_of(pod) if reading[1] else NOBODY
            self.familiar[key] = (reading[1], before, target)
        return reading[1]

    def counted(self, codes: Codes, pod: Object) -> bool:
        """Whether a pod with these faults needs no more than to be counted."""
        return not codes or self.count(codes, self.target_of(pod), pod["metadata"]["name"])

    def count(self, codes: Codes, target: Name, pod: str) -> bool:
        """Counts one more pod with these faults, if its target has them already of another pod."""
        flags = self.settled.get(target, {})
        for code in codes:
            if flags.get(code) is None:
                return False
            known = (self.found if flags[code] else self.ignored)[target][code]
            if known is not None and not known.affected:
                return False
        for code in codes:
            causes = (self.found if flags[code] else self.ignored)[target]
            known = causes[code]
            if known is not None:
                causes[code] = one_more(known, pod)
        return True

    def note_workload(self, pod: Object) -> None:
        """Counts a pod's workload: a Deployment once, however many ReplicaSets it has."""
        for reference in pod["metadata"].get("ownerReferences") or ():
            if reference.get("controller"):
                break
        else:
            return
        if reference["kind"] == "Node":
            return
        name = reference["name"]
        if reference["kind"] == "ReplicaSet":
            hash_ = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
            name = name.removesuffix(f"-{hash_}") if hash_ else name
        self.workloads.add((namespace_of(pod), name))

    def note(self, finding: Finding, subject: Object, live: bool) -> None:
        """Joins a finding to those that the workload has already."""
        target = self.target_of(subject)
        causes = self.found.setdefault(target, {})
        code = finding.code
        known = causes.get(code)
        pods = (subject["metadata"]["name"],) if live else ()
        if known is not None:
            if live and not known.affected:
                finding = finding._replace(target=target)
                known = known._replace(finding=finding, affected=1, pods=pods)
            elif live:
                known = one_more(known, subject["metadata"]["name"])
            causes[code] = known
            return
        if code in causes:
            return
        if finding.severity != "hint":
            self.faults += 1
        if self.kept.get(code, 0) >= CAUSES[finding.severity]:
            causes[code] = None
            return
        self.kept[code] = self.kept.get(code, 0) + 1
        finding = finding._replace(target=target)
        causes[code] = Cause(finding, int(live), targets=(target,), pods=pods)

    def note_ignored(self, finding: Finding, subject: Object, live: bool) -> None:
        """Keeps a finding that does not count, so that it can be told what was ignored."""
        target = self.target_of(subject)
        causes = self.ignored.setdefault(target, {})
        known = causes.get(finding.code)
        if known is None:
            causes[finding.code] = Cause(finding._replace(target=target), int(live), "", (target,))
        elif live:
            causes[finding.code] = known._replace(affected=known.affected + 1)

    def target_of(self, subject: Object) -> Name:
        """The workload that an object belongs to, or itself."""
        namespace = namespace_of(subject)
        own = (subject["kind"], namespace, subject["metadata"]["name"])
        self.note_kind(subject["kind"], subject.get("apiVersion", ""))
        reference = controller_of(subject) if subject["kind"] == "Pod" else None
        if reference is None:
            return own
        uid = reference.get("uid", "")
        found = self.owners.get(uid)
        if found is None:
            owner = owner_of(subject, self.world)
            found = (owner.kind, owner.namespace, owner.name) if owner else own
            if owner:
                self.note_kind(owner.kind, owner.api_version)
                if uid:
                    self.owners[uid] = found
        return found

    def note_kind(self, kind: str, api_version: str) -> None:
        """Notes the group of a kind that is not built in, by which it is called."""
        if known_kind(kind, api_version) is None:
            self.kinds[kind, api_version] = None

    def report(self, broken: str) -> Report:
        """All that was found, one cause for each root."""
        self.counts["workloads"] = len(self.workloads)
        joined: dict[tuple[object, ...], list[Cause]] = {}
        omitted: dict[str, int] = {}
        for name, found in self.found.items():
            kept = [cause for cause in found.values() if cause is not None]
            for code in found:
                if found[code] is None:
                    omitted[code] = omitted.get(code, 0) + 1
            for cause in rooted(sorted(kept, key=lambda cause: rank(cause.finding))):
                root = root_of(cause, name)
                if root[-1] != name:  # it is about that, whoever has to do with it
                    finding = cause.finding._replace(target=cause.finding.object[:3])
                    cause = cause._replace(finding=finding)
                joined.setdefault(root, []).append(cause)
        causes = [merged(group) for group in joined.values()]
        causes.sort(key=lambda cause: (rank(cause.finding), -cause.affected, cause.finding.target))
        swept = Swept(getattr(self.world, "namespace", ""), dict(self.counts), omitted, broken)
        return Report(
            [],
            causes,
            list(self.skipped.values()),
            [],
            [],
            sum(self.checked.values()),
            swept,
            kinds=tuple(self.kinds),
            ignored=tuple(
                one for causes in self.ignored.values() for one in causes.values() if one
            ),
        )


def one_more(cause: Cause, pod: str) -> Cause:
    """A cause that one more pod has."""
    pods = (*cause.pods, pod) if len(cause.pods) < PODS else cause.pods
    return cause._replace(affected=cause.affected + 1, pods=pods)


def namespace_of(item: Object) -> str:
    """The namespace of an object; empty for those in none."""
    return str(item["metadata"].get("namespace", ""))


def root_of(cause: Cause, name: Name) -> tuple[object, ...]:
    """What causes have in common that are one: the place of the fault, where it is not the target.

    A service account, a ConfigMap or a policy at fault is so for all that use it.
    """
    finding = cause.finding
    here = finding.object
    if here.kind in ("Pod", "") or here.name == "*" or here[:3] == name:
        return (finding.code, cause.root, name)
    place = (*here[:4], str(here.value))
    return (finding.code, cause.root, finding.severity, finding.message, finding.ignored, place)


def merged(causes: Sequence[Cause]) -> Cause:
    """One cause for all of these, which have one root; with what mends each."""
    first = causes[0]
    if len(causes) == 1:
        return first
    fixes = [cause.finding.fix for cause in causes[:FIXES] if cause.finding.fix is not None]
    finding = first.finding
    if fixes:
        finding = finding._replace(
            fix=Fix(
                fixes[0].summary,
                tuple(dict.fromkeys(command for fix in fixes for command in fix.commands)),
                "---\n".join(dict.fromkeys(fix.manifest for fix in fixes if fix.manifest)),
                any(fix.recreates for fix in fixes),
            )
        )
    return first._replace(
        finding=finding,
        affected=sum(cause.affected for cause in causes),
        targets=tuple(target for cause in causes for target in cause.targets),
        pods=tuple(pod for cause in causes[:PODS] for pod in cause.pods)[:PODS],
    )


# --- what a sweep of a cluster looks at -----------------------------------------------------------


def everything(world: Sweepable, selector: str = "") -> Iterator[Item]:
    """Accounts, token Secrets, workloads that lack pods, CronJobs, and pods.

    Of a selector the pods, and what they use. Raises Unseen when pods cannot be listed.
    """
    if selector:
        yield from of_pods(world, selector)
        return
    pods = world.sketches()
    first = next(pods, None)  # what may not be looked at at all is said first
    yield from listed("ServiceAccount", world)
    yield from listed("Secret", world)
    yield from starved(world)
    if first is not None:
        yield first
        yield from pods


def note_used(pod: Object, accounts: Names, secrets: Names) -> None:
    """Notes the account of a pod and the Secrets that it mounts."""
    namespace = namespace_of(pod)
    accounts[namespace, account_of(pod)] = None
    for name in taken_secrets(pod):
        secrets[namespace, name] = None


def examined(item: Object) -> bool:
    """Whether an object is one that a sweep judges: no Secret but those for tokens."""
    return item["kind"] != "Secret" or meant_as_token(item)


def listed(kind: str, world: Sweepable) -> Iterator[Object | Unseen]:
    """All of a kind that are judged, and the reason if they cannot all be seen."""
    try:
        yield from filter(examined, world.list(kind, world.namespace))
    except Unseen as unseen:
        yield unseen


def starved(world: Sweepable) -> Iterator[Object | Unseen]:
    """The workloads that have fewer pods than they want, and CronJobs, which mostly have none.

    By the counts in their status; those of other types, and ReplicaSets on their own, by their
    events FailedCreate, which are gone after an hour (unless repeated, as controllers do). What may
    not be listed comes as the reason for that.
    """
    seen = set()
    for kind in WORKLOADS:
        try:
            for item in world.some(KINDS[kind], lacks_pods):
                seen.add((kind, namespace_of(item), item["metadata"]["name"]))
                yield item
        except Unseen as unseen:
            yield unseen
    try:
        for item in world.each(KINDS["CronJob"]):
            seen.add(("CronJob", namespace_of(item), item["metadata"]["name"]))
            yield {**item, "kind": "CronJob", "apiVersion": KINDS["CronJob"].api_version}
    except Unseen as unseen:
        yield unseen
    try:
        events = [event for event in world.warnings() if event.get("reason") == "FailedCreate"]
    except Unseen as unseen:
        yield unseen
        return
    for event in events:
        about = event.get("involvedObject") or {}
        reference = {**about, "controller": True}
        namespace = namespace_of(event)
        if not about.get("kind") or (about["kind"], namespace, about.get("name")) in seen:
            continue
        pod = {"metadata": {"name": "", "namespace": namespace, "ownerReferences": [reference]}}
        owner = owner_of(pod, world)
        if owner is None or owner.object is None:
            continue
        name = (owner.kind, namespace, owner.name)
        if name not in seen:
            seen.add(name)
            yield owner.object


def lacks_pods(workload: Object) -> bool:
    """Whether a workload has fewer pods than it wants."""
    spec, status = workload["spec"], workload.get("status") or {}
    conditions = {
        condition.get("type")
        for condition in status.get("conditions") or []
        if condition.get("status") == "True"
    }
    if "ReplicaFailure" in conditions:
        return True
    if workload["kind"] == "Job":
        ended = conditions & {"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"}
        return not (ended or spec.get("suspend") or status.get("active"))
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled") or 0
        return int(wanted) > int(status.get("currentNumberScheduled") or 0)
    wanted = spec.get("replicas")
    return int(1 if wanted is None else wanted) > int(status.get("replicas") or 0)


def of_kinds(kinds: Sequence[Kind], world: Sweepable, selector: str = "") -> Iterator[Object]:
    """All of some types, as ``kubectl get TYPE`` has them, the pods that belong to them, and what
    these use.

    Raises UsageError for a type that can have no token, and Unseen.
    """
    if [kind.kind for kind in kinds] == ["Pod"]:
        yield from of_pods(world, selector)
        return
    accounts: Names = {}
    secrets: Names = {}
    wanted: set[tuple[str, str]] = set()
    uids: set[str] = set()
    told: set[tuple[str, str, str]] = set()
    for kind in kinds:
        bare = fit = False
        if kind.kind == "Pod":
            for item in of_pods(world, selector):
                if name_of(item) not in told:
                    told.add(name_of(item))
                    yield item
            continue
        for item in world.each(kind, selector):
            item = {**item, "kind": kind.kind, "apiVersion": kind.api_version}
            metadata = item["metadata"]
            if kind.kind == "ServiceAccount":
                wanted.add((namespace_of(item), metadata["name"]))
            elif kind.kind == "Secret":
                if not examined(item):
                    continue
            elif not template_path(item):
                # of a custom kind some may say otherwise what their pods are made from
                bare = True
                if known_kind(kind.kind, kind.api_version):
                    break
                continue
            else:
                fit = True
                uids.add(metadata.get("uid", ""))
            if name_of(item) not in told:
                told.add(name_of(item))
                yield item
        if bare and not fit:
            raise UsageError(
                f"{kind.plural} have no pod template, so they have no token",
                "name a type of pod, workload, service account or Secret",
            )
    if uids and any(kind.kind not in NEAREST for kind in kinds):
        custom = any(known_kind(kind.kind, kind.api_version) is None for kind in kinds)
        for between in CONTROLLERS if custom else ("ReplicaSet", "Job"):
            for item in world.each(KINDS[between], metadata=True):
                if (controller_of(item) or {}).get("uid") in uids:
                    uids.add(item["metadata"]["uid"])
    if uids or wanted:
        for pod in world.each(KINDS["Pod"]):
            own = (controller_of(pod) or {}).get("uid") in uids
            if not own and (namespace_of(pod), account_of(pod)) not in wanted:
                continue
            note_used(pod, accounts, secrets)
            if name_of(pod) not in told:
                yield pod
    for item in used(accounts, secrets, world):
        if name_of(item) not in told:
            yield item


def of_pods(world: Sweepable, selector: str) -> Iterator[Object]:
    """The pods, and the accounts and token Secrets that they use."""
    accounts: Names = {}
    secrets: Names = {}
    for pod in world.each(KINDS["Pod"], selector):
        yield pod
        note_used(pod, accounts, secrets)
    yield from used(accounts, secrets, world)


def used(accounts: Names, secrets: Names, world: World) -> Iterator[Object]:
    """The accounts and token Secrets of these names, as far as they can be seen."""
    for kind, names in (("ServiceAccount", accounts), ("Secret", secrets)):
        for namespace, name in names:
            try:
                item = world.get(kind, namespace, name)
            except Unseen:
                break
            if item is not None and examined(item):
                yield item


def name_of(item: Object) -> tuple[str, str, str]:
    """The name of an object."""
    return item["kind"], namespace_of(item), item["metadata"]["name"]
