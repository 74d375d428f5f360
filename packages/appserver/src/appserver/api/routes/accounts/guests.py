"""Becoming somebody without an account."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from pydantic import BaseModel

from appserver.http.callers import StateDep
from appserver.http.routing import Router

router = Router(prefix="/api/guests", tags=["guests"])


class Guest(BaseModel):
    """A new user; the key is shown this once."""

    user_id: str
    key: str


@router.post("", status_code=HTTPStatus.CREATED)
async def create_guest(request: Request, state: StateDep) -> Guest:
    """Make a user who has nothing but a key; whoever holds the key is that user. So many in an hour and a day."""
    made = await state.guests.make(request.client.host if request.client else None)
    return Guest(user_id=made.user_id, key=made.secret)
