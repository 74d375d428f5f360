"""The media actor: a script becomes a narrated video, by local providers that are no AI."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import ContentKind, NewContent
from appworker.actors.base import actor
from appworker.actors.contexts import ActorContext
from appworker.actors.narration import DEFAULT_PACE, DEFAULT_VOICE, SPEECH
from appworker.actors.picture import CARDS
from appworker.actors.script import VISIBLE, scenes_of
from appworker.actors.threads import in_thread
from appworker.providers.local.pictures.cards import Card
from appworker.providers.local.video.slideshow import Slideshow
from appworker.providers.results import DrawnPicture, Slide, Speech

MAX_SCRIPT_CHARACTERS = 60_000
"""About an hour of film; of whatever letters, they fit into a payload. Hosts and their page read it from the schema."""
SCENES_SHARE = 0.5
"""How much of the progress bar drawing and speaking take; encoding takes the rest."""

SLIDESHOW = Slideshow()


class MediaPayload(BaseModel):
    """The script of a video, and how to film it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: Literal["script2video"] = Field(description="What to make: a narrated video of a script.")
    script: Annotated[str, Field(min_length=1, max_length=MAX_SCRIPT_CHARACTERS, pattern=VISIBLE)] = Field(
        description="The text; every paragraph, parted by a blank line, becomes a scene."
    )
    title: str | None = Field(None, max_length=120, description="Shown on the first scene.")
    voice: str = Field(
        DEFAULT_VOICE, min_length=2, max_length=40, description="An espeak-ng language, such as en, en-gb or de."
    )
    words_per_minute: int = Field(DEFAULT_PACE, ge=80, le=450, description="The pace of the narration.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Another seed draws other pictures.")
    width: int = Field(960, ge=320, le=1920, multiple_of=2, description="Pixels.")
    height: int = Field(540, ge=180, le=1080, multiple_of=2, description="Pixels.")


class MediaResult(BaseModel):
    """The video that was made."""

    video_content_id: str
    scenes: int
    duration_seconds: float


def check_media_extras() -> None:
    """Check that this host can speak and encode.

    Raises:
        ProviderUnavailableError: An extra is missing.
    """
    SPEECH.check()
    SLIDESHOW.check()


@actor("media", queue="media", timeout=timedelta(hours=1), requires=check_media_extras)
async def media(context: ActorContext, payload: MediaPayload) -> MediaResult:
    """Make a narrated video of a script: drawn cards, espeak-ng speech, H.264 and AAC."""
    scenes = scenes_of(payload.script)
    # Before anything is drawn or stored: a wrong voice should cost nothing.
    SPEECH.check_voice(payload.voice)
    await context.describe(
        operation=payload.operation,
        provider=f"{CARDS.name} + {SPEECH.name} + {SLIDESHOW.name}",
        source_data={"scenes": len(scenes)},
    )
    slides = []
    for index, scene in enumerate(scenes):
        slides.append(await _scene(context, payload, scene, index, len(scenes)))
    return await _video(context, payload, slides)


async def _scene(context: ActorContext, payload: MediaPayload, text: str, index: int, total: int) -> Slide:
    done = SCENES_SHARE * index / total
    await context.progress(done, f"Scene {index + 1} of {total}: drawing")
    card = Card(
        text=text,
        title=payload.title if index == 0 else None,
        number=index + 1,
        total=total,
        seed=payload.seed,
        width=payload.width,
        height=payload.height,
    )
    picture = await in_thread(lambda: CARDS.draw(card))
    await context.store(_picture_item(picture, text, index))
    await context.progress(done + SCENES_SHARE * 0.5 / total, f"Scene {index + 1} of {total}: speaking")
    speech = await in_thread(
        lambda: SPEECH.speak(
            text,
            voice=payload.voice,
            words_per_minute=payload.words_per_minute,
            check_stop=context.check_cancelled,
        )
    )
    await context.store(_narration_item(speech, text, index))
    return Slide(picture=picture, speech=speech)


async def _video(context: ActorContext, payload: MediaPayload, slides: list[Slide]) -> MediaResult:
    def report(done: int, total: int) -> None:
        context.report(SCENES_SHARE + (0.98 - SCENES_SHARE) * done / total, f"Encoding frame {done} of {total}")

    # A file, since the encoder goes back to its beginning at the end (``faststart``).
    with tempfile.TemporaryDirectory(prefix="appworker-") as folder:
        target = Path(folder) / "video.mp4"
        seconds = await in_thread(lambda: SLIDESHOW.encode(slides, target, on_frame=report))
        await context.progress(0.98, "Saving the video")
        content_id = await context.store(_video_item(target, payload, seconds))
    return MediaResult(video_content_id=content_id, scenes=len(slides), duration_seconds=round(seconds, 3))


def _picture_item(picture: DrawnPicture, text: str, index: int) -> NewContent:
    return NewContent(
        key=f"scene-{index:04}/picture",
        kind=ContentKind.IMAGE,
        role="picture",
        media_type="image/png",
        filename=f"scene-{index + 1:03}.png",
        data=picture.png,
        index=index,
        seed=picture.seed,
        width=picture.width,
        height=picture.height,
        caption=text,
    )


def _narration_item(speech: Speech, text: str, index: int) -> NewContent:
    return NewContent(
        key=f"scene-{index:04}/narration",
        kind=ContentKind.AUDIO,
        role="narration",
        media_type="audio/wav",
        filename=f"scene-{index + 1:03}.wav",
        data=speech.wav(),
        index=index,
        duration_seconds=round(speech.duration_seconds, 3),
        caption=text,
    )


def _video_item(file: Path, payload: MediaPayload, seconds: float) -> NewContent:
    return NewContent(
        key="video",
        kind=ContentKind.VIDEO,
        role="video",
        media_type="video/mp4",
        filename="video.mp4",
        data=file,
        seed=payload.seed,
        width=payload.width,
        height=payload.height,
        duration_seconds=round(seconds, 3),
        caption=payload.title,
    )
