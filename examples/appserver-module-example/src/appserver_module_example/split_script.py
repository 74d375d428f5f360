"""``example.split_script@1``: a script becomes scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from appserver.modules.contract import Done, ErrorCode, Fail, Module, ModuleKind, Ports, Seen

MAX_SCENES = 200


class SplitScriptInputs(Ports):
    """A script."""

    script: str = Field(max_length=60_000, description="The text; blank lines part its scenes.")
    words_per_minute: int = Field(165, ge=60, le=450, description="The pace of the narration.")


class Scene(Ports):
    """One scene."""

    number: int
    text: str
    seconds: float


class SplitScriptOutputs(Ports):
    """The scenes of a script."""

    scenes: list[Scene] = Field(description="The scenes, in their order.")
    seconds: float = Field(description="How long all of them take.")


class SplitScript(Module[SplitScriptInputs, SplitScriptOutputs]):
    """Splits a script into scenes at its blank lines, and tells how long each takes."""

    type = "example.split_script@1"
    kind = ModuleKind.INLINE
    Inputs = SplitScriptInputs
    Outputs = SplitScriptOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {"script": "Twice a day the sea goes out.\n\nUnder a stone a crab waits."}

    def decide(self, inputs: SplitScriptInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the scenes."""
        texts = [text.strip() for text in inputs.script.replace("\r\n", "\n").split("\n\n")]
        scenes = [_scene(number, text, inputs.words_per_minute) for number, text in enumerate(filter(None, texts), 1)]
        if not 1 <= len(scenes) <= MAX_SCENES:
            return Fail(
                code=ErrorCode.INVALID_OUTPUT,
                message=f"the script has {len(scenes)} scenes; 1 to {MAX_SCENES} are allowed",
                hint="part the scenes by blank lines",
            )
        total = round(sum(scene["seconds"] for scene in scenes), 1)
        return Done(outputs={"scenes": scenes, "seconds": total})


def _scene(number: int, text: str, words_per_minute: int) -> dict[str, Any]:
    return {"number": number, "text": text, "seconds": round(len(text.split()) * 60 / words_per_minute, 1)}
