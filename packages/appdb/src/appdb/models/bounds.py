"""Bounds of stored values: the types of names, numbers and durations, and the one check against them.

Nothing is stored that cannot be read back. Each field of a ``New...`` value has one of these types, and whoever stores
such a value calls ``accept`` before anything is written. JSON is checked where it is weighed, by ``check_size``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    JsonValue,
    SkipValidation,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from appdb.errors import InvalidDataError

MAX_NAME_CHARACTERS = 200
"""Ids, names and keys are parts of indexes, of other ids, of log lines and of URLs: none of these holds megabytes."""
MAX_TEXT_CHARACTERS = 4_000
"""What people read in a line or two."""
LARGEST = 2**31 - 1
"""Of counts and priorities: what every language, driver and JSON parser reads as the same integer."""
MIN_DURATION = timedelta(milliseconds=1)
"""MongoDB's resolution of time."""
MAX_DURATION = timedelta(days=36_525)
"""A hundred years: longer than anything waits, and far from the year 9999, behind which no date can be read."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Of times that callers name: within what every zone and every driver can read."""

# Decision 0019: what is new is checked before the first write, since one unreadable document hides its neighbours.
STRICT = ConfigDict(strict=True, revalidate_instances="always")
"""How ``New...`` values are checked: each field is what its type says, and nothing is converted."""

# Control characters separate the names in claim keys (stored as `lane`) and derived ids, and the lines of logs.
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
Label: TypeAlias = Annotated[str, StringConstraints(strict=True, max_length=MAX_NAME_CHARACTERS, pattern=_NO_CONTROLS)]
"""A name that may be empty."""
Name: TypeAlias = Annotated[Label, StringConstraints(min_length=1)]
"""An id, a name or a key: text without control characters."""
Text: TypeAlias = Annotated[str, StringConstraints(strict=True, max_length=MAX_TEXT_CHARACTERS)]
"""Words for people, with any characters; it may be empty."""
AnyText: TypeAlias = Annotated[str, StringConstraints(strict=True)]
"""Text whose bytes are weighed."""
Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Positive: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
Priority: TypeAlias = Annotated[int, Field(strict=True, ge=-LARGEST, le=LARGEST)]
Whole: TypeAlias = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
"""A number that means nothing to us, such as a seed: what BSON holds."""
Place: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
"""A place among bytes or events, counted from 0."""
Amount: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=LARGEST, allow_inf_nan=False)]
"""A measure, such as seconds of playing time."""
Pause: TypeAlias = Annotated[timedelta, Field(strict=True, ge=timedelta(0), le=MAX_DURATION)]
Duration: TypeAlias = Annotated[timedelta, Field(strict=True, ge=MIN_DURATION, le=MAX_DURATION)]
Seconds: TypeAlias = Annotated[float, Field(strict=True, gt=0, le=MAX_DURATION.total_seconds(), allow_inf_nan=False)]
Moment: TypeAlias = Annotated[AwareDatetime, Field(strict=True, ge=EARLIEST, le=LATEST)]
"""A time that the caller names, in any zone."""
# Stored values have wider bounds than new ones: earlier releases accepted more.
StoredSpan: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Seconds or milliseconds of a stored document, which can be made a duration; see ``bounded_duration``."""
StoredTime: TypeAlias = Annotated[datetime, Field(strict=True)]
"""A time of a stored document: text and numbers are none, since no query compares them with times."""
NewJson: TypeAlias = Annotated[Mapping[str, JsonValue], SkipValidation]
"""JSON that the caller gives; ``check_size`` looks into it, once."""

_SUBJECT = re.compile(r"^(Input|String|Data|Value|Tuple|List|Set|Iterable|Decimal input)\b")


def accept(kind: Any, value: object, field: str = "") -> None:
    """Check that *value* can be stored, and that the model which reads it will take it.

    Args:
        kind: Its type: a ``New...`` class, or a type of this module.
        value: What the caller gave.
        field: What an error calls it; a part of it is told behind this.

    Raises:
        InvalidDataError: It is not of that type, or not within its bounds; the error names the first such part.
    """
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as exc:
        raise _refusal(kind, value, field, exc) from None


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _refusal(kind: Any, value: object, field: str, exc: ValidationError) -> InvalidDataError:
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    path = tuple(_path(value, errors[0]["loc"]))
    # Where a value may be one of several types, there is a complaint of each.
    problems = dict.fromkeys(_told(one["type"], one["msg"]) for one in errors if one["loc"][: len(path)] == path)
    name = ".".join([field, *map(str, path)] if field else map(str, path))
    return InvalidDataError(name or getattr(kind, "__name__", "value"), ", or ".join(problems))


def _path(value: Any, place: tuple[int | str, ...]) -> Iterator[int | str]:
    """Yield the parts of *place* that lead into *value*; the others name types that were tried."""
    for part in place:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list | tuple) else None
        elif hasattr(value, part):
            value = getattr(value, part)
        else:
            return
        yield part


def _told(kind: str, message: str) -> str:
    if kind == "string_pattern_mismatch":
        return "it must not hold control characters"
    return _SUBJECT.sub("it", message)


def bounded_duration(seconds: float) -> timedelta:
    """Return *seconds* that a document holds as a duration, at most the longest that is accepted now."""
    return timedelta(seconds=min(seconds, MAX_DURATION.total_seconds()))


def at_most(limit: int) -> int:
    """Return *limit*, the most documents that are asked for; to the server 0 would mean all, and -5 the same as 5.

    Raises:
        InvalidDataError: It is not a positive number.
    """
    accept(Positive, limit, "limit")
    return limit
