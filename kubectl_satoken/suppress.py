"""What of a report does not count: checks that were not asked for, and findings that are known.

Nothing is lost on the way: what is ignored is counted in every output, and listed where there is
room for it.
"""

from collections.abc import Iterable, Sequence

from .checks import Ignored, all_checks, find_check, rank
from .cli import PROG
from .diagnosis import Cause, Name, Report, rooted
from .env import Env
from .errors import ManifestError, UsageError, visible
from .world import Object

# A finding as a baseline knows it: code, where the fault is, what was asked about. Messages may
# change from release to release, and so may the fields that they are about.
Key = tuple[str, Name, Name]

HINT = f"make one with '{PROG} doctor ... -o json > FILE'"
NAMED = 5  # so many that are gone are named


def select(only: Sequence[str], skip: Sequence[str]) -> frozenset[str] | None:
    """The codes of the checks to run by --only and --skip; None for all. Raises UsageError.

    Each word is one or more codes or names, parted by commas.
    """
    if not only and not skip:
        return None
    chosen = codes(only) if only else {one.code for one in all_checks()}
    if skip:
        chosen -= codes(skip)
    if not chosen:
        raise UsageError("--only and --skip leave no check to run")
    return frozenset(chosen)


def codes(words: Sequence[str]) -> set[str]:
    """The codes that words mean. Raises UsageError for those that mean none."""
    found: set[str] = set()
    for word in ",".join(words).split(","):
        if not word.strip():
            continue
        one = find_check(word)
        if one is None:
            raise unknown(word.strip())
        found.add(one.code)
    if not found:
        raise UsageError("no check is named", "name one by its code or name: SAT102")
    return found


def unknown(word: str) -> UsageError:
    """The error for a word that is no check."""
    from difflib import get_close_matches

    known = [text for one in all_checks() for text in (one.code.lower(), one.name)]
    near = get_close_matches(word.lower(), known, 1)
    match = find_check(near[0]) if near else None
    hint = f"did you mean {match.code} {match.name}?" if match else f"'{PROG} explain' lists them"
    return UsageError(f'no check "{word}"', hint)


def settle(report: Report, baseline: "Baseline | None" = None) -> Report:
    """The report with what is to be ignored put aside; what hung under that gets a new root."""
    known = baseline.known if baseline else set()
    kept: list[Cause] = []
    ignored = list(report.ignored)
    for cause in report.causes:
        if baseline is not None and keys_of(cause) <= known and cause.finding.ignored is None:
            why = Ignored("known before", "baseline", baseline.path)
            cause = cause._replace(finding=cause.finding._replace(ignored=why))
        (ignored if cause.finding.ignored else kept).append(cause)
    if len(kept) == len(report.causes):
        return report
    return report._replace(causes=list(reroot(kept)), ignored=tuple(ignored))


def reroot(causes: list[Cause]) -> Iterable[Cause]:
    """The causes with the roots of each target anew where a root has gone."""
    codes_of: dict[Name, set[str]] = {}
    for cause in causes:
        codes_of.setdefault(cause.finding.target, set()).add(cause.finding.code)
    orphaned = {
        cause.finding.target
        for cause in causes
        if cause.root and cause.root not in codes_of[cause.finding.target]
    }
    done: set[Name] = set()
    for cause in causes:
        target = cause.finding.target
        if target not in orphaned:
            yield cause
        elif target not in done:
            done.add(target)
            own = [one._replace(root="") for one in causes if one.finding.target == target]
            yield from rooted(sorted(own, key=lambda one: rank(one.finding)))


def keys_of(cause: Cause) -> set[Key]:
    """A cause as a baseline knows it, once for each target that has it."""
    place = cause.finding.object
    where = (place.kind, place.namespace, place.name)
    return {
        (cause.finding.code, where, target) for target in cause.targets or (cause.finding.target,)
    }


class Baseline:
    """The findings of a report of old, which are not to be told again."""

    def __init__(self, path: str, known: set[Key]) -> None:
        self.path = path
        self.known = known

    def gone(self, report: Report) -> list[Key]:
        """What is known, was looked at, and is not there any more; of a settled report."""
        still: set[Key] = set().union(*map(keys_of, (*report.causes, *report.ignored)))
        unseen = {skip.code for skip in report.skipped}
        targets = set(report.targets)
        swept = report.swept
        return sorted(
            one
            for one in self.known - still
            if (one[2] in targets or (swept and not swept.broken and one[0] not in swept.omitted))
            and (swept is None or swept.namespace in ("", one[2][1]))
            and not unseen & {one[0], ""}
            and (report.wanted is None or one[0] in report.wanted)
        )


def read_baseline(path: str, env: Env) -> Baseline:
    """The baseline in a file: a report, as -o json or -o yaml wrote it. Raises ManifestError."""
    import json

    from .manifests import check_depth, read_text, text_loader

    text = read_text(path, env)
    name = "standard input" if path == "-" else path
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        import yaml

        check_depth(text, name)
        try:
            value = yaml.load(text, Loader=text_loader())
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise ManifestError(
                f"baseline {name}: not one document of JSON or YAML", HINT
            ) from error
    return Baseline(path, set(keys(value, f"baseline {name}")))


def keys(value: object, where: str) -> Iterable[Key]:
    """The findings of a report, those among the ignored that were known before included."""
    if not isinstance(value, dict) or value.get("kind") != "Report":
        raise ManifestError(f"{where}: not a report of doctor", HINT)
    if value.get("apiVersion") != "satoken/v1":
        raise ManifestError(f"{where}: apiVersion must be satoken/v1", HINT)
    for field in ("findings", "ignored"):
        items = value.get(field) or []
        if not isinstance(items, list):
            raise ManifestError(f"{where}: {field} must be a list", HINT)
        for index, item in enumerate(items):
            try:
                if field == "ignored" and item["ignored"]["by"] != "baseline":
                    continue
                code = item["code"]
                if not isinstance(code, str):
                    raise TypeError
                for target in item.get("targets") or [item["target"]]:
                    yield code, name_of(item["object"]), name_of(target)
            except (KeyError, TypeError, AttributeError) as error:
                raise ManifestError(f"{where}: {field}[{index}] is no finding", HINT) from error


def name_of(value: Object) -> Name:
    """A name as programs have it. Raises KeyError and TypeError."""
    kind, namespace, name = value["kind"], value["namespace"], value["name"]
    if not all(isinstance(part, str) for part in (kind, namespace, name)):
        raise TypeError
    return kind, namespace, name


def tell_gone(report: Report, baseline: Baseline, env: Env) -> None:
    """Says on stderr which known findings are no more, so that the baseline can be made anew."""
    gone = baseline.gone(report)
    if not gone:
        return
    named = [f"{code} {kind.lower()}/{name}" for code, _, (kind, _, name) in gone[:NAMED]]
    more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
    many = "findings of the baseline are" if len(gone) > 1 else "finding of the baseline is"
    env.stderr.write(visible(f"note: {len(gone)} {many} gone: {', '.join(named)}{more}") + "\n")
