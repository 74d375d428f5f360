"""Words of stored documents: a release also reads those of a newer one, and keeps them as they are."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

Word = TypeVar("Word", bound=StrEnum)


class _AlsoUnknown:
    """Lets a field of a stored document hold a word that its enumeration does not have."""

    def __get_pydantic_core_schema__(self, kind: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object, known: ValidatorFunctionWrapHandler) -> object:
            try:
                return known(value)
            except ValidationError:
                if isinstance(value, str):
                    return word(kind, value)
                raise

        return core_schema.no_info_wrap_validator_function(read, handler(kind))


Stored: TypeAlias = Annotated[Word, _AlsoUnknown()]
"""A word of a stored document, such as ``Stored[TaskState]``. What callers give for a new one must be a known word."""


def word(kind: type[Word], value: str) -> Word:
    """Return *value* as a word of *kind*: one that this release knows, or one of a newer release.

    A word of a newer release has its text as value and name, equals itself alone, and is in no list of known words.
    """
    try:
        return kind(value)
    except ValueError:
        return _unknown(kind, value)


def is_known(value: StrEnum) -> bool:
    """Return whether this release knows the word."""
    return value.value in type(value)._value2member_map_


def _unknown(kind: type[Word], value: str) -> Word:
    # A member made by hand: `StrEnum` refuses unknown values, and a release in service cannot learn new words.
    made = str.__new__(kind, value)
    made._name_ = made._value_ = value
    return made
