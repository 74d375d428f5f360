"""Slides with narration as an MP4 (H.264 and AAC), encoded by PyAV, frame by frame."""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from appworker.errors import ProviderUnavailableError
from appworker.providers.results import SAMPLE_BYTES, Slide, Speech

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

NAME = "pyav-slideshow"

FRAMES_PER_SECOND = 12
PAUSE_SECONDS = 0.5
"""Silence after each slide's speech."""
AAC_SAMPLES = 1024
SPEECH_BITS_PER_SECOND = 64_000

OnFrame = Callable[[int, int], None]
"""Told of each frame: how many are done, and how many there are. What it raises ends the work."""


class Slideshow:
    """Encodes slides; a slide is shown as long as its speech lasts, and a little longer."""

    name = NAME

    def check(self) -> None:
        """Check that the encoder is here.

        Raises:
            ProviderUnavailableError: It is not; the message says how to install it.
        """
        _av()

    def encode(self, slides: Sequence[Slide], target: Path, *, on_frame: OnFrame) -> float:
        """Write *slides* to *target* as an MP4, and return its playing time in seconds.

        All slides have one size, in even pixels. Each begins with a key frame, so players can jump to it.

        Args:
            slides: At least one.
            target: The file to write; half a file stays when *on_frame* raises.
            on_frame: Told of each frame.

        Raises:
            ProviderUnavailableError: PyAV is not installed.
        """
        counts = [_frames(slide.speech) for slide in slides]
        with _av().open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            _encode(container, slides, counts, on_frame)
        return sum(counts) / FRAMES_PER_SECOND


def _encode(container: OutputContainer, slides: Sequence[Slide], counts: Sequence[int], on_frame: OnFrame) -> None:
    video = _video_stream(container, slides[0])
    audio = _audio_stream(container, slides[0].speech.sample_rate)
    narration = _Narration(container, audio, slides[0].speech.sample_rate)
    total, done = sum(counts), 0
    for slide, count in zip(slides, counts, strict=True):
        still = _frame(slide)
        for position, pcm in enumerate(_sound(slide.speech, count)):
            narration.add(pcm)
            container.mux(video.encode(_at(still, done, key=position == 0)))
            done += 1
            on_frame(done, total)
    narration.finish()
    container.mux(video.encode(None))


def _video_stream(container: OutputContainer, slide: Slide) -> VideoStream:
    stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
    stream.width, stream.height = slide.picture.width, slide.picture.height
    # The only pixel format that every player and browser decodes.
    stream.pix_fmt = "yuv420p"
    # A slide does not move, so a fast preset costs little size; slides bring their own key frames.
    longest = str(20 * FRAMES_PER_SECOND)
    stream.options = {"preset": "veryfast", "tune": "stillimage", "crf": "23", "g": longest}
    stream.time_base = Fraction(1, FRAMES_PER_SECOND)
    return stream


def _audio_stream(container: OutputContainer, sample_rate: int) -> AudioStream:
    stream = container.add_stream("aac", rate=sample_rate, layout="mono")
    stream.bit_rate = SPEECH_BITS_PER_SECOND
    return stream


class _Narration:
    """Feeds the AAC encoder frames of the size that it wants."""

    def __init__(self, container: OutputContainer, stream: AudioStream, sample_rate: int) -> None:
        self._container, self._stream, self._rate = container, stream, sample_rate
        self._waiting = bytearray()
        self._samples = 0

    def add(self, pcm: bytes) -> None:
        self._waiting += pcm
        size = AAC_SAMPLES * SAMPLE_BYTES
        whole = len(self._waiting) - len(self._waiting) % size
        for start in range(0, whole, size):
            self._encode(bytes(self._waiting[start : start + size]))
        del self._waiting[:whole]

    def finish(self) -> None:
        if self._waiting:
            self._encode(bytes(self._waiting))
        self._container.mux(self._stream.encode(None))

    def _encode(self, pcm: bytes) -> None:
        samples = len(pcm) // SAMPLE_BYTES
        frame = _av().AudioFrame(format="s16", layout="mono", samples=samples)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += samples
        self._container.mux(self._stream.encode(frame))


def _frames(speech: Speech) -> int:
    return math.ceil((speech.duration_seconds + PAUSE_SECONDS) * FRAMES_PER_SECOND)


def _sound(speech: Speech, frames: int) -> Iterator[bytes]:
    """Yield what is heard during each frame; after the speech, silence."""
    # Rounded at each frame's end and not per frame: the sound would drift away from the pictures.
    per_frame = speech.sample_rate / FRAMES_PER_SECOND
    ends = [SAMPLE_BYTES * round(frame * per_frame) for frame in range(frames + 1)]
    for start, end in pairwise(ends):
        yield speech.pcm[start:end].ljust(end - start, b"\0")


def _frame(slide: Slide) -> VideoFrame:
    image = Image.open(io.BytesIO(slide.picture.png)).convert("RGB")
    frame: VideoFrame = _av().VideoFrame.from_image(image).reformat(format="yuv420p")
    return frame


def _at(still: VideoFrame, position: int, *, key: bool) -> VideoFrame:
    still.pts = position
    still.time_base = Fraction(1, FRAMES_PER_SECOND)
    still.pict_type = _av().video.frame.PictureType.I if key else _av().video.frame.PictureType.NONE
    return still


def _av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as exc:
        remedy = "run `pip install 'appworker[video]'`"
        raise ProviderUnavailableError(NAME, "PyAV is not installed", remedy) from exc
