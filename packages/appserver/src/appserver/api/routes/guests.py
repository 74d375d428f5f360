"""Becoming somebody without an account."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from appserver.api.dependencies import StateDep
from appserver.errors import ProblemError

router = APIRouter(prefix="/api/guests", tags=["guests"])


class Guest(BaseModel):
    """A new user; the key is shown this once."""

    user_id: str
    key: str


@router.post("", status_code=HTTPStatus.CREATED)
async def create_guest(state: StateDep) -> Guest:
    """Make a user who has nothing but a key; whoever holds the key is that user."""
    if not state.settings.guests:
        raise ProblemError(HTTPStatus.FORBIDDEN, "This host takes no guests; ask its operator for a key.")
    made = await state.users.create_guest()
    return Guest(user_id=made.user_id, key=made.secret)
