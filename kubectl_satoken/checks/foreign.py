"""Tokens for others than the API server, as far as Kubernetes has a part in them."""

from collections.abc import Iterator
from typing import NamedTuple

from ..fixes import kubectl, patch_pod, restart
from ..foreign import AWS_IRSA, AWS_POD_IDENTITY, AZURE, system_of
from ..managed_fields import entries
from ..mounts import account_of, container_paths, containers, is_mirror, token_files
from ..rbac import Attributes, allows, grants
from ..workloads import finished, is_live, owner_of
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .network import moment

ROLE_ARN = "eks.amazonaws.com/role-arn"
EKS_SKIP = "eks.amazonaws.com/skip-containers"
AZURE_USE = "azure.workload.identity/use"
AZURE_CLIENT = "azure.workload.identity/client-id"
VAULT_INJECT = "vault.hashicorp.com/agent-inject"
VAULT_STATUS = "vault.hashicorp.com/agent-inject-status"

# What Go's strconv.ParseBool takes for true.
TRUE = ("1", "t", "T", "TRUE", "true", "True")


class Injector(NamedTuple):
    """A webhook that adds tokens to pods: what it adds, and by what its configuration is known."""

    what: str
    webhook: str
    names: tuple[str, ...]


EKS_INJECTOR = Injector(
    "token for AWS", "amazon-eks-pod-identity-webhook", ("pod-identity", "iam-for-pods")
)
AZURE_INJECTOR = Injector(
    "token for Azure", "azure-workload-identity", ("azure-wi", "azure-workload-identity")
)
VAULT_INJECTOR = Injector("Vault agent", "vault-agent-injector", ("vault",))


def annotations_of(item: Object) -> Object:
    """The annotations of an object."""
    return item["metadata"].get("annotations") or {}


def has_token_for(pod: Object, systems: tuple[str, ...], variables: tuple[str, ...]) -> bool:
    """Whether a container has a token for a system, or is told of one by a variable."""
    if any(
        file.audience and not file.secret and system_of(file, pod) in systems
        for file in token_files(pod)
    ):
        return True
    return any(
        variable["name"] in variables
        for container in containers(pod)
        for variable in container.get("env") or []
    )


def has_aws_token(pod: Object) -> bool:
    """Whether a pod has a token for AWS, by either of EKS's ways."""
    return has_token_for(
        pod,
        (AWS_IRSA, AWS_POD_IDENTITY),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    )


def has_azure_token(pod: Object) -> bool:
    """Whether a pod has a token for Azure."""
    return has_token_for(pod, (AZURE,), ("AZURE_FEDERATED_TOKEN_FILE",))


def account_seen(pod: Object, world: World) -> Object | None:
    """The pod's service account. Raises Unseen."""
    return world.get("ServiceAccount", pod["metadata"].get("namespace", ""), account_of(pod))


def annotated_after(item: Object, key: str, pod: Object) -> bool:
    """Whether an annotation was written after a pod was made, by the managed fields."""
    made = moment(pod["metadata"].get("creationTimestamp"))
    for entry in entries(item, "f:metadata", "f:annotations", f"f:{key}"):
        written = moment(entry.get("time"))
        if written is not None and made is not None:
            return written > made
    return False


def is_installed(injector: Injector, world: World) -> bool:
    """Whether a webhook is there that would inject it; true where that cannot be seen."""
    try:
        for configuration in world.list("MutatingWebhookConfiguration"):
            words = [configuration["metadata"]["name"]]
            words += [str(one.get("name")) for one in configuration.get("webhooks") or []]
            if any(name in word for name in injector.names for word in words):
                return True
    except Unseen:
        return True
    return False


def not_injected(
    pod: Object, world: World, injector: Injector, here: Evidence, why: str
) -> Finding:
    """The finding on a pod to which a webhook has added nothing."""
    evidence = [here, at(pod, "spec.volumes", f"no {injector.what}")]
    summary = "make the pods anew, so that the webhook adds it"
    if not is_installed(injector, world):
        evidence.append(
            Evidence("", "", "mutatingwebhookconfigurations", "", f"no {injector.webhook}")
        )
        summary = f"install {injector.webhook}, of which nothing is seen here, and {summary}"
    return Finding(
        f"no {injector.what} was injected: {why}",
        here,
        tuple(evidence),
        Fix(summary, tuple(restart(pod, world)), recreates=True),
        certainty="likely",
    )


@check("SAT851", on="Pod", severity="error", stage="mount")
def webhook_token_not_injected(pod: Object, world: World) -> Iterator[Finding]:
    """The pod was to get a token for another system, and no webhook has added it.

    ### What goes wrong

    EKS (`eks.amazonaws.com/role-arn` of the service account), Azure Workload Identity (the label
    `azure.workload.identity/use` of the pod) and the Vault agent (the annotation
    `vault.hashicorp.com/agent-inject` of the pod) rely on a webhook that changes pods when they are
    made. What the pod should have got is not there: it is older than the annotation; the webhook
    did not answer at the time, and the API server goes on without it; or it leaves the namespace
    out. Or the annotation of the service account is misspelt, or was given to the pod. SDKs say
    `Unable to locate credentials`, `NoCredentialProviders`, or use the rights of the node.

    The token for the API server has nothing to do with it.

    ### How to fix it

    Put the annotation where it belongs, see that the webhook runs, and make the pod anew. An EKS
    Pod Identity association cannot be seen from within the cluster.
    """
    if is_mirror(pod) or finished(pod):
        return
    live = is_live(pod)
    metadata = pod["metadata"]
    own = annotations_of(pod)
    if (
        live
        and (metadata.get("labels") or {}).get(AZURE_USE) == "true"
        and not has_azure_token(pod)
    ):
        here = at(pod, f"metadata.labels[{AZURE_USE}]", "true", here=True)
        yield not_injected(pod, world, AZURE_INJECTOR, here, "the pod has the label for it")
    if live and str(own.get(VAULT_INJECT)) in TRUE and own.get(VAULT_STATUS) != "injected":
        names = [item["name"] for item in containers(pod)]
        if not any(name.startswith("vault-agent") for name in names):
            here = at(pod, f"metadata.annotations[{VAULT_INJECT}]", own[VAULT_INJECT], here=True)
            yield not_injected(
                pod, world, VAULT_INJECTOR, here, "the pod has the annotation for it"
            )
    if has_aws_token(pod):
        return
    account = account_seen(pod, world)
    if account is None:
        return
    annotations = annotations_of(account)
    role = annotations.get(ROLE_ARN)
    if role:
        skipped = {name.strip() for name in str(own.get(EKS_SKIP, "")).split(",")}
        if not live or all(item["name"] in skipped for item in containers(pod)):
            return
        here = at(account, f"metadata.annotations[{ROLE_ARN}]", role, here=True)
        why = f"serviceaccount {account['metadata']['name']} has a role"
        if annotated_after(account, ROLE_ARN, pod):
            why += ", but only since after the pod was made"
        yield not_injected(pod, world, EKS_INJECTOR, here, why)
        return
    if own.get(ROLE_ARN):
        here = at(pod, f"metadata.annotations[{ROLE_ARN}]", own[ROLE_ARN], here=True)
        message = "the role for AWS is an annotation of the pod, and belongs on its service account"
        yield misplaced_role(pod, account, world, message, here, str(own[ROLE_ARN]))
        return
    for key, value in annotations.items():
        if is_misspelt_role(key, value):
            here = at(account, f"metadata.annotations[{key}]", value, here=True)
            message = f"the role for AWS is in an annotation that nobody reads: {key}"
            yield misplaced_role(pod, account, world, message, here, str(value), f"{key}-")
            return


def is_misspelt_role(key: str, value: object) -> bool:
    """Whether an annotation is meant to be that with the role, but is not."""
    if not str(value).startswith("arn:aws"):
        return False
    from difflib import SequenceMatcher

    plain = key.lower().replace("_", "-")
    return key != ROLE_ARN and SequenceMatcher(None, plain, ROLE_ARN).ratio() >= 0.85


def misplaced_role(
    pod: Object,
    account: Object,
    world: World,
    message: str,
    here: Evidence,
    role: str,
    *remove: str,
) -> Finding:
    """The finding on a role that is not where the webhook looks, which is on the account."""
    name = account["metadata"]["name"]
    namespace = pod["metadata"].get("namespace", "")
    annotate = kubectl(
        world, namespace, "annotate", "serviceaccount", name, f"{ROLE_ARN}={role}", *remove
    )
    live = is_live(pod)
    return Finding(
        message,
        here,
        (here, at(account, f"metadata.annotations[{ROLE_ARN}]")),
        Fix(
            "give the role to the service account" + (", and make the pods anew" if live else ""),
            (annotate, *(restart(pod, world) if live else ())),
            recreates=live,
        ),
        certainty="likely",
    )


@check("SAT852", on="Pod", severity="error", stage="mount")
def azure_label_misplaced(pod: Object, world: World) -> Iterator[Finding]:
    """The pod lacks the label by which it gets a token for Azure.

    ### What goes wrong

    The service account has `azure.workload.identity/client-id`, so its pods are to log in to Azure
    with their token. The webhook of Azure Workload Identity only looks at pods with the label
    `azure.workload.identity/use: "true"`, and this one has not: it is missing, stands on the
    Deployment and not on its template, is an annotation, or has another value. Nothing is injected:
    `AZURE_FEDERATED_TOKEN_FILE` is not set, and SDKs say `DefaultAzureCredential failed to retrieve
    a token`.

    ### How to fix it

    Give the label to the pod template. Pods are made anew by that.
    """
    labels = pod["metadata"].get("labels") or {}
    if is_mirror(pod) or finished(pod) or labels.get(AZURE_USE) == "true" or has_azure_token(pod):
        return
    account = account_seen(pod, world)
    client = annotations_of(account).get(AZURE_CLIENT) if account else None
    if account is None or not client:
        return
    here = at(pod, f"metadata.labels[{AZURE_USE}]", labels.get(AZURE_USE), here=True)
    evidence = [here, at(account, f"metadata.annotations[{AZURE_CLIENT}]", client)]
    why = "the pod has no label"
    if AZURE_USE in labels:
        why = f'the label of the pod says {labels[AZURE_USE]}, not "true":'
    elif AZURE_USE in annotations_of(pod):
        value = annotations_of(pod)[AZURE_USE]
        evidence.append(at(pod, f"metadata.annotations[{AZURE_USE}]", value))
        why = "an annotation of the pod is no label"
    else:
        owner = owner_of(pod, world)
        upper = (owner.object if owner else None) or {}
        value = ((upper.get("metadata") or {}).get("labels") or {}).get(AZURE_USE)
        if value is not None:
            evidence.append(at(upper, f"metadata.labels[{AZURE_USE}]", value))
            why = f"the label of the {upper['kind']} is not that of its pods"
    yield Finding(
        f"no token for Azure is injected: {why} {AZURE_USE}",
        here,
        tuple(evidence),
        patch_pod(
            pod,
            world,
            {},
            "give the label to the pods (they are recreated)",
            metadata={"labels": {AZURE_USE: "true"}},
        ),
        certainty="likely",
    )


# Programs that ask the API server about the tokens of those who call them, by their image.
REVIEWERS = ("kube-rbac-proxy", "metrics-server", "prometheus-adapter")

REVIEWS = (
    Attributes("create", "authentication.k8s.io", "tokenreviews"),
    Attributes("create", "authorization.k8s.io", "subjectaccessreviews"),
)


@check("SAT853", on="Pod", severity="error", stage="access")
def external_tokenreviewer_broken(pod: Object, world: World) -> Iterator[Finding]:
    """A program that checks tokens may not ask the API server about them.

    ### What goes wrong

    `kube-rbac-proxy`, `metrics-server` and the like ask the API server by TokenReview and
    SubjectAccessReview who is calling and what he may do. The service account of this one has no
    right to that, so it refuses every caller, with good tokens too: 401 or 403, and
    `tokenreviews.authentication.k8s.io is forbidden` in its log.

    ### How to fix it

    Bind the ClusterRole `system:auth-delegator` to its service account, by a ClusterRoleBinding:
    tokens belong to no namespace.
    """
    if is_mirror(pod) or finished(pod):
        return
    reviewer = next(((path, one) for path, one in container_paths(pod) if reviews(one)), None)
    if reviewer is None:
        return
    path, container = reviewer
    namespace, account = pod["metadata"].get("namespace", ""), account_of(pod)
    missing = list(REVIEWS)
    unseen: Unseen | None = None
    for grant in grants(world, namespace, account, ()):
        unseen = unseen or grant.unseen
        missing = [asked for asked in missing if not allows(grant.rules or (), asked)]
        if not missing:
            return
    if unseen is not None:
        raise unseen
    wanted = " and ".join(asked.resource for asked in missing)
    here = Evidence("ServiceAccount", namespace, account, f"create {wanted}", "not bound", True)
    name = f"{namespace}-{account}-auth-delegator"
    yield Finding(
        f"{container['name']} can let nobody in: serviceaccount {account} may not create {wanted}",
        here,
        (at(pod, f"{path}.image", container.get("image")), here),
        Fix(
            "let it ask about tokens",
            (
                kubectl(
                    world,
                    "",
                    "create",
                    "clusterrolebinding",
                    name,
                    "--clusterrole=system:auth-delegator",
                    f"--serviceaccount={namespace}:{account}",
                ),
            ),
        ),
        # another authorizer may allow it
        certainty="likely",
    )


def reviews(container: Object) -> bool:
    """Whether a container is a known reviewer of tokens that uses its own account for that."""
    image = str(container.get("image") or "").partition("@")[0].rpartition("/")[2]
    if image.partition(":")[0] not in REVIEWERS:
        return False
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    elsewhere = ("--oidc-issuer", "--kubeconfig", "--authentication-kubeconfig", "--lister-kube")
    return not any(word.startswith(elsewhere) for word in words)
