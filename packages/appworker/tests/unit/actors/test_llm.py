"""The llm actor, over real HTTP to a local server that follows the public API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from appsupport.hosts.recording_context import RecordingContext
from appsupport.providers.openai_server import openai_server
from appworker.actors.llm import chat_provider, check_llm, llm
from appworker.errors import DiscardError, InvalidPayloadError, ProviderError, ProviderUnavailableError


@pytest.fixture(autouse=True)
def _fresh_provider() -> Iterator[None]:
    chat_provider.cache_clear()
    yield
    chat_provider.cache_clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    with openai_server() as (base_url, asked):
        monkeypatch.setenv("APPWORKER_OPENAI_BASE_URL", base_url)
        yield asked


def conversation(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": text}], **more}


async def test_text_is_streamed_and_returned(asked: list[dict[str, Any]]) -> None:
    context = RecordingContext()

    result = await llm.run(context, conversation("two words"))

    assert context.said[:2] == [{"text": "TWO "}, {"text": "WORDS"}]
    key, usage = context.said[2]
    assert (key, usage.model, usage.input_tokens, usage.output_tokens) == ("call-2", "parrot", 3, 2)
    assert result == {
        "text": "TWO WORDS",
        "value": None,
        "model": "parrot",
        "finish_reason": "stop",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    assert asked[0]["headers"]["Idempotency-Key"] == context.idempotency_key
    assert "Authorization" not in asked[0]["headers"]


async def test_schema_gives_a_value(asked: list[dict[str, Any]]) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}

    result = await llm.run(RecordingContext(), conversation("a tale", output_schema=schema))

    assert result is not None
    assert result["value"] == {"title": "a tale"}
    assert len(asked) == 1


async def test_answer_that_is_no_json_is_tried_again(asked: list[dict[str, Any]]) -> None:
    with pytest.raises(ProviderError, match="its answer is no JSON"):
        await llm.run(
            RecordingContext(), conversation("a tale") | {"model": "prose", "output_schema": {"type": "null"}}
        )

    assert asked


@pytest.mark.usefixtures("asked")
async def test_filtered_answer_is_discarded() -> None:
    context = RecordingContext()

    with pytest.raises(DiscardError, match="refuses to answer"):
        await llm.run(context, conversation("anything") | {"model": "filtered"})

    assert context.said[-1][1].output_tokens == 1


async def test_payload_names_what_is_wrong() -> None:
    with pytest.raises(InvalidPayloadError, match="messages"):
        await llm.run(RecordingContext(), {"model": "parrot", "messages": []})


def test_missing_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPWORKER_OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("APPWORKER_OPENAI_BASE_URL", raising=False)

    with pytest.raises(ProviderUnavailableError, match="APPWORKER_OPENAI_API_KEY"):
        check_llm()


def test_key_is_taken_from_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPWORKER_OPENAI_API_KEY", "sk-from-settings")

    check_llm()

    assert chat_provider() is chat_provider()


async def test_answer_is_paid_once_over_attempts(asked: list[dict[str, Any]]) -> None:
    killed = RecordingContext()
    first = await llm.run(killed, conversation("two words"))

    again = await llm.run(RecordingContext(attempt=3, steps=killed.steps), conversation("two words"))

    assert again == first
    assert len(asked) == 1


async def test_answer_that_is_too_long_is_discarded(asked: list[dict[str, Any]]) -> None:
    with pytest.raises(DiscardError, match="25,000 characters"):
        await llm.run(RecordingContext(), conversation("word " * 6_000))

    assert asked
