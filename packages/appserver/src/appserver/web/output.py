"""Output of any actor: the parts of a result and the files, as pages show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appdb.models import Content
from appserver.http.media import SHOWN_INLINE, file_url
from appserver.web.formats import size_of

MAX_TEXT_BYTES = 256 * 1024
"""A text file up to this size is shown in the page, a larger one is a link."""
TEXT_TYPES = ("text/", "application/json")


class FileForm(StrEnum):
    """The element that shows a file in the page; never one in which a browser would run it."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    FILE = "file"
    """A link: this browser can show it only after it was downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A content item of a task that is no film, as its page shows it."""

    id: str
    form: FileForm
    url: str
    name: str
    caption: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultField:
    """A part of a result: a text as it is, anything else as JSON."""

    name: str
    text: str
    is_text: bool


def file_of(content: Content) -> OutputFile:
    """Return *content* as the page shows it."""
    return OutputFile(
        id=content.id,
        form=form_of(content.media_type, content.size),
        url=file_url(content.id, content.sha256),
        name=content.filename,
        caption=content.caption or "",
        details=f"{content.media_type}, {size_of(content.size)}",
    )


def form_of(media_type: str, size: int) -> FileForm:
    """Return the element for bytes of *media_type*; only what is served inline is embedded."""
    kind = media_type.partition("/")[0]
    if media_type.startswith(TEXT_TYPES):
        return FileForm.TEXT if size <= MAX_TEXT_BYTES else FileForm.FILE
    if media_type in SHOWN_INLINE and kind in (FileForm.IMAGE, FileForm.AUDIO, FileForm.VIDEO):
        return FileForm(kind)
    return FileForm.FILE


def result_fields(result: Mapping[str, Any] | None) -> list[ResultField]:
    """Return the parts of a task's result, in its own order."""
    return [_field(name, value) for name, value in (result or {}).items()]


def _field(name: str, value: object) -> ResultField:
    if isinstance(value, str):
        return ResultField(name=name, text=value, is_text=True)
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return ResultField(name=name, text=text, is_text=False)
