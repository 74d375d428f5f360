"""The picture and narration actors on real input."""

from __future__ import annotations

import io
import wave

import pytest
from PIL import Image

from appsupport.hosts.recording_context import RecordingContext
from appworker.actors.narration import narration
from appworker.actors.picture import picture
from appworker.errors import DiscardError, InvalidPayloadError


async def test_picture_repeats_with_its_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        context = RecordingContext()
        result = await picture.run(context, {"prompt": "A lighthouse", "seed": seed, "width": 320, "height": 180})
        assert result == {"content_ids": ["content-picture"], "seed": seed}
        drawn.append(context.stored["picture"])

    assert drawn[0] == drawn[1] != drawn[2]
    assert Image.open(io.BytesIO(drawn[0])).size == (320, 180)


async def test_narration_is_as_long_as_its_file() -> None:
    context = RecordingContext()

    result = await narration.run(context, {"text": "The keeper woke before the gulls did."})

    assert result is not None
    assert result["content_ids"] == ["content-narration"]
    with wave.open(io.BytesIO(context.stored["narration"])) as reader:
        assert result["duration_seconds"] == pytest.approx(reader.getnframes() / reader.getframerate(), abs=0.01)


async def test_wrong_voice_costs_nothing() -> None:
    context = RecordingContext()

    with pytest.raises(DiscardError, match="klingon"):
        await narration.run(context, {"text": "Hello", "voice": "klingon"})

    assert context.said == []


@pytest.mark.parametrize("prompt", ["", " \n\t", "x" * 4_001])
async def test_prompt_that_shows_nothing_is_refused(prompt: str) -> None:
    with pytest.raises(InvalidPayloadError, match="prompt"):
        await picture.run(RecordingContext(), {"prompt": prompt})
