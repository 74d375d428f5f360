"""Payloads: a payload is judged by its actor's schema, and each error is named by its path.

A host refuses only what the worker would refuse: a worker's model, the schema that it publishes and the engines that
read schemas have three opinions on patterns and multiples, so both are read by pydantic's own engine here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator
from pydantic import JsonValue
from pydantic_core import SchemaValidator, core_schema

from appdb import InvalidDataError
from appdb.host import judged, pattern_validator
from appserver.errors import FieldError
from appserver.values.schema_errors import told_errors
from appserver.values.storable import MAX_ERRORS, Misfit, has_more_values, storage_errors

logger = logging.getLogger(__name__)

MAX_SEARCHED = 2_000
"""Above so many values the misfits are not searched for: the engine would list them all, slowly."""


def payload_errors(schema: Mapping[str, Any], payload: dict[str, JsonValue]) -> list[FieldError]:
    """Return the errors of *payload*, at most 20; the schema judges only a payload that can be stored at all.

    A schema that cannot be read refuses nothing: its worker has the last word.
    """
    if unstorable := storage_errors(payload):
        return [_named(error) for error in unstorable]
    # As text, since a mapping is no key for the cache.
    validator = _read(json.dumps(schema))
    if validator is None or validator.is_valid(payload):
        return []
    if has_more_values(payload, MAX_SEARCHED):
        problem = f"it does not fit the actor's schema; with at most {MAX_SEARCHED:,} values you are told where"
        return [_named(Misfit((), problem))]
    return [_named(error) for error in told_errors(validator.iter_errors(payload), MAX_ERRORS)]


def _named(error: Misfit) -> FieldError:
    return FieldError(field=".".join(["payload", *map(str, error.path)]), message=error.message)


@lru_cache(maxsize=256)
def _read(schema: str) -> Draft202012Validator | None:
    try:
        # A reference must never be fetched from anywhere; a format is a note, as the standard has it.
        return Draft202012Validator(
            judged(json.loads(schema)).schema, keywords=AS_PYDANTIC, offline=True, validate_formats=False
        )
    except (InvalidDataError, ValueError) as exc:
        logger.warning("a payload schema cannot be read; its worker alone checks payloads", extra={"error": str(exc)})
        return None


class _Pattern:
    """``pattern`` as a model reads it: a regular expression of Rust, which takes time in proportion to the text."""

    def __init__(self, _parent: dict[str, Any], pattern: str, _path: list[str | int]) -> None:
        self._validator = pattern_validator(pattern)

    def validate(self, instance: object) -> None:
        if isinstance(instance, str):
            self._validator.validate_python(instance)


class _MultipleOf:
    """``multipleOf`` as a model reads it: with a tolerance, so that 19.99 is a multiple of 0.01."""

    def __init__(self, _parent: dict[str, Any], step: float, _path: list[str | int]) -> None:
        self._floats = SchemaValidator(core_schema.float_schema(multiple_of=step))
        self._integers = (
            SchemaValidator(core_schema.int_schema(multiple_of=step)) if isinstance(step, int) else self._floats
        )

    def validate(self, instance: object) -> None:
        match instance:
            case bool():
                return
            case int():
                self._integers.validate_python(instance)
            case float():
                self._floats.validate_python(instance)


AS_PYDANTIC: dict[str, Any] = {"pattern": _Pattern, "multipleOf": _MultipleOf}
