"""Plain JSON: values are made free of the database's number types, and weighed before they grow."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_VALUES = 20_000
"""Of a result; more do not fit into one anyway."""
CHARACTERS_PER_VALUE = 64


def plain(value: Any) -> Any:
    """Return *value* with plain numbers: integers that come out of the database may be of a type of their own."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case dict():
            return {name: plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value


def weight(value: object, most: int) -> int:
    """Return how many values are in *value*, long texts counted as several, but at most *most* and one more.

    What stands in several places counts in each of them, as it does when it is written out.
    """
    counted = 0
    rest: list[object] = [value]
    while rest and counted <= most:
        counted += 1
        match rest.pop():
            case str() as text:
                counted += len(text) // CHARACTERS_PER_VALUE
            case dict() as inner:
                counted += len(inner)
                rest.extend(inner.values())
            case list() as inner:
                if len(inner) > most - counted:
                    return most + 1
                rest.extend(inner)
            case _:
                pass
    return counted


def is_json(value: object) -> bool:
    """Return whether *value* is JSON that the database takes: finite numbers, and integers of 64 bits."""
    match value:
        case bool() | None | str():
            return True
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case dict():
            return all(isinstance(name, str) and is_json(inner) for name, inner in value.items())
        case list():
            return all(map(is_json, value))
        case _:
            return False


def identity(value: object) -> str:
    """Return the same text for the same JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
