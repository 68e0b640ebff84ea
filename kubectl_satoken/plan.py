"""From an inventory of legacy tokens to the ordered steps that replace them.

Pure functions: what is written to a cluster, and in which order, can be printed before it is done.
A step names an object as it was looked at and what changes in it (see changes.py); each can be
taken back until the last, which deletes the Secret.
"""

from typing import NamedTuple

from .changes import Change
from .world import Kind, Object, Ref

# What a step does, in the order in which it is done.
PATCH = "patch"  # the template of a workload, for all Secrets at once
ROLLOUT = "rollout"  # waits until no pod that uses one of the Secrets is left
VERIFY = "verify"  # that its pods have a token that the API server takes
UNLIST = "unlist"  # takes the Secrets out of an account's secrets and imagePullSecrets
INVALIDATE = "invalidate"  # marks a Secret: the API server refuses its token; can be taken back
WAIT = "wait"  # until nobody has tried to use it for the grace period
DELETE = "delete"  # the Secret; only a new token can follow

# The stages of --stage: each does what those before it do as well.
INVENTORY, PATCHING, INVALIDATING, RETIRING = "inventory", "patch", "invalidate", "retire"
STAGES = (INVENTORY, PATCHING, INVALIDATING, RETIRING)
STAGE_OF = {
    PATCH: PATCHING,
    ROLLOUT: PATCHING,
    VERIFY: PATCHING,
    UNLIST: INVALIDATING,
    INVALIDATE: INVALIDATING,
    WAIT: RETIRING,
    DELETE: RETIRING,
}
WRITES = (PATCH, UNLIST, INVALIDATE, DELETE)

# The moment when a Secret was marked invalid, beside the label, which knows only the day. It is
# written and taken back with the label, by the same step.
MARKED_ANNOTATION = "satoken/invalid-since"

# What was changed in a workload or an account, for an undo that has no journal: the changes of each
# step (without this one), as JSON. It is written and taken back with them, in the same patch.
MIGRATED_ANNOTATION = "satoken/migrated"


class Subject(NamedTuple):
    """An object as it was when the plan was made: what a write is for, and no other."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str

    @property
    def resource(self) -> str:
        """The object as kubectl takes it: ``deployment.apps/web`` for what is not built in."""
        raise NotImplementedError


class Step(NamedTuple):
    """One thing to do.

    ``subject`` is what is written to or waited for; ``secrets`` the token Secrets it is for.
    ``changes`` is what a write changes in it (empty for ROLLOUT, VERIFY, WAIT and DELETE): undo is
    ``changes.undone(step.changes)``. ``until`` is for WAIT: the moment (seconds since the epoch)
    before which the Secret is not deleted, as far as it is known now. ``why`` tells a person.
    ``blocked`` are reasons why it must not be done now: such a step is shown and never run.
    ``by_hand`` is for ROLLOUT: the commands without which the pods are not replaced (a workload
    that does not replace its pods by itself).
    """

    action: str
    subject: Subject
    secrets: tuple[Ref, ...]
    why: str
    changes: tuple[Change, ...] = ()
    until: float = 0.0
    blocked: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Names the step in a journal, the same in each run: action, resource, namespace, uid."""
        raise NotImplementedError


def remembered(item: Object) -> tuple[Change, ...]:
    """The changes that a workload or an account says were made in it, without the annotation that
    says so; none where it has none, or one that nobody can read."""
    raise NotImplementedError


def not_before(secret: Object, grace: float, now: float) -> float:
    """The moment before which a Secret must not be deleted, by its labels as they are now.

    That is the grace period (seconds) after it was marked invalid and after the last attempt to use
    it, both with the day as a whole where only that is known; infinity while it is not marked, or
    where a label is no date.
    """
    raise NotImplementedError


class Plan(NamedTuple):
    """All steps, in order, and the state they start from.

    A step that is not ``blocked`` can be run when all before it are done or were not needed.
    ``left`` are the Secrets that nothing is done with, each with the reason.
    """

    steps: tuple[Step, ...]
    left: tuple[tuple[Ref, str], ...]
