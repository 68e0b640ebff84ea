"""The token is fine, but its account may do nothing."""

from collections.abc import Iterator

from ..fixes import kubectl
from ..mounts import account_of, api_tokens
from ..rbac import bindings_of
from ..workloads import finished
from ..world import Object, World
from . import Evidence, Finding, Fix, check

# Accounts that carry one of these are used to log in elsewhere: rights here are not their point.
FOREIGN_IDENTITY = (
    "eks.amazonaws.com/role-arn",
    "iam.gke.io/gcp-service-account",
    "azure.workload.identity/client-id",
)


@check("SAT501", on="Pod", severity="hint", stage="access")
def rbac_no_binding(pod: Object, world: World) -> Iterator[Finding]:
    """No binding names the pod's service account.

    ### What goes wrong

    The pod has a service account of its own, but no RoleBinding of its namespace and no
    ClusterRoleBinding names it or one of its groups. Its token is accepted, and everything but the
    discovery of the API is refused with 403: `pods is forbidden: User
    "system:serviceaccount:NAMESPACE:NAME" cannot list resource "pods"`. That is as it should be for
    a program that asks nothing of the API, so it is a hint only, and said of `default` never.

    ### How to fix it

    Bind a role that allows what the program asks and no more: the 403 message names verb and
    resource. `view` is a start for programs that only read.
    """
    name = account_of(pod)
    if name == "default" or finished(pod) or not api_tokens(pod, world):
        return
    namespace = pod["metadata"].get("namespace", "")
    account = world.get("ServiceAccount", namespace, name)
    if account is None:
        return
    annotations = account["metadata"].get("annotations") or {}
    if any(key in annotations for key in FOREIGN_IDENTITY):
        return
    if any(bindings_of(world, namespace, name)):
        return
    yield Finding(
        f"serviceaccount {name} may do nothing: no binding names it",
        Evidence("ServiceAccount", namespace, name, "", "named by no binding", here=True),
        (
            Evidence("RoleBinding", namespace, "*", "subjects", f"none names {name}", here=True),
            Evidence("ClusterRoleBinding", "", "*", "subjects", f"none names {name}", here=True),
        ),
        Fix(
            "if the program only reads its own namespace (else a role for what its 403 names)",
            (
                kubectl(
                    world,
                    namespace,
                    "create",
                    "rolebinding",
                    f"{name}-view",
                    "--clusterrole=view",
                    f"--serviceaccount={namespace}:{name}",
                ),
            ),
        ),
    )
