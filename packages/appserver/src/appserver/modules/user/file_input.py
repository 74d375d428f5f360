"""``user.file_input@1``: a file that the person has uploaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import (
    Answer,
    Done,
    Effect,
    Load,
    LoadContent,
    Module,
    ModuleKind,
    Ports,
    Seen,
)
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken

ID_PATTERN = "^(gc|wff)_[0-9a-f]{32}$"
"""Of a content or a run file; neither a path nor an address is one."""
MAX_BYTES = 2**31
KIND = "file_input"
"""The kind of its question."""
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"content_id": {"type": "string", "pattern": ID_PATTERN}},
    "required": ["content_id"],
    "additionalProperties": False,
}


class FileInputs(QuestionInputs):
    """A question for a file."""

    media_types: list[str] = Field(
        default_factory=list, max_length=50, description="Which are taken, such as ``image/png`` or ``image/*``."
    )
    max_bytes: int = Field(100 * 1024 * 1024, ge=1, le=MAX_BYTES, description="How large it may be.")


class FileOutputs(Ports):
    """The file."""

    content_id: str = Field(description="The id of the content or the run file.")
    kind: str | None = Field(description="What it is, such as ``image``.")
    media_type: str | None = Field(description="Its type, such as ``image/png``.")
    bytes: int | None = Field(description="Its size.")
    filename: str | None = Field(description="Its name.")


class FileInput(Module[FileInputs, FileOutputs]):
    """Asks a person for a file, and gives its id."""

    type = "user.file_input@1"
    kind = ModuleKind.INTERACTION
    Inputs = FileInputs
    Outputs = FileOutputs
    example: ClassVar[Mapping[str, Any]] = {"title": "A picture of your pet", "media_types": ["image/*"]}

    def decide(self, inputs: FileInputs, seen: Seen) -> Effect:
        """Ask, and give the file when its owner is the run's; else say why not and ask again."""
        answer = last_answer(seen)
        if answer is None:
            return _asked(inputs, None)
        if back := way_taken(inputs, dict(answer)):
            return back
        content_id = str(answer.get("content_id"))
        if content_id not in seen.loaded:
            return Load(requests=(LoadContent(key=content_id, content_id=content_id),))
        file = seen.loaded[content_id]
        problem = _problem(inputs, file)
        if problem is not None or not isinstance(file, dict):
            return _asked(inputs, problem, seen.answers[-1])
        names = ("kind", "media_type", "bytes", "filename")
        return Done(outputs={"content_id": content_id, **{name: file.get(name) for name in names}})


def _asked(inputs: FileInputs, problem: str | None, answer: Answer | None = None) -> Effect:
    message = inputs.message if problem is None else "\n".join(filter(None, (problem, inputs.message)))
    data: dict[str, JsonValue] = {"media_types": list(inputs.media_types), "max_bytes": inputs.max_bytes}
    if answer is not None:
        # It makes this another question than the one that was answered.
        data["instead_of"] = answer.interaction_id
    return asked(inputs, KIND, ANSWER, data=data, message=message)


def _problem(inputs: FileInputs, file: JsonValue) -> str | None:
    if not isinstance(file, dict):
        return "You have no such file; upload it, and give its id."
    size, media_type = file.get("bytes"), str(file.get("media_type"))
    if isinstance(size, int) and size > inputs.max_bytes:
        return f"The file has {size:,} bytes; at most {inputs.max_bytes:,} are taken."
    if not is_taken(media_type, inputs.media_types):
        return f"The file is {media_type}; taken are {', '.join(inputs.media_types)}."
    return None


def is_taken(media_type: str, media_types: Sequence[str]) -> bool:
    """Return whether a question that names *media_types* takes a file of this type; one that names none takes all."""
    return not media_types or any(_fits(media_type, wanted) for wanted in media_types)


def _fits(media_type: str, wanted: str) -> bool:
    group, star, _ = wanted.partition("/*")
    return media_type.startswith(f"{group}/") if star else media_type == wanted
