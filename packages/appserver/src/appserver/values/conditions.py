"""Conditions: comparisons of values in JSON, which are evaluated without an expression language and never raise."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Strict, Tag

from appserver.values.scope import MAX_PATH_CHARACTERS, NOTHING, lookup

Path: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_PATH_CHARACTERS)]
FORMS = "write {path, op, value}, {all: [...]}, {any: [...]} or {not: {...}}"


class Closed(BaseModel):
    """A part of a definition: a name that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


# A list of JSON; strictness would want a tuple where a definition is no text any more.
Item = TypeVar("Item")
Several: TypeAlias = Annotated[tuple[Item, ...], Strict(False)]  # noqa: FBT003


class Comparison(Closed):
    """A condition on one value; ``exists`` needs no value, and ``in`` a list."""

    path: Path
    op: Literal["eq", "ne", "in", "exists", "lt", "le", "gt", "ge"]
    value: JsonValue = None


class AllOf(Closed):
    """A condition that holds when all of its parts do."""

    all: Several[Condition]


class AnyOf(Closed):
    """A condition that holds when one of its parts does."""

    any: Several[Condition]


class Not(Closed):
    """A condition that holds when another does not."""

    not_: Condition = Field(alias="not")


def _form(value: object) -> str | None:
    """Return the tag of a condition's form; brackets, so that none is mistaken for a name in the condition."""
    if isinstance(value, BaseModel):
        return f"<{type(value).__name__}>"
    if not isinstance(value, Mapping):
        return None
    forms = {"all": "<AllOf>", "any": "<AnyOf>", "not": "<Not>", "path": "<Comparison>", "op": "<Comparison>"}
    return next((tag for name, tag in forms.items() if name in value), None)


Condition: TypeAlias = Annotated[
    Annotated[Comparison, Tag("<Comparison>")]
    | Annotated[AllOf, Tag("<AllOf>")]
    | Annotated[AnyOf, Tag("<AnyOf>")]
    | Annotated[Not, Tag("<Not>")],
    Discriminator(_form, custom_error_type="condition_form", custom_error_message=f"it is no condition; {FORMS}"),
]


def holds(condition: Condition, scope: Mapping[str, Any]) -> bool:
    """Return whether *condition* holds for the values of *scope*; it never raises.

    A path that leads nowhere equals nothing: ``ne`` holds for it, and every other comparison does not. Numbers are
    compared with numbers and texts with texts; other pairs are neither smaller nor greater.
    """
    match condition:
        case AllOf(all=parts):
            return all(holds(part, scope) for part in parts)
        case AnyOf(any=parts):
            return any(holds(part, scope) for part in parts)
        case Not(not_=part):
            return not holds(part, scope)
        case Comparison(path=path, op=op, value=value):
            return _compared(lookup(scope, path), op, value)


def _compared(found: object, op: str, value: JsonValue) -> bool:
    match op:
        case "exists":
            return found is not NOTHING
        case "eq":
            return same(found, value)
        case "ne":
            return not same(found, value)
        case "in":
            return isinstance(value, list) and any(same(found, option) for option in value)
        case _:
            return _ordered(found, value) and bool(ORDERS[op](found, value))


ORDERS: Mapping[str, Callable[[Any, Any], object]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def _ordered(left: object, right: object) -> bool:
    return (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: object, right: object) -> bool:
    """Return whether two values are the same JSON: ``1`` is ``1.0``, and is not ``true``."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if _is_number(left) and _is_number(right):
        return left == right
    return type(left) is type(right) and left == right
