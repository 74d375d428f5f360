"""Run files: requests to models, their answers, and files that a workflow wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, JsonValue, SkipValidation

from appdb.errors import UnreadableError
from appdb.models.base import Document, StoredJson, Value
from appdb.models.bounds import STRICT, Label, Name, NewJson, Text
from appdb.models.vocabulary import Stored


class FileCategory(StrEnum):
    """The part of a run's tree that a file belongs to."""

    API_CALLS = "api_calls"
    """What was said to a model and what it answered; a group is one call."""
    OUTPUTS = "outputs"
    """What modules made; a group is what belongs together."""
    ROOT = "root"
    """What the workflow keeps by name, in no group."""


class FileFormat(StrEnum):
    """The format of a file's content."""

    JSON = "json"
    TEXT = "text"


class FileRole(StrEnum):
    """The role of a file in its call."""

    REQUEST = "request"
    RESPONSE = "response"
    SCHEMA = "schema"
    METADATA = "metadata"
    INPUT = "input"
    OUTPUT = "output"


class WorkflowFile(Document):
    """One run file, as stored in ``workflow_files``, without its content.

    Run, branch, category, group and name together are unique; writing again replaces the content and keeps the id.
    """

    owner_id: str
    run_id: str
    branch_id: str
    category: Stored[FileCategory]
    group: str
    """What belongs together, such as the id of a call; empty for none."""
    name: str
    role: Stored[FileRole] | None = None
    format: Stored[FileFormat]
    metadata: StoredJson = Field(default_factory=dict)
    """What the writer says of it, such as step, provider and model."""
    size: int
    """Length of the content in UTF-8."""
    sha256: str
    file_id: str | None = None
    """Where in GridFS ``files`` the content is, when it is too large to be stored inline."""
    created_at: datetime
    updated_at: datetime


class FileDocument(WorkflowFile):
    """The whole document in ``workflow_files``, with the content of a small file."""

    text: str | None = None
    """The content; ``None`` when it is in GridFS."""
    replaced_file_id: str | None = None
    """Where the content was that the last write replaced: whoever wrote deletes those bytes."""


class FileWithContent(WorkflowFile):
    """A run file and its content, wherever that is stored."""

    text: str

    @property
    def content(self) -> JsonValue:
        """The content as it was given: the text, or what the JSON says.

        Raises:
            UnreadableError: The stored text is no JSON, although the file says so.
        """
        if self.format is not FileFormat.JSON:
            return self.text
        try:
            found: JsonValue = json.loads(self.text)
        except (ValueError, RecursionError) as exc:
            # The position and no text: errors show nothing that a user wrote.
            where = f"at {exc.pos:,}" if isinstance(exc, json.JSONDecodeError) else "that can be read"
            raise UnreadableError("FileDocument", self.id, f"its text is no JSON {where}") from exc
        return found


class ModelCall(Value):
    """The files of one group of ``api_calls``, by role; where a role is there twice, the newest.

    ``inputs``, ``outputs`` and ``others`` (files without a role) are in the order of their making.
    """

    group: str
    request: WorkflowFile | None = None
    response: WorkflowFile | None = None
    # With an underscore, since pydantic's own `schema` would be hidden.
    schema_: WorkflowFile | None = None
    metadata: WorkflowFile | None = None
    inputs: list[WorkflowFile] = Field(default_factory=list)
    outputs: list[WorkflowFile] = Field(default_factory=list)
    others: list[WorkflowFile] = Field(default_factory=list)

    @classmethod
    def of(cls, group: str, files: Iterable[WorkflowFile]) -> Self:
        """Return the call whose *files* these are, oldest first."""
        # The files come oldest first, so that the last of a role is the newest.
        by_role: dict[FileRole | None, list[WorkflowFile]] = {}
        for file in files:
            by_role.setdefault(file.role, []).append(file)
        newest = {role: found[-1] for role, found in by_role.items()}
        return cls(
            group=group,
            request=newest.get(FileRole.REQUEST),
            response=newest.get(FileRole.RESPONSE),
            schema_=newest.get(FileRole.SCHEMA),
            metadata=newest.get(FileRole.METADATA),
            inputs=by_role.get(FileRole.INPUT, []),
            outputs=by_role.get(FileRole.OUTPUT, []),
            others=by_role.get(None, []),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """A run file that a task writes, for the run and on the branch that the task works for.

    Args:
        name: Unique in its group, such as ``request.json``.
        content: A text, or with ``format=FileFormat.JSON`` any JSON value; at most 32 MiB as UTF-8.
        category: Which part of the run's tree.
        format: How the content is read.
        group: What belongs together, such as the id of a call; empty for none.
        role: What the file is in its call.
        metadata: What to say of it; at most 16 KiB as BSON.
    """

    __pydantic_config__ = STRICT
    name: Text
    content: Annotated[JsonValue, SkipValidation]
    category: FileCategory = FileCategory.OUTPUTS
    format: FileFormat = FileFormat.TEXT
    group: Text = ""
    role: FileRole | None = None
    metadata: NewJson = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile(TaskFile):
    """A run file to write; the arguments of ``TaskFile``, and whose file it is.

    Args:
        run_id: The run that it belongs to.
        branch_id: The branch that it was written on; empty when it belongs to all of them.
    """

    run_id: Name
    branch_id: Label

    @classmethod
    def of_task(cls, file: TaskFile, *, run_id: str, branch_id: str | None) -> Self:
        """Return *file* as one of the run and the branch of its task."""
        given = {one.name: getattr(file, one.name) for one in fields(TaskFile)}
        return cls(run_id=run_id, branch_id=branch_id or "", **given)
