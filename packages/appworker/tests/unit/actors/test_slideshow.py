"""The slideshow actor on real pictures and sounds."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import av
import pytest
from PIL import Image

from appsupport.hosts.recording_context import RecordingContext
from appworker.actors.narration import narration
from appworker.actors.picture import picture
from appworker.actors.slideshow import picture_of, slideshow, speech_of
from appworker.errors import DiscardError


async def made_content() -> dict[str, bytes]:
    context = RecordingContext()
    await picture.run(context, {"prompt": "A lighthouse", "width": 320, "height": 180})
    await narration.run(context, {"text": "The keeper woke."})
    return {"gc_picture": context.stored["picture"], "gc_audio": context.stored["narration"]}


async def test_slides_become_a_video_of_their_length() -> None:
    context = RecordingContext(contents=await made_content())
    slide = {"picture_content_id": "gc_picture", "audio_content_id": "gc_audio"}

    result = await slideshow.run(context, {"slides": [slide, slide]})

    assert result is not None
    assert result["content_ids"] == ["content-video"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video.mp4"
        file.write_bytes(context.stored["video"])
        with av.open(str(file)) as container:
            assert container.streams.video[0].width == 320
            assert (container.duration or 0) / 1_000_000 == pytest.approx(result["duration_seconds"], abs=0.2)


async def test_missing_content_is_named() -> None:
    slide = {"picture_content_id": "gc_gone", "audio_content_id": "gc_audio"}

    with pytest.raises(DiscardError, match="gc_gone"):
        await slideshow.run(RecordingContext(), {"slides": [slide]})


async def test_pictures_of_different_sizes_are_refused() -> None:
    contents = await made_content()
    other = io.BytesIO()
    Image.new("RGB", (640, 360)).save(other, "PNG")
    context = RecordingContext(contents=contents | {"gc_other": other.getvalue()})
    slides = [{"picture_content_id": name, "audio_content_id": "gc_audio"} for name in ("gc_picture", "gc_other")]

    with pytest.raises(DiscardError, match="different sizes"):
        await slideshow.run(context, {"slides": slides})


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_picture_are_named(data: bytes) -> None:
    with pytest.raises(DiscardError, match="gc_1: it is no picture"):
        picture_of(data, "gc_1")


def test_too_large_picture_is_refused() -> None:
    file = io.BytesIO()
    Image.new("1", (1922, 1082)).save(file, "PNG")

    with pytest.raises(DiscardError, match="1922 x 1082"):
        picture_of(file.getvalue(), "gc_1")


def test_odd_sides_lose_a_line() -> None:
    file = io.BytesIO()
    Image.new("RGB", (321, 181)).save(file, "PNG")

    made = picture_of(file.getvalue(), "gc_1")

    assert (made.width, made.height) == (320, 180)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\x00\x00\x00\x00WAVE"])
def test_bytes_that_are_no_sound_are_named(data: bytes) -> None:
    with pytest.raises(DiscardError, match="gc_2"):
        speech_of(data, "gc_2")
