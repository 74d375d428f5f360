"""The narration actor: a text is spoken, by espeak-ng on this host."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import ContentKind, NewContent
from appworker.actors.base import actor
from appworker.actors.contexts import ActorContext
from appworker.actors.script import VISIBLE
from appworker.actors.threads import in_thread
from appworker.providers.local.speech.espeak import EspeakSpeech

SPEECH = EspeakSpeech()
MAX_TEXT_CHARACTERS = 20_000
DEFAULT_VOICE = "en"
DEFAULT_PACE = 165


class NarrationPayload(BaseModel):
    """A text to speak, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=VISIBLE)]
    voice: str = Field(
        DEFAULT_VOICE, min_length=2, max_length=40, description="An espeak-ng language, such as en, en-gb or de."
    )
    words_per_minute: int = Field(DEFAULT_PACE, ge=80, le=450, description="The pace.")


class NarrationResult(BaseModel):
    """The speech that was made."""

    content_ids: list[str]
    duration_seconds: float


def check_speech() -> None:
    """Check that this host can speak.

    Raises:
        ProviderUnavailableError: An extra is missing.
    """
    SPEECH.check()


@actor("narration", queue="media", timeout=timedelta(minutes=30), requires=check_speech)
async def narration(context: ActorContext, payload: NarrationPayload) -> NarrationResult:
    """Speak a text with espeak-ng, as a WAV file."""
    # Before anything is recorded: a wrong voice should cost nothing.
    SPEECH.check_voice(payload.voice)
    await context.describe(operation="txt2audio", provider=SPEECH.name, source_data={"voice": payload.voice})
    speech = await in_thread(
        lambda: SPEECH.speak(
            payload.text,
            voice=payload.voice,
            words_per_minute=payload.words_per_minute,
            check_stop=context.check_cancelled,
        )
    )
    seconds = round(speech.duration_seconds, 3)
    content_id = await context.store(
        NewContent(
            key="narration",
            kind=ContentKind.AUDIO,
            role="narration",
            media_type="audio/wav",
            filename="narration.wav",
            data=speech.wav(),
            duration_seconds=seconds,
            caption=payload.text,
        )
    )
    return NarrationResult(content_ids=[content_id], duration_seconds=seconds)
