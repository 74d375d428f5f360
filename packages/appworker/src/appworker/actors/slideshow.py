"""The slideshow actor: pictures and narrations that other tasks made become a video."""

from __future__ import annotations

import io
import tempfile
import wave
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field

from appdb import NotFoundError
from appdb.models import ContentKind, NewContent
from appworker.actors.base import actor
from appworker.actors.contexts import ActorContext
from appworker.actors.threads import in_thread
from appworker.errors import DiscardError
from appworker.providers.local.video.slideshow import Slideshow
from appworker.providers.results import SAMPLE_BYTES, DrawnPicture, Slide, Speech

SLIDESHOW = Slideshow()
MAX_SLIDES = 100
MAX_PIXELS = 1920 * 1080
READING_SHARE = 0.1
"""How much of the progress bar reading takes; encoding takes nearly all of the rest."""
SAVING_AT = 0.98

ContentId = Annotated[str, Field(min_length=1, max_length=100)]


class SlidePayload(BaseModel):
    """One slide: a picture, shown while its narration is heard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture_content_id: ContentId
    audio_content_id: ContentId


class SlideshowPayload(BaseModel):
    """The slides of a video, in order; all pictures of one size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: Annotated[tuple[SlidePayload, ...], Field(min_length=1, max_length=MAX_SLIDES)]
    title: str | None = Field(None, max_length=120, description="The video's caption.")


class SlideshowResult(BaseModel):
    """The video that was made."""

    content_ids: list[str]
    duration_seconds: float


def check_video() -> None:
    """Check that this host can encode.

    Raises:
        ProviderUnavailableError: An extra is missing.
    """
    SLIDESHOW.check()


@actor("slideshow", queue="media", timeout=timedelta(hours=1), requires=check_video)
async def slideshow(context: ActorContext, payload: SlideshowPayload) -> SlideshowResult:
    """Make a video of pictures and narrations of the same owner: H.264 and AAC."""
    await context.describe(
        operation="slides2video", provider=SLIDESHOW.name, source_data={"slides": len(payload.slides)}
    )
    with tempfile.TemporaryDirectory(prefix="appworker-") as folder:
        slides = await _slides(context, payload, Path(folder))
        target = Path(folder) / "video.mp4"

        def report(done: int, total: int) -> None:
            context.report(
                READING_SHARE + (SAVING_AT - READING_SHARE) * done / total, f"Encoding frame {done} of {total}"
            )

        seconds = round(await in_thread(lambda: SLIDESHOW.encode(slides, target, on_frame=report)), 3)
        await context.progress(SAVING_AT, "Saving the video")
        content_id = await context.store(_video_item(target, payload, slides[0].picture, seconds))
    return SlideshowResult(content_ids=[content_id], duration_seconds=seconds)


async def _slides(context: ActorContext, payload: SlideshowPayload, folder: Path) -> list[Slide]:
    slides = []
    for index, slide in enumerate(payload.slides):
        await context.progress(READING_SHARE * index / len(payload.slides), f"Reading slide {index + 1}")
        picture = await _bytes(context, slide.picture_content_id, folder / "picture")
        audio = await _bytes(context, slide.audio_content_id, folder / "audio")
        slides.append(
            Slide(
                picture=await in_thread(partial(picture_of, picture, slide.picture_content_id)),
                speech=speech_of(audio, slide.audio_content_id),
            )
        )
    if len({(slide.picture.width, slide.picture.height) for slide in slides}) > 1:
        raise DiscardError("slides: their pictures have different sizes; make all of them in one size")
    return slides


async def _bytes(context: ActorContext, content_id: str, target: Path) -> bytes:
    try:
        await context.read_content(content_id, target)
    except NotFoundError as exc:
        raise DiscardError(f"content {content_id}: it is not there; was it deleted?") from exc
    return await in_thread(target.read_bytes)


def picture_of(data: bytes, content_id: str) -> DrawnPicture:
    """Return the picture that *data* is, as PNG with even sides, as the encoder needs them.

    Raises:
        DiscardError: It is no picture, or too large.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            # Before anything is decoded: the head of a small file may promise a huge picture.
            if image.width * image.height > MAX_PIXELS:
                raise DiscardError(
                    f"content {content_id}: {image.width} x {image.height} pixels; use {MAX_PIXELS:,} at most"
                )
            even = image.convert("RGB").crop((0, 0, image.width & ~1, image.height & ~1))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as exc:
        raise DiscardError(f"content {content_id}: it is no picture that can be read") from exc
    file = io.BytesIO()
    even.save(file, "PNG", compress_level=1)
    return DrawnPicture(png=file.getvalue(), width=even.width, height=even.height, seed=0)


def speech_of(data: bytes, content_id: str) -> Speech:
    """Return the speech that *data* is.

    Raises:
        DiscardError: It is no WAV file of one channel with 16 bits.
    """
    try:
        with wave.open(io.BytesIO(data)) as reader:
            if (reader.getnchannels(), reader.getsampwidth()) != (1, SAMPLE_BYTES):
                raise DiscardError(f"content {content_id}: its sound must have one channel of 16 bits")
            return Speech(pcm=reader.readframes(reader.getnframes()), sample_rate=reader.getframerate())
    except (wave.Error, EOFError) as exc:
        raise DiscardError(f"content {content_id}: it is no WAV file") from exc


def _video_item(file: Path, payload: SlideshowPayload, first: DrawnPicture, seconds: float) -> NewContent:
    return NewContent(
        key="video",
        kind=ContentKind.VIDEO,
        role="video",
        media_type="video/mp4",
        filename="video.mp4",
        data=file,
        width=first.width,
        height=first.height,
        duration_seconds=seconds,
        caption=payload.title,
    )
