"""``io.render_template@1``: a text is made from a template, by an engine that counts its work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minijinja import Environment, TemplateError
from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, Module, ModuleKind, Ports, Seen

MAX_TEMPLATE_CHARACTERS = 16_384
MAX_OUTPUT_CHARACTERS = 256 * 1024
FUEL = 40_000
"""Steps of the engine, which charges repeated texts and large lists by their size: below 50 ms."""


class RenderInputs(Ports):
    """A template and its values."""

    template: str = Field(
        max_length=MAX_TEMPLATE_CHARACTERS, description="In Jinja's language, without includes, imports and methods."
    )
    values: dict[str, JsonValue] = Field(
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

    def decide(self, inputs: RenderInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the text."""
        try:
            rendered = _engine(html=inputs.html).render_str(inputs.template, "template", **inputs.values)
        except TemplateError as exc:
            return _failed(exc)
        if len(rendered) > MAX_OUTPUT_CHARACTERS:
            return Fail(
                code=ErrorCode.INVALID_OUTPUT,
                message=f"the text has {len(rendered):,} characters; at most {MAX_OUTPUT_CHARACTERS:,} are allowed",
            )
        return Done(outputs={"rendered": rendered})


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


def _failed(error: TemplateError) -> Fail:
    line = f" in line {error.line}" if error.line else ""
    return Fail(
        code=ErrorCode.MISCONFIGURED,
        message=f"the template cannot be rendered{line}: {error.kind}: {error.detail or error.message}"[:1_000],
        hint="correct the template, or give the values that it names",
    )
