"""The values of the command line: durations, payloads, and options that belong together."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import IO, Any, TypeAlias

import click
from pydantic import JsonValue

MAX_PAYLOAD_CHARACTERS = 4 * 1024 * 1024
"""A payload of 256 KiB is shorter than this however it is written."""
UNITS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
LONGEST_SECONDS = 10 * 365 * 86_400

Command: TypeAlias = Callable[..., Any]


def bundled(kind: type[object], name: str, *options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds *options* to a command and hands them over as one *kind*, as the argument *name*.

    Args:
        kind: A dataclass whose fields have the names of the options.
        name: The command's argument.
        options: What ``click.option`` returned.
    """
    parts = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # the dataclass's type has no name

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(*args: Any, **values: Any) -> Any:
            bundle = kind(**{part: values.pop(part) for part in parts})
            return command(*args, **{name: bundle}, **values)

        decorated: Command = wrapper
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def duration(text: str) -> timedelta:
    """Return the time that *text* says: ``90``, ``1.5s``, ``250ms``, ``10m``, ``2h``, ``7d``.

    Raises:
        BadParameter: It says none, or more than ten years.
    """
    # Without re.ASCII, \d takes the digits of every script.
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", text.strip(), re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration; write a number and ms, s, m, h or d, such as 90s")
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds > LONGEST_SECONDS:
        raise click.BadParameter(f"{text!r} is over ten years")
    return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSource:
    """The source of a payload: the command line, or a file.

    Args:
        payload: The JSON itself.
        payload_file: A file with it.
    """

    payload: str | None
    payload_file: IO[bytes] | None

    def read(self) -> dict[str, JsonValue] | None:
        """Return the payload, or ``None`` when none is given.

        Raises:
            UsageError: Both are given, or what is given is no JSON object; the message says where.
        """
        if self.payload is not None and self.payload_file is not None:
            raise click.UsageError("give --payload or --payload-file, not both")
        if self.payload_file is not None:
            return _parsed(self.payload_file.read(MAX_PAYLOAD_CHARACTERS + 1))
        return None if self.payload is None else _parsed(self.payload)


payload_options = bundled(
    PayloadSource,
    "source",
    click.option("--payload", metavar="JSON", help="The payload, a JSON object."),
    click.option("--payload-file", type=click.File("rb"), help="A file with the payload; - reads standard input."),
)


def _parsed(text: str | bytes) -> dict[str, JsonValue]:
    # Before it is parsed: a wrong file may be gigabytes long.
    if len(text) > MAX_PAYLOAD_CHARACTERS:
        raise click.BadParameter(f"payload: over {MAX_PAYLOAD_CHARACTERS:,} characters; store large data as content")
    try:
        # Python reads NaN and Infinity, which are no JSON and cannot be stored as JSON.
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        place = f"line {exc.lineno}, column {exc.colno}"
        raise click.BadParameter(f"payload: not JSON at {place}: {exc.msg}") from exc
    except (ValueError, RecursionError) as exc:
        raise click.BadParameter(f"payload: not JSON that can be stored: {exc}") from exc
    if not isinstance(value, dict):
        raise click.BadParameter(f"payload: it must be a JSON object, and this is a {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
