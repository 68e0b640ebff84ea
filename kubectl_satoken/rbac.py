"""RBAC as the API server evaluates it.

The source is plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation/rule.go of
Kubernetes 1.36.
"""

from collections.abc import Iterator

from .world import Object, World

USER_PREFIX = "system:serviceaccount:"

# What every authenticated user, or every service account, gets from the built-in policy
# (plugin/pkg/auth/authorizer/rbac/bootstrappolicy): no right to any object but one's own reviews.
BUILT_IN = (
    "system:basic-user",
    "system:discovery",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
)


def user_of(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"{USER_PREFIX}{namespace}:{name}"


def groups_of(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")


def is_subject(subject: Object, namespace: str, name: str, binding_namespace: str = "") -> bool:
    """Whether a binding's subject means the service account.

    A ServiceAccount subject without a namespace means that of its RoleBinding, and nothing in a
    ClusterRoleBinding; the namespace of a User or Group is not looked at.
    """
    kind = subject.get("kind")
    if kind == "ServiceAccount":
        where = subject.get("namespace") or binding_namespace
        return subject.get("name") == name and where == namespace
    if kind == "User":
        return subject.get("name") == user_of(namespace, name)
    if kind == "Group":
        return subject.get("name") in groups_of(namespace)
    return False


def bindings_of(world: World, namespace: str, name: str) -> Iterator[Object]:
    """The bindings that give a service account something, in its own namespace or cluster-wide.

    Without the built-in ones that every account has. Bindings in other namespaces are not looked
    at. Raises Unseen.
    """
    for kind, where in (("RoleBinding", namespace), ("ClusterRoleBinding", "")):
        for binding in world.list(kind, where):
            if kind == "ClusterRoleBinding" and binding["metadata"]["name"] in BUILT_IN:
                continue
            if any(
                is_subject(subject, namespace, name, where)
                for subject in binding.get("subjects") or []
            ):
                yield binding
