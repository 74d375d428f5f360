"""The media actor on real input: what it takes, what it stores in which order, and how it stops."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import tempfile
import time
import wave
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import jsonschema
import pytest
from PIL import Image
from pydantic import JsonValue, ValidationError

from appdb.models import CallUsage, ContentKind, NewContent, Origin, TaskFile
from appworker.actors.media import MediaPayload, check_media_extras, media
from appworker.errors import DiscardError, TaskStoppedError

SCRIPT = "The keeper woke before the gulls did.\n\nShe lit the lamp. 💡\n\nFar out, a ship answered."


@dataclass(kw_only=True)
class RecordingContext:
    """Keeps what an actor says and stores; stops it when a message begins with *stop_when*."""

    stop_when: str | None = None
    task_id: str = "task-1"
    owner_id: str = "user-1"
    attempt: int = 1
    idempotency_key: str = "task-1"
    deadline: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=1))
    origin: Origin = field(default_factory=Origin)
    logger: logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.LoggerAdapter(logging.getLogger("test"), {})
    )
    steps: list[str] = field(default_factory=list)
    reports: list[tuple[float, str]] = field(default_factory=list)
    items: dict[str, NewContent] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    stopped_at: float | None = None

    @property
    def cancelled(self) -> bool:
        return self.stopped_at is not None

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise TaskStoppedError(self.task_id, "it was cancelled")

    def report(self, fraction: float, message: str = "") -> None:
        self.reports.append((fraction, message))
        if self.stop_when is not None and message.startswith(self.stop_when) and not self.cancelled:
            self.stopped_at = time.monotonic()
        self.check_cancelled()

    async def progress(self, fraction: float, message: str = "") -> None:
        self.report(fraction, message)

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        self.check_cancelled()
        self.steps.append(f"emit {sorted(data)}")

    async def read_content(self, content_id: str, target: Path) -> None:
        raise AssertionError(f"the media actor reads no content: {content_id}, {target}")

    async def store_file(self, file: TaskFile) -> str:
        self.check_cancelled()
        self.steps.append(f"store_file {file.name}")
        return f"file-{file.name}"

    async def record_usage(self, key: str, usage: CallUsage) -> str:
        self.steps.append(f"record_usage {key} {usage.cost}")
        return f"usage-{key}"

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        self.check_cancelled()
        self.steps.append("describe")
        self.described = {"operation": operation, "provider": provider, **source_data}

    async def store(self, item: NewContent) -> str:
        self.check_cancelled()
        self.steps.append(f"store {item.key}")
        self.items[item.key] = item
        self.stored[item.key] = item.data if isinstance(item.data, bytes) else item.data.read_bytes()
        return f"content-{item.key}"

    async def step(self, key: str, work: Callable[[], Awaitable[JsonValue] | JsonValue]) -> JsonValue:
        raise AssertionError(f"the media actor has no steps: {key}, {work}")

    async def spawn(
        self,
        key: str,
        actor: str,
        payload: Mapping[str, JsonValue],
        *,
        queue: str | None = None,
        priority: int | None = None,
    ) -> str:
        raise AssertionError(f"the media actor has no children: {key}, {actor}, {payload}, {queue}, {priority}")

    async def join(self) -> list[dict[str, JsonValue]]:
        raise AssertionError("the media actor has no children")


def payload(**fields: JsonValue) -> dict[str, JsonValue]:
    return {"operation": "script2video", "script": SCRIPT, "width": 320, "height": 180, **fields}


async def run(context: RecordingContext, **fields: JsonValue) -> dict[str, Any]:
    result = await media.run(context, payload(**fields))
    assert result is not None
    return result


async def test_script_becomes_pictures_narrations_and_video() -> None:
    context = RecordingContext()

    result = await run(context)

    scenes = [f"store scene-{index:04}/{what}" for index in range(3) for what in ("picture", "narration")]
    assert context.steps == ["describe", *scenes, "store video"]
    assert result["video_content_id"] == "content-video"
    assert result["scenes"] == 3
    assert context.described["operation"] == "script2video"
    assert context.described["scenes"] == 3


async def test_stored_items_match_their_media_types() -> None:
    context = RecordingContext()

    result = await run(context, seed=42)

    for index, text in enumerate(SCRIPT.split("\n\n")):
        picture, narration = (context.items[f"scene-{index:04}/{what}"] for what in ("picture", "narration"))
        assert (picture.kind, picture.media_type, picture.index) == (ContentKind.IMAGE, "image/png", index)
        assert (picture.width, picture.height, picture.seed, picture.caption) == (320, 180, 42, text)
        assert Image.open(io.BytesIO(context.stored[picture.key])).size == (320, 180)
        assert (narration.kind, narration.media_type, narration.index) == (
            ContentKind.AUDIO,
            "audio/wav",
            index,
        )
        with wave.open(io.BytesIO(context.stored[narration.key])) as reader:
            assert narration.duration_seconds == pytest.approx(reader.getnframes() / reader.getframerate(), abs=0.01)
    video = context.items["video"]
    assert (video.kind, video.media_type, video.filename) == (ContentKind.VIDEO, "video/mp4", "video.mp4")
    assert video.duration_seconds == result["duration_seconds"]


async def test_video_has_key_frame_per_scene_and_length() -> None:
    context = RecordingContext()

    result = await run(context)

    with av.open(io.BytesIO(context.stored["video"]), "r") as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(result["duration_seconds"], abs=0.2)
        packets = list(container.demux(container.streams.video[0]))
        assert sum(packet.is_keyframe for packet in packets if packet.size) == 3


async def test_progress_only_rises_with_readable_messages() -> None:
    context = RecordingContext()

    await run(context)

    fractions = [fraction for fraction, _ in context.reports]
    messages = [message for _, message in context.reports]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == pytest.approx(0.98)
    assert "Scene 2 of 3: speaking" in messages
    assert any(message.startswith("Encoding frame 1 of ") for message in messages)


async def test_second_run_stores_same_keys_and_bytes() -> None:
    first, second = RecordingContext(), RecordingContext(attempt=2)

    await run(first, seed=5)
    await run(second, seed=5)

    assert second.stored == first.stored


async def test_emoji_and_control_characters_survive() -> None:
    context = RecordingContext()

    result = await run(context, script="😀🎉\x00\n\n\x1b[31m👩\u200d🚀 \u202eabc\n\n!!!", title="\x00😀")

    assert result["scenes"] == 3
    assert context.items["scene-0001/picture"].caption == "[31m👩\u200d🚀 \u202eabc"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"voice": "xx"}, "voice: espeak-ng has no voice 'xx'"),
        ({"voice": "../../../../../../dev/null"}, "voice: espeak-ng has no voice"),
        ({"script": "x\n\n" * 101}, "script: it has 101 paragraphs"),
    ],
)
async def test_permanent_error_is_told_before_work(fields: dict[str, JsonValue], reason: str) -> None:
    context = RecordingContext()

    with pytest.raises(DiscardError) as caught:
        await run(context, **fields)

    assert reason in str(caught.value)
    assert context.steps == []


@pytest.mark.parametrize(
    "stop_when",
    ["Scene 1 of", "Scene 2 of 3: speaking", "Encoding frame 1 of", "Encoding frame 30 of", "Saving"],
)
async def test_stop_ends_actor_soon_without_leftovers(
    stop_when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    context = RecordingContext(stop_when=stop_when)

    with pytest.raises(TaskStoppedError):
        await run(context)

    assert context.stopped_at is not None
    assert time.monotonic() - context.stopped_at < 0.5
    assert "store video" not in context.steps
    assert os.listdir(tmp_path) == []


async def test_cancelled_actor_waits_for_thread_without_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    encoding = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Telling(RecordingContext):
        def report(self, fraction: float, message: str = "") -> None:
            super().report(fraction, message)
            if message.startswith("Encoding"):
                loop.call_soon_threadsafe(encoding.set)

    context = Telling()
    running = asyncio.ensure_future(media.run(context, payload(script=SCRIPT * 20)))
    async with asyncio.timeout(30):
        await encoding.wait()
    context.stopped_at = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert time.monotonic() - context.stopped_at < 0.5
    assert os.listdir(tmp_path) == []


def test_schema_is_valid_and_describes_fields() -> None:
    schema = media.payload_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["operation", "script"]
    assert all(field["description"] for field in schema["properties"].values())


GOOD: list[dict[str, JsonValue]] = [
    {},
    {"script": "x"},
    {"script": "😀"},
    {"script": "\n\n日本語\x00"},
    {"script": "x" * 60_000},
    {"title": None},
    {"title": "t" * 120},
    {"words_per_minute": 80},
    {"words_per_minute": 450},
    {"seed": 2**31 - 1},
    {"width": 1920, "height": 1080},
]
BAD: list[dict[str, JsonValue]] = [
    {"operation": "text2video"},
    {"script": ""},
    {"script": " \t\n"},
    {"script": "\x00\x1f\x7f\x85"},
    {"script": "\u200b\u2060\ufeff\u2028"},
    {"script": "x" * 60_001},
    {"script": None},
    {"script": 5},
    {"title": "t" * 121},
    {"voice": ""},
    {"voice": "v" * 41},
    {"words_per_minute": 79},
    {"words_per_minute": 451},
    {"words_per_minute": 100.5},
    {"seed": -1},
    {"seed": 2**31},
    {"width": 321},
    {"width": 318},
    {"height": 1082},
    {"unknown": 1},
]


@pytest.mark.parametrize("fields", GOOD, ids=str)
def test_schema_and_worker_accept_valid_payload(fields: dict[str, JsonValue]) -> None:
    jsonschema.validate(payload(**fields), media.payload_schema(), cls=jsonschema.Draft202012Validator)
    MediaPayload.model_validate(payload(**fields))


@pytest.mark.parametrize("fields", BAD, ids=str)
def test_schema_and_worker_refuse_invalid_payload(fields: dict[str, JsonValue]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(payload(**fields), media.payload_schema(), cls=jsonschema.Draft202012Validator)
    with pytest.raises(ValidationError):
        MediaPayload.model_validate(payload(**fields))


def test_host_can_make_media() -> None:
    assert media.requires is check_media_extras
    check_media_extras()
