"""The API server does not take the token, or does not give one.

The object is a Token (see verify.py): what a token says of itself and what the API server says of
it. There is one only where the user asked for it, by --verify or --probe.
"""

from collections.abc import Iterator
from functools import cache

from ..admission import ROOT_CA_CONFIG_MAP, TOKEN_MOUNT_PATH
from ..fixes import kubectl, patch_pod, restart
from ..mounts import renewed_after, same_place
from ..server import api_audiences
from ..times import lifetime, moment, words
from ..token import LEGACY_ISSUER, audiences, bound
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, Function, at, check, registry
from .account import account_again, sa_deleted_after_pod
from .file import LEEWAY
from .kubelet import FETCH, deniers_of, exempt_tokens, room
from .mount import projected_foreign_audience_used_for_api
from .network import HOST, PORT, out_of_environment


@cache
def reason_of(error: str) -> str:
    """Our name for why the API server refuses a token, from what it says; empty if it is new.

    The text is that of several authenticators joined; ``invalid bearer token`` alone says that
    none of them knows the issuer, or that it is no token at all.
    """
    from ..messages import Finder

    for match in Finder().find(error):
        if not match.message.generic and match.message.name.startswith(("token-", "legacy-")):
            return match.message.name
    return ""


def refusals(token: Object) -> list[Object]:
    """The verdicts that went against a token."""
    return [one for one in token.get("reviews") or [] if not one["authenticated"]]


def is_refused(token: Object) -> bool:
    """Whether every verdict went against it."""
    reviews = token.get("reviews") or []
    return bool(reviews) and len(refusals(token)) == len(reviews)


def said(token: Object, name: str) -> Evidence | None:
    """The API server's own words, if they are those of that reason.

    Where it takes the token at other times, that is what there is to say: SAT811.
    """
    for one in refusals(token) if is_refused(token) else ():
        if reason_of(one["error"]) == name:
            return at(token, f"the API server, by {one['by']}", one["error"], here=True)
    return None


def besides(words_of: Evidence | None) -> list[Evidence]:
    """The API server's words, if there are any, where the fault itself lies in a claim."""
    return [words_of._replace(here=False)] if words_of else []


def pod_of(token: Object, world: World) -> Object | None:
    """The pod that a token is for."""
    metadata = token["metadata"]
    try:
        return world.get("Pod", metadata["namespace"], metadata["name"])
    except Unseen:
        return None


def told_by(other: Function, token: Object, world: World) -> bool:
    """Whether a check of the pod that a token is for tells the same, and more of it."""
    pod = pod_of(token, world)
    if pod is None:
        return False
    try:
        return any(True for _ in other(pod, world))
    except Unseen:
        return False


def anew(token: Object, world: World, summary: str) -> Fix:
    """A fix that makes the pod, and with it its token, anew."""
    pod = pod_of(token, world)
    return Fix(summary, tuple(restart(pod, world)) if pod else (), recreates=True)


def claim(token: Object, path: str, *, here: bool = False) -> Evidence:
    """A claim of the token as evidence; the path is that in its payload."""
    value: object = token.get("payload") or {}
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, dict) else None
    return at(token, f"claim {path.replace('/', ' ')}", value, here=here)


@check("SAT801", on="Token", severity="error", stage="token")
def token_expired(token: Object, world: World) -> Iterator[Finding]:
    """The token has expired.

    ### What goes wrong

    The time in its claim `exp` has passed, and the API server answers 401 Unauthorized
    (`service account token has expired`). A pod's token is renewed in its file by the kubelet long
    before that: a file with an expired token was not renewed (the kubelet could not reach the API
    server, a volume of the pod cannot be mounted, the mount is a subPath), and a program with one
    has read the file once and kept it.

    ### How to fix it

    Make the pod anew, which brings a new token, and let the program read the file again each time,
    or at least once a minute, as current client libraries do.
    """
    expiry = moment((token.get("payload") or {}).get("exp"))
    late = expiry is not None and world.now() > expiry + LEEWAY
    words_of = said(token, "token-expired")
    if words_of is None and not late:
        return
    here = claim(token, "exp", here=True)
    ago = f" {words(world.now() - expiry)} ago" if expiry is not None and late else ""
    yield Finding(
        f"the token has expired{ago}",
        here,
        (here, *besides(words_of)),
        anew(
            token, world, "make the pod anew; see to it that the file is read again by the program"
        ),
    )


@check("SAT802", on="Token", severity="error", stage="token")
def token_clock_skew(token: Object, world: World) -> Iterator[Finding]:
    """The token is from the future: clocks differ.

    ### What goes wrong

    The claims `iat` or `nbf` lie ahead of the clock of the API server that judges the token, by
    more than the minute that is allowed: `service account token is not valid yet`. The clock of the
    API server that signed it is ahead of the others, or was for a while.

    ### How to fix it

    Put the clocks of the control plane right (NTP), then make pods anew that hold such a token: the
    kubelet does not replace it before it is old by its own reckoning.
    """
    payload = token.get("payload") or {}
    words_of = said(token, "token-clock-skew")
    times = [when for key in ("iat", "nbf") if (when := moment(payload.get(key))) is not None]
    ahead = max(times, default=0.0) - world.now()
    if words_of is None and (ahead <= LEEWAY or not is_refused(token)):
        return
    here = words_of or claim(token, "iat", here=True)
    yield Finding(
        "the token is from the future: the clocks of the API servers differ",
        here,
        (claim(token, "iat"), claim(token, "nbf"), here),
        anew(token, world, "put the clocks right (NTP), then make the pod anew"),
    )


@check("SAT803", on="Token", severity="error", stage="token")
def token_sa_deleted(token: Object, world: World) -> Iterator[Finding]:
    """The token's service account is gone.

    ### What goes wrong

    The API server looks the account up each time (`serviceaccounts "NAME" not found`), or it is
    being deleted for more than a minute, held by a finalizer (`service account NAMESPACE/NAME has
    been deleted`).

    ### How to fix it

    Make the account again, then the pods: a token names the uid of its account, so the old ones
    stay refused. Its bindings are by name and hold again.
    """
    words_of = said(token, "token-sa-deleted")
    if words_of is None or told_by(sa_deleted_after_pod, token, world):
        return
    pod = pod_of(token, world)
    going = "not found" not in str(words_of.value)
    yield Finding(
        f"the token is refused: serviceaccount {token['account']} is "
        + ("being deleted" if going else "gone"),
        words_of,
        (claim(token, "sub"), words_of),
        account_again(pod, world, "its finalizers" if going else "") if pod else None,
    )


@check("SAT804", on="Token", severity="error", stage="token")
def token_sa_recreated(token: Object, world: World) -> Iterator[Finding]:
    """The token is for an earlier service account of the same name.

    ### What goes wrong

    The uid in the token is not that of the account: it was deleted and made again since. The API
    server answers 401 Unauthorized (`service account UID (…) does not match claim (…)`).

    ### How to fix it

    Make the pods anew. Look for what deletes the account: a Helm hook with
    `before-hook-creation`, a redeployment that deletes and applies, a restored backup.
    """
    words_of = said(token, "token-sa-recreated")
    own = bound(token.get("payload") or {}, "serviceaccount")
    account = world.get("ServiceAccount", token["metadata"]["namespace"], token["account"])
    uid = account["metadata"].get("uid") if account else None
    differs = bool(own.get("uid") and uid and own["uid"] != uid)
    if words_of is None and (not differs or own.get("name") != token["account"]):
        return
    here = at(token, "claim kubernetes.io serviceaccount uid", own.get("uid"), here=True)
    evidence = [here]
    if account:
        evidence.append(at(account, "metadata.uid", uid))
    evidence += besides(words_of)
    yield Finding(
        f"the token is for an earlier serviceaccount {token['account']}, made again since",
        here,
        tuple(evidence),
        anew(token, world, "make the pods anew"),
    )


@check("SAT805", on="Token", severity="error", stage="token")
def token_bound_object_gone(token: Object, world: World) -> Iterator[Finding]:
    """What the token is bound to is gone.

    ### What goes wrong

    A token may be bound to a pod, a Secret or a node, and dies with it, a minute after its deletion
    began (`service account token has been invalidated`). A token that was copied out of a pod ends
    so.

    ### How to fix it

    Take a new token; for use outside of a pod, one that is not bound to a pod.
    """
    payload = token.get("payload") or {}
    ties = [
        at(token, f"claim kubernetes.io {kind}", bound(payload, kind).get("name"))
        for kind in ("pod", "secret", "node")
        if bound(payload, kind)
    ]
    words_of = said(token, "token-bound-object-gone")
    if words_of is not None:
        here = words_of
        evidence = (*ties, words_of)
    elif is_silent(token) and (gone := bound_to_nothing(token, world)):
        here = gone
        evidence = (*ties, gone)
    else:
        return
    yield Finding(
        "the token is refused: what it is bound to is gone",
        here,
        evidence,
        anew(token, world, "make the pod anew; what uses its token elsewhere needs one of its own"),
    )


def is_silent(token: Object) -> bool:
    """Whether the API server refuses a token and does not say why."""
    return is_refused(token) and not any(reason_of(one["error"]) for one in refusals(token))


def bound_to_nothing(token: Object, world: World) -> Evidence | None:
    """What a token is bound to, where that is not there, or is another of its name.

    An earlier pod of the name of the one that it is for is SAT806.
    """
    payload, metadata = token.get("payload") or {}, token["metadata"]
    for kind in ("Pod", "Secret"):
        tie = bound(payload, kind.lower())
        if not isinstance(tie.get("name"), str) or not tie["name"]:
            continue
        own = kind == "Pod" and tie["name"] == metadata["name"]
        item = world.get(kind, metadata["namespace"], tie["name"])
        if item is None:
            return Evidence(kind, metadata["namespace"], tie["name"], "", "not found", here=True)
        if item["metadata"].get("uid") != tie.get("uid") and not own:
            return at(item, "metadata.uid", item["metadata"].get("uid"), here=True)
    return None


@check("SAT806", on="Token", severity="error", stage="token")
def token_bound_pod_recreated(token: Object, world: World) -> Iterator[Finding]:
    """The token is bound to an earlier pod of the same name.

    ### What goes wrong

    A pod of a StatefulSet, or one made by hand, was made again under its name, and something kept
    the token of the one before: `pod UID (…) does not match service account pod ref claim (…)`.

    ### How to fix it

    Make the pod anew, so that the kubelet fetches a token for it; what keeps a copy of a pod's
    token must read the file instead.
    """
    words_of = said(token, "token-bound-pod-recreated")
    own = bound(token.get("payload") or {}, "pod")
    pod = pod_of(token, world)
    differs = bool(
        pod is not None
        and own.get("name") == pod["metadata"]["name"]
        and own.get("uid") != pod["metadata"].get("uid")
    )
    if words_of is None and not differs:
        return
    here = at(token, "claim kubernetes.io pod uid", own.get("uid"), here=True)
    evidence = [here]
    if pod is not None:
        evidence.append(at(pod, "metadata.uid", pod["metadata"].get("uid")))
    evidence += besides(words_of)
    yield Finding(
        f"the token is bound to an earlier pod {token['metadata']['name']}",
        here,
        tuple(evidence),
        anew(token, world, "make the pod anew"),
    )


@check("SAT807", on="Token", severity="error", stage="token")
def token_node_binding_disabled(token: Object, world: World) -> Iterator[Finding]:
    """The token is bound to a node, and an API server does not know how to judge that.

    ### What goes wrong

    It was made by an API server with the feature gate ServiceAccountTokenNodeBinding and judged by
    one without ServiceAccountTokenNodeBindingValidation, as happens while a control plane is
    upgraded or downgraded.

    ### How to fix it

    Bring all API servers to one version (1.33 or later have both for good), or use a token that is
    not bound to a node.
    """
    words_of = said(token, "token-node-binding-disabled")
    if words_of is None:
        return
    yield Finding(
        "the token is bound to a node, which an API server here cannot judge",
        words_of,
        (
            at(token, "claim kubernetes.io node", bound(token["payload"], "node").get("name")),
            words_of,
        ),
        Fix(
            "bring all API servers to one version; this shows that of the one which answers",
            (kubectl(world, "", "version"),),
        ),
    )


@check("SAT808", on="Token", severity="error", stage="token")
def token_wrong_audience(token: Object, world: World) -> Iterator[Finding]:
    """The token is not for the API server.

    ### What goes wrong

    None of its audiences is one of the API server's (`token audiences […] is invalid for the target
    audiences […]`): it was asked for with an audience for another service, or `--api-audiences` was
    changed since.

    ### How to fix it

    Leave `audience` out of the source that is meant for the API server; a token for another service
    belongs at a path of its own. After a change of `--api-audiences` make the pods anew.
    """
    words_of = said(token, "token-wrong-audience")
    if words_of is None and not is_foreign(token, world):
        return
    if told_by(projected_foreign_audience_used_for_api, token, world):
        return
    here = at(token, "claim aud", audiences(token.get("payload") or {}), here=True)
    yield Finding(
        "the token is for another service than the API server",
        here,
        (here, *besides(words_of)),
        anew(token, world, "make the pod anew, whose volume is for a token for the API server"),
        certainty="certain" if words_of else "likely",
    )


def is_foreign(token: Object, world: World) -> bool:
    """Whether a token is refused without a reason, and is for none that the API server is."""
    own = set(audiences(token.get("payload") or {}))
    if not own or not is_silent(token):
        return False
    known = api_audiences(world)
    return known is not None and not own & known


def issuer_of(world: World) -> str | None:
    """The issuer that the API server says it is; None when it cannot be read."""
    try:
        document = world.text("/.well-known/openid-configuration")
    except Unseen:
        return None
    return str((document or {}).get("issuer") or "") or None


@check("SAT809", on="Token", severity="error", stage="token")
def token_unknown_issuer(token: Object, world: World) -> Iterator[Finding]:
    """The API server does not know who issued the token.

    ### What goes wrong

    Its claim `iss` is none of the issuers that the API server accepts, which then says only
    `invalid bearer token`. It is a token of another cluster or of another provider, or
    `--service-account-issuer` was changed and the old value not kept as a second one.

    ### How to fix it

    Keep the old issuer as a further `--service-account-issuer` until all tokens of old have gone,
    then make the pods anew; a token of another cluster is of no use here.
    """
    payload = token.get("payload") or {}
    issuer = payload.get("iss")
    if not is_refused(token) or issuer == LEGACY_ISSUER:
        return
    words_of = said(token, "token-unknown-issuer")
    here_issuer = issuer_of(world)
    if words_of is None and not (is_silent(token) and is_of_another_issuer(token, world)):
        return
    here = claim(token, "iss", here=True)
    evidence = [here]
    if here_issuer:
        evidence.append(
            Evidence("", "", "/.well-known/openid-configuration", "issuer", here_issuer)
        )
    yield Finding(
        f"the token is of another issuer: {issuer}",
        here,
        tuple(evidence),
        anew(
            token,
            world,
            "keep the old issuer as a second --service-account-issuer, or make the pods anew",
        ),
        certainty="certain" if words_of else "likely",
    )


@check("SAT810", on="Token", severity="error", stage="token")
def token_unknown_signing_key(token: Object, world: World) -> Iterator[Finding]:
    """The API server does not know the key that signed the token.

    ### What goes wrong

    No key of `--service-account-key-file` fits the signature (`invalid signature, no keys found`,
    `error in cryptographic primitive`): the control plane was rebuilt with another key, the token
    was restored from another cluster, or kube-controller-manager signs with a key that the API
    server does not have.

    ### How to fix it

    Add the public half of the old key to `--service-account-key-file` of every API server until all
    tokens of old have gone, then make the pods anew. A restored Secret must be made anew.
    """
    words_of = said(token, "token-unknown-signing-key")
    if words_of is None and (not is_silent(token) or is_of_another_issuer(token, world)):
        return
    kid = (token.get("header") or {}).get("kid")
    known = published_keys(world)
    if words_of is None and (not kid or not known or kid in known):
        return
    here = at(token, "header kid", kid, here=True)
    evidence = [here, *besides(words_of)]
    if known:
        evidence.append(Evidence("", "", "/openid/v1/jwks", "keys[*].kid", known))
    yield Finding(
        "the token is signed with a key that the API server does not know",
        here,
        tuple(evidence),
        anew(
            token,
            world,
            "add the old public key to --service-account-key-file, then make the pods anew",
        ),
        certainty="certain" if words_of else "likely",
    )


def published_keys(world: World) -> list[str]:
    """The ids of the keys that the API server publishes; none where they are not seen."""
    try:
        keys = (world.text("/openid/v1/jwks") or {}).get("keys") or []
    except Unseen:
        return []
    return [str(key.get("kid")) for key in keys if isinstance(key, dict)]


def is_of_another_issuer(token: Object, world: World) -> bool:
    """Whether a token says that it was issued by another than the API server, as far as known."""
    issuer = (token.get("payload") or {}).get("iss")
    own = issuer_of(world)
    return bool(own and issuer) and issuer not in (own, LEGACY_ISSUER)


@check("SAT811", on="Token", severity="error", stage="token")
def ha_key_mismatch(token: Object, world: World) -> Iterator[Finding]:
    """Some API servers take the token and others do not.

    ### What goes wrong

    The same token is accepted and refused by turns: several API servers answer at one address, and
    they differ in their keys (`--service-account-key-file`), their issuers or their clocks.

    ### How to fix it

    Give all API servers the same keys and issuers, in the same order, and the right time.
    """
    refused = refusals(token)
    if not refused or is_refused(token):
        return
    here = at(token, "refused", f"{len(refused)} of {len(token['reviews'])} times", here=True)
    reason = at(token, f"the API server, by {refused[0]['by']}", refused[0]["error"] or "401")
    yield Finding(
        "some API servers take the token and others do not",
        here,
        (here, reason),
        Fix(
            "give all API servers the same keys and issuers; these are their addresses",
            (
                kubectl(
                    world,
                    "default",
                    "get",
                    "endpointslices",
                    "-l",
                    "kubernetes.io/service-name=kubernetes",
                ),
            ),
        ),
        certainty="likely",
    )


@check("SAT812", on="Token", severity="hint", stage="token")
def expiration_capped(token: Object, world: World) -> Iterator[Finding]:
    """The token lives shorter than asked for.

    ### What goes wrong

    The API server shortens what is asked to `--service-account-max-token-expiration`
    (`requested expiration of N seconds shortened to M seconds`); managed clusters cap at a day or
    two. The kubelet renews a pod's token in time all the same. A program that keeps its first token
    fails earlier than expected; and where the cap is at most an hour, the tokens that pods get by
    themselves are not extended to a year for such programs.

    ### How to fix it

    Let the program read the file again. Nothing else is needed for pods.
    """
    asked = (token.get("asked") or {}).get("lifetime")
    granted = (token.get("granted") or {}).get("lifetime")
    if not asked or not granted or granted >= asked:
        return
    here = at(token, "granted lifetime", lifetime(granted), here=True)
    yield Finding(
        f"the token lives {lifetime(granted)}, not {lifetime(asked)} as asked: "
        "the API server caps it",
        here,
        (at(token, "asked lifetime", lifetime(asked)), here),
    )


@check("SAT813", on="Token", severity="error", stage="kubelet")
def tokenrequest_rejected(token: Object, world: World) -> Iterator[Finding]:
    """The API server refuses to make the pod's token.

    ### What goes wrong

    A token was asked for as the kubelet does, bound to the pod, and the API server refused: the
    account is gone, a webhook or policy denies `serviceaccounts/token`, an external signer fails,
    the pod was made again under its name. The kubelet gets the same answer
    (`failed to fetch token: …`), so the pod waits in ContainerCreating, or keeps its token until
    that expires.

    ### How to fix it

    Mend what the answer names, then ask again.
    """
    refused = token.get("refused")
    if not refused or told_by(sa_deleted_after_pod, token, world):
        return
    here = at(token, "the API server, asked for a token", refused, here=True)
    evidence = [here]
    again = kubectl(world, token["metadata"]["namespace"], "create", "token", token["account"])
    metadata = token["metadata"]
    again += f" --bound-object-kind=Pod --bound-object-name={metadata['name']} >/dev/null"
    fix = Fix("mend what it names; this asks again, and prints no token", (again,))
    # what it says to the kubelet it says to us
    code, match = room(FETCH + refused) or ("", None)
    unsure: Unseen | None = None
    if code == "SAT610" and match is not None:
        named, unsure = deniers_of(match["name"], world)
        evidence += [one.evidence for one in named]
        fix = exempt_tokens(named, world, "the kubelet then gets one within two minutes")
    elif code == "SAT105" and (pod := pod_of(token, world)) is not None:
        fix = account_again(pod, world)
    yield Finding(
        f"the API server makes no token for serviceaccount {token['account']}",
        here,
        tuple(evidence),
        fix,
    )
    if unsure is not None:
        raise unsure


def file_of(token: Object) -> Object:
    """What a probe saw of the token's file; empty where there was no probe."""
    return token.get("file") or {}


def place(token: Object) -> str:
    """The token's file and its container, in words."""
    asked = token["asked"]
    return f"{asked['path']} in container {asked['container']}"


@check("SAT815", on="Token", severity="error", stage="token")
def token_malformed(token: Object, world: World) -> Iterator[Finding]:
    """The file holds something that is no token.

    ### What goes wrong

    What was read at the token's place is not a JWT: it is still in base64 (a Secret's data as
    `kubectl get -o yaml` shows it), cut off, in quotes, a placeholder, or empty. The API server
    says `invalid bearer token`, or takes the request for one of `system:anonymous`.

    ### How to fix it

    Have the token mounted by the API server itself; a Secret made by hand needs the token as plain
    text in `stringData`, or in base64 once in `data`.
    """
    state = file_of(token).get("state")
    if state not in ("malformed", "empty"):
        return
    what = "is empty" if state == "empty" else "holds no token"
    here = at(token, token["asked"]["path"], what, here=True)
    yield Finding(
        f"{place(token)} {what}",
        here,
        (here, at(token, "ls -lnL", file_of(token).get("listing"))),
        anew(token, world, "have the projected token mounted there, then make the pod anew"),
    )


# the kubelet looks about once a minute, and takes its time to write
RENEWAL_SLACK = 300


@check("SAT816", on="Token", severity="warning", stage="token")
def rotation_stalled(token: Object, world: World) -> Iterator[Finding]:
    """The token in the file is older than the kubelet lets one become.

    ### What goes wrong

    The kubelet writes a new token when 80 % of the life of the old one, or a day, have passed. The
    one in the file is older, so it is not renewed: the kubelet cannot fetch tokens, a volume of the
    pod cannot be mounted, the mount is a subPath, or the kubelet writes where the container does
    not look (a kubelet in a container that was restarted). When the token has expired, requests are
    answered 401.

    ### How to fix it

    Make the pod anew. If it happens again, look into the kubelet's log for `Couldn't update token`.
    """
    asked = token["asked"].get("lifetime")
    issued = moment((token.get("payload") or {}).get("iat"))
    if not file_of(token) or not asked or issued is None:
        return
    age = world.now() - issued
    if age <= renewed_after(asked) + RENEWAL_SLACK:
        return
    here = at(token, "claim iat", f"{words(age)} ago", here=True)
    yield Finding(
        f"the token is not renewed: it is {words(age)} old, and lives {lifetime(asked)}",
        here,
        (here, at(token, "asked lifetime", lifetime(asked))),
        anew(token, world, "make the pod anew"),
    )


@check("SAT817", on="Token", severity="error", stage="file")
def token_file_missing(token: Object, world: World) -> Iterator[Finding]:
    """The token is not where the container should have it.

    ### What goes wrong

    By the pod's spec something is mounted at the token's place, but in the running container there
    is no file `token`: the volume that is mounted there holds none, something else was mounted over
    it, or the mount was lost when the kubelet was restarted.

    ### How to fix it

    If the volume is to bring a token, make the pod anew; else take the mount away, so that the API
    server mounts the token there.
    """
    if file_of(token).get("state") != "missing":
        return
    here = at(token, token["asked"]["path"], "no such file", here=True)
    yield Finding(
        f"there is no {place(token)}",
        here,
        (here,),
        anew(token, world, "make the pod anew"),
    )


@check("SAT818", on="Token", severity="error", stage="file")
def token_unreadable(token: Object, world: World) -> Iterator[Finding]:
    """The container may not read its token.

    ### What goes wrong

    The file is there, and its owner and mode keep the user of the container out:
    `open …/token: permission denied`. The kubelet makes it 0600 for the user when all containers
    name the same `runAsUser`, 0640 for the group with an `fsGroup`, and else the volume's
    `defaultMode` for root.

    ### How to fix it

    Set `fsGroup` for the pod, which gives the file to that group, or leave `defaultMode` out.
    """
    facts = file_of(token)
    if facts.get("state") != "unreadable":
        return
    here = at(token, "ls -lnL", facts.get("listing"), here=True)
    pod = pod_of(token, world)
    group = next((one for one in str(facts.get("groups")).split() if one != "0"), "65534")
    fix = None
    if pod is not None:
        fix = patch_pod(
            pod,
            world,
            {"securityContext": {"fsGroup": int(group)}},
            "give it to the group of the container's user (pods are recreated)",
        )
    who = f"user {facts.get('user')}, groups {facts.get('groups')}"
    yield Finding(
        f"the user of the container may not read {place(token)}",
        here,
        (here, at(token, "the container's", who)),
        fix,
    )


@check("SAT821", on="Token", severity="error", stage="file")
def ca_file_missing(token: Object, world: World) -> Iterator[Finding]:
    """There is no ca.crt beside the token.

    ### What goes wrong

    Client libraries take the certificate authority of the API server from `ca.crt` in the folder of
    the token. In the running container it is missing or empty, so they do not trust the API server:
    `x509: certificate signed by unknown authority`, `Expected to load root CA config from
    …/ca.crt`.

    ### How to fix it

    Mount the whole volume as the API server makes it, with token, `ca.crt` and `namespace`; see
    that the ConfigMap `kube-root-ca.crt` has a certificate.
    """
    facts = file_of(token)
    if facts.get("state") != "there" or facts.get("ca") or not in_usual_place(token):
        return
    folder = token["asked"]["path"].rpartition("/")[0]
    here = at(token, f"{folder}/ca.crt", "missing or empty", here=True)
    pod = pod_of(token, world)
    namespace = token["metadata"]["namespace"]
    show = kubectl(world, namespace, "get", "configmap", ROOT_CA_CONFIG_MAP, "-o", "yaml")
    yield Finding(
        f"container {token['asked']['container']} has no ca.crt beside its token",
        here,
        (here,),
        Fix(
            "mount ca.crt from the ConfigMap kube-root-ca.crt too, when that has it; "
            "then make the pod anew",
            (show, *(restart(pod, world) if pod else [])),
            recreates=True,
        ),
    )


def in_usual_place(token: Object) -> bool:
    """Whether the token lies where client libraries look for it, and so for ca.crt."""
    return same_place(token["asked"]["path"]) == same_place(f"{TOKEN_MOUNT_PATH}/token")


@check("SAT819", on="Token", severity="error", stage="token")
def apiserver_unreached_from_pod(token: Object, world: World) -> Iterator[Finding]:
    """The pod cannot reach the API server.

    ### What goes wrong

    A request with the token, made in the container to the address in its environment, got no
    answer: another address is set there, a NetworkPolicy without egress to the API server, a proxy,
    a certificate that `ca.crt` does not vouch for, no route. That is not the token's fault.

    ### How to fix it

    The error says which: `timed out` and `connection refused` are the address or the network,
    `certificate` is the CA. Take `KUBERNETES_SERVICE_HOST` out of the container's environment,
    allow egress to the addresses of the API server, or see to `kube-root-ca.crt`.
    """
    unreached = token.get("unreached")
    server = token.get("server") or {}
    if not unreached or not (token.get("file") or {}).get("ca", True):
        return  # without ca.crt nothing there trusts the API server: SAT821
    here = at(token, "a request from the pod", unreached, here=True)
    address = f"{server.get('host')}:{server.get('port')}"
    yield Finding(
        f"the pod cannot reach the API server at {address}",
        here,
        (at(token, "KUBERNETES_SERVICE_HOST:KUBERNETES_SERVICE_PORT", address), here),
        set_by_pod(token, [HOST, PORT], world) or way_to(token, unreached, world),
        certainty="likely",
    )


def set_by_pod(token: Object, names: list[str], world: World) -> Fix | None:
    """The fix for variables that the pod itself sets for the container of a token, if it does."""
    pod = pod_of(token, world)
    return out_of_environment(pod, token["asked"]["container"], names, world) if pod else None


def way_to(token: Object, unreached: str, world: World) -> Fix:
    """What to do about an API server that does not answer, by the error."""
    namespace = token["metadata"]["namespace"]
    if "certificate" in unreached:
        pod = pod_of(token, world)
        show = kubectl(world, namespace, "get", "configmap", ROOT_CA_CONFIG_MAP, "-o", "yaml")
        return Fix(
            "see that this has the certificate authority of the API server; then make the pod anew",
            (show, *(restart(pod, world) if pod else [])),
            recreates=True,
        )
    return Fix(
        "let the pod reach these addresses; these are the policies that may forbid it",
        (
            kubectl(
                world,
                "default",
                *("get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes"),
            ),
            kubectl(world, namespace, "get", "networkpolicies"),
        ),
    )


@check("SAT820", on="Token", severity="error", stage="token")
def environment_without_api_server(token: Object, world: World) -> Iterator[Finding]:
    """The container's environment does not say where the API server is.

    ### What goes wrong

    KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is empty in the container, so in-cluster
    configuration fails: `unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and
    KUBERNETES_SERVICE_PORT must be defined`. The pod sets them empty itself (by `env`, or by a
    ConfigMap in `envFrom`), or the Service `default/kubernetes` was not there when it started.

    ### How to fix it

    Take the variables out of the pod's environment, see that the Service is there, and make the pod
    anew.
    """
    server = token.get("server")
    if server is None or (server["host"] and server["port"]):
        return
    missing = [name for name, key in ((HOST, "host"), (PORT, "port")) if not server[key]]
    here = at(token, missing[0], "empty", here=True)
    yield Finding(
        f"container {token['asked']['container']} has no {' and no '.join(missing)}",
        here,
        (here,),
        set_by_pod(token, missing, world)
        or anew(token, world, "see that service kubernetes is in default, then make the pod anew"),
    )


# The checks that know the reason of a refusal also where the API server does not tell it.
BY_CLAIMS: tuple[Function, ...] = (
    token_expired,
    token_clock_skew,
    token_sa_recreated,
    token_bound_object_gone,
    token_bound_pod_recreated,
    token_wrong_audience,
    token_unknown_issuer,
    token_unknown_signing_key,
    token_malformed,
)


@check("SAT814", on="Token", severity="error", stage="token")
def token_refused(token: Object, world: World) -> Iterator[Finding]:
    """The API server refuses the token, for a reason of its own or without one.

    ### What goes wrong

    It answers 401 Unauthorized. Why is told only to those who may create TokenReviews, and stands
    in the log of the API server (`Unable to authenticate the request`). The claims show nothing
    wrong. A token from a Secret is refused when its Secret is gone, was changed or marked invalid.

    ### How to fix it

    `kubectl satoken explain` knows the API server's words, where there are any. Else ask as
    somebody with the ClusterRole `system:auth-delegator`, or look into the API server's log. A new
    pod has a new token, which heals most of the causes.
    """
    if not is_refused(token):
        return
    # what names the reason, by the API server's words or by the claims, says more
    named = {one.name for one in registry.values() if one.on == "Token"}
    if any(reason_of(one["error"]) in named for one in refusals(token)):
        return
    if told_by(sa_deleted_after_pod, token, world):
        return
    if told_by(projected_foreign_audience_used_for_api, token, world):
        return
    for other in BY_CLAIMS:
        try:
            if any(True for _ in other(token, world)):
                return
        except Unseen:
            continue
    payload = token.get("payload") or {}
    one = refusals(token)[0]
    here = at(
        token, f"the API server, by {one['by']}", one["error"] or "401 Unauthorized", here=True
    )
    yield Finding(
        "the API server refuses the token",
        here,
        (claim(token, "iss"), at(token, "claim aud", audiences(payload)), here),
        anew(token, world, "make the pod anew; a TokenReview or the API server's log tells why"),
    )
