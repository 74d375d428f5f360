"""Limits: how many tasks of one key run at a time and per second, over all workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self, TypeAlias

from pydantic import Field

from appdb.models.base import Document, Value
from appdb.models.bounds import MAX_NAME_CHARACTERS, STRICT, Duration, Name, Positive, StoredSpan, bounded_duration

Rate: TypeAlias = tuple[int, float]
"""How many tasks in how many seconds: a bucket of tokens that starts full and fills again evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit shared by every task that names its key, over all workers, also after crashes.

    Where tasks name one key with different numbers, or one task names it twice, each number holds: a task starts when
    all that it names allow it, counting everything under the key, and when no task that runs allows fewer.

    Args:
        key: What is limited, such as ``provider:openai`` or ``user:usr_1``; at most 200 characters.
        concurrency: How many tasks with this key may run at a time; ``None`` for any number.
        rate: How many tasks with this key may be claimed in *per*; ``None`` for any number. Up to that many may be
            claimed at once (a token bucket that starts full).
        per: The time that *rate* is for.

    Raises:
        ValueError: The key is empty or too long, nothing is limited, or a number is not positive.
    """

    __pydantic_config__ = STRICT
    key: Name
    concurrency: Positive | None = None
    rate: Positive | None = None
    per: Duration = timedelta(seconds=1)

    def __post_init__(self) -> None:
        # Here and not in `accept` alone: actors declare limits in their source, long before a task has them.
        if not 0 < len(self.key) <= MAX_NAME_CHARACTERS:
            raise ValueError(f"limit {self.key[:40]!r}: the key must have 1 to {MAX_NAME_CHARACTERS} characters")
        if self.concurrency is None and self.rate is None:
            raise ValueError(f"limit {self.key!r}: give concurrency=, rate= or both")
        if min(self.concurrency or 1, self.rate or 1) < 1 or 0 in (self.concurrency, self.rate):
            raise ValueError(f"limit {self.key!r}: concurrency and rate must be at least 1")
        if self.per < timedelta(milliseconds=1):
            raise ValueError(f"limit {self.key!r}: per must be at least a millisecond")


# Limits travel with tasks (decision 0006): new keys, such as one for each user, need no set-up.
class TaskLimit(Value):
    """A limit as documents hold it; see ``Limit``."""

    key: str
    concurrency: int | None = Field(default=None, ge=1)
    rate: int | None = Field(default=None, ge=1)
    per_seconds: StoredSpan = 1.0

    @classmethod
    def of(cls, limit: Limit) -> Self:
        """Return the stored form of *limit*."""
        return cls(key=limit.key, concurrency=limit.concurrency, rate=limit.rate, per_seconds=limit.per.total_seconds())

    def limit(self) -> Limit:
        """Return what this is the stored form of."""
        per = bounded_duration(self.per_seconds)
        return Limit(key=self.key, concurrency=self.concurrency, rate=self.rate, per=per)


class LimitOverride(Value):
    """The numbers that an operator set for a key; they count whatever tasks carry."""

    concurrency: int | None = Field(default=None, ge=1)
    rate: int | None = Field(default=None, ge=1)
    per_seconds: StoredSpan = 1.0


# One bucket for all rates of a key would hold for none of them, once two tasks carry different ones.
class TokenBucket(Value):
    """The tokens that one rate of a key has left."""

    rate: int
    per_seconds: StoredSpan
    tokens: float


class StoredLimit(Document):
    """The state of a limit key, as stored in ``limits``: an operator's numbers, and the tokens of its rates."""

    key: str | None = None
    """The same as ``id``; missing where an operator set a limit that nothing was claimed under."""
    override: LimitOverride | None = None
    buckets: list[TokenBucket] = Field(default_factory=list)
    buckets_at: datetime | None = None
    """The server's time that the tokens in ``buckets`` are of."""
    tokens: float | None = None
    """The fewest tokens of all buckets, and ``refilled_at`` the time of that: hosts of release 0.3 and before know one
    bucket only."""
    refilled_at: datetime | None = None
    full_at: datetime | None = None
    """When all buckets are full again, so that the document may be forgotten."""
    used: int | None = None
    """Counts the claims under the key: of two that counted the same tokens, one is refused."""
