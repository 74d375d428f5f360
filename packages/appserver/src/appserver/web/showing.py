"""How what an actor gave is shown: as what it is, and never as anything that a browser would run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from appdb.models.generated_content import Content
from appserver.api.routes.contents import SHOWN_INLINE
from appserver.api.schemas.tasks import file_url

MAX_TEXT_BYTES = 256 * 1024
"""A text file up to this size is shown in the page, a larger one is a link."""
TEXT_TYPES = ("text/", "application/json")
UNITS = ("bytes", "KiB", "MiB", "GiB")


class Form(StrEnum):
    """What stands for an item in the page."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    FILE = "file"
    """A link: this browser can show it only after it was downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A content item of a task that is no film."""

    id: str
    form: Form
    url: str
    name: str
    caption: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A part of a result: a text as it is, anything else as JSON."""

    name: str
    text: str
    is_text: bool


def item_of(content: Content) -> Item:
    """Return *content* as the page shows it."""
    return Item(
        id=content.id,
        form=form_of(content.media_type, content.size),
        url=file_url(content.id, content.sha256),
        name=content.filename,
        caption=content.caption or "",
        details=f"{content.media_type}, {size_of(content.size)}",
    )


def form_of(media_type: str, size: int) -> Form:
    """Return what stands for bytes of *media_type*; only what is served inline is embedded."""
    kind = media_type.partition("/")[0]
    if media_type.startswith(TEXT_TYPES):
        return Form.TEXT if size <= MAX_TEXT_BYTES else Form.FILE
    if media_type in SHOWN_INLINE and kind in (Form.IMAGE, Form.AUDIO, Form.VIDEO):
        return Form(kind)
    return Form.FILE


def fields_of(result: Mapping[str, Any] | None) -> list[Field]:
    """Return the parts of a task's result, in its own order."""
    return [_field(name, value) for name, value in (result or {}).items()]


def size_of(count: int) -> str:
    """Return a number of bytes as people read it."""
    size, unit = float(count), UNITS[0]
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            break
        size /= 1024
    return f"{count:,} bytes" if unit == UNITS[0] else f"{size:.1f} {unit}"


def _field(name: str, value: object) -> Field:
    if isinstance(value, str):
        return Field(name=name, text=value, is_text=True)
    return Field(name=name, text=json.dumps(value, ensure_ascii=False, indent=2, default=str), is_text=False)


def clock_of(moment: datetime) -> str:
    """Return a time as people read it."""
    return f"{moment:%d %B %Y, %H:%M:%S} UTC"
