"""Schemas of accounts."""

from __future__ import annotations

from pydantic import BaseModel


class Guest(BaseModel):
    """A new user; the key is shown this once."""

    user_id: str
    key: str
