"""What would end a token, and what is to be done about one that is refused."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .checks import Fix
from .errors import one_line
from .fixes import kubectl, satoken
from .token_faults import Fault
from .token_secrets import INVALID_SINCE_LABEL, is_empty
from .token_ties import Look, Who, text
from .world import Object

if TYPE_CHECKING:
    from .world import World


# How a new token is had; of other reasons the message says what to do.
ANEW = (
    "token-expired",
    "token-sa-recreated",
    "token-bound-object-gone",
    "token-bound-pod-recreated",
    "token-unknown-signing-key",
    "token-wrong-audience",
    "legacy-secret-deleted",
    "legacy-secret-content-changed",
)


def fix_of(
    reason: Fault | None,
    who: Who,
    look: Look,
    world: "World",
    verdict: str,
    wanted: tuple[str, ...],
) -> Fix | None:
    """What to do about a token that is refused."""
    if reason is None or verdict != "refused":
        return None
    account, secret = look.account, look.secret
    flags = [word for one in wanted for word in ("--audience", one)]
    new = satoken(world, who.namespace, "mint", who.account, *flags)
    if reason.name == "token-sa-deleted" and account is not None and account.state == "gone":
        create = kubectl(world, who.namespace, "create", "serviceaccount", who.account)
        return Fix("make the account again (its bindings hold again), then a token", (create, new))
    if reason.name == "legacy-token-marked-invalid" and secret is not None:
        label = f"{INVALID_SINCE_LABEL}-"
        free = kubectl(world, who.namespace, "label", "secret", secret.name, label)
        return Fix("take the mark off to gain time, and move to tokens that expire", (free,))
    if reason.name in ANEW and account is not None and account.state not in ("gone", "going"):
        return Fix("take a new token", (new,))
    from .messages import find_message

    message = find_message(reason.name)
    return Fix(message.fix[0].lower() + message.fix[1:].rstrip(".")) if message else None


# The reasons by which a token has ended for good.
GONE = (
    "token-expired",
    "token-sa-deleted",
    "token-sa-recreated",
    "token-bound-object-gone",
    "token-bound-pod-recreated",
    "legacy-secret-deleted",
)


# And those by which it never was one that is taken.
NEVER = (
    "token-unknown-signing-key",
    "token-claims-not-validated",
    "legacy-token-malformed-claims",
)


def ending(
    who: Who,
    look: Look,
    faults: Sequence[Fault],
    reason: Fault | None,
    world: "World | None",
    payload: Object,
) -> Fix:
    """What would end the token: in words, and the command where there is one."""
    if who.kind == "opaque":
        return Fix("whoever issued it")
    if reason is not None and reason.name in NEVER:
        return Fix("nothing: it is not taken as it is, whatever it says of itself")
    if who.kind == "foreign":
        by = who.system or "its issuer"
        return Fix(f"{by} alone: Kubernetes cannot end it before it expires")
    if any(fault.certain and fault.name in GONE for fault in faults):
        return Fix("nothing: it has ended already")
    if not look.local:
        return Fix(f"only its own cluster can: {one_line(text(payload.get('iss'))) or 'unknown'}")

    def revoke(target: str, *flags: str) -> tuple[str, ...]:
        namespace = who.namespace
        if world is None:
            scope = f" -n {namespace}" if is_name(namespace) else ""
            return (f"kubectl satoken revoke {target}{scope}",) if is_name(target) else ()
        return (satoken(world, namespace, "revoke", target, *flags),)

    for one in look.ties:
        if one.kind == "Secret" and who.kind == "legacy":
            return Fix(f"marking {one} invalid, or deleting it", revoke(str(one)))
        if one.kind == "Node":
            return Fix(
                f"the end of {one}, or that of serviceaccount {who.account}, which ends all of "
                "its tokens",
                revoke(f"sa/{who.account}"),
            )
        if one.kind == "Secret" and one.object is not None and not is_empty(one.object):
            return Fix(
                f"deleting {one}, to which it is bound, with the values in it",
                revoke(str(one), "--delete-content"),
            )
        return Fix(f"deleting {one}, to which it is bound", revoke(str(one)))
    return Fix(
        f"only making serviceaccount {who.account} anew, which ends all of its tokens: "
        "it is bound to nothing else",
        revoke(f"sa/{who.account}"),
    )


def is_name(word: str) -> bool:
    """Whether a word needs no quotes in a shell."""
    return (
        bool(word)
        and word.isascii()
        and word.replace("-", "").replace(".", "").replace("/", "").isalnum()
    )
