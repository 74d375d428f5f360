"""Weighted keywords: words that an owner's workflow used, whose weights halve as time passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue, SkipValidation

from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Amount


class WeightedKeyword(Document):
    """A keyword that an owner's workflow used, as stored in ``weighted_keywords``; its weight halves as time passes."""

    owner_id: str
    template_id: str
    category: str
    keyword: str
    weight: float
    """When it was read: the weight at that time. When it is stored: the one at ``last_used_at``."""
    last_used_at: datetime
    details: StoredJson = Field(default_factory=dict)


class WeightedKeywordDocument(WeightedKeyword):
    """The whole document in ``weighted_keywords``."""

    use_id: str | None = None
    """The id of the last use."""
    use_ids: list[str] = Field(default_factory=list)
    """Digests of the ids of the last uses: none of these counts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedKeyword:
    """A keyword that was used.

    Args:
        keyword: The user's text, at most 4 KiB.
        category: What kind of keyword; the user's text too.
        weight: What the use adds: over 0, at most 1,000,000.
        details: What else to keep with it; the last use's details stay. JSON only, at most 4 KiB as BSON.
    """

    __pydantic_config__ = STRICT
    keyword: str
    category: str = ""
    weight: Amount = 1.0
    details: Annotated[dict[str, JsonValue], SkipValidation] = field(default_factory=dict)
