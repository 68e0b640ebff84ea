"""Asks the API server what a service account may do, in the best way that the user may.

The answer is the authorizers' own, of which RBAC is only one, so it is computed from RBAC objects
only where nobody may ask.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .cluster import Api, connect
from .errors import (
    ApiError,
    Forbidden,
    NotFound,
    TooOld,
    Unauthorized,
    UsageError,
    one_line,
)
from .kinds import Type, served
from .kubeconfig import Impersonation
from .rbac import (
    Attributes,
    Granting,
    Naming,
    Question,
    allows,
    groups_of,
    namespace_of,
    namings,
    prepare_roles,
    role_of,
    rules_of,
    scopes,
    user_of,
)
from .review import with_token
from .world import Object, Unseen, Want, World

REVIEWS = "/apis/authorization.k8s.io/v1"

KINDS_OF_REVIEW = {
    f"{kind.lower()}s": kind
    for kind in ("SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview")
}


class Answer(NamedTuple):
    """What is said to a question: allowed or not, or only under conditions; why; who says so.

    ``denied`` is a no that no other authorizer can turn into a yes. ``error`` is what went wrong on
    the way to the answer (a missing role), which need not concern it. ``conditions`` are what an
    authorizer makes it depend on (KEP-5681), in words.
    """

    allowed: bool
    via: str
    reason: str = ""
    error: str = ""
    denied: bool = False
    conditional: bool = False
    conditions: tuple[str, ...] = ()


class Account(NamedTuple):
    """A service account by namespace and name."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """Its user name."""
        return user_of(self.namespace, self.name)


class Asker:
    """Asks about one account, or (None) about the user; each way that is refused is tried once."""

    def __init__(
        self,
        api: Api | None,
        world: World,
        account: Account | None,
        via: str = "",
        types: Sequence[Type] = (),
    ) -> None:
        self.api = api
        self.world = world
        self.account = account
        self.via = via
        self.types = types
        #: the ways that the user may not go, and what was said
        self.refused: dict[str, str] = {}
        self.as_account: Api | None = None

    def ask(self, question: Question) -> Answer:
        """The answer. Raises Forbidden when no way is open, and ApiError."""
        if self.account is None:
            return self.own(question)
        ways = [self.via] if self.via else ["review", "impersonation", "rbac"]
        for way in ways:
            if way == "token":
                return self.by_token(question)
            if way == "rbac" or self.api is None:
                return self.computed(question)
            steps: dict[str, Callable[[Api, Question], Answer | None]] = {
                "review": self.reviewed,
                "impersonation": self.impersonated,
            }
            answer = steps[way](self.api, question)
            if answer is not None:
                return answer
        why = "; ".join(f"by {way}: {text}" for way, text in self.refused.items())
        raise Forbidden(f"the API server cannot be asked that way: {why}", "leave --via out")

    def own(self, question: Question) -> Answer:
        """What the user may do, as kubectl auth can-i asks."""
        if self.api is None:
            raise UsageError("me is the user of a cluster, not of files")
        return self.review(self.api, "selfsubjectaccessreviews", question)

    def reviewed(self, api: Api, question: Question) -> Answer | None:
        """The answer of a SubjectAccessReview, or of a local one; None where both are refused.

        A review knows nothing of the user but what it is told, so the groups of a service account
        have to be named.
        """
        assert self.account is not None
        subject = {"user": self.account.user, "groups": list(groups_of(self.account.namespace))}
        if "SubjectAccessReview" not in self.refused:
            try:
                return self.review(api, "subjectaccessreviews", question, subject)
            except (Forbidden, NotFound, TooOld) as error:
                self.refused["SubjectAccessReview"] = error.message
        if not question.namespace:
            return None
        way = f"LocalSubjectAccessReview in {question.namespace}"
        if way not in self.refused:
            path = f"namespaces/{question.namespace}/localsubjectaccessreviews"
            try:
                return self.review(api, path, question, subject)
            except (Forbidden, NotFound, TooOld) as error:
                self.refused[way] = error.message
        return None

    def impersonated(self, api: Api, question: Question) -> Answer | None:
        """The answer to the account itself, whom the user plays; None where that is refused."""
        way = "impersonation"
        if way in self.refused:
            return None
        played = self.play()
        if played is None:
            self.refused[way] = "you play somebody else already (--as)"
            return None
        try:
            answer = self.review(played, "selfsubjectaccessreviews", question)
        except (Forbidden, NotFound, TooOld) as error:
            self.refused[way] = error.message
            return None
        return answer._replace(via="impersonated SelfSubjectAccessReview")

    def play(self) -> Api | None:
        """The API server as the account, by impersonation; None when that is taken.

        The API server adds the groups of a service account by itself.
        """
        assert self.api is not None
        assert self.account is not None
        if self.api.target.impersonate is not None:
            return None
        if self.as_account is None:
            target = self.api.target._replace(impersonate=Impersonation(self.account.user))
            self.as_account = connect(target, self.api.env, self.api.verbosity)
        return self.as_account

    def by_token(self, question: Question) -> Answer:
        """The answer to a token of the account."""
        api = self.account_api("token")
        answer = self.review(api, "selfsubjectaccessreviews", question)
        return answer._replace(via="SelfSubjectAccessReview with a token of the account")

    def account_api(self, way: str) -> Api:
        """The API server as the account: by impersonation, or with a token.

        The token is made for this and thrown away. Raises Forbidden, NotFound and ApiError.
        """
        assert self.account is not None
        assert self.api is not None
        if way == "token" and self.as_account is None:
            from .mint import request_token

            token = request_token(self.api, *self.account, seconds=600).token
            self.as_account = with_token(self.api, token)
        if way == "impersonation" and self.play() is None:
            raise Forbidden("you play somebody else already (--as)")
        assert self.as_account is not None
        return self.as_account

    def review(
        self, api: Api, path: str, question: Question, subject: Object | None = None
    ) -> Answer:
        """Puts a question to the API server. Raises ApiError."""
        kind = KINDS_OF_REVIEW[path.rpartition("/")[2]]
        attributes = attributes_of(question, version_of(question.asked, self.types))
        spec = {**(subject or {}), **attributes, **CONDITIONS_WANTED}
        body: Object = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        if kind == "LocalSubjectAccessReview":
            body["metadata"] = {"namespace": question.namespace}
        # servers that do not know of conditions would warn of the field
        known_only = [("fieldValidation", "Ignore")]
        answer = api.request("POST", f"{REVIEWS}/{path}", body, query=known_only)
        status = answer.get("status") or {}
        allowed, denied = bool(status.get("allowed")), bool(status.get("denied"))
        chain = next((status[key] for key in CHAINS if status.get(key)), None)
        return Answer(
            allowed,
            kind,
            status.get("reason") or "",
            status.get("evaluationError") or "",
            denied,
            # neither yes nor no
            not allowed and not denied and chain is not None,
            tuple(conditions_of(chain or ())),
        )

    def computed(self, question: Question) -> Answer:
        """The answer by RBAC objects alone. Raises Forbidden when too few of them can be seen.

        Of files the answer is what they grant: what else is in the cluster is not known.
        """
        assert self.account is not None
        found, unseen = granting(self.world, self.account, question)
        if not found and unseen and self.api is not None:
            why = "; ".join(dict.fromkeys(f"{one.what}: {one.why}" for one in unseen))
            what = "nobody may ask the API server for you, and"
            if self.via:
                what = "it cannot be computed:"
            hint = (
                "ask for the right to create subjectaccessreviews.authorization.k8s.io, or to "
                f"impersonate serviceaccount {self.account.name}"
            )
            raise Forbidden(f"{what} not all that counts could be seen: {why}", hint)
        return Answer(bool(found), "RBAC objects")


# KEP-5681: without this an authorizer that has conditions says no. The answer has them in a list of
# sets, in the order of the authorizers; the field was renamed while the KEP was written.
CONDITIONS_WANTED = {"conditionalAuthorization": {"mode": "HumanReadable"}}
CHAINS = ("conditionSetChain", "conditionsChain")


def conditions_of(chain: Iterable[Object]) -> Iterator[str]:
    """The conditions of an answer in words: ``allowed if: ...``, with who says so."""
    words = {"Allow": "allowed if", "Deny": "denied if", "NoOpinion": "left to others if"}
    for one in chain:
        whose = one.get("authorizerName") or "an authorizer"
        if one.get("allowed") or one.get("denied"):
            yield f"{whose}: {'allowed' if one.get('allowed') else 'denied'} otherwise"
        for condition in one.get("conditions") or ():
            said = condition.get("description") or condition.get("condition") or condition.get("id")
            effect = words.get(str(condition.get("effect")), str(condition.get("effect")))
            yield f"{whose}: {effect}: {one_line(str(said))}"


def version_of(asked: Attributes, types: Sequence[Type]) -> str:
    """The version that a request for it has, where that is known.

    RBAC does not look at it. Other authorizers may, and have conditions for one version only.
    """
    found = served(types, asked.group, asked.resource)
    return found.kind.api_version.rpartition("/")[2] if found else ""


def attributes_of(question: Question, version: str = "") -> Object:
    """A question as a review has it."""
    namespace, asked = question
    if asked.path:
        return {"nonResourceAttributes": {"verb": asked.verb, "path": asked.path}}
    fields = {
        "namespace": namespace,
        "verb": asked.verb,
        "group": asked.group,
        "version": version,
        "resource": asked.resource,
        "subresource": asked.subresource,
        "name": asked.name,
    }
    return {"resourceAttributes": {key: value for key, value in fields.items() if value}}


def granting(
    world: World, account: Account, question: Question, reason: str = "", *, rules: bool = True
) -> tuple[list[Granting], list[Unseen]]:
    """Every binding that allows it by RBAC, and what could not be looked at.

    ``reason`` is the API server's for a yes, which spares reads: it looks at ClusterRoleBindings
    first and names the first binding that allows it. So where that is a RoleBinding no other one
    allows it but RoleBindings; and unless all ``rules`` are wanted, its role is not read.

    What is read is a list of RoleBindings, unless what is asked is in no namespace; a list of
    ClusterRoleBindings, unless the reason tells that none allows it; and one of each kind of role
    that they give to the account, or that role alone if it is one. Every account has several
    ClusterRoles by ClusterRoleBindings (see BUILT_IN), and somebody may have added to them, so they
    are not taken for what they are by default. That makes, with the answer itself and the
    account, 3 to 5 requests for a yes by a RoleBinding, 4 in no namespace, 5 or 6 by a
    ClusterRoleBinding in one: no request has objects of two types, and no object leads from an
    account to its bindings, or has the rules of two roles.
    """
    narrow = reason.startswith(f"{BY_RBAC}RoleBinding ")
    where = [question.namespace] if question.namespace else []
    found: list[Granting] = []
    unseen: list[Unseen] = []
    bound: list[Naming] = []
    world.prepare(Want(kind, scope) for kind, scope in scopes(where, wide=not narrow))
    try:
        for naming in namings(world, *account, where, wide=not narrow):
            bound.append(naming)
    except Unseen as error:
        unseen.append(error)
    told = None if rules else next((one for one in bound if is_told(one.binding, reason)), None)
    prepare_roles(world, [one.binding for one in bound if one is not told])
    for naming in bound:
        if naming is told:
            found.append(Granting(naming.binding, naming.number, role_named(naming.binding), None))
            continue
        try:
            role = role_of(naming.binding, world)
        except Unseen as error:
            unseen.append(error)
            continue
        for number, rule in enumerate(rules_of(role or {})):
            if role is not None and allows([rule], question.asked):
                found.append(Granting(naming.binding, naming.number, role, number))
                break
    if narrow and not found and not unseen:  # it has just gone
        return granting(world, account, question)
    return found, unseen


# How the API server says which binding allows something: the first that it finds
# (plugin/pkg/auth/authorizer/rbac, and pkg/registry/rbac/validation for the order).
BY_RBAC = "RBAC: allowed by "


def is_told(binding: Object, reason: str) -> bool:
    """Whether the API server named a binding as the one that allows it."""
    role, inside = role_named(binding), namespace_of(binding)
    where = f"/{inside}" if inside else ""
    name = f'{binding["kind"]} "{binding["metadata"]["name"]}{where}"'
    return reason.startswith(f'{BY_RBAC}{name} of {role["kind"]} "{role["metadata"]["name"]}" to ')


def role_named(binding: Object) -> Object:
    """The role that a binding refers to, as far as it says."""
    reference = binding.get("roleRef") or {}
    metadata = {"name": str(reference.get("name"))}
    if reference.get("kind") == "Role":
        metadata["namespace"] = namespace_of(binding)
    return {"kind": str(reference.get("kind")), "metadata": metadata}


def authorizer_of(reason: str) -> str:
    """Who gave a reason, where it is not RBAC: the API server puts RBAC's name before its own."""
    return "" if not reason or re.match(r"RBAC: ", reason) else reason


def user_name(api: Api) -> str:
    """The name of the user, by SelfSubjectReview; empty where that is not to be had (before 1.28).

    Raises Unauthorized.
    """
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = api.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    except Unauthorized:
        raise
    except ApiError:
        return ""
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")
