"""A token that is made to see others end: what ends them ends it as well.

Who revokes the tokens of a pod, a handle or an account by its name has none of them at hand that
the API server could be asked about. So one is made before, bound to the same object and good for
ten minutes. Nobody is shown it.
"""

from typing import TYPE_CHECKING, NamedTuple

from .errors import ApiError, Forbidden, SatokenError, TooOld, one_line
from .mint import Ask, Bound, mint
from .revoke import Plan
from .token import Claims, decode
from .world import Sealed

if TYPE_CHECKING:
    from .cluster import Api

LIFE = 600  # seconds; the least that an API server grants (ValidateTokenRequest)

ACCOUNT = "ServiceAccount"

# To a Secret tokens of any account are bound, and this one every namespace has.
ANY_ACCOUNT = "default"


class Witness(NamedTuple):
    """A token, its claims, and a row for a person that tells which it is."""

    token: Sealed
    claims: Claims
    fact: tuple[str, str]


def make(api: "Api", plan: Plan) -> Witness:
    """A token for the API server that ends by what is planned. Raises SatokenError."""
    item = plan.object
    assert item is not None
    metadata = item["metadata"]
    bound = None
    if item["kind"] != ACCOUNT:
        bound = Bound(item["kind"], metadata["name"], metadata["uid"])
    account = plan.account.name if plan.account and plan.account.name else ANY_ACCOUNT
    minted = mint(api, Ask(metadata["namespace"], account, seconds=LIFE, bound=bound))
    which = f", bound to {bound}" if bound else ""
    fact = ("checked", f"with a token of serviceaccount {account} that was made for this{which}")
    return Witness(minted.token, decode(minted.token), fact)


def words(plan: Plan, *, named: bool = False) -> str:
    """What the token is called; ``named`` where it was not said yet what is deleted."""
    item = plan.object
    assert item is not None
    if item["kind"] == ACCOUNT:
        return "a token of the old account"
    what = f"{item['kind'].lower()}/{item['metadata']['name']}" if named else "it"
    return f"a token bound to {what}"


def why_not(error: SatokenError) -> str:
    """Why there is none, in a line."""
    if isinstance(error, Forbidden) and 'resource "serviceaccounts/token"' in error.message:
        return "you may not create serviceaccounts/token"
    if isinstance(error, TooOld) or (isinstance(error, ApiError) and error.code == 405):
        return "this API server makes no tokens"
    return f"no token could be made for that: {one_line(error.message)}"
