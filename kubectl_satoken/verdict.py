"""What is said to a question about a service account: yes or no, why, and what is nearly right."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .authorize import Account, Answer, Asker, authorizer_of, granting
from .checks import Finding
from .cluster import Api
from .env import Env
from .kinds import Type
from .output import (
    evidence_lines,
    evidence_object,
    fix_object,
    indent,
    paint,
    painted,
    row,
    wrap,
)
from .question import Asked, in_words
from .rbac import Granting, Question, is_built_in
from .world import Object, Unseen, World

if TYPE_CHECKING:
    from .near import Miss

MISSES_SHOWN = 3  # besides the first, if not wide


class Place(NamedTuple):
    """Where questions are put, and about whom: ``account`` is None for the user himself, ``user``.

    ``notes`` are what has to be said of the account, ``given`` is how the user named it.
    """

    api: Api | None
    world: World
    types: Sequence[Type]
    namespace: str
    account: Account | None
    user: str = ""
    given: str = ""
    notes: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """The subject of a sentence."""
        if self.account is None:
            return f"you ({self.user})" if self.user else "you"
        if self.account.namespace == self.namespace:
            return f"serviceaccount {self.account.name}"
        return f"serviceaccount {self.account.namespace}/{self.account.name}"


class Verdict(NamedTuple):
    """An answer with its reasons: the bindings that grant it, or what is nearly right."""

    place: Place
    asked: Asked
    answer: Answer
    granted: Sequence[Granting] = ()
    near: "Sequence[Miss]" = ()
    unseen: Sequence[Unseen] = ()

    @property
    def other_authorizer(self) -> str:
        """What tells that not RBAC gave the answer, or not alone; empty where nothing does."""
        said = authorizer_of(self.answer.reason)
        if said:
            return f"another authorizer says: {said}"
        if self.answer.via == "RBAC objects":
            return ""
        if self.answer.allowed and not self.granted and not self.unseen and self.place.account:
            return "no binding grants it: another authorizer allows it, or what grants it is gone"
        if not self.answer.allowed and self.granted:
            return "bindings grant it, but it is refused: by another authorizer, or they are new"
        return ""


def judge(
    place: Place, asked: Asked, asker: Asker, *, reasons: bool = True, rules: bool = False
) -> Verdict:
    """Puts a question and looks for the reasons of the answer. Raises Forbidden and ApiError.

    Of the reasons the number of each rule (``rules``) is told only where it is asked for.
    """
    answer = asker.ask(asked.question)
    if not reasons or place.account is None:
        return Verdict(place, asked, answer)
    if answer.allowed or answer.denied:
        reason = answer.reason if answer.allowed else ""
        granted, unseen = granting(place.world, place.account, asked.question, reason, rules=rules)
        return Verdict(place, asked, answer, granted, (), unseen)
    from .near import misses

    granted, near, unseen = misses(place.world, place.account, asked.question, place.types)
    return Verdict(place, asked, answer, granted, near, unseen)


def word_of(verdict: Verdict) -> str:
    """Yes or no."""
    if verdict.answer.conditional:
        return "conditional"
    return "yes" if verdict.answer.allowed else "no"


# --- for a person ---------------------------------------------------------------------------------


def sentence(verdict: Verdict) -> str:
    """The answer in a sentence."""
    what = in_full(verdict.asked)
    if verdict.answer.conditional:
        return f"conditional: {verdict.place.who} may {what} under conditions only"
    may = "may" if verdict.answer.allowed else "may not"
    return f"{word_of(verdict)}: {verdict.place.who} {may} {what}"


def in_full(asked: Asked) -> str:
    """A question in words, with all namespaces where it means them."""
    question, kind = asked.question, asked.type
    everywhere = not question.namespace and kind is not None and kind.kind.namespaced
    return in_words(question) + (" in all namespaces" if everywhere else "")


def write(verdict: Verdict, env: Env, *, colour: bool, wide: bool, least: str) -> None:
    """Writes a verdict for a person. ``least`` is the command that prints the least grant."""
    answer = verdict.answer
    word = "ok" if answer.allowed else "error"
    lines = wrap(sentence(verdict), "  ")
    lines[0] = lines[0].replace(word_of(verdict), paint(word, colour, word_of(verdict)), 1)
    lines.append("")
    full = verdict.near if wide else verdict.near[:1]
    others = verdict.near[1:]
    for miss in full:
        lines += miss_lines(miss, colour)
    if others and not wide:
        for miss in others[:MISSES_SHOWN]:
            lines += painted(wrap(f"hint: {miss.message}{coded(miss)}", "  "), "hint", colour)
        if len(others) > MISSES_SHOWN:
            lines.append(f"  and {len(others) - MISSES_SHOWN} more (-o wide shows them)")
        lines.append("")
    lines += [f"  {line}" for head, text in facts(verdict, wide) for line in row(head, text)]
    if least and mendable(verdict):
        lines += ["", "the least that grants it:", *indent(least)]
    env.stdout.write("".join(f"{line}\n" for line in lines))


def mendable(verdict: Verdict) -> bool:
    """Whether a binding could turn the answer into yes."""
    answer = verdict.answer
    lacking = not answer.allowed and not answer.denied and not answer.conditional
    misasked = any(not miss.off for miss in verdict.near)
    return lacking and not misasked and not verdict.granted and verdict.place.account is not None


def facts(verdict: Verdict, wide: bool) -> list[tuple[str, str]]:
    """The rows below an answer: by what, how it was asked, what is to be noted."""
    answer, place = verdict.answer, verdict.place
    rows: list[tuple[str, str]] = []
    for number, one in enumerate(verdict.granted):
        rows.append(("" if number else "by", granting_words(one)))
    if answer.allowed and not verdict.granted and answer.reason:
        rows.append(("by", answer.reason))
    if not answer.allowed and answer.reason and not verdict.granted:
        rows.append(("why", answer.reason))
    if verdict.other_authorizer and verdict.other_authorizer not in answer.reason:
        rows.append(("why", verdict.other_authorizer))
    looked = not verdict.unseen or place.api is None
    if mendable(verdict) and looked and not (rows or verdict.near):
        rows.append(("why", "nothing that it is bound to comes near that; see --list"))
    if answer.denied:
        rows.append(("why", "it is denied, which no binding can change"))
    if answer.conditional:
        rows.append(("why", "an authorizer looks at what the request carries (KEP-5681)"))
        rows += [("", condition) for condition in answer.conditions]
    if answer.error and (wide or not answer.allowed):
        rows.append(("error", answer.error))
    via = "computed from RBAC objects" if answer.via == "RBAC objects" else f"by {answer.via}"
    if place.api is None:
        via = "computed from files; the cluster may have other bindings"
    rows.append(("answered", via))
    rows += [("note", note) for note in (*place.notes, *verdict.asked.notes)]
    unseen = {one.what: one.why for one in verdict.unseen}
    if place.api is not None:  # of files it is said already
        rows += [("not seen", f"{what}: {why}") for what, why in unseen.items()]
    return rows


def granting_words(one: Granting) -> str:
    """A binding that grants something, in a line."""
    binding, role = one.binding, one.role
    where = binding["metadata"].get("namespace")
    inside = f" in {where}" if where and binding["kind"] == "RoleBinding" else ""
    subject = subject_words(binding["subjects"][one.number])
    text = (
        f"{binding['kind'].lower()}/{binding['metadata']['name']}{inside} of "
        f"{role['kind'].lower()}/{role['metadata']['name']} to {subject}"
    )
    return f"{text}, as every cluster has it" if is_built_in(binding) else text


def subject_words(subject: Object) -> str:
    """A subject of a binding in a line."""
    kind, name = str(subject.get("kind")).lower(), subject.get("name")
    if kind == "serviceaccount" and subject.get("namespace"):
        return f"{kind} {subject['namespace']}/{name}"
    return f"{kind} {name}"


def coded(miss: "Miss") -> str:
    """The code of a near miss behind its sentence."""
    return f" ({miss.code})" if miss.code else ""


def miss_lines(miss: "Miss", colour: bool) -> list[str]:
    """A near miss in full."""
    nearly = "nearly: " if miss.off and miss.code != "SAT501" else ""
    lines = painted(wrap(f"note: {nearly}{miss.message}{coded(miss)}", "  "), "note", colour)
    lines.append("")
    if miss.evidence:
        place = Finding(miss.message, miss.evidence[0], miss.evidence)
        lines += [*evidence_lines(place), ""]
    if miss.fix is not None:
        guess = "" if miss.certainty == "certain" else f" ({miss.certainty})"
        lines += wrap(f"fix: {miss.fix.summary}{guess}", "  ")
        for command in miss.fix.commands:
            lines += indent(command)
        lines.append("")
    return lines


# --- for programs ---------------------------------------------------------------------------------


def verdict_object(verdict: Verdict) -> Object:
    """A verdict for programs: `kind: Answer` of satoken/v1, see docs/answer.schema.json."""
    question, place, answer = verdict.asked.question, verdict.place, verdict.answer
    return {
        "apiVersion": "satoken/v1",
        "kind": "Answer",
        "account": account_object(place),
        "question": question_object(question),
        "allowed": answer.allowed,
        "denied": answer.denied,
        "conditional": answer.conditional,
        "conditions": list(answer.conditions),
        "via": answer.via,
        "computed": answer.via == "RBAC objects",
        "reason": answer.reason or None,
        "error": answer.error or None,
        "grantedBy": [granting_object(one) for one in verdict.granted],
        "otherAuthorizer": verdict.other_authorizer or None,
        "misses": [miss_object(miss) for miss in verdict.near],
        "notes": [*place.notes, *verdict.asked.notes],
        "skipped": [{"what": one.what, "why": one.why} for one in verdict.unseen],
    }


def question_object(question: Question) -> Object:
    """A question for programs."""
    asked = question.asked
    return {
        "verb": asked.verb,
        "group": asked.group,
        "resource": asked.resource or None,
        "subresource": asked.subresource or None,
        "name": asked.name or None,
        "namespace": question.namespace or None,
        "path": asked.path or None,
    }


def account_object(place: Place) -> Object | None:
    """Whom it is about, for programs; None for the user himself."""
    if place.account is None:
        return None
    namespace, name = place.account
    return {"namespace": namespace, "name": name, "user": place.account.user}


def granting_object(one: Granting) -> Object:
    """A binding that grants something, for programs."""
    return {
        "binding": reference(one.binding),
        "role": reference(one.role),
        "rule": one.rule,
        "subject": one.binding["subjects"][one.number],
    }


def reference(item: Object) -> Object:
    """An object by its name, for programs."""
    metadata = item["metadata"]
    return {
        "kind": item["kind"],
        "namespace": metadata.get("namespace") or "",
        "name": metadata["name"],
    }


def miss_object(miss: "Miss") -> Object:
    """A near miss for programs."""
    return {
        "code": miss.code or None,
        "name": miss.name,
        "message": miss.message,
        "certainty": miss.certainty,
        "evidence": [evidence_object(one) for one in miss.evidence],
        **({"fix": fix_object(miss.fix)} if miss.fix is not None else {}),
    }
