"""Frames: the events of a log as they are sent, encoded once for all of their viewers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appdb import TaskEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFrame:
    """One event as it is sent.

    Args:
        seq: The number of the newest event that a viewer knows after this frame.
        final: Whether nothing follows.
        text: The bytes on the wire, in the form of the face that encoded them.
    """

    seq: int
    final: bool
    text: bytes

    @property
    def weight(self) -> int:
        """The bytes that a viewer which has yet to take it holds."""
        return len(self.text)


EncodeEvent = Callable[[TaskEvent], StreamFrame]
"""The form in which a face sends an event."""
