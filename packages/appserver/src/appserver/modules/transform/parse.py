"""``transform.parse@1``: a text is read by a pattern, in time that grows with its length alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import re2
from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.plain import is_json
from appserver.values.pointers import pointer_of

MAX_TEXT_CHARACTERS = 64 * 1024
MAX_PATTERN_CHARACTERS = 500
MAX_ITEMS = 2_000
MAX_MEMORY_BYTES = 1024 * 1024
"""Of a compiled pattern; the engine falls back to a slower search within it, and never to another kind of one."""
MAX_WORK = 4_000_000
"""Characters of the pattern times characters of the text."""
MAX_PROBLEMS = 20
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
Kind: TypeAlias = Literal["text", "integer", "number", "boolean"]


class ParseInputs(Ports):
    """A text and a pattern."""

    text: str = Field(max_length=MAX_TEXT_CHARACTERS, description="What is read.")
    pattern: str = Field(
        min_length=1,
        max_length=MAX_PATTERN_CHARACTERS,
        description="A regular expression with named groups, ``(?P<name>...)``, in RE2's language.",
    )
    types: dict[Name, Kind] = Field(
        default_factory=dict, max_length=50, description="By group, what its text is turned into; text when not named."
    )
    lookups: dict[Name, dict[str, JsonValue]] = Field(
        default_factory=dict, max_length=50, description="By group, what stands for each text that it may have."
    )
    sum: Name | None = Field(None, description="The group whose numbers are added up.")
    min_items: int = Field(0, ge=0, le=MAX_ITEMS, description="With fewer, it is an error of the run.")


class ParseOutputs(Ports):
    """The items of a text."""

    items: list[dict[str, JsonValue]] = Field(description="For each place that fits, its groups by name.")
    count: int = Field(description="How many places fit.")
    total: str | None = Field(description="The sum, as an exact decimal in text.")


class Parse(Module[ParseInputs, ParseOutputs]):
    """Reads items out of a text by a pattern, with types, lookups and a sum."""

    type = "transform.parse@1"
    kind = ModuleKind.INLINE
    Inputs = ParseInputs
    Outputs = ParseOutputs
    repeatable = True
    literal = frozenset({"pattern"})
    example: ClassVar[Mapping[str, Any]] = {
        "text": "1. The tide: 4.5 s\n2. The crab: 2 s\n",
        "pattern": r"(?P<number>\d+)\. (?P<title>[^:\n]+): (?P<seconds>[\d.]+) s",
        "types": {"number": "integer"},
        "sum": "seconds",
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return why the pattern cannot be read."""
        pattern = inputs.get("pattern")
        if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARACTERS:
            return ()
        try:
            _compiled(pattern)
        except re2.error as exc:
            return [FieldProblem(pointer="/pattern", message=f"it cannot be read: {exc}"[:300])]
        return ()

    def decide(self, inputs: ParseInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the items."""
        if len(inputs.pattern) * len(inputs.text) > MAX_WORK:
            return _misconfigured("the pattern is too long for so long a text", ())
        try:
            pattern = _compiled(inputs.pattern)
        except re2.error as exc:
            return _misconfigured(f"the pattern cannot be read: {exc}", ())
        if problems := _unknown_groups(inputs, set(pattern.groupindex)):
            return _misconfigured("the pattern has no such groups", tuple(problems))
        return _read(inputs, pattern)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)


def _misconfigured(message: str, problems: tuple[FieldProblem, ...]) -> Fail:
    hint = "correct the pattern; it knows neither look-around nor references back"
    return Fail(code=ErrorCode.MISCONFIGURED, message=message[:1_000], hint=hint, problems=problems)


def _unknown_groups(inputs: ParseInputs, groups: set[str]) -> list[FieldProblem]:
    named: list[tuple[tuple[str, ...], str]] = [(("types", name), name) for name in inputs.types]
    named += [(("lookups", name), name) for name in inputs.lookups]
    named += [(("sum",), inputs.sum)] if inputs.sum is not None else []
    return [
        FieldProblem(pointer=pointer_of(path), message=f"the pattern has no group {name!r}")
        for path, name in named
        if name not in groups
    ][:MAX_PROBLEMS]


def _read(inputs: ParseInputs, pattern: Any) -> Done | Fail:
    items: list[dict[str, JsonValue]] = []
    problems: list[FieldProblem] = []
    total = Decimal(0)
    # As bytes, since the engine counts in them, and would look for each place in a text anew.
    for match in pattern.finditer(inputs.text.encode("utf-8", "surrogatepass")):
        if len(items) == MAX_ITEMS:
            return _misconfigured(f"the pattern fits more than {MAX_ITEMS:,} places", ())
        groups = {name: None if text is None else text.decode() for name, text in match.groupdict().items()}
        item = {name: _value(inputs, name, text, problems, len(items)) for name, text in groups.items()}
        total += _amount(groups.get(inputs.sum or ""), inputs, problems, len(items))
        items.append(item)
    if problems:
        return _invalid("parts of the text are not of their types", tuple(problems[:MAX_PROBLEMS]))
    if len(items) < inputs.min_items:
        return _invalid(f"{len(items)} places fit the pattern; at least {inputs.min_items} are needed", ())
    outputs = {"items": items, "count": len(items), "total": None if inputs.sum is None else format(total, "f")}
    return Done(outputs=outputs)


def _invalid(message: str, problems: tuple[FieldProblem, ...]) -> Fail:
    return Fail(
        code=ErrorCode.INVALID_OUTPUT,
        message=message,
        hint="repeat what made the text, or make the pattern wider",
        problems=problems,
    )


def _value(inputs: ParseInputs, name: str, text: str | None, problems: list[FieldProblem], index: int) -> JsonValue:
    if text is None:
        return None
    if name in inputs.lookups:
        if text not in inputs.lookups[name]:
            problems.append(_problem(index, name, f"{text[:80]!r} is not in the lookup"))
        return inputs.lookups[name].get(text)
    kind = inputs.types.get(name, "text")
    try:
        value = TYPES[kind](text.strip() if kind != "text" else text)
    except (ValueError, KeyError):
        value = None
    if value is None or not is_json(value):
        problems.append(_problem(index, name, f"{text[:80]!r} is no {kind}"))
    return value


def _problem(index: int, name: str, message: str) -> FieldProblem:
    return FieldProblem(pointer=pointer_of(["items", index, name]), message=message)


TYPES: Mapping[str, Callable[[str], JsonValue]] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": lambda text: {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
        text.lower()
    ],
}


def _amount(text: str | None, inputs: ParseInputs, problems: list[FieldProblem], index: int) -> Decimal:
    if text is None or inputs.sum is None:
        return Decimal(0)
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or abs(amount) >= Decimal(10) ** 15 or len(text) > 40:
        problems.append(_problem(index, inputs.sum, f"{text[:80]!r} is no amount"))
        return Decimal(0)
    return amount
