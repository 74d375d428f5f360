"""What every stored document has in common."""

from __future__ import annotations

from typing import Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

StoredJson: TypeAlias = dict[str, Any]
"""An object that a user, an actor or a provider wrote, with any keys; ``appdb._driver`` reads it as it was written."""


class Value(BaseModel):
    """A part of a document. Fields of a newer release are left alone: nothing here is ever written back whole."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Document(Value):
    """A stored document; ``id`` is its ``_id``."""

    id: str = Field(alias="_id")

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the typed form of a raw *document*."""
        return cls.model_validate(document)

    def to_document(self) -> dict[str, Any]:
        """Return the raw form, as it is stored."""
        return self.model_dump(by_alias=True)
