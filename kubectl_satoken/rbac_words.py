"""The words of RBAC rules: groups, resources, subresources and verbs, and what is written for them.

The tables are of Kubernetes 1.36, for where no server is asked. The API server takes any word in a
rule; one that no request has matches nothing, and these functions say which was meant by it.
"""

from functools import cache

from .kinds import Type
from .world import KINDS, Kind

# The resources of Kubernetes 1.36 (kubectl api-resources), with their short names after "/"; those
# that are in no namespace end in "!".
RESOURCES = {
    "": "bindings componentstatuses/cs! configmaps/cm endpoints/ep events/ev limitranges/limits "
    "namespaces/ns! nodes/no! persistentvolumeclaims/pvc persistentvolumes/pv! pods/po "
    "podtemplates replicationcontrollers/rc resourcequotas/quota secrets serviceaccounts/sa "
    "services/svc",
    "admissionregistration.k8s.io": "mutatingadmissionpolicies! mutatingadmissionpolicybindings! "
    "mutatingwebhookconfigurations! validatingadmissionpolicies! "
    "validatingadmissionpolicybindings! validatingwebhookconfigurations!",
    "apiextensions.k8s.io": "customresourcedefinitions/crd/crds!",
    "apiregistration.k8s.io": "apiservices!",
    "apps": "controllerrevisions daemonsets/ds deployments/deploy replicasets/rs statefulsets/sts",
    "authentication.k8s.io": "selfsubjectreviews! tokenreviews!",
    "authorization.k8s.io": "localsubjectaccessreviews selfsubjectaccessreviews! "
    "selfsubjectrulesreviews! subjectaccessreviews!",
    "autoscaling": "horizontalpodautoscalers/hpa",
    "batch": "cronjobs/cj jobs",
    "certificates.k8s.io": "certificatesigningrequests/csr! clustertrustbundles! "
    "podcertificaterequests",
    "coordination.k8s.io": "leases leasecandidates",
    "discovery.k8s.io": "endpointslices",
    "events.k8s.io": "events/ev",
    "flowcontrol.apiserver.k8s.io": "flowschemas! prioritylevelconfigurations!",
    "internal.apiserver.k8s.io": "storageversions!",
    "networking.k8s.io": "ingressclasses! ingresses/ing ipaddresses/ip! networkpolicies/netpol "
    "servicecidrs!",
    "node.k8s.io": "runtimeclasses!",
    "policy": "poddisruptionbudgets/pdb podsecuritypolicies/psp!",
    "rbac.authorization.k8s.io": "clusterrolebindings! clusterroles! rolebindings roles",
    "resource.k8s.io": "deviceclasses! devicetaintrules! resourceclaims resourceclaimtemplates "
    "resourceslices!",
    "scheduling.k8s.io": "priorityclasses/pc! podgroups workloads",
    "storage.k8s.io": "csidrivers! csinodes! csistoragecapacities storageclasses/sc! "
    "volumeattachments! volumeattributesclasses/vac!",
    "storagemigration.k8s.io": "storageversionmigrations!",
}
# Groups that are none any more; what was in them is elsewhere since 1.22.
FORMER_GROUPS = ("extensions",)

# What some write for the core group, whose name is empty.
NO_GROUPS = ("core", "v1", "core/v1", "api/v1", "/v1", "api")

SUBRESOURCES = {
    "nodes": "configz healthz log metrics pods proxy spec stats status",
    "pods": "attach binding ephemeralcontainers eviction exec log portforward proxy resize status",
    "services": "proxy status",
    "serviceaccounts": "token",
    "namespaces": "finalize status",
    "deployments": "scale status",
    "replicasets": "scale status",
    "statefulsets": "scale status",
    "replicationcontrollers": "scale status",
    "certificatesigningrequests": "approval status",
}
# Those by which nothing is changed, nor run.
HARMLESS = ("log", "metrics", "stats", "status")
# What people write for them, and mean so.
SUBRESOURCE_WORDS = {"logs": "log", "execute": "exec", "evictions": "eviction", "tokens": "token"}

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
URL_VERBS = ("get", "head", "options", "post", "put", "patch", "delete")
# Verbs that are words to no HTTP method, and right.
OTHER_VERBS = (
    "use",
    "bind",
    "escalate",
    "impersonate",
    "approve",
    "sign",
    "attest",
    "proxy",
    "redirect",
    "request-serviceaccounts-token-audience",
)
READ = ("get", "list", "watch")
# What people write, and mean so.
VERB_WORDS = {
    "read": READ,
    "reads": READ,
    "readonly": READ,
    "read-only": READ,
    "view": READ,
    "write": ("create", "update", "patch", "delete"),
    "edit": ("update", "patch"),
    "modify": ("update", "patch"),
    "change": ("update", "patch"),
    "all": VERBS,
    "any": VERBS,
    "add": ("create",),
    "new": ("create",),
    "post": ("create",),
    "put": ("update",),
    "apply": ("create", "patch"),
    "replace": ("update",),
    "remove": ("delete",),
    "describe": ("get",),
    "show": ("get",),
}

# Actions on pods that are requests to a subresource.
POD_VERBS = {
    "log": ("pods/log", "get"),
    "logs": ("pods/log", "get"),
    "exec": ("pods/exec", "create"),
    "attach": ("pods/attach", "create"),
    "portforward": ("pods/portforward", "create"),
    "port-forward": ("pods/portforward", "create"),
}


# --- what is meant by a word ----------------------------------------------------------------------


@cache
def homes(resource: str) -> list[str]:
    """The groups that have a resource of that name; empty for one that is not built in."""
    return [group for group, text in RESOURCES.items() if resource in plain(text)]


def plain(text: str) -> list[str]:
    """The names in a line of the table."""
    return [word.rstrip("!").partition("/")[0] for word in text.split()]


def plural_of(word: str) -> str:
    """The built-in resource that a singular name, a kind or a short name means; empty for none."""
    lower = word.lower()
    for text in RESOURCES.values():
        for entry in text.split():
            name, *short = entry.rstrip("!").split("/")
            if lower in (name, *singulars(name), *short):
                return name
    return ""


def singulars(name: str) -> tuple[str, ...]:
    """What one of these may be called."""
    if name.endswith("ies"):
        return (name[:-3] + "y",)
    return (name[:-1], name[:-2]) if name.endswith("es") else (name[:-1],)


def is_cluster_scoped(resource: str, groups: list[str]) -> bool:
    """Whether a built-in resource of one of these groups is in no namespace."""
    return any(
        word.endswith("!") and word.rstrip("!").partition("/")[0] == resource
        for group in groups
        for word in RESOURCES.get(group, "").split()
    )


def malformed_group(group: str, homes_of_resources: list[str]) -> tuple[str, ...] | None:
    """The groups that were meant by something that is none; None for what may be one."""
    name, slash, _ = group.partition("/")
    if group in NO_GROUPS:
        # some write v1 for apps/v1
        return ("",) if "" in homes_of_resources else tuple(homes_of_resources[:1]) or ("",)
    if slash:
        return (name,)
    if "*" in group or group != group.lower() or group != group.strip():
        name = group.strip().lower()
        return (name,) if name in RESOURCES else tuple(homes_of_resources[:1])
    return None


def any_words(groups: list[str]) -> bool:
    """Whether a group takes what it is told: metrics are called as their authors like."""
    return any(group.endswith(".metrics.k8s.io") for group in groups)


def at_home(resource: str, groups: list[str]) -> list[str]:
    """Those of the groups that have the resource; all that there are for one that is not built in.

    ``*`` stands for a group that only a rule with ``*`` can mean.
    """
    its = homes(resource.partition("/")[0])
    if "*" in groups:
        return its or ["satoken.example"]
    return [group for group in groups if group in its] if its else groups


def right_resource(
    resource: str, built_in: bool, any_group: bool = False
) -> tuple[str, bool] | None:
    """What a word in ``resources`` should be, and whether that is sure; None for what may be right.

    ``any_group`` says that custom resources are meant as well (``apiGroups: ["*"]``), so that a
    word is no misspelling because it looks like a built-in one. The name of a custom resource is a
    DNS label in lower case, too (apiextensions validation).
    """
    main, slash, sub = resource.partition("/")
    if main == "*" or homes(main):
        return None
    rest = f"/{sub}" if slash else ""
    in_group = main in RESOURCES or main in NO_GROUPS or "." in main
    if slash and in_group and (plural := plural_of(sub.partition("/")[0])):
        return plural, True  # apps/deployments
    name = main.strip().partition(".")[0]
    if main != main.lower() or main != main.strip() or "." in main:
        plural = plural_of(name) if built_in or "." in main else ""
        guess = name.lower() if name.endswith("s") else f"{name.lower()}s"
        return (plural or guess) + rest, bool(plural)
    if not built_in:
        return None
    if plural := plural_of(main):
        return plural + rest, True
    if any_group:
        return None
    from difflib import get_close_matches

    every = [name for text in RESOURCES.values() for name in plain(text)]
    near = get_close_matches(main, every, 1, 0.85)
    return (near[0] + rest, False) if near else None


def right_subresources(main: str, sub: str) -> tuple[str, ...]:
    """What is meant by a subresource that is none; empty for what may be one."""
    known = SUBRESOURCES.get(main, "").split()
    if sub == "*":
        if main == "*":
            return ("*",)
        # those that show and change nothing; who needs another has to say so
        harmless = [one for one in known if one in HARMLESS] or known[:1] or ["status"]
        return tuple(f"{main}/{one}" for one in harmless)
    if not known or sub in known or sub == "finalizers":
        return ()
    word = SUBRESOURCE_WORDS.get(sub, sub.replace("-", "").lower())
    if word not in known:
        from difflib import get_close_matches

        word = next(iter(get_close_matches(word, known, 1, 0.8)), "")
    return (f"{main}/{word}",) if word else ()


def right_verbs(
    verb: str, right: tuple[str, ...], built_in: bool
) -> tuple[tuple[str, ...], bool] | None:
    """The verbs that are meant by something that is none, and whether that is sure."""
    if verb in right or verb in OTHER_VERBS or ":" in verb:
        return None
    words = [word for word in verb.replace(",", " ").lower().split() if word]
    if words and all(word in right for word in words):
        return tuple(words), True  # GET, or several in one string
    if not built_in:
        return None
    if right is VERBS and verb.lower() in VERB_WORDS:
        return VERB_WORDS[verb.lower()], True
    from difflib import get_close_matches

    near = get_close_matches(verb.lower(), right, 1, 0.75)
    return (tuple(near), False) if near else None


def right_url(url: str) -> str:
    """What a URL of a rule should be: a path, with ``*`` at its end only."""
    if url == "*":
        return url
    path = url
    if "://" in path:
        path = path.partition("://")[2].partition("/")[2]
    path = "/" + path.removeprefix("/")
    head, star, rest = path.partition("*")
    return head + star if rest.strip("*") else path


# --- the built-in types ---------------------------------------------------------------------------

# Versions that are not v1, of a group or of one resource.
VERSIONS = {
    "autoscaling": "v2",
    "internal.apiserver.k8s.io": "v1alpha1",
    "storagemigration.k8s.io": "v1beta1",
    "clustertrustbundles": "v1beta1",
    "devicetaintrules": "v1alpha3",
    "leasecandidates": "v1beta1",
    "podcertificaterequests": "v1beta1",
    "podgroups": "v1alpha2",
    "podsecuritypolicies": "v1beta1",
    "workloads": "v1alpha2",
}

# Those that can do less than all of VERBS; and each review can be created only.
FEWER_VERBS = {
    "bindings": ("create",),
    "componentstatuses": ("get", "list"),
    "namespaces": VERBS[:-1],
}

# Those whose only subresource is their status.
WITH_STATUS = (
    "apiservices cronjobs customresourcedefinitions daemonsets flowschemas "
    "horizontalpodautoscalers ingresses jobs persistentvolumeclaims persistentvolumes "
    "podcertificaterequests poddisruptionbudgets prioritylevelconfigurations resourceclaims "
    "resourcequotas servicecidrs storageversionmigrations storageversions "
    "validatingadmissionpolicies volumeattachments"
)


def builtin_types() -> list[Type]:
    """Every built-in resource type as discovery has it, for questions without a server.

    The subresources are those of SUBRESOURCES besides: some are known to the kubelet only. A kind
    that KINDS has not is called by its singular name.
    """
    known = {(kind.group, kind.plural): kind for kind in KINDS.values()}
    with_status = WITH_STATUS.split()
    types = []
    for group, text in RESOURCES.items():
        for entry in text.split():
            plural, *short = entry.rstrip("!").split("/")
            kind = known.get((group, plural)) or Kind(
                singular_of(plural),
                api_version_of(group, plural),
                plural,
                not entry.endswith("!"),
            )
            # as the table has them: KINDS leaves out those that are seldom used
            kind = kind._replace(short=tuple(short) or kind.short)
            verbs = ("create",) if plural.endswith("reviews") else FEWER_VERBS.get(plural, VERBS)
            below = SUBRESOURCES.get(plural, "status" if plural in with_status else "").split()
            types.append(Type(kind, singular_of(plural), verbs, tuple(below)))
    return types


def api_version_of(group: str, plural: str) -> str:
    """Group and version of a built-in resource, as its server prefers it."""
    version = VERSIONS.get(plural) or VERSIONS.get(group, "v1")
    return f"{group}/{version}" if group else version


def singular_of(plural: str) -> str:
    """The singular name of a built-in resource."""
    if plural == "endpoints":
        return plural
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    long = plural.endswith(("sses", "xes", "ches"))
    return plural.removesuffix("es" if long else "s")
