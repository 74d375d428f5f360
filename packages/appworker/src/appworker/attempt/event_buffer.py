"""The event buffer: keeps the events of an attempt, its chunks in batches and its latest progress until a write."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from appdb import NewEvent, Progress, TaskEventType
from appdb.host import MAX_EVENT_BYTES, MAX_WRITE_BYTES

MAX_BATCH = 200
"""Events that one write may hold."""
MAX_BATCH_BYTES = MAX_WRITE_BYTES * 3 // 4
"""Below the limit of a write, since the outcome may go with the last batch."""
MAX_CHUNKS = 500
"""Chunks of one event."""
ENVELOPE_BYTES = 256
"""The weight of an event beside its chunks."""
CHUNK_OVERHEAD_BYTES = 12
"""The weight of a chunk beside its data: BSON names each member of an array."""

Chunk = Mapping[str, JsonValue]


class EventBuffer:
    """Takes events from any thread, until the control loop takes them out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[tuple[NewEvent, int]] = []
        self._chunks: list[Chunk] = []
        self._chunk_bytes = 0
        self._progress: Progress | None = None

    def add_event(self, event: NewEvent) -> None:
        """Add *event*, which is small."""
        with self._lock:
            self._events.append((event, ENVELOPE_BYTES))

    def keep_progress(self, progress: Progress) -> None:
        """Keep *progress* as the latest."""
        with self._lock:
            self._progress = progress

    def add_chunk(self, chunk: Chunk, size: int) -> int:
        """Add *chunk*, of *size* bytes, and return how many events and chunks wait."""
        with self._lock:
            # An event has 64 KiB, and readers get whole events.
            if len(self._chunks) == MAX_CHUNKS or self._chunk_bytes + size + ENVELOPE_BYTES > MAX_EVENT_BYTES:
                self._close_batch()
            self._chunks.append(chunk)
            self._chunk_bytes += size + CHUNK_OVERHEAD_BYTES
            # An upper bound is enough: the caller only compares it with its limit.
            batches = sum(event.type is TaskEventType.CHUNK for event, _ in self._events)
            return batches * MAX_CHUNKS + len(self._chunks)

    def take(self) -> tuple[list[NewEvent], bool]:
        """Return the next events, at most a batch, the latest progress last; and whether more wait."""
        with self._lock:
            self._close_batch()
            count = self._batch_size()
            events, self._events = [event for event, _ in self._events[:count]], self._events[count:]
            more = bool(self._events)
            progress, self._progress = self._progress, None
        # Last, since it is newer than the events: it was kept while they were added.
        if progress is not None:
            events.append(NewEvent(type=TaskEventType.PROGRESS, data=progress.model_dump()))
        return events, more

    def put_back(self, events: Sequence[NewEvent]) -> None:
        """Put *events* back in front, since they were not written."""
        with self._lock:
            self._events = [*((event, ENVELOPE_BYTES) for event in events), *self._events]

    def clear(self) -> None:
        """Forget everything."""
        self.take()
        with self._lock:
            self._events = []

    def _batch_size(self) -> int:
        size = 0
        for count, (_, weight) in enumerate(self._events[:MAX_BATCH]):
            size += weight
            if count and size > MAX_BATCH_BYTES:
                return count
        return min(len(self._events), MAX_BATCH)

    def _close_batch(self) -> None:
        if self._chunks:
            data: dict[str, JsonValue] = {"chunks": [dict(chunk) for chunk in self._chunks]}
            self._events.append((NewEvent(type=TaskEventType.CHUNK, data=data), self._chunk_bytes + ENVELOPE_BYTES))
            self._chunks, self._chunk_bytes = [], 0
