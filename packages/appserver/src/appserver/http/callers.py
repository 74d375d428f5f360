"""Callers: the user who asks, found by the key of a request, and the state that answers."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from appdb.models import Caller, NewKey
from appserver.http.problems import ProblemError
from appserver.http.same_site import check_same_site
from appserver.state import AppState

COOKIE = "app_key"
# These only declare the schemes for the OpenAPI document.
BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="A key, as POST /api/guests gives it.")
COOKIE_KEY = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="cookie", description="The key of this site's own page."
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HOW_TO_SIGN_IN = "Send `Authorization: Bearer KEY`; POST /api/guests gives you a key."


async def get_state(request: Request) -> AppState:
    """Return the running application's state."""
    state: AppState = request.app.state.app
    return state


StateDep = Annotated[AppState, Depends(get_state)]
"""The application's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedKey:
    """A key as a request brings it, before it is looked up.

    Args:
        secret: The key.
        from_cookie: Whether a browser sent it by itself.
    """

    secret: str
    from_cookie: bool


def read_key(request: Request) -> PresentedKey | None:
    """Return the key of a request, or ``None``; a bearer's key wins over a cookie."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return PresentedKey(secret=bearer.strip(), from_cookie=False)
    cookie = request.cookies.get(COOKIE)
    return None if cookie is None else PresentedKey(secret=cookie, from_cookie=True)


async def check_cookie_use(request: Request, key: PresentedKey) -> None:
    """Check that a change by the key of a cookie comes from our own page.

    Browsers send a cookie without the user's will, so with a cookie alone another site's page must change nothing.

    Raises:
        ProblemError: 403, the change came from another site.
    """
    if key.from_cookie and request.method not in SAFE_METHODS:
        await check_same_site(request)


async def find_caller(request: Request, state: StateDep) -> Caller | None:
    """Return who asks, or ``None`` when the request carries no valid key.

    Raises:
        ProblemError: 403, a change by the key of a cookie came from another site.
    """
    key = read_key(request)
    if key is None:
        return None
    await check_cookie_use(request, key)
    return await state.users.authenticate(key.secret)


async def declared_keys(
    _bearer: Annotated[object, Security(BEARER)], _cookie: Annotated[object, Security(COOKIE_KEY)]
) -> None:
    """Say in the API's description how to sign in; ``read_key`` reads the keys itself."""


async def get_caller(request: Request, state: StateDep, _keys: Annotated[None, Depends(declared_keys)]) -> Caller:
    """Return who asks.

    Raises:
        ProblemError: 401, there is no valid key; 403, a change by the key of a cookie came from another site.
    """
    caller = await find_caller(request, state)
    if caller is None:
        headers = {"WWW-Authenticate": "Bearer"}
        raise ProblemError(HTTPStatus.UNAUTHORIZED, f"There is no valid key. {HOW_TO_SIGN_IN}", headers=headers)
    return caller


CallerDep = Annotated[Caller, Depends(get_caller)]
"""Who asks, with the key that was shown; 401 without one."""


async def get_owner(caller: CallerDep) -> str:
    """Return the id of the user who asks."""
    return caller.user_id


OwnerDep = Annotated[str, Depends(get_owner)]
"""The id of the user who asks; 401 without one."""


async def find_visitor(request: Request, state: StateDep) -> str | None:
    """Return the id of the user who asks, or ``None``."""
    caller = await find_caller(request, state)
    return None if caller is None else caller.user_id


VisitorDep = Annotated[str | None, Depends(find_visitor)]
"""The id of the user who asks, or ``None``."""


async def make_guest(request: Request, state: AppState) -> NewKey:
    """Make a guest for the sender of *request*, and return the key.

    Raises:
        GuestsClosedError: This host takes no guests.
        TooManyGuestsError: Too many guests came from this address, or in all.
    """
    # A socket of the file system has no address.
    return await state.guests.make(request.client.host if request.client else None)
