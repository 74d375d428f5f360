"""File questions: open questions that ask for a file, and what file they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from appdb.models import RunView
from appserver.errors import ActionRefusedError, FileRefusedError, QuestionClosedError
from appserver.modules.user.file_input import KIND, is_taken


@dataclass(frozen=True, slots=True, kw_only=True)
class FileQuestion:
    """An open question that asks for a file.

    Args:
        step: The step that asks.
        module: The module that asks.
        media_types: The types that it takes, such as ``image/*``; all when empty.
        max_bytes: How large the file may be.
    """

    step: str | None
    module: str | None
    media_types: Sequence[str]
    max_bytes: int

    @classmethod
    def of(cls, view: RunView, interaction_id: str) -> Self:
        """Return the question of a run.

        Raises:
            QuestionClosedError: It is not asked now.
            ActionRefusedError: It asks for something else.
        """
        asked = view.state.pending
        if asked is None or asked.data["interaction_id"] != interaction_id:
            raise QuestionClosedError(interaction_id, "undone")
        if asked.data.get("kind") != KIND:
            raise ActionRefusedError("upload", "the question asks for no file")
        wanted = asked.data.get("data") or {}
        return cls(
            step=asked.step,
            module=asked.module,
            media_types=wanted.get("media_types") or (),
            max_bytes=int(wanted["max_bytes"]),
        )

    def check(self, media_type: str) -> None:
        """Check that the question takes a file of this type.

        Raises:
            FileRefusedError: It does not.
        """
        if not is_taken(media_type, self.media_types):
            raise FileRefusedError(f"it is {media_type}, and taken are {', '.join(self.media_types)}")
