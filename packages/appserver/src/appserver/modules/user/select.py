"""``user.select@1``: a choice of one or several things, in groups where that helps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import (
    Ask,
    Done,
    Effect,
    ErrorCode,
    Fail,
    FieldProblem,
    Load,
    LoadOptions,
    Module,
    ModuleKind,
    Ports,
    SaveOptions,
    Seen,
)
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken
from appserver.values.scope import NOTHING, lookup

MAX_ITEMS = 500
MAX_LABEL = 200
RECENT = "recent"


class Group(Ports):
    """Things that belong together."""

    title: str = Field(min_length=1, max_length=MAX_LABEL)
    items: list[JsonValue] = Field(max_length=MAX_ITEMS)
    min: int = Field(0, ge=0, le=MAX_ITEMS, description="How many of the group must be picked.")
    max: int = Field(MAX_ITEMS, ge=0, le=MAX_ITEMS, description="How many of the group may be picked.")


class SelectInputs(QuestionInputs):
    """A choice."""

    items: list[JsonValue] = Field(default_factory=list, max_length=MAX_ITEMS, description="What there is to pick.")
    groups: list[Group] = Field(
        default_factory=list, max_length=50, description="The same in groups; numbered on behind ``items``."
    )
    label: str = Field("label", max_length=256, description="The path to an item's name, where items are objects.")
    min: int = Field(1, ge=0, le=MAX_ITEMS, description="How many must be picked.")
    max: int = Field(1, ge=1, le=MAX_ITEMS, description="How many may be picked.")
    custom: bool = Field(default=False, description="Whether a text of one's own may be given instead.")
    remember: bool = Field(default=False, description="Whether the page shows what was picked lately, and notes this.")
    default: list[int] | None = Field(None, max_length=MAX_ITEMS, description="What counts when nobody answers.")


class SelectOutputs(Ports):
    """The picked items."""

    indices: list[int] = Field(description="The numbers of the picked items, from 0.")
    selected: list[JsonValue] = Field(description="The picked items.")
    first: JsonValue = Field(description="The first of them, or the text of one's own.")
    custom: str | None = Field(description="The text of one's own.")
    expired: bool = Field(description="Whether it is the default, since nobody answered in time.")


class Select(Module[SelectInputs, SelectOutputs]):
    """Lets a person pick one or several of some things, and gives them."""

    type = "user.select@1"
    kind = ModuleKind.INTERACTION
    Inputs = SelectInputs
    Outputs = SelectOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "title": "Which beginning is best?",
        "items": [{"label": "The tide", "text": "Twice a day ..."}, {"label": "The crab", "text": "Under a stone ..."}],
        "go_back": [{"module": "write", "label": "Write others"}],
    }

    def decide(self, inputs: SelectInputs, seen: Seen) -> Effect:
        """Ask, and give what was picked."""
        answer = last_answer(seen)
        if answer is None:
            if inputs.remember and RECENT not in seen.loaded:
                return Load(requests=(LoadOptions(key=RECENT),))
            return _asked(inputs, seen)
        if back := way_taken(inputs, dict(answer)):
            return back
        return _done(inputs, seen, answer)

    def check_answer(self, inputs: SelectInputs, seen: Seen, response: JsonValue) -> Sequence[FieldProblem]:  # noqa: ARG002
        """Return which groups have too many or too few of their items picked."""
        if not isinstance(response, dict) or not isinstance(picked := response.get("selected"), list):
            return ()
        return [
            FieldProblem(pointer="/selected", message=f"{group.title}: pick {group.min} to {group.max}, not {count}")
            for group, numbers in _numbered(inputs)
            if not group.min <= (count := sum(number in numbers for number in picked)) <= group.max
        ]


def _numbered(inputs: SelectInputs) -> Iterator[tuple[Group, range]]:
    first = len(inputs.items)
    for group in inputs.groups:
        yield group, range(first, first + len(group.items))
        first += len(group.items)


def _all_items(inputs: SelectInputs) -> list[JsonValue]:
    return [*inputs.items, *(item for group in inputs.groups for item in group.items)]


def _label(inputs: SelectInputs, item: JsonValue) -> str:
    found: Any = lookup(item, inputs.label) if isinstance(item, dict) else item
    text = found if isinstance(found, str) else json.dumps(item if found is NOTHING else found, ensure_ascii=False)
    return text[:MAX_LABEL]


def _asked(inputs: SelectInputs, seen: Seen) -> Ask | Fail:
    items = _all_items(inputs)
    if (not items and not inputs.custom) or len(items) > MAX_ITEMS:
        return Fail(
            code=ErrorCode.MISCONFIGURED,
            message=f"there are {len(items)} items to pick from; 1 to {MAX_ITEMS} are allowed",
            hint="give other items, allow a text of one's own, or skip the module by a condition",
        )
    labels = [_label(inputs, item) for item in items]
    data: dict[str, JsonValue] = {"items": items, "labels": list(labels), "min": inputs.min, "max": inputs.max}
    if inputs.groups:
        data["groups"] = [
            {"title": group.title, "first": numbers.start, "count": len(numbers), "min": group.min, "max": group.max}
            for group, numbers in _numbered(inputs)
        ]
    if inputs.remember:
        data[RECENT] = seen.loaded.get(RECENT)
    default: JsonValue = None if inputs.default is None else {"selected": list(inputs.default)}
    return asked(inputs, "select", _schema(inputs, len(items)), data=data, default=default)


def _schema(inputs: SelectInputs, count: int) -> Mapping[str, Any]:
    selected = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": count - 1},
        "minItems": min(inputs.min, count),
        "maxItems": inputs.max,
        "uniqueItems": True,
    }
    forms = [{"selected": selected}] if count else []
    if inputs.custom:
        forms.append({"custom": {"type": "string", "minLength": 1, "maxLength": 4_000}})
    schemas = [
        {"type": "object", "properties": form, "required": list(form), "additionalProperties": False} for form in forms
    ]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _done(inputs: SelectInputs, seen: Seen, answer: Mapping[str, JsonValue]) -> Done:
    items = _all_items(inputs)
    given = answer.get("selected")
    numbers = [number for number in given if isinstance(number, int)] if isinstance(given, list) else []
    numbers = [number for number in numbers if 0 <= number < len(items)]
    custom = answer.get("custom")
    selected = [items[number] for number in numbers]
    outputs = {
        "indices": numbers,
        "selected": selected,
        "first": custom if custom is not None else (selected[0] if selected else None),
        "custom": custom,
        "expired": seen.answers[-1].expired,
    }
    picked = tuple(label for item in selected if (label := _label(inputs, item)))
    return Done(outputs=outputs, writes=(SaveOptions(options=picked),) if inputs.remember and picked else ())
