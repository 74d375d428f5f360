"""Base classes of stored documents: reading one, and telling what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appdb.errors import UnreadableError

StoredJson: TypeAlias = dict[str, Any]
"""An object that a user, an actor or a provider wrote, with any keys; ``appdb._driver`` reads it as it was written."""


class Value(BaseModel):
    """A part of a document. Fields of a newer release are left alone: nothing here is ever written back whole."""

    # Unknown fields are ignored: hosts of two releases share the database (decision 0012).
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Return the typed form of a raw *document*.

        Raises:
            UnreadableError: It is not what this model says.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as exc:
            # The error names the document and never shows its values, which may be a user's secrets.
            named = document.get("_id") if isinstance(document, Mapping) else None
            raise UnreadableError(cls.__name__, str(named), _problem(exc)) from exc


class Document(Value):
    """A stored document; ``id`` is its ``_id``."""

    id: str = Field(alias="_id")

    def to_document(self) -> dict[str, Any]:
        """Return the raw form, as it is stored."""
        return self.model_dump(by_alias=True)


def _problem(error: ValidationError) -> str:
    """Return where the first three problems are and what they are, without the stored values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:3])
