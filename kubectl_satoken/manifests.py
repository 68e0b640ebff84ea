"""A World from YAML and JSON: manifests as people write them, or a snapshot of a cluster.

Manifests are a part of the truth: what is not among them may still be in the cluster, so it is
unseen, not absent. A snapshot (``kind: Snapshot``) says what was read in full, and there absent is
absent.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .admission import ROOT_CA_CONFIG_MAP
from .env import Env
from .errors import ManifestError
from .times import seconds
from .token_secrets import redacted
from .workloads import TEMPLATE_PATHS, dotted, step_into, template_paths
from .world import KINDS, Object, Unseen, Want, Whole

# What every namespace has, and hardly anybody writes into a manifest.
EVERYWHERE: dict[tuple[str, str], Object] = {
    ("ServiceAccount", "default"): {},
    ("ConfigMap", ROOT_CA_CONFIG_MAP): {"data": {"ca.crt": "published by the cluster"}},
}

SUFFIXES = (".yaml", ".yml", ".json")
SNAPSHOT = ("satoken/v1", "Snapshot")


class ManifestWorld(Whole):
    """What can be seen in files. Implements world.World."""

    source = "manifests"
    flags: tuple[str, ...] = ()
    #: whether a snapshot is among the files, which tells the state of a cluster
    snapshot = False
    #: what a snapshot was made of, if not of a whole namespace or more
    targets: Sequence[Object] = ()
    #: the files, each with its text where it cannot be read a second time
    files: Sequence[tuple[str, str | None]] = ()

    def __init__(self, objects: Iterable[Object], namespace: str, now: float) -> None:
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._applied: dict[int, int] = {}  # what is not of a snapshot, by identity: its place
        self._complete: set[tuple[str, str]] = set()
        self._unseen: dict[tuple[str, str], str] = {}
        self._documents: Object = {}
        # of a snapshot: single objects that were not there (None) or could not be looked at, lists
        # that could not, objects of which only the metadata was read, whose events were read
        self._singles: dict[tuple[str, str, str], Unseen | None] = {}
        self._refused: dict[tuple[str, str], Unseen] = {}
        self._partial: dict[tuple[str, str, str], Object] = {}
        self._partly: set[tuple[str, str]] = set()
        self._about: set[tuple[str, str]] = set()
        self._stored = False
        self._now = now
        for item in objects:
            if (item.get("apiVersion"), item.get("kind")) == SNAPSHOT:
                self._read_snapshot(item, namespace)
            else:
                self._add(item, namespace)
                self._applied[id(item)] = len(self._applied)
        if self._stored and not self._applied:
            # nothing but what an API server has stored: no template is still to be applied
            self.source = "cluster"

    def _add(self, item: Object, namespace: str) -> None:
        metadata = item["metadata"]
        kind = item["kind"]
        if kind in KINDS and not KINDS[kind].namespaced:
            where = ""
        else:
            where = metadata.setdefault("namespace", namespace)
        self._objects[kind, where, metadata["name"]] = item

    def _read_snapshot(self, snapshot: Object, namespace: str) -> None:
        self.snapshot = True
        self._stored = snapshot.get("source") == "cluster"
        for item in snapshot.get("items") or []:
            self._add(item, namespace)
        for scope in snapshot.get("seen") or []:
            kind, where = scope["kind"], scope.get("namespace") or ""
            if scope.get("name"):
                self._about.add((where, scope["name"]))
            elif scope.get("metadata"):
                self._partly.add((kind, where))
            else:
                self._complete.add((kind, where))
        for scope in snapshot.get("unseen") or []:
            kind, where, why = scope["kind"], scope.get("namespace") or "", scope.get("why")
            unseen = Unseen(scope.get("what") or "", why or "unknown")
            if scope.get("name"):
                self._singles[kind, where, scope["name"]] = unseen
                continue
            self._unseen[kind, where] = unseen.why
            if unseen.what:
                self._refused[kind, where] = unseen
        for one in snapshot.get("absent") or []:
            self._singles[one["kind"], one.get("namespace") or "", one["name"]] = None
        for item in snapshot.get("partial") or []:
            metadata = item["metadata"]
            key = (item["kind"], metadata.get("namespace", ""), metadata["name"])
            self._partial[key] = item
        self._documents.update(snapshot.get("documents") or {})
        self.targets = snapshot.get("targets") or []
        if snapshot.get("time"):
            self._now = seconds(snapshot["time"])

    def now(self) -> float:
        return self._now

    def objects(self) -> Iterator[Object]:
        """All objects, in the order in which they were read."""
        yield from self._objects.values()

    def swept(self) -> str | None:
        """The namespace (empty: all) of which this is a snapshot, and of nothing else; or None."""
        scopes = [where for kind, where in self._complete if kind == "Pod"]
        if self.source != "cluster" or self.targets or not scopes:
            return None
        return scopes[0] if len(scopes) == 1 else ""

    def applied_before(self, one: Object, other: Object) -> bool:
        first, second = self._applied.get(id(one)), self._applied.get(id(other))
        return first is not None and second is not None and first < second

    def _check_complete(self, kind: str, namespace: str, what: str) -> None:
        """Raises Unseen unless all objects of the kind were read."""
        for scope in ((kind, namespace), (kind, "")):
            if scope in self._complete:
                return
        for scope in ((kind, namespace), (kind, "")):
            if scope in self._unseen:
                raise Unseen(what, self._unseen[scope])
        raise Unseen(what, "not in the files that were read")

    def get(self, kind: str, namespace: str, name: str, api_version: str = "") -> Object | None:
        where = namespace if kind not in KINDS or KINDS[kind].namespaced else ""
        item = self._objects.get((kind, where, name))
        if item is not None:
            return item
        if (kind, where, name) in self._singles:
            self._single(kind, where, name)
            return None
        if (kind, where, name) in self._partial:
            raise Unseen(f"{kind.lower()} {name}", "the snapshot has only its metadata")
        if (kind, name) in EVERYWHERE and not self._complete and not self.snapshot:
            return {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": name, "namespace": namespace},
                **EVERYWHERE[kind, name],
            }
        self._check_complete(kind, where, f"{kind.lower()} {name}")
        return None

    def _single(self, kind: str, where: str, name: str) -> None:
        """What a snapshot tells of an object that it does not have. Raises Unseen."""
        unseen = self._singles[kind, where, name]
        if unseen is not None:
            raise Unseen(unseen.what or f"{kind.lower()} {name}", unseen.why)

    def list(self, kind: str, namespace: str = "", *, metadata: bool = False) -> Iterator[Object]:
        if (kind, namespace) in self._refused:
            unseen = self._refused[kind, namespace]
            raise Unseen(unseen.what, unseen.why)
        if metadata and (kind, namespace) in self._partly:
            for key in sorted({**self._objects, **self._partial}):
                if key[0] == kind and namespace in ("", key[1]):
                    yield self._objects.get(key) or self._partial[key]
            return
        # what is found is certain; only the end of the list is not known to be the end
        yield from self.found(kind, namespace)
        self._check_complete(kind, namespace, KINDS[kind].plural if kind in KINDS else kind)

    def found(self, kind: str, namespace: str = "") -> Iterator[Object]:
        """What the files have of a kind, whether that is all or not."""
        for (one, where, _), item in self._objects.items():
            if one == kind and namespace in ("", where):
                yield item

    def events(self, namespace: str, name: str) -> Iterator[Object]:
        whole = (namespace, name) in self._about
        if ("Event", namespace, name) in self._singles:
            self._single("Event", namespace, name)
        for event in self.found("Event", namespace) if whole else self.list("Event", namespace):
            if (event.get("involvedObject") or {}).get("name") == name:
                yield event

    def text(self, path: str) -> Object | None:
        if path in self._documents:
            document: Object | None = self._documents[path]
            return document
        if ("Document", "", path) in self._singles:
            self._single("Document", "", path)
        raise Unseen(path, "not in the files that were read")

    def prepare(self, wants: Iterable[Want]) -> None:
        pass


def files_of(path: str, recursive: bool) -> list[str]:
    """The manifest files that a path means: itself, or those in a folder. Raises ManifestError."""
    if path == "-" or not os.path.isdir(path):
        return [path]
    found = []
    for folder, _, names in os.walk(path):
        found += [os.path.join(folder, name) for name in names if name.endswith(SUFFIXES)]
        if not recursive:
            break
    if not found:
        raise ManifestError(
            f"no manifests in {path}: nothing that ends in {', '.join(SUFFIXES)}",
            "" if recursive else "-R looks into the folders below as well",
        )
    # as kubectl apply takes them: a folder has its place by its name, among the files beside it
    return sorted(found, key=lambda file: file.split(os.sep))


def read(
    paths: Sequence[str], namespace: str, env: Env, *, recursive: bool = False
) -> ManifestWorld:
    """A World of the objects in files, folders and (``-``) standard input. Raises ManifestError."""
    objects: list[Object] = []
    files: list[tuple[str, str | None]] = []
    for path in paths:
        for file in files_of(path, recursive):
            text = read_text(file, env)
            try:
                objects += parse(text, "standard input" if file == "-" else file)
            except ManifestError as error:
                error.hint = error.hint or rendered_first(file, text)
                raise
            files.append((file, text if file == "-" else None))
    world = ManifestWorld(objects, namespace, env.now())
    world.files = files
    return world


def rendered_first(path: str, text: str) -> str:
    """What to do with a file that manifests are made from; empty for any other."""
    name = os.path.basename(path).lower()
    if name in ("kustomization.yaml", "kustomization.yml"):
        folder = os.path.dirname(path) or "."
        return f"'kubectl kustomize {folder}' writes the manifests: pipe them into -f -"
    if "{{" in text or name in ("chart.yaml", "values.yaml"):
        return "a Helm chart? 'helm template CHART' writes the manifests: pipe them into -f -"
    return ""


def read_text(path: str, env: Env) -> str:
    """The text of a file, or of standard input. Raises ManifestError."""
    try:
        if path == "-":
            return env.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ManifestError(
            f"cannot read {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"cannot read {path}: not UTF-8 text") from error


def parse(text: str, name: str) -> list[Object]:
    """The objects of a YAML or JSON text; Lists are opened, empty documents passed over.

    Raises ManifestError, which names the file and the line but repeats none of its text: there may
    be a Secret on it.
    """
    import yaml

    check_depth(text, name)
    loader = text_loader()
    objects: list[Object] = []
    try:
        for number, document in enumerate(yaml.load_all(text, Loader=loader), 1):
            if document is not None:
                objects += flatten(document, f"{name}, document {number}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ManifestError(f"{where}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # the constructors of PyYAML let through what int() and the like say of a wrong value
        raise ManifestError(f"{name}: not YAML") from error
    return objects


DEEPEST = 200


def check_depth(text: str, name: str) -> None:
    """Raises ManifestError where a text is nested so deep that the reader would break down."""
    if text.count("[") + text.count("{") < DEEPEST and "- - - - - - - -" not in text:
        # block style needs more indentation than anybody writes
        return
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=text_loader()):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise ManifestError(f"{name}: nested deeper than any Kubernetes object")
    except yaml.YAMLError:
        return  # said better by who reads it


def text_loader() -> Any:
    """PyYAML's safe loader, the quick one if it is there, with times left as text."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        pass

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    return Loader


def flatten(document: Any, where: str) -> Iterator[Object]:
    """An object, or those of a List, each with the fields without which it is none."""
    if not isinstance(document, dict):
        raise ManifestError(f"{where}: not a Kubernetes object, but {type(document).__name__}")
    document = redacted(document)
    kind = document.get("kind")
    if (document.get("apiVersion"), kind) == SNAPSHOT:
        check_shape(document, SNAPSHOT_SHAPE, where)
        check_time(document.get("time"), where, "time")
        items = [
            item
            for index, part in enumerate(document.get("items") or [])
            for item in flatten(part, f"{where}, items[{index}]")
        ]
        for index, part in enumerate(document.get("partial") or []):
            check_shape(part, PARTIAL_SHAPE, f"{where}, partial[{index}]")
        yield {**document, "items": items}
        return
    if isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list):
        for index, item in enumerate(document["items"]):
            if isinstance(item, dict) and "kind" not in item and kind != "List":
                item = {"apiVersion": document.get("apiVersion"), "kind": kind[:-4], **item}
            yield from flatten(item, f"{where}, items[{index}]")
        return
    metadata = document.get("metadata")
    for field, value in (("kind", kind), ("apiVersion", document.get("apiVersion"))):
        if not isinstance(value, str) or not value:
            raise ManifestError(f"{where}: not a Kubernetes object: {field} is missing")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        generated = isinstance(metadata, dict) and isinstance(metadata.get("generateName"), str)
        if not generated or metadata is None:
            if kind not in KINDS and not metadata:
                return  # a Kustomization or a program's configuration beside the manifests
            raise ManifestError(f"{where}: {kind} without metadata.name (a string)")
        document = {**document, "metadata": {**metadata, "name": metadata["generateName"] + "*"}}
    where = f"{where}, {kind} {document['metadata']['name']}"
    for field in ("creationTimestamp", "deletionTimestamp"):
        check_time(document["metadata"].get(field), where, f"metadata.{field}")
    check_shape(document, OBJECT_SHAPES.get(str(kind), OBJECT_SHAPE), where)
    if kind == "Pod":
        check_shape(document, {"spec!": POD_SPEC_SHAPE}, where)
        check_names(document["spec"], where, "spec")
    else:
        for path in template_paths(document):
            try:
                template = step_into(document, path)
                check_shape(template, TEMPLATE_SHAPE, where, dotted(path))
                check_names(template["spec"], where, dotted((*path, "spec")))
            except ManifestError:
                if path in TEMPLATE_PATHS:
                    raise
                # a field of some custom kind that only looks like a pod template
                document = {**document, "spec": {}}
                break
    yield document


# --- what the checks rely on in an object; the API server would refuse anything else

METADATA_SHAPE = {
    "name": str,
    "namespace": str,
    "creationTimestamp": str,
    "deletionTimestamp": str,
    "finalizers": [str],
    "uid": str,
    "annotations": {"*": str},
    "labels": {"*": str},
    "ownerReferences": [{"kind!": str, "name!": str, "apiVersion": str, "uid": str}],
    "managedFields": [
        {
            "time": str,
            "manager": str,
            "fieldsV1": {"f:data": dict, "f:metadata": {"f:annotations": dict}},
        }
    ],
}
SECRET_SOURCE_SHAPE = {
    "secretName": str,
    "name": str,
    "defaultMode": int,
    "items": [{"key": str, "path": str, "mode": int}],
}
USERS_SHAPE = {
    "runAsUser": int,
    "runAsGroup": int,
    "runAsNonRoot": bool,
    "fsGroup": int,
    "supplementalGroups": [int],
}
CONTAINER_SHAPE = {
    "name!": str,
    "command": [str],
    "args": [str],
    "image": str,
    "env": [{"name!": str, "value": str, "valueFrom": {"secretKeyRef": {"name": str, "key": str}}}],
    "envFrom": list,
    "volumeMounts": [
        {"name!": str, "mountPath!": str, "subPath": str, "subPathExpr": str, "readOnly": bool}
    ],
    "securityContext": USERS_SHAPE,
}
POD_SPEC_SHAPE = {
    "serviceAccountName": str,
    "serviceAccount": str,
    "automountServiceAccountToken": bool,
    "containers!": [CONTAINER_SHAPE],
    "initContainers": [CONTAINER_SHAPE],
    "ephemeralContainers": [CONTAINER_SHAPE],
    "imagePullSecrets": [{"name": str}],
    "securityContext": USERS_SHAPE,
    "terminationGracePeriodSeconds": int,
    "restartPolicy": str,
    "nodeSelector": {"*": str},
    "enableServiceLinks": bool,
    "hostNetwork": bool,
    "dnsPolicy": str,
    "dnsConfig": {"nameservers": [str]},
    "os": {"name": str},
    "volumes": [
        {
            "name!": str,
            "secret": SECRET_SOURCE_SHAPE,
            **dict.fromkeys(
                ("configMap", "downwardAPI", "csi", "hostPath", "persistentVolumeClaim"), dict
            ),
            "projected": {
                "defaultMode": int,
                "sources": [
                    {
                        "serviceAccountToken": {
                            "path!": str,
                            "audience": str,
                            "expirationSeconds": int,
                        },
                        "secret": SECRET_SOURCE_SHAPE,
                        "configMap": {"name": str, "items": [{"key": str, "path": str}]},
                        "downwardAPI": {"items": [{"path": str}]},
                        "clusterTrustBundle": {"path": str},
                    }
                ],
            },
        }
    ],
}
OBJECT_SHAPE: Object = {"metadata!": METADATA_SHAPE, "status": dict}
SUBJECTS_SHAPE = {
    **OBJECT_SHAPE,
    "subjects": [{"kind!": str, "name!": str, "namespace": str, "apiGroup": str}],
    "roleRef": {"kind": str, "name": str, "apiGroup": str},
}
SELECTOR_SHAPE = {
    "matchLabels": {"*": str},
    "matchExpressions": [{"key": str, "operator": str, "values": [str]}],
}
RULE_FIELDS = ("apiGroups", "resources", "verbs", "resourceNames", "nonResourceURLs")
RULES_SHAPE = {
    **OBJECT_SHAPE,
    "rules": [{field: [str] for field in RULE_FIELDS}],
    "aggregationRule": {"clusterRoleSelectors": [SELECTOR_SHAPE]},
}
SERVICE_SHAPE = {"type": str, "clusterIP": str, "clusterIPs": [str], "ports": [{"port": int}]}
EGRESS_SHAPE = {
    "to": [{"ipBlock": {"cidr": str, "except": [str]}}],
    "ports": [{"protocol": str, "endPort": int}],
}
POLICY_SHAPE = {"podSelector": SELECTOR_SHAPE, "policyTypes": [str], "egress": [EGRESS_SHAPE]}
ENDPOINTS_SHAPE = {
    **OBJECT_SHAPE,
    "endpoints": [{"addresses": [str]}],
    "ports": [{"port": int}],
}
STATE_SHAPE = {
    "running": dict,
    "waiting": dict,
    "terminated": {"exitCode": int, "startedAt": str, "finishedAt": str},
}
STATUSES_SHAPE = [{"name": str, "state": STATE_SHAPE, "lastState": STATE_SHAPE}]
POD_STATUS_SHAPE = {
    "containerStatuses": STATUSES_SHAPE,
    "initContainerStatuses": STATUSES_SHAPE,
    "ephemeralContainerStatuses": STATUSES_SHAPE,
}
WORKLOADS = (
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
)
TEMPLATE_SHAPE = {"spec": POD_SPEC_SHAPE, "metadata": METADATA_SHAPE}
WORKLOAD_STATUS_SHAPE = {
    **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), int),
    **dict.fromkeys(("desiredNumberScheduled", "currentNumberScheduled"), int),
    "conditions": [{"type": str, "status": str, "message": str}],
}
ADMISSION_RULES_SHAPE = [
    {field: [str] for field in ("apiGroups", "apiVersions", "operations", "resources")}
]
SCOPE_SHAPE = {"namespaceSelector": SELECTOR_SHAPE, "objectSelector": SELECTOR_SHAPE}
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
WEBHOOK_SHAPE = {
    "name": str,
    "rules": ADMISSION_RULES_SHAPE,
    "matchConditions": list,
    "clientConfig": {"service": {"name": str, "namespace": str}},
    **SCOPE_SHAPE,
}
POLICIES = (
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
)
BOUND_SHAPE = {
    "policyName": str,
    "matchConstraints": {
        "resourceRules": ADMISSION_RULES_SHAPE,
        "excludeResourceRules": list,
        **SCOPE_SHAPE,
    },
    "matchResources": SCOPE_SHAPE,
}
OBJECT_SHAPES: dict[str, Object] = {
    "Pod": {**OBJECT_SHAPE, "status": POD_STATUS_SHAPE},
    "Service": {**OBJECT_SHAPE, "spec": SERVICE_SHAPE},
    "NetworkPolicy": {**OBJECT_SHAPE, "spec": POLICY_SHAPE},
    "EndpointSlice": ENDPOINTS_SHAPE,
    "ServiceAccount": {
        **OBJECT_SHAPE,
        "automountServiceAccountToken": bool,
        "secrets": [{"name": str}],
        "imagePullSecrets": [{"name": str}],
    },
    "Secret": {
        **OBJECT_SHAPE,
        "type": str,
        "data": dict,
        "stringData": dict,
        "dataCount": int,
        "immutable": bool,
    },
    "ConfigMap": {**OBJECT_SHAPE, "data": {"*": str}},
    "Event": {
        **OBJECT_SHAPE,
        **dict.fromkeys(("involvedObject", "series", "source"), dict),
        "reason": str,
        "message": str,
    },
    "PersistentVolumeClaim": {**OBJECT_SHAPE, "spec": dict},
    **dict.fromkeys(
        WORKLOADS,
        {
            **OBJECT_SHAPE,
            "spec": {"replicas": int, "suspend": bool, "selector": dict},
            "status": WORKLOAD_STATUS_SHAPE,
        },
    ),
    **dict.fromkeys(WEBHOOKS, {**OBJECT_SHAPE, "webhooks": [WEBHOOK_SHAPE]}),
    **dict.fromkeys(POLICIES, {**OBJECT_SHAPE, "spec": BOUND_SHAPE}),
    "RoleBinding": SUBJECTS_SHAPE,
    "ClusterRoleBinding": SUBJECTS_SHAPE,
    "Role": RULES_SHAPE,
    "ClusterRole": RULES_SHAPE,
}
SCOPES_SHAPE = [
    {"kind!": str, "namespace": str, "name": str, "metadata": bool, "what": str, "why": str}
]
NAMES_SHAPE = [{"kind!": str, "namespace": str, "name!": str, "apiVersion": str}]
PARTIAL_SHAPE = {"kind!": str, "metadata!": {**METADATA_SHAPE, "name!": str}}
SNAPSHOT_SHAPE = {
    "time": str,
    "source": str,
    "seen": SCOPES_SHAPE,
    "unseen": SCOPES_SHAPE,
    "absent": NAMES_SHAPE,
    "targets": NAMES_SHAPE,
    "partial": list,
    "documents": dict,
    "items": list,
}
TYPE_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    dict: "a map",
    list: "a list",
}


def check_time(value: Any, where: str, path: str) -> None:
    """Raises ManifestError where a value is neither null nor a time."""
    try:
        if value is not None:
            seconds(value)
    except (ValueError, TypeError) as error:
        raise ManifestError(
            f"{where}: {path} must be a time such as 2026-11-22T12:00:00Z"
        ) from error


def expanded(shape: Object, value: Object) -> Iterable[tuple[str, Any]]:
    """The fields of a shape, with those that a value has in the place of ``*``."""
    if "*" in shape:
        return [(key, shape["*"]) for key in value]
    return shape.items()


def check_names(spec: Object, where: str, path: str) -> None:
    """Raises ManifestError where two volumes, or two containers, of a pod spec have one name."""
    for fields in (("volumes",), ("initContainers", "containers", "ephemeralContainers")):
        names: set[str] = set()
        for field in fields:
            for index, item in enumerate(spec.get(field) or []):
                if item["name"] in names:
                    place = f"{path}.{field}[{index}].name"
                    raise ManifestError(f'{where}: {place} is there twice: "{item["name"]}"')
                names.add(item["name"])


def check_shape(value: Any, shape: Any, where: str, path: str = "") -> None:
    """Raises ManifestError where a value is not of a shape; null is as good as not there.

    A shape is a type, a list with the shape of its items, or fields with theirs (``!``: needed;
    ``*``: whatever its name).
    """
    if isinstance(shape, type):
        # in Python a truth value is a number, too
        if not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
            raise ManifestError(f"{where}: {path} must be {TYPE_NAMES[shape]}")
    elif isinstance(shape, list):
        check_shape(value, list, where, path)
        for index, item in enumerate(value):
            check_shape(item, shape[0], where, f"{path}[{index}]")
    else:
        check_shape(value, dict, where, path)
        for key in value:
            if not isinstance(key, str):
                raise ManifestError(
                    f"{where}: {path} has a key that is no string".replace("  ", " ")
                )
        for key, inner in expanded(shape, value):
            field = key if "*" in shape else key.rstrip("!")
            if value.get(field) is not None:
                check_shape(value[field], inner, where, f"{path}.{field}".lstrip("."))
            elif key != field:
                raise ManifestError(f"{where}: {path}.{field} is missing".replace(" .", " "))
