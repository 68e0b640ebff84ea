"""Who we are to the API server, at the time of a request.

Behaves as client-go does: a token file is read again every minute, and what was refused is renewed
if it can be (`exec_plugin.py` and `oidc.py` have what does more). Secrets live in memory only;
nothing here writes a key or a token to a file of ours, or to a command line.
"""

from typing import NamedTuple

from .documents import unreadable
from .env import Env
from .errors import KubeconfigError
from .world import Sealed

# client-go keeps what it read from a token file for a minute, less ten seconds of leeway.
TOKEN_FILE_SECONDS = 50


class Certificate(NamedTuple):
    """A client certificate, with its chain, and its key; both PEM."""

    chain: str
    key: Sealed


class Credentials:
    """Credentials that do not change; without arguments: none.

    ``certificate()`` may change after ``refresh_after_401()``, and when an exec plugin's credential
    expires: whoever keeps connections compares it and connects anew.
    """

    def __init__(
        self, authorization: Sealed | None = None, certificate: Certificate | None = None
    ) -> None:
        self._authorization = authorization
        self._certificate = certificate

    def authorization(self) -> Sealed | None:
        """The value of the Authorization header. Raises KubeconfigError."""
        return self._authorization

    def certificate(self) -> Certificate | None:
        """The client certificate to connect with. Raises KubeconfigError."""
        return self._certificate

    def refresh_after_401(self) -> bool:
        """Whether the credentials are now others than the refused ones: worth one more try."""
        return False


def bearer(token: Sealed) -> Sealed:
    """The Authorization header of a token. Raises KubeconfigError if no header can hold it."""
    text = token.reveal()
    if any((character < " " and character != "\t") or character == "\x7f" for character in text):
        raise KubeconfigError(
            'invalid header field value for "Authorization": '
            "the token holds a line break or another control character",
            "a token is one line: look for a newline at its end, where it comes from",
        )
    return Sealed(f"Bearer {text}")


def basic(username: str, password: Sealed) -> Sealed:
    """The Authorization header of a user name and password."""
    from base64 import b64encode

    return Sealed("Basic " + b64encode(f"{username}:{password.reveal()}".encode()).decode())


class TokenFile(Credentials):
    """A token that somebody else keeps fresh in a file, such as the kubelet."""

    def __init__(
        self, path: str, fallback: Sealed | None, certificate: Certificate | None, env: Env
    ) -> None:
        super().__init__(None, certificate)
        self._path = path
        self._fallback = fallback
        self._env = env
        self._read_at = 0.0

    def authorization(self) -> Sealed | None:
        """The token in the file; the last one read, or the one beside it, while it cannot be."""
        now = self._env.now()
        if self._authorization is None or not 0 <= now - self._read_at < TOKEN_FILE_SECONDS:
            try:
                self._authorization = bearer(self._read())
                self._read_at = now
            except KubeconfigError:
                if self._authorization is None:
                    if self._fallback is None:
                        raise
                    return bearer(self._fallback)
        return self._authorization

    def refresh_after_401(self) -> bool:
        """Reads the file again: the kubelet may have written a new token just now."""
        refused, self._read_at = self._authorization, float("-inf")
        return self.authorization() != refused

    def _read(self) -> Sealed:
        try:
            with open(self._path, encoding="utf-8") as file:
                token = Sealed(file.read().strip())
        except (OSError, ValueError) as error:  # UnicodeDecodeError, too
            why = unreadable(error)
            raise KubeconfigError(f"cannot read the token file {self._path}: {why}") from error
        if not token:
            raise KubeconfigError(f"the token file {self._path} is empty")
        return token
