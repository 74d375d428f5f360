"""``io.render_template@1``: a text is made from a template, by an engine that counts its work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from minijinja import Environment, TemplateError
from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.plain import weight

MAX_TEMPLATE_CHARACTERS = 16_384
MAX_VALUES = 8_000
MAX_OUTPUT_CHARACTERS = 256 * 1024
FUEL = 40_000
"""Steps of the engine, which charges repeated texts and large lists by their size: below 50 ms."""


ValueName = Annotated[str, Field(max_length=64, pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class RenderInputs(Ports):
    """A template and its values."""

    template: str = Field(
        max_length=MAX_TEMPLATE_CHARACTERS, description="In Jinja's language, without includes, imports and methods."
    )
    values: dict[ValueName, JsonValue] = Field(
        default_factory=dict, description="The template's names; amounts as text, so that they are printed as written."
    )
    html: bool = Field(default=False, description="Whether inserted values are escaped for HTML.")


class RenderOutputs(Ports):
    """The text."""

    rendered: str = Field(description="The text that was made.")


class RenderTemplate(Module[RenderInputs, RenderOutputs]):
    """Makes a text from a template and values."""

    type = "io.render_template@1"
    kind = ModuleKind.INLINE
    Inputs = RenderInputs
    Outputs = RenderOutputs
    repeatable = True
    literal = frozenset({"template"})
    example: ClassVar[Mapping[str, Any]] = {
        "template": "{% for scene in scenes %}{{ loop.index }}. {{ scene.title }}\n{% endfor %}",
        "values": {"scenes": [{"title": "The tide"}, {"title": "The crab"}]},
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return why the template cannot be read."""
        template = inputs.get("template")
        if not isinstance(template, str) or len(template) > MAX_TEMPLATE_CHARACTERS:
            return ()
        try:
            _engine(html=False).add_template("template", template)
        except TemplateError as exc:
            return [FieldProblem(pointer="/template", message=_failed(exc).message[:300])]
        return ()

    def decide(self, inputs: RenderInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the text."""
        if weight(inputs.values, MAX_VALUES) > MAX_VALUES:
            return _refused(f"there are more than {MAX_VALUES:,} values, long texts counted as several; give less")
        try:
            rendered = _engine(html=inputs.html).render_str(_assigned(inputs.values) + inputs.template, "template")
        except TemplateError as exc:
            return _failed(exc)
        if len(rendered) > MAX_OUTPUT_CHARACTERS:
            return _refused(f"the text has {len(rendered):,} characters; at most {MAX_OUTPUT_CHARACTERS:,} are allowed")
        return Done(outputs={"rendered": rendered})


def _refused(message: str) -> Fail:
    return Fail(code=ErrorCode.INVALID_OUTPUT, message=message)


def _engine(*, html: bool) -> Environment:
    # A new one each time: nothing of one template reaches another.
    return Environment(
        fuel=FUEL,
        undefined_behavior="strict",
        debug=False,
        pycompat=False,
        keep_trailing_newline=True,
        auto_escape_callback=lambda _name: html,
    )


def _assigned(values: Mapping[str, JsonValue]) -> str:
    # As literals, which are the engine's own values. It would offer the methods of Python's lists and dictionaries to
    # the template, and with them changes to the inputs, memory without a price, and addresses in the output.
    return "".join(f"{{% set {name} = {_literal(value)} %}}" for name, value in values.items())


def _literal(value: JsonValue) -> str:
    match value:
        case None:
            return "none"
        case dict():
            return f"{{{','.join(f'{json.dumps(name)}:{_literal(inner)}' for name, inner in value.items())}}}"
        case list():
            return f"[{','.join(map(_literal, value))}]"
        case _:
            return json.dumps(value)


def _failed(error: TemplateError) -> Fail:
    line = f" in line {error.line}" if error.line else ""
    return Fail(
        code=ErrorCode.MISCONFIGURED,
        message=f"the template cannot be rendered{line}: {error.kind}: {error.detail or error.message}"[:1_000],
        hint="correct the template, or give the values that it names",
    )
