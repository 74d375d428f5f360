"""What every stored document has in common."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from appdb._driver import plain

StoredJson = Annotated[dict[str, Any], BeforeValidator(plain)]
"""An object that a user or a provider wrote, with any keys, also those that drivers take for references."""


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
