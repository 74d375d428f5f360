"""Stored continuations: tasks that wait in another one for its completion or its end."""

from __future__ import annotations

from pydantic import field_validator

from appdb.models.base import StoredJson, Value
from appdb.models.bounds import StoredSpan, StoredTime


class StoredContinuation(Value):
    """A task that waits in another one for its completion or its end; its durations count from then on."""

    fields: StoredJson
    """The document that it becomes, but for the times."""
    delay_ms: StoredSpan
    run_at: StoredTime | None = None
    """The time at which it is due, in place of a delay."""
    expires_in_ms: StoredSpan | None
    unique_for_ms: StoredSpan | None

    @field_validator("fields")
    @classmethod
    def _are_named(cls, fields: StoredJson) -> StoredJson:
        # These become parts of filters and ids; other software may have written anything there.
        named = all(isinstance(fields.get(name), str) for name in ("_id", "owner_id"))
        if not named or not all(isinstance(fields.get(name), str | None) for name in ("run_id", "unique_key")):
            raise ValueError("id, owner, run and unique key must be text")
        return fields

    @property
    def owner_id(self) -> str:
        """Whose task it becomes."""
        owner_id: str = self.fields["owner_id"]
        return owner_id

    @property
    def run_id(self) -> str | None:
        """The run that it will work for."""
        run_id: str | None = self.fields.get("run_id")
        return run_id

    @property
    def unique_key(self) -> str | None:
        """The key that it will stand for."""
        key: str | None = self.fields.get("unique_key")
        return key
