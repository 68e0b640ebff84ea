"""How far a command has come that looks at many objects, for whoever waits at a terminal."""

from time import monotonic

from .env import Env

ERASE = "\r\033[K"


class Progress:
    """A line on the terminal that says how far it has come, and is gone in the end."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.shown = env.stderr.isatty() and env.environ.get("TERM") != "dumb"
        self.erase = ERASE if self.shown else ""
        self.due = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown and self.due:
            self.env.stderr.write(ERASE)
            self.env.stderr.flush()

    def tell(self, counts: dict[str, int], faults: int) -> None:
        """Shows how many pods were looked at so far, and the faults in them."""
        if self.is_due():
            found = f", {number(faults, 'fault')}" if faults else ""
            self.show(f"{number(counts['pods'], 'pod')} looked at{found}")

    def count(self, plural: str, count: int) -> None:
        """Shows how many objects of a type were looked at so far."""
        if self.is_due():
            self.show(f"{plural}: {count:,} looked at")

    def is_due(self) -> bool:
        """Whether it is to be shown anew: a few times in a second, and on a terminal only."""
        if not self.shown or monotonic() < self.due:
            return False
        self.due = monotonic() + 0.2
        return True

    def show(self, text: str) -> None:
        """Puts a text into the line."""
        self.env.stderr.write(f"{ERASE}{text}")
        self.env.stderr.flush()


def number(count: int, word: str) -> str:
    """A number of things, as people write it."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
