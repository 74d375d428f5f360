"""The published schema: the JSON Schema of definitions, for editors and for authors; parsing says more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appserver.engine.definition.model import Definition
from appserver.modules.registry import AnyModule, ModuleRegistry

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OBJECT_REFERENCE: Mapping[str, Any] = {
    "type": "object",
    "description": "A reference to a value of the run, with what is taken where there is none.",
    "properties": {"$ref": {"type": "string", "pattern": "^[^#]"}, "default": True},
    "required": ["$ref"],
    "additionalProperties": False,
}
REFERENCE: Mapping[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"\{\{", "description": "A text with references, such as {{ input.topic }}."},
        {"$ref": "#/$defs/ObjectReference"},
    ]
}
_SINGLE = frozenset({"items", "additionalProperties", "propertyNames"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})


def definition_schema(registry: ModuleRegistry) -> dict[str, Any]:
    """Return the schema of definitions with the modules of *registry*, in an order that stays.

    It is closed, and it allows a reference in each place of a module's inputs. What runs before what, what fits into
    what and what exists at all is said by ``check_definition`` alone.
    """
    schema = Definition.model_json_schema(by_alias=True)
    parts: dict[str, Any] = schema["$defs"]
    parts["ObjectReference"], parts["Reference"] = dict(OBJECT_REFERENCE), dict(REFERENCE)
    types = []
    for module in registry:
        inputs = module.Inputs.model_json_schema()
        for name, part in inputs.get("$defs", {}).items():
            parts[f"{module.type}.{name}"] = _Opened(module).inside(part)
        parts[module.type] = _Opened(module).inputs(inputs)
        types.append(_when_of_type(module))
    parts["ModuleDefinition"]["properties"]["type"]["examples"] = [module.type for module in registry]
    parts["ModuleDefinition"]["allOf"] = types
    return {"$schema": DIALECT, "title": "Workflow", **{key: value for key, value in schema.items() if key != "title"}}


def _when_of_type(module: AnyModule) -> dict[str, Any]:
    inputs: dict[str, Any] = {"$ref": f"#/$defs/{module.type}"}
    needed = ["in"] if module.Inputs.model_json_schema().get("required") else []
    return {
        "if": {"properties": {"type": {"const": module.type}}, "required": ["type"]},
        "then": {"properties": {"in": inputs}, "required": needed},
    }


class _Opened:
    """Schemas of a module's inputs, opened for references.

    Args:
        module: The module.
    """

    def __init__(self, module: AnyModule) -> None:
        self._module = module

    def inputs(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return the schema of all inputs; they themselves are no reference."""
        opened = self.inside({key: value for key, value in schema.items() if key != "$defs"})
        for name in opened.get("properties", {}):
            if name in self._module.literal:
                written = self.inside(schema["properties"][name])
                opened["properties"][name] = {"anyOf": [written, {"$ref": "#/$defs/ObjectReference"}]}
            elif name in self._module.nested:
                part = {"$ref": "#/$defs/ModuleDefinition"}
                opened["properties"][name] = {"anyOf": [part, {"type": "array", "items": part}]}
        return {"description": self._module.__doc__, **opened}

    def inside(self, schema: Any) -> Any:
        """Return a schema whose parts are opened, and which is none for a reference itself."""
        if not isinstance(schema, Mapping):
            return schema
        return {keyword: self._keyword(keyword, value) for keyword, value in schema.items()}

    def _keyword(self, keyword: str, value: Any) -> Any:
        if keyword == "properties":
            return {name: self._opened(part) for name, part in value.items()}
        if keyword in _SINGLE:
            return self._opened(value)
        if keyword in _LISTED:
            return [self.inside(part) for part in value]
        if keyword == "$ref":
            return value.replace("#/$defs/", f"#/$defs/{self._module.type}.")
        return value

    def _opened(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping) or not schema:
            return schema
        notes = {name: schema[name] for name in ("title", "description", "default") if name in schema}
        rest = {name: value for name, value in schema.items() if name not in notes}
        return {**notes, "anyOf": [self.inside(rest), {"$ref": "#/$defs/Reference"}]} if rest else schema
