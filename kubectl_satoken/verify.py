"""doctor --verify: asks for the token that the kubelet would ask for, and whether it is taken.

Nothing is stored and nothing is run: a TokenRequest bound to the pod, with the audience and the
lifetime of its volume, then a TokenReview or a SelfSubjectReview. What comes out is an object of
our own for the checks: what the token says, and what the API server says of it; never the token.
"""

from collections.abc import Iterator

from .checks import Skipped
from .cluster import Api
from .errors import ApiError, Forbidden, one_line
from .mint import request_token
from .mounts import account_of, token_files
from .review import afresh, review
from .server import api_audiences
from .token import Malformed, decode
from .workloads import finished, is_live
from .world import Object, World

# How often a token is reviewed, by a connection of its own each time: API servers behind one
# address may hold different keys, and which of them answers is decided when a connection is made.
ROUNDS = 5


def token_object(pod: Object, source: str, **facts: object) -> Object:
    """A token as the checks see it: kind Token, named after the pod that it is for.

    ``source`` says where it comes from. The facts: ``asked`` (audience, lifetime, path, container),
    ``header`` and ``payload`` (its claims), ``reviews`` (verdicts, see review.py), ``refused``
    (what the API server said instead of giving one).
    """
    metadata = pod["metadata"]
    return {
        "apiVersion": "satoken/v1",
        "kind": "Token",
        "metadata": {"name": metadata["name"], "namespace": metadata.get("namespace", "")},
        "source": source,
        "account": account_of(pod),
        **facts,
    }


def verify(pod: Object, world: World, api: Api, skipped: list[Skipped]) -> Iterator[Object]:
    """The tokens that the kubelet would be given for a pod now, each as a Token object.

    What may not be asked is added to ``skipped``.
    """
    if not is_live(pod) or finished(pod):
        return
    metadata = pod["metadata"]
    about = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    done: set[tuple[str, int]] = set()
    known = api_audiences(world) or set()
    for file in token_files(pod):
        if file.secret or file.lifetime is None or (file.audience, file.lifetime) in done:
            continue
        done.add((file.audience, file.lifetime))
        asked = {
            "audience": file.audience,
            "lifetime": file.lifetime,
            "path": file.path,
            "container": file.container,
        }
        try:
            minted = request_token(
                api,
                metadata.get("namespace", ""),
                account_of(pod),
                audiences=[file.audience] if file.audience else [],
                seconds=file.lifetime,
                bound=about,
            )
        except ApiError as error:
            if is_ours(error):
                what = f"a token for serviceaccount {account_of(pod)}"
                why = "forbidden to you: needs create serviceaccounts/token"
                skipped.append(Skipped("", "verify", what, why))
                return
            yield token_object(pod, "--verify", asked=asked, refused=one_line(error.message, 1024))
            continue
        facts: Object = {
            "asked": asked,
            "granted": {"lifetime": minted.spec.get("expirationSeconds")},
        }
        try:
            claims = decode(minted.token)
            facts |= {"header": claims.header, "payload": claims.payload}
        except Malformed:  # another issuer than Kubernetes may give what it likes
            pass
        if not file.audience or file.audience in known:
            try:
                facts["reviews"] = [review(afresh(api), minted.token) for _ in range(ROUNDS)]
            except ApiError as error:
                why = one_line(error.message)
                skipped.append(Skipped("", "verify", "the API server's verdict on it", why))
        yield token_object(pod, "--verify", **facts)


def is_ours(error: ApiError) -> bool:
    """Whether a refusal is about the user's rights, rather than about the token or the account."""
    return isinstance(error, Forbidden) and 'resource "serviceaccounts/token"' in error.message
