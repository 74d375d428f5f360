"""``io.save@1`` and ``io.load@1``: values and texts are kept as files of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, JsonValue

from appserver.modules.contract import (
    Done,
    ErrorCode,
    Fail,
    Load,
    LoadFile,
    Module,
    ModuleKind,
    Ports,
    SaveFile,
    Seen,
)

FILE = "file"
FileName: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=120,
        pattern=r"^[^\x00-\x1f\x7f-\x9f/\\.][^\x00-\x1f\x7f-\x9f/\\]*$",
        description="A name, and no path.",
    ),
]
Category: TypeAlias = Literal["outputs", "api_calls", "root"]


class SaveInputs(Ports):
    """A file to write."""

    name: FileName
    content: JsonValue = Field(description="A text, or any JSON value.")
    category: Category = Field("outputs", description="The folder.")


class SaveOutputs(Ports):
    """The file that is written when the module completes."""

    name: str = Field(description="Its name.")
    category: str = Field(description="Its folder.")


class Save(Module[SaveInputs, SaveOutputs]):
    """Writes a value or a text into a file of the run; the same name replaces."""

    type = "io.save@1"
    kind = ModuleKind.INLINE
    Inputs = SaveInputs
    Outputs = SaveOutputs
    example: ClassVar[Mapping[str, Any]] = {"name": "script.txt", "content": "Twice a day ..."}

    def decide(self, inputs: SaveInputs, seen: Seen) -> Done:  # noqa: ARG002
        """Write the file."""
        write = SaveFile(name=inputs.name, content=inputs.content, category=inputs.category)
        return Done(outputs={"name": inputs.name, "category": inputs.category}, writes=(write,))


class LoadInputs(Ports):
    """A file to read."""

    name: FileName
    category: Category = Field("outputs", description="The folder.")
    required: bool = Field(default=True, description="Whether a missing file is an error of the run.")
    default: JsonValue = Field(None, description="What is given when there is no such file.")


class LoadOutputs(Ports):
    """The content of a file."""

    content: JsonValue = Field(description="Its text or JSON value, or the default.")
    found: bool = Field(description="Whether there is such a file.")


class LoadFromFile(Module[LoadInputs, LoadOutputs]):
    """Reads a file of the run, with its text or JSON value."""

    type = "io.load@1"
    kind = ModuleKind.INLINE
    Inputs = LoadInputs
    Outputs = LoadOutputs
    example: ClassVar[Mapping[str, Any]] = {"name": "script.txt", "required": False, "default": ""}

    def decide(self, inputs: LoadInputs, seen: Seen) -> Load | Done | Fail:
        """Read the file."""
        if FILE not in seen.loaded:
            return Load(requests=(LoadFile(key=FILE, name=inputs.name, category=inputs.category),))
        content = seen.loaded[FILE]
        if content is None and inputs.required:
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message=f"the run has no file {inputs.name!r} in {inputs.category}",
                hint="save it in an earlier module, or make it optional by required: false",
            )
        return Done(outputs={"content": inputs.default if content is None else content, "found": content is not None})
