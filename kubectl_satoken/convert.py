"""From the Secret of a legacy token to the projected one, in a pod spec: the same files, renewed.

The identity stays the same only where the pods run as the account that the Secret is of, so nothing
else is converted. What needs the application, or a person, is told and left as it is.
"""

from typing import NamedTuple

from .admission import ROOT_CA_CONFIG_MAP, TOKEN_MOUNT_PATH, should_automount
from .changes import Change, Key, changed
from .consumers import DRIVER, ENV, ENV_FROM, PROJECTED, PULL, VOLUME, Use, inner, secret_uses
from .world import Object

# The keys of a token Secret that the token controller fills.
TOKEN, CA, NAMESPACE = "token", "ca.crt", "namespace"
KEYS = (TOKEN, CA, NAMESPACE)

# By it the API server knows the lifetime of its own default projection: such a token is taken for a
# year by those who read it only once, while it is renewed each hour.
LIFETIME = 3607

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


class Obstacle(NamedTuple):
    """A use that stays as it is: where it says so, why it stays, and what a person does about it."""

    use: Use
    why: str
    todo: str

    def __str__(self) -> str:
        return f"{self.use}: {self.why}"


class Conversion(NamedTuple):
    """What becomes of a pod spec.

    ``spec`` is the new one, ``changes`` what differs (paths below the pod spec), each with a reason
    for a person at the same place of ``reasons``. ``obstacles`` are the uses that are left.
    """

    spec: Object
    changes: tuple[Change, ...]
    reasons: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]


class TokenSecret(NamedTuple):
    """What must be known of a Secret to convert its uses.

    ``extra``: it holds more than token, ca.crt and namespace.
    """

    name: str
    account: str
    extra: bool = False


def projection_for(spec: Object, secret: TokenSecret, service_account: Object | None) -> Conversion:
    """A pod spec in which a projected token stands for a Secret's, at the same paths and modes.

    ``service_account`` is the one that the pods run as, or None where it is not known: then no
    volume is left to be mounted by the API server. Pure: the spec that was given is not changed.
    """
    raise NotImplementedError
