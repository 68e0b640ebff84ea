"""The command line: parser, dispatch, and the one place where errors become text and a status."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__
from .env import Env
from .errors import ExitStatus, SatokenError, UsageError, redact, visible

PROG = "kubectl satoken"

#: The verbs, each a module of the package commands with ``add_parser`` and ``run``.
VERBS = (
    "doctor",
    "can-i",
    "who-can",
    "mint",
    "inspect",
    "revoke",
    "migrate",
    "explain",
    "snapshot",
    "completion",
)

DESCRIPTION = "Service account tokens: why one does not work, what it may do, and better ones."

EPILOG = f"""\
Examples:
  # Why does this pod have no working token?
  {PROG} doctor pod/web-6d4

  # The same from files, without a cluster
  {PROG} doctor -f manifests/ deploy/web

  # May it do that, and if not, what is nearly right?
  {PROG} can-i deploy/web list pods

  # A context that renews itself, without a token on disk
  {PROG} mint web --renew --merge

  # What is this token, and does the API server take it?
  {PROG} inspect secret/web-token

  # Away from tokens that never expire: the plan, which changes nothing
  {PROG} migrate

  # What does a finding, or an error text, mean?
  {PROG} explain SAT102

Exit status: 0 fine, 1 findings or no, 2 usage, 3 could not, 130 interrupted.
"""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """The help of argparse at a fixed width.

    With a width given, argparse does not ask for the size of the terminal, which would import
    shutil and its compressors for each option.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        options.pop("width", None)
        super().__init__(prog, max_help_position=34, width=80, **options)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of leaving the process."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", Formatter)
        options.setdefault("allow_abbrev", False)
        if sys.version_info >= (3, 14):
            # help would be in colour, which kubectl's is not, and load dataclasses for it
            options.setdefault("color", False)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            # only the flag: what follows it may be a token
            message = f"unknown flag: {unknown.split()[0].partition('=')[0]}"
        raise UsageError(message, f"see '{self.prog} --help' for usage")


def verb_parser(verb: str, prog: str = PROG) -> argparse.ArgumentParser:
    """The parser of one verb."""
    command = command_of(verb)
    one = Parser(prog=f"{prog} {verb}", description=command.DESCRIPTION, epilog=command.EPILOG)
    command.add_arguments(one)
    one.set_defaults(run=command.run)
    return one


def command_of(verb: str) -> Any:
    """The module of a verb: HELP, DESCRIPTION, EPILOG, add_arguments and run."""
    from importlib import import_module

    return import_module(f".commands.{verb.replace('-', '_')}", __package__)


def top_parser(prog: str = PROG) -> argparse.ArgumentParser:
    """The parser for what comes before a verb: it knows the verbs, but not their flags."""
    top = Parser(prog=prog, description=DESCRIPTION, epilog=EPILOG, usage=f"{prog} COMMAND [...]")
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_argument_group("commands")
    for verb in VERBS:
        # shown only: the verb is taken off before this parser sees the arguments
        verbs.add_argument(f"{verb}", nargs="?", metavar=verb, help=command_of(verb).HELP)
    return top


def boolean_words(argv: Sequence[str], one: argparse.ArgumentParser) -> list[str]:
    """The arguments with pflag's ``--flag=true`` and ``--flag=false`` as argparse knows them.

    A flag set to false is left out: all of ours default to it. One whose value may be left out
    (``Parser.set_defaults(bare={flag: value})``) gets that value, as it never takes the next word.
    Raises UsageError for other values.
    """
    bare: dict[str, str] = one.get_default("bare") or {}
    switches = {
        option
        for action in one._actions
        if isinstance(action, argparse._StoreTrueAction)
        for option in action.option_strings
    }
    words: list[str] = []
    for index, word in enumerate(argv):
        if word == "--":
            return [*words, *argv[index:]]
        flag, equals, value = word.partition("=")
        if word in bare:
            words.append(f"{word}={bare[word]}")
        elif not equals or flag not in switches:
            words.append(word)
        elif value.lower() in ("true", "t", "1"):
            words.append(flag)
        elif value.lower() not in ("false", "f", "0"):
            raise UsageError(f'invalid argument "{value}" for "{flag}" flag: must be true or false')
    return words


def dispatch(argv: Sequence[str], env: Env) -> int:
    """Finds the verb, parses its arguments and runs it."""
    verb = argv[0] if argv else "--help"
    if verb in ("-h", "--help", "help"):
        if len(argv) > 1 and verb == "help" and argv[1] in VERBS:
            env.stdout.write(verb_parser(argv[1]).format_help())
        else:
            env.stdout.write(top_parser().format_help())
        return ExitStatus.OK
    if verb in ("--version", "version"):
        env.stdout.write(f"kubectl-satoken {__version__}\n")
        return ExitStatus.OK
    if verb == "__complete":  # as cobra's programs have it
        from .complete import answer

        return answer(argv[1:], env)
    if verb not in VERBS:
        raise unknown_verb(verb)
    one = verb_parser(verb)
    before = argv[: argv.index("--")] if "--" in argv else argv
    if "-h" in before or "--help" in before:
        env.stdout.write(one.format_help())
        return ExitStatus.OK
    args = one.parse_intermixed_args(boolean_words(argv[1:], one))
    status: int = args.run(args, env)
    return status


def unknown_verb(verb: str) -> UsageError:
    """The error for a word that is no verb, in kubectl's words."""
    from difflib import get_close_matches

    if verb.startswith("-"):
        return UsageError(
            f"unknown flag: {verb.partition('=')[0]}",
            f"flags come after the command: {PROG} COMMAND",
        )
    near = get_close_matches(verb, VERBS, 1)
    hint = f"did you mean {near[0]}?" if near else f"see '{PROG} --help' for the commands"
    return UsageError(f'unknown command "{verb}" for "{PROG}"', hint)


def run(argv: Sequence[str], env: Env) -> int:
    """Runs the program with these arguments and returns its exit status; never raises."""
    try:
        status = dispatch(argv, env)
        env.stdout.flush()
        return status
    except SatokenError as error:
        return fail(error, env)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has enough; keep the interpreter from flushing into it once more
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.OK
    except OSError as error:  # of the output: whatever is read translates its own errors
        what = (error.strerror or type(error).__name__).lower()
        return fail(SatokenError(f"could not write the output: {what}"), env)
    except Exception as bug:
        if env.environ.get("SATOKEN_TRACEBACK"):
            raise
        return fail(of_bug(bug), env)


def of_bug(bug: Exception) -> SatokenError:
    """An error of ours as one line: what kind and where, but no values, which may be secret."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace else "unknown"
    return SatokenError(
        f"a bug in kubectl-satoken: {type(bug).__name__} in {where}",
        "please report it; SATOKEN_TRACEBACK=1 shows more (look for secrets before you share that)",
    )


def fail(error: SatokenError, env: Env) -> int:
    """Tells of an error in one line, and what to do next in another."""
    # a token may have been pasted in the place of a name, or stand in a file that is no YAML
    env.stderr.write(f"error: {visible(redact(error.message))}\n")
    if error.hint:
        env.stderr.write(f"hint: {visible(redact(error.hint))}\n")
    return error.status
