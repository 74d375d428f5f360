"""Messages between a worker and an actor's process come out as they went in, and are bounded."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from appdb import InvalidDataError, NotFoundError, TooLargeError
from appdb.models import CallUsage, ContentKind, FileFormat, FileRole, NewContent, TaskFile
from appworker import AppWorkerError, DiscardError, RetryLaterError, TaskStoppedError
from appworker.errors import SuspendedError
from appworker.execution.process import frames
from appworker.execution.process.messages import (
    MAX_RESULT_BYTES,
    content_from_json,
    content_to_json,
    error_from_json,
    error_to_json,
    file_from_json,
    file_to_json,
    result_from_json,
    result_to_json,
    usage_from_json,
    usage_to_json,
)
from appworker.execution.results import (
    ActorDone,
    ActorFailed,
    ActorResult,
    ActorStopped,
    ActorSuspended,
    actor_result_of,
)
from appworker.execution.stop import StopReason

texts = st.text(max_size=50)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(texts, values, max_size=5)
pauses = st.none() | st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds))
failures = st.builds(ActorFailed, kind=texts, message=texts, retry=st.booleans(), retry_in=pauses)
outcomes = st.one_of(
    st.builds(ActorDone, result=st.none() | objects), failures, st.just(ActorStopped()), st.just(ActorSuspended())
)


async def sent(body: dict[str, object], blob: bytes = b"", *, limited: bool = True) -> frames.PipeFrame:
    reader = asyncio.StreamReader()
    reader.feed_data(frames.encode(body, blob))
    reader.feed_eof()
    return await frames.read(reader, limited=limited)


@given(objects, st.binary(max_size=100))
def test_frame_round_trips(body: dict[str, object], blob: bytes) -> None:
    assert asyncio.run(sent(body, blob)) == frames.PipeFrame(body=body, blob=blob)


@given(outcomes)
def test_outcome_round_trips(outcome: ActorResult) -> None:
    frame = asyncio.run(sent(result_to_json(outcome)))

    assert result_from_json(frame.body) == outcome


async def test_frame_over_limit_is_refused_unread() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data((frames.MAX_JSON_BYTES + 1).to_bytes(4) + bytes(4))

    with pytest.raises(frames.BrokenFrameError, match="1,048,577 bytes"):
        await frames.read(reader, limited=True)


async def test_truncated_frame_ends_pipe() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(frames.encode({"a": 1})[:-1])
    reader.feed_eof()

    with pytest.raises(EOFError):
        await frames.read(reader, limited=True)


async def test_frame_without_json_is_refused() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data((1).to_bytes(4) + bytes(4) + b"{")

    with pytest.raises(frames.BrokenFrameError, match="no JSON"):
        await frames.read(reader, limited=True)


def test_too_large_result_is_final_failure() -> None:
    found = result_from_json(result_to_json(ActorDone(result={"x": "y" * MAX_RESULT_BYTES})))

    assert isinstance(found, ActorFailed)
    assert (found.kind, found.retry) == ("TooLargeError", False)
    assert "store large data as content" in found.message


@pytest.mark.parametrize(
    "error",
    [
        TaskStoppedError("task-1", StopReason.TIMEOUT),
        TooLargeError("chunk", 100, 10),
        InvalidDataError("payload", "it is wrong"),
        NotFoundError("task", "task-1"),
        SuspendedError("task-1"),
        ValueError("no"),
    ],
)
def test_known_error_round_trips(error: Exception) -> None:
    found = error_from_json(error_to_json(error))

    assert (type(found), str(found)) == (type(error), str(error))


def test_unknown_error_names_its_kind() -> None:
    found = error_from_json(error_to_json(ZeroDivisionError("by zero")))

    assert (type(found), str(found)) == (AppWorkerError, "ZeroDivisionError: by zero")


def test_content_crosses_as_bytes_or_path(tmp_path: Path) -> None:
    item = NewContent(
        key="k", kind=ContentKind.IMAGE, role="r", media_type="image/png", filename="f.png", data=b"\x00", width=3
    )
    told, blob = content_to_json(item)

    assert content_from_json(told, blob) == item
    file = tmp_path / "f.png"
    from_file = NewContent(**{**told, "kind": ContentKind.IMAGE, "data": file})
    told, blob = content_to_json(from_file)
    assert (content_from_json(told, blob), blob) == (from_file, b"")


def test_too_large_content_tells_remedy() -> None:
    item = NewContent(
        key="k",
        kind=ContentKind.IMAGE,
        role="r",
        media_type="image/png",
        filename="f",
        data=bytes(frames.MAX_BLOB_BYTES + 1),
    )

    with pytest.raises(InvalidDataError, match="write a file, and store its Path"):
        content_to_json(item)


@pytest.mark.parametrize("stop", [None, StopReason.DRAIN])
def test_certain_outcome_survives_stop(stop: StopReason | None) -> None:
    assert actor_result_of(DiscardError("never"), stop) == ActorFailed(kind="Discarded", message="never", retry=False)
    assert actor_result_of(SuspendedError(), stop) == ActorSuspended()


def test_error_raised_by_stop_is_no_failure() -> None:
    assert actor_result_of(RuntimeError("aborted"), StopReason.DRAIN) == ActorStopped()
    assert actor_result_of(asyncio.CancelledError(), StopReason.TIMEOUT) == ActorStopped()


def test_actor_stopping_itself_has_failed() -> None:
    found = actor_result_of(asyncio.CancelledError(), None)

    assert found == ActorFailed(kind="CancelledError", message="the actor stopped itself", retry=True)


def test_actor_can_set_retry_time() -> None:
    after = timedelta(seconds=90)
    found = actor_result_of(RetryLaterError("the provider is busy", after), None)

    assert found == ActorFailed(kind="RetryLater", message="the provider is busy", retry=True, retry_in=after)
    with pytest.raises(ValueError, match="cannot be negative"):
        RetryLaterError("no", timedelta(seconds=-1))


@given(st.decimals(min_value=0, max_value=10**9, places=12), st.integers(0, 10**12), texts)
def test_usage_round_trips_exactly(cost: Decimal, tokens: int, name: str) -> None:
    usage = CallUsage(provider=name, model=name, operation="chat", cost=cost, units=cost, input_tokens=tokens)

    assert usage_from_json(json.loads(frames.to_json(usage_to_json(usage)))) == usage


@given(values, st.none() | st.sampled_from(list(FileRole)), texts, objects)
def test_run_file_round_trips(
    content: JsonValue, role: FileRole | None, name: str, metadata: dict[str, JsonValue]
) -> None:
    file = TaskFile(name=name, content=content, format=FileFormat.JSON, role=role, metadata=metadata)
    told, blob = file_to_json(file)

    assert file_from_json(json.loads(frames.to_json(told)), blob) == file


def test_what_is_not_exact_or_json_does_not_cross() -> None:
    with pytest.raises(InvalidDataError, match="cost"):
        usage_to_json(CallUsage(provider="p", model="m", operation="o", cost=0.1))  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match="units"):
        usage_from_json({"provider": "p", "model": "m", "operation": "o", "cost": "1", "units": "many"})
    with pytest.raises(InvalidDataError, match="content of 'a'"):
        file_to_json(TaskFile(name="a", content=float("nan")))
    with pytest.raises(TooLargeError):
        file_to_json(TaskFile(name="a", content="x" * frames.MAX_BLOB_BYTES))
