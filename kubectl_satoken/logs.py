"""The lines of logs, from files and from a pipe, whatever is in them."""

from collections.abc import Iterator
from typing import TextIO

from .env import Env
from .errors import ManifestError

PIECE = 1 << 16  # characters of a line that are looked at in one go


def lines_of(files: list[str], env: Env) -> Iterator[str]:
    """The lines of logs, one after the other; a very long one in pieces. Raises ManifestError."""
    for name in files:
        if name == "-":
            if env.stdin.isatty():
                env.stderr.write("paste the text, end with Ctrl-D\n")
            reconfigure = getattr(env.stdin, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="replace")
            yield from pieces(env.stdin)
            continue
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                yield from pieces(file)
        except OSError as error:
            raise ManifestError(
                f"cannot read {name}: {(error.strerror or str(error)).lower()}"
            ) from error


def pieces(stream: TextIO) -> Iterator[str]:
    """The lines of a stream; one that is very long in pieces that end between words.

    So a token is never cut in two, of which the second half would not look like one.
    """
    rest = ""
    while True:
        piece = stream.readline(PIECE)
        if not piece:
            break
        if piece.endswith("\n") or len(piece) < PIECE:  # the last line may have no end
            yield rest + piece.rstrip("\r\n")
            rest = ""
            continue
        head, space, tail = (rest + piece).rpartition(" ")
        if space:
            yield head
        # a word of this length is no message
        rest = tail if len(tail) < PIECE else ""
    if rest:
        yield rest
