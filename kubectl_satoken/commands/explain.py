"""kubectl satoken explain: the page of a check, or what an error text means."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus, UsageError, redact

if TYPE_CHECKING:
    from ..checks import Check
    from ..messages import Finder, Message, Surroundings
    from ..world import Object

HELP = "Show the page of a check, or tell what an error text means"

DESCRIPTION = """\
Show what a check looks for, why it matters and how to mend it; or tell what an
error text means and what to run next.

WORD is the code or the name of a check or message, as doctor prints them, or an
error text in quotes. The lines of a log, in a pipe or with -f, are searched for
texts that have to do with service account tokens. Tokens in them are not shown.

Exit status: 0 found, 1 nothing in the text is known, 2 usage.
"""

EPILOG = f"""\
Examples:
  # What does SAT102 mean?
  {PROG} explain SAT102

  # What does this error mean, and what next?
  {PROG} explain 'Unauthorized: service account token has expired'

  # What is wrong, by its log?
  kubectl logs web-6d4 -n shop | {PROG} explain -n shop

  # By its events
  kubectl describe pod web-6d4 -n shop | {PROG} explain

  # All pages of the checks
  {PROG} explain --all
"""

# The flags of kubectl that name a cluster. No cluster is asked; the lines to run next repeat them.
SCOPE = ("kubeconfig", "context", "cluster", "server")

BLOCK = 1 << 18  # characters of lines that are looked at together
MOST = 1000  # different texts that are remembered
SHOWN = 5  # texts and commands that are shown of one rule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of explain."""
    parser.add_argument(
        "words", metavar="WORD", nargs="*", help="code, name, error text, or - for a log on stdin"
    )
    parser.add_argument("--all", action="store_true", help="all pages, as docs/checks.md has them")
    parser.add_argument(
        "-f",
        "--filename",
        dest="files",
        action="append",
        default=[],
        metavar="FILE",
        help="a log to search, - for stdin; can be repeated",
    )
    parser.add_argument(
        "-o", "--output", choices=("json", "yaml"), help="output format of what was found in a text"
    )
    group = parser.add_argument_group("for the lines to run next")
    group.add_argument("-n", "--namespace", help="the namespace that the text is about")
    for flag in SCOPE:
        short = ("-s",) if flag == "server" else ()
        group.add_argument(*short, f"--{flag}", metavar=flag.upper(), help=f"kubectl's --{flag}")


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints the pages asked for, or what the texts mean; without any, the list of both."""
    words: list[str] = args.words
    if args.all and words:
        raise UsageError("--all and CODE exclude each other")
    if args.all:
        env.stdout.write(reference())
        return ExitStatus.OK
    files = [*args.files, *(word for word in words if word == "-")]
    if files:
        if len(files) - len(args.files) < len(words):
            raise UsageError("a code or a text and a log exclude each other")
        from ..logs import lines_of

        return search(lines_of(files, env), args, env)
    if not words and env.piped():
        from itertools import chain

        from ..logs import lines_of

        lines = lines_of(["-"], env)
        first = next(lines, None)
        if first is not None:
            return search(chain([first], lines), args, env)
    if not words:
        if args.output:
            raise UsageError("-o is for what is found in a text", f"{PROG} explain -o json -")
        write_list(env)
        return ExitStatus.OK
    pages = [page_of(word) for word in words]
    if None not in pages:
        if args.output:
            raise UsageError("-o is for what is found in a text", f"{PROG} explain -o json -")
        env.stdout.write("\n".join(page for page in pages if page is not None))
        return ExitStatus.OK
    text = " ".join(words)
    unknown = words[pages.index(None)]
    if pages[0] is not None or not text.strip():
        raise no_check(unknown)
    return search(iter(requoted(text).splitlines()), args, env, unknown if text == unknown else "")


def no_check(word: str) -> UsageError:
    """The error for a word that is neither code nor name."""
    return UsageError(f'no check "{word}"', f"'{PROG} explain' lists them")


def write_list(env: Env) -> None:
    """The checks, and the messages that no check is named after."""
    from ..checks import all_checks
    from ..messages import MESSAGES
    from ..output import write_table

    checks = all_checks()
    rows = [(one.code, one.severity, one.on, one.name) for one in checks]
    write_table(("CODE", "SEVERITY", "LOOKS AT", "NAME"), rows, env)
    names = {one.name for one in checks}
    others = [(message.name,) for message in MESSAGES if message.name not in names]
    env.stdout.write("\n")
    write_table(("MESSAGE",), others, env)


# --- pages ----------------------------------------------------------------------------------------


def page_of(word: str) -> str | None:
    """The page of a check, or of a message without one; None where there is neither."""
    from ..checks import find_check

    found = find_check(word)
    if found is not None:
        return page(found)
    from .. import messages

    message = messages.find_message(word)
    return messages.page(message) if message is not None else None


def page(one: "Check") -> str:
    """The page of a check as Markdown."""
    title, _, body = one.page.partition("\n")
    severity = one.severity
    if one.deliberate:
        severity += ", a hint in a sweep, since it may be meant so"
    return (
        f"## {one.code} {one.name}\n\n{title}\n\n"
        f"Looks at: {one.on}. Severity: {severity}.\n\n{body.strip()}\n"
    )


def reference() -> str:
    """All pages: the text of docs/checks.md."""
    from ..checks import all_checks

    head = (
        "# Checks\n\n"
        "What `kubectl satoken doctor` looks for. Codes never change their meaning.\n"
        f"This page is the output of `{PROG} explain --all`.\n"
    )
    return "\n".join([head, *(page(one) for one in all_checks())])


def messages_reference() -> str:
    """All messages: the text of docs/messages.md."""
    from ..checks import all_checks
    from ..messages import MESSAGES
    from ..messages import page as message_page

    codes = {one.name: one.code for one in all_checks()}
    head = (
        "# Error texts\n\n"
        f"What programs say when a token fails, and what is meant: `{PROG} explain 'TEXT'`, or a\n"
        f"log piped into `{PROG} explain -`, finds these in any noise and says what to run\n"
        "next. Where a check has the same name, its page says more.\n"
    )
    pages = []
    for message in MESSAGES:
        text = message_page(message)
        code = codes.get(message.name)
        if code:
            first, _, rest = text.partition("\n\n")
            text = f"{first}\n\nSee [{code}](checks.md#{code.lower()}-{message.name}).\n\n{rest}"
        pages.append(text)
    return "\n".join([head, *pages])


# --- texts ----------------------------------------------------------------------------------------


def requoted(text: str) -> str:
    """A 403 whose quotes the shell has eaten, with them.

    That is what comes of `explain "... User "system:..." cannot ..."`.
    """
    if '"' in text or "forbidden: User " not in text:
        return text
    import re

    return re.sub(
        r"\b(User|resource|API group|in the namespace|path) (\S*)(?=[ :]|$)", r'\1 "\2"', text
    )


class Found(NamedTuple):
    """A text that was found: the rule, the names in it, its line, and the text itself."""

    message: "Message"
    fields: dict[str, str]
    line: str
    text: str


class Tally:
    """What was found, how often, and what came last."""

    def __init__(self) -> None:
        self.counts: dict[tuple[Any, ...], int] = {}
        self.found: dict[tuple[Any, ...], Found] = {}
        self.more: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.lines = 0

    def add(self, key: tuple[Any, ...], found: Found, number: int) -> None:
        """Counts a text of a line; the first of its kind is kept to be shown."""
        name = found.message.name
        self.last[name] = number
        if key in self.counts:
            self.counts[key] += 1
        elif len(self.counts) < MOST:
            self.counts[key] = 1
            self.found[key] = found
        else:
            self.more[name] = self.more.get(name, 0) + 1

    def rules(self) -> list["Message"]:
        """The rules, those that say something first, and of these what came last."""
        rules = {found.message.name: found.message for found in self.found.values()}
        return sorted(
            rules.values(), key=lambda message: (message.generic, -self.last[message.name])
        )

    def of(self, message: "Message") -> list[tuple[Found, int]]:
        """The different texts of a rule, the most frequent first."""
        mine = [
            (found, self.counts[key])
            for key, found in self.found.items()
            if found.message.name == message.name
        ]
        return sorted(mine, key=lambda pair: -pair[1])


def search(lines: Iterator[str], args: argparse.Namespace, env: Env, code: str = "") -> int:
    """Looks for known texts in lines and prints what they mean. Returns the exit status.

    Ctrl-C ends the reading, not the program: what was found until then is printed. ``code`` is
    what the text may have been meant as, when it was a single word.
    """
    tally = Tally()
    try:
        read(lines, tally)
    except KeyboardInterrupt:
        if not tally.counts:
            raise
    if not tally.counts and code and not any(letter.isspace() for letter in code):
        raise no_check(code)
    flags: tuple[str, ...] = ()
    for flag in SCOPE:
        value = getattr(args, flag)
        if value:
            flags += (f"--{flag}", value)
    namespace = args.namespace or ""
    if args.output:
        from ..output import write_object

        write_object(explanation(tally, namespace, flags), args.output, env)
    elif not tally.counts:
        env.stdout.write(
            "nothing known about service account tokens in "
            f"{tally.lines} {'line' if tally.lines == 1 else 'lines'}\n"
        )
    else:
        write_found(tally, namespace, flags, env)
    return ExitStatus.OK if tally.counts else ExitStatus.FINDINGS


def read(lines: Iterator[str], tally: Tally) -> None:
    """Counts the known texts in lines, of which it keeps a block at a time."""
    from ..messages import Finder, Surroundings

    finder = Finder()
    around = Surroundings()
    block: list[str] = []
    size = 0
    try:
        for line in lines:
            block.append(line)
            size += len(line) + 1
            if size >= BLOCK:
                look(block, finder, around, tally)
                block, size = [], 0
    finally:  # also after an interrupt
        look(block, finder, around, tally)


def look(block: list[str], finder: "Finder", around: "Surroundings", tally: Tally) -> None:
    """Counts the known texts in a block of lines.

    Few lines have any, and to look for a piece of text is cheap only where it is done at once.
    """
    from ..messages import plain, with_names

    before = tally.lines
    tally.lines += len(block)
    text = plain("\n".join(block))
    pieces_here = finder.pieces_in(text)
    headings = any(mark in text for mark in around.MARKS)
    if not pieces_here and not headings:
        return
    for number, line in enumerate(text.split("\n")):
        if headings:
            around.heading(line)
        if not any(piece in line for piece in pieces_here):
            continue
        # before anything is kept: what looks like a token is gone from here on
        line = redact(line)
        for match in finder.find(line, pieces_here):
            fields = with_names(match.fields, around.of(line, match.start))
            key = (match.message.name, *sorted(fields.items()))
            said = cut(line[match.start : match.end])
            tally.add(key, Found(match.message, fields, cut(line), said), before + number)


def cut(text: str, width: int = 240) -> str:
    """Text as one line that fits; nothing in it steers a terminal."""
    text = "".join(each if each.isprintable() else " " for each in text[: 2 * width])
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def codes() -> dict[str, str]:
    """The codes of the checks by name."""
    from ..checks import all_checks

    return {one.name: one.code for one in all_checks()}


def explanation(tally: Tally, namespace: str, flags: tuple[str, ...]) -> "Object":
    """What was found for programs: `kind: Explanation`, in docs/explanation.schema.json."""
    from ..messages import grant_commands, next_commands

    code_of = codes()
    matches = []
    for message in tally.rules():
        for found, count in tally.of(message):
            matches.append(
                {
                    "name": message.name,
                    "code": code_of.get(message.name),
                    "title": message.title,
                    "meaning": message.meaning,
                    "fix": message.fix,
                    "generic": message.generic,
                    "line": found.line,
                    "text": found.text,
                    "count": count,
                    "names": dict(sorted(found.fields.items())),
                    "next": list(next_commands(message, found.fields, namespace, flags)),
                    "grant": list(grant_commands(message, found.fields, flags)),
                }
            )
    return {
        "apiVersion": "satoken/v1",
        "kind": "Explanation",
        "matches": matches,
        "more": sum(tally.more.values()),
        "lines": tally.lines,
    }


def write_found(tally: Tally, namespace: str, flags: tuple[str, ...], env: Env) -> None:
    """What was found for a person: rule by rule, the one that was seen last first."""
    rules = tally.rules()
    telling = [message for message in rules if not message.generic]
    code_of = codes()
    blocks = [
        rule_lines(message, tally, namespace, flags, code_of) for message in telling or rules[:1]
    ]
    rest = [message for message in rules if message not in (telling or rules[:1])]
    if rest:
        block = ["also seen, which says less:"]
        for message in rest:
            count = sum(count for _, count in tally.of(message))
            block.append(f"  {message.name}{times(count)}")
        blocks.append(block)
    env.stdout.write("\n".join("".join(f"{line}\n" for line in block) for block in blocks))


def times(count: int) -> str:
    """How often something was seen, if more than once."""
    return f"  (x {count})" if count > 1 else ""


def rule_lines(
    message: "Message",
    tally: Tally,
    namespace: str,
    flags: tuple[str, ...],
    code_of: dict[str, str],
) -> list[str]:
    """A rule in full: its title, the lines that it was found in, what it means, what to do next."""
    from ..messages import grant_commands, next_commands
    from ..output import WIDTH, wrap

    mine = tally.of(message)
    code = code_of.get(message.name, "")
    lines = [*wrap(f"{message.name}: {message.title}", "  "), ""]
    for found, count in mine[:SHOWN]:
        mark = times(count)
        room = WIDTH - 2 - len(mark)
        # of a line that is too long its middle, which tells
        line = found.line if len(found.line) <= room else cut(found.text, room)
        lines.append(f"  {line}{mark}")
    more = len(mine) - SHOWN + tally.more.get(message.name, 0)
    if more > 0:
        lines.append(f"  and {more} more of the kind (-o json shows them)")
    lines += ["", *wrap(message.meaning, ""), "", *wrap(f"fix: {message.fix}", "  "), ""]
    next_lines: dict[str, None] = {}
    grants: dict[str, None] = {}
    for found, _ in mine[:SHOWN]:
        next_lines.update(dict.fromkeys(next_commands(message, found.fields, namespace, flags)))
        grants.update(dict.fromkeys(grant_commands(message, found.fields, flags)))
    if next_lines:
        lines += ["next:", *(f"  {line}" for line in next_lines), ""]
    if grants:
        lines += ["if it is to be allowed:", *(f"  {line}" for line in grants), ""]
    lines.append(f"More: {PROG} explain {code or message.name}")
    return lines
