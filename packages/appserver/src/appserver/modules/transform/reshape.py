"""``transform.reshape@1``: a value is poured into another form, item by item where it has lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, Module, ModuleKind, Ports, Seen
from appserver.modules.plain import CHARACTERS_PER_VALUE, MAX_VALUES, weight
from appserver.values.scope import NOTHING, is_path, lookup

MAX_DEPTH = 40
TEXT_OF: Mapping[object, str] = {None: "", True: "true", False: "false"}


class ReshapeInputs(Ports):
    """A value and its new form."""

    source: JsonValue = Field(description="What the template calls ``source``.")
    template: JsonValue = Field(
        description=(
            "The new form. In it ``{$get: path, default: value}`` is a part, ``{$each: path, name: item, in: form}`` a"
            " list, and ``{$text: [parts]}`` a text of several; paths begin with ``source``, ``context``, ``index``"
            " or the name of an item."
        )
    )
    context: dict[str, JsonValue] = Field(default_factory=dict, description="What the template calls ``context``.")


class ReshapeOutputs(Ports):
    """The new form."""

    result: JsonValue = Field(description="The filled template.")


class Reshape(Module[ReshapeInputs, ReshapeOutputs]):
    """Pours a value into another form, item by item where it has lists."""

    type = "transform.reshape@1"
    kind = ModuleKind.INLINE
    Inputs = ReshapeInputs
    Outputs = ReshapeOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {
        "source": {"scenes": ["The tide", "The crab"]},
        "template": {
            "$each": "source.scenes",
            "name": "scene",
            "in": {
                "title": {"$text": [{"$get": "index"}, ": ", {"$get": "scene"}]},
                "style": {"$get": "context.style"},
            },
        },
        "context": {"style": "ink"},
    }

    def decide(self, inputs: ReshapeInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the new form."""
        scope = {"source": inputs.source, "context": inputs.context}
        try:
            return Done(outputs={"result": _Pouring().poured(inputs.template, scope, 0)})
        except _TemplateError as exc:
            return Fail(
                code=ErrorCode.INVALID_OUTPUT,
                message=f"the template cannot be filled: {exc}"[:1_000],
                hint="correct the template's paths, or give defaults",
            )


class _TemplateError(Exception):
    """The template asks for what there is not, or for too much."""


@dataclass(slots=True)
class _Pouring:
    left: int = MAX_VALUES

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise _TemplateError(f"its result has more than {MAX_VALUES:,} values")

    def poured(self, template: JsonValue, scope: Mapping[str, Any], depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise _TemplateError(f"it is nested more than {MAX_DEPTH} levels deep")
        self.spend(1)
        match template:
            case {"$get": path}:
                return self._got(path, _rest(template, "$get", "default"), scope)
            case {"$each": path}:
                return self._each(path, _rest(template, "$each", "name in"), scope, depth)
            case {"$text": list() as parts}:
                return self._text([self.poured(part, scope, depth + 1) for part in parts])
            case dict():
                return {name: self.poured(inner, scope, depth + 1) for name, inner in template.items()}
            case list():
                return [self.poured(inner, scope, depth + 1) for inner in template]
            case _:
                return template

    def _got(self, path: JsonValue, rest: Mapping[str, JsonValue], scope: Mapping[str, Any]) -> Any:
        found = self._found(path, scope)
        if found is NOTHING:
            if "default" not in rest:
                raise _TemplateError(f"{path!r} leads to nothing")
            found = rest["default"]
        self.spend(weight(found, self.left))
        return found

    def _each(self, path: JsonValue, rest: Mapping[str, JsonValue], scope: Mapping[str, Any], depth: int) -> list[Any]:
        items, name = self._found(path, scope), rest.get("name", "item")
        if not isinstance(items, list):
            raise _TemplateError(f"{path!r} is no list")
        if not isinstance(name, str) or "in" not in rest:
            raise _TemplateError("$each needs a name for the item, and 'in' for the form of each")
        return [
            self.poured(rest["in"], {**scope, name: item, "index": index}, depth + 1)
            for index, item in enumerate(items)
        ]

    @staticmethod
    def _found(path: JsonValue, scope: Mapping[str, Any]) -> Any:
        if not isinstance(path, str) or not is_path(path):
            raise _TemplateError(f"{path!r} is no path, such as source.scenes.0")
        return lookup(scope, path)

    def _text(self, parts: list[Any]) -> str:
        if any(isinstance(part, list | dict) for part in parts):
            raise _TemplateError("$text takes texts, numbers, true, false and null, and no lists or objects")
        text = "".join(TEXT_OF[part] if part is None or isinstance(part, bool) else str(part) for part in parts)
        self.spend(len(text) // CHARACTERS_PER_VALUE)
        return text


def _rest(template: JsonValue, form: str, names: str) -> Mapping[str, JsonValue]:
    rest = {name: value for name, value in template.items() if name != form} if isinstance(template, dict) else {}
    if unknown := sorted(rest.keys() - set(names.split())):
        raise _TemplateError(f"{form} does not know {unknown[0]!r}; it knows {names}")
    return rest
