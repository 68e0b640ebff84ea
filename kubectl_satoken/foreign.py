"""Tokens in a pod that are not for the API server: whose they are.

A token says by its audience whom it is for. Where that is a name of somebody's own, the volume, the
path and the environment tell, as those make them who inject such tokens into pods.
"""

from typing import NamedTuple

from .mounts import TokenFile, containers, token_files
from .server import api_audiences
from .world import Object, World

AWS_IRSA = "AWS STS (EKS IRSA)"
AWS_POD_IDENTITY = "EKS Pod Identity"
AZURE = "Azure Workload Identity"
GCP = "Google Cloud"
ISTIO = "Istio"
LINKERD = "Linkerd"
SPIRE = "SPIRE"
DAPR = "Dapr"
VAULT = "Vault"
CONSUL = "Consul"
PORTWORX = "Portworx"

# By the whole audience, in lower case.
AUDIENCES = {
    "sts.amazonaws.com": AWS_IRSA,
    "sts.amazonaws.com.cn": AWS_IRSA,
    "pods.eks.amazonaws.com": AWS_POD_IDENTITY,
    "istio-ca": ISTIO,
    "identity.l5d.io": LINKERD,
    "spire-server": SPIRE,
    "dapr.io/sentry": DAPR,
    "vault": VAULT,
    "consul": CONSUL,
    "px": PORTWORX,
}

# By how it begins: the clouds of governments have names of their own after it.
AUDIENCE_HEADS = (
    ("api://azureadtokenexchange", AZURE),
    ("https://iam.googleapis.com/", GCP),
    ("//iam.googleapis.com/", GCP),
    ("vault://", VAULT),
)

# By how it ends: GKE's own is PROJECT.svc.id.goog, Dapr's spiffe://DOMAIN/ns/NAMESPACE/dapr-sentry.
AUDIENCE_TAILS = ((".svc.id.goog", GCP), ("/dapr-sentry", DAPR))

# By the volume, which its injector names; the hash of a pod may follow.
VOLUMES = (
    ("aws-iam-token", AWS_IRSA),
    ("eks-pod-identity-token", AWS_POD_IDENTITY),
    ("azure-identity-token", AZURE),
    ("azure-workload-identity-reserved-", AZURE),
    ("istio-token", ISTIO),
    ("linkerd-identity-token", LINKERD),
    ("spire-token", SPIRE),
    ("spire-agent", SPIRE),
    ("dapr-identity-token", DAPR),
    ("vault-token", VAULT),
    ("consul-", CONSUL),
)

# By where it is mounted.
FOLDERS = (
    ("/var/run/secrets/eks.amazonaws.com/", AWS_IRSA),
    ("/var/run/secrets/pods.eks.amazonaws.com/", AWS_POD_IDENTITY),
    ("/var/run/secrets/azure/", AZURE),
    ("/var/run/secrets/dapr.io/", DAPR),
)

# By the variable that tells a program the path of the file.
VARIABLES = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": AWS_IRSA,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": AWS_POD_IDENTITY,
    "AZURE_FEDERATED_TOKEN_FILE": AZURE,
}


# Tokens that are no JWT, by how they look: what they are, and whether an API server may take them.
OPAQUE = (
    (r"[a-z0-9]{6}\.[a-z0-9]{16}", "a bootstrap token of kubeadm", True),
    (r"k8s-aws-v1\.[\w-]{20,}", "a token of an AWS user (aws eks get-token)", True),
    (r"ya29\.[\w.-]{20,}", "an access token of a Google account", True),
    (r"sha256~[\w-]{20,}", "a token of an OpenShift user", True),
    (r"(?:kubeconfig|token)-[\w.-]+:[a-z0-9]{40,}", "a token of Rancher", True),
    (r"hv[sbr]\.[\w-]{20,}|s\.[A-Za-z0-9]{24}", "a token of Vault", False),
    (r"(?:gh[pousr]_|github_pat_)\w{20,}", "a token of GitHub", False),
    (r"gl[a-z]{2,8}-[\w.-]{20,}", "a token of GitLab", False),
)


def opaque_system(text: str) -> tuple[str, bool]:
    """What a token is that is no JWT, and whether an API server may take it; empty: not known."""
    import re

    for pattern, system, may in OPAQUE:
        if re.fullmatch(pattern, text):
            return system, may
    return "", False


class Foreign(NamedTuple):
    """A token for somebody else; ``system`` is empty where nobody knows for whom."""

    container: str
    path: str
    audience: str
    system: str


def audience_system(text: str) -> str:
    """For whom an audience stands; empty where that is not known."""
    audience = text.lower().rstrip("/")
    if audience in AUDIENCES:
        return AUDIENCES[audience]
    for head, system in AUDIENCE_HEADS:
        if audience.startswith(head.rstrip("/")):
            return system
    for tail, system in AUDIENCE_TAILS:
        if audience.endswith(tail):
            return system
    return ""


# Who issues tokens, by the claim ``iss``: clusters of clouds, then providers of users and of jobs.
CLUSTERS = (
    (r"https://oidc\.eks\.[\w-]+\.amazonaws\.com(\.cn)?/id/", "an EKS cluster"),
    (r"https://container\.googleapis\.com/v1/projects/", "a GKE cluster"),
    (r"https://[\w.-]+\.oic\.[\w-]+\.azure\.com/", "an AKS cluster"),
    (r"https://(s3|[\w.-]+\.s3)[\w.-]*\.amazonaws\.com/", "a cluster with its keys in S3"),
    (r"https://rh-oidc|https://oidc\.[\w.-]*openshift", "an OpenShift cluster"),
)
PROVIDERS = (
    (r"https://accounts\.google\.com", "a Google account"),
    (r"https://(login\.microsoftonline\.com|sts\.windows\.net)/", "Microsoft Entra ID"),
    (r"https://cognito-idp\.", "AWS Cognito"),
    (r"https://token\.actions\.githubusercontent\.com", "a job of GitHub Actions"),
    (r"https://oidc\.circleci\.com/", "a job of CircleCI"),
    (r"https://[\w.-]*\bgitlab\b", "GitLab"),
    (r"https://[\w.-]+\.okta(preview)?\.com", "Okta"),
    (r"https://[\w.-]+\.auth0\.com", "Auth0"),
    (r"https://.+/v1/identity/oidc", "Vault"),
    (r"https?://.+/realms/", "Keycloak"),
    (r"https?://.*\bdex\b", "Dex"),
    (r"spiffe://|https://.*\bspire\b", "SPIRE"),
)


def issuer_system(issuer: str, *, cluster: bool) -> str:
    """Who issues tokens by that name; empty where that is not known. ``cluster``: a Kubernetes."""
    import re

    for pattern, system in CLUSTERS if cluster else PROVIDERS:
        if re.match(pattern, issuer):
            return system
    return ""


def system_of(file: TokenFile, pod: Object) -> str:
    """For whom a token is that is not for the API server; empty where that is not known."""
    system = audience_system(file.audience)
    if system:
        return system
    for name, system in VOLUMES:
        if file.volume == name or (file.volume.startswith(name) and name.endswith("-")):
            return system
    for folder, system in FOLDERS:
        if file.path.startswith(folder):
            return system
    for container in containers(pod):
        if container["name"] != file.container:
            continue
        for variable in container.get("env") or []:
            if variable.get("value") == file.path and variable["name"] in VARIABLES:
                return VARIABLES[variable["name"]]
    return ""


def foreign_tokens(pod: Object, world: World) -> list[Foreign]:
    """The tokens of a pod that are for somebody else than the API server, by container.

    Where it is not known what the API server takes, only those whose purpose is known.
    """
    with_audience = [file for file in token_files(pod) if file.audience and not file.secret]
    if not with_audience:
        return []
    known = api_audiences(world)
    found = []
    for file in with_audience:
        if known is not None and file.audience in known:
            continue
        system = system_of(file, pod)
        if system or known is not None:
            found.append(Foreign(file.container, file.path, file.audience, system))
    return found
