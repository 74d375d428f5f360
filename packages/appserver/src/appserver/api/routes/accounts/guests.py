"""Routes of guests: users who have nothing but a key."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request

from appserver.api.schemas.accounts import Guest
from appserver.http.callers import StateDep, make_guest
from appserver.http.routing import Router

router = Router(prefix="/api/guests", tags=["guests"])


@router.post("", status_code=HTTPStatus.CREATED)
async def create_guest(request: Request, state: StateDep) -> Guest:
    """Make a user who has nothing but a key: the holder of the key is that user. So many in an hour and a day."""
    made = await make_guest(request, state)
    return Guest(user_id=made.user_id, key=made.secret)
