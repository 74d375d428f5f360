"""The results of providers: speech, pictures and slides as plain values."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from dataclasses import dataclass

CheckStop = Callable[[], None]
"""Raises when the work must end; providers call it often enough that it is heeded within half a second."""

SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Spoken text: one channel of signed 16-bit little-endian samples."""

    pcm: bytes
    sample_rate: int
    """Samples per second."""

    @property
    def duration_seconds(self) -> float:
        """Playing time."""
        return len(self.pcm) / SAMPLE_BYTES / self.sample_rate

    def wav(self) -> bytes:
        """Return the speech as a WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(SAMPLE_BYTES)
            writer.setframerate(self.sample_rate)
            writer.writeframes(self.pcm)
        return file.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPicture:
    """A drawn picture, as a PNG file."""

    png: bytes
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slide:
    """A picture, and the speech while it is shown."""

    picture: DrawnPicture
    speech: Speech
