"""Callers: the user who asks, found by the key of a request, and the state that answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from appserver.http.problems import ProblemError
from appserver.state import AppState

COOKIE = "app_key"
BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="A key, as POST /api/guests gives it.")
COOKIE_KEY = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="cookie", description="The key of this site's own page."
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HOW_TO_SIGN_IN = "Send `Authorization: Bearer KEY`; POST /api/guests gives you a key."


def get_state(request: Request) -> AppState:
    """Return the running application's state."""
    state: AppState = request.app.state.app
    return state


StateDep = Annotated[AppState, Depends(get_state)]
"""The application's state."""


async def find_owner(request: Request, state: StateDep) -> str | None:
    """Return the id of the user who asks, or ``None`` when the request carries no valid key.

    A cookie is sent by browsers without the user's will, so with a cookie alone nothing can be changed from another
    site's page.

    Raises:
        ProblemError: 403, a change that came from another site.
    """
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return await state.users.user_of_key(bearer.strip())
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        return None
    if request.method not in SAFE_METHODS:
        check_same_site(request)
    return await state.users.user_of_key(cookie)


async def get_owner(
    owner: Annotated[str | None, Depends(find_owner)], _keys: Annotated[None, Depends(declared_keys)]
) -> str:
    """Return the id of the user who asks.

    Raises:
        ProblemError: 401, there is no valid key.
    """
    if owner is None:
        headers = {"WWW-Authenticate": "Bearer"}
        raise ProblemError(HTTPStatus.UNAUTHORIZED, f"There is no valid key. {HOW_TO_SIGN_IN}", headers=headers)
    return owner


async def declared_keys(
    _bearer: Annotated[object, Security(BEARER)], _cookie: Annotated[object, Security(COOKIE_KEY)]
) -> None:
    """Say in the API's description how to sign in; ``find_owner`` reads the keys itself."""


OwnerDep = Annotated[str, Depends(get_owner)]
"""The id of the user who asks; 401 without one."""

VisitorDep = Annotated[str | None, Depends(find_owner)]
"""The id of the user who asks, or ``None``."""


def check_same_site(request: Request) -> None:
    """Check that a change was asked for by our own page, as browsers tell it.

    Raises:
        ProblemError: 403, it came from another site, or nothing tells where from.
    """
    if not _same_site(request):
        raise ProblemError(HTTPStatus.FORBIDDEN, "This change came from another site's page; use this site's own page.")


def _same_site(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    host = request.headers.get("host")
    return bool(host) and request.headers.get("origin") in (f"http://{host}", f"https://{host}")
