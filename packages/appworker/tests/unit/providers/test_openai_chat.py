"""Chat completions over real HTTP, from a local server that follows the public API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from appsupport.providers.openai_server import openai_server
from appworker.errors import DiscardError, ProviderError, RetryLaterError
from appworker.providers.remote.http import LONGEST_PAUSE, pause_of, refusal
from appworker.providers.remote.openai.chat import ChatReply, ChatRequest, OpenAIChat

Asked = list[dict[str, Any]]


@pytest.fixture
def server() -> Iterator[tuple[str, Asked]]:
    with openai_server() as running:
        yield running


async def say(base_url: str, text: str, *, model: str = "parrot", **more: Any) -> tuple[list[str], ChatReply]:
    request = ChatRequest(model=model, messages=[{"role": "user", "content": text}], **more)
    reply = ChatReply(model=model)
    texts = [part async for part in OpenAIChat(base_url, "sk-secret").stream(request, reply)]
    return texts, reply


async def test_text_comes_in_parts_with_usage(server: tuple[str, Asked]) -> None:
    texts, reply = await say(server[0], "once upon a time", idempotency_key="tq_1", options={"seed": 4})

    assert texts == ["ONCE ", "UPON ", "A ", "TIME"]
    assert (reply.text, reply.finish_reason) == ("ONCE UPON A TIME", "stop")
    assert reply.usage["completion_tokens"] == 4
    asked = server[1][0]
    assert (asked["body"]["seed"], asked["body"]["stream"]) == (4, True)
    assert asked["headers"]["Idempotency-Key"] == "tq_1"
    assert asked["headers"]["Authorization"] == "Bearer sk-secret"


async def test_schema_is_asked_for_strictly(server: tuple[str, Asked]) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}

    _, reply = await say(server[0], "a tale", output_schema=schema)

    assert reply.text == '{"title": "a tale"}'
    assert server[1][0]["body"]["response_format"]["json_schema"]["strict"] is True


async def test_server_that_does_not_stream_is_understood(server: tuple[str, Asked]) -> None:
    texts, reply = await say(server[0], "whole", model="unstreamed")

    assert (texts, reply.finish_reason) == (["WHOLE"], "stop")


@pytest.mark.parametrize(
    ("model", "error", "told"),
    [
        ("limited", RetryLaterError, "429: Rate limit reached"),
        ("overloaded", ProviderError, "503: The engine is overloaded"),
        ("unknown", DiscardError, "404: The model `unknown` does not exist"),
        ("locked", DiscardError, "must check the key"),
        ("broken", ProviderError, "broke off after 8 characters"),
        ("failing", ProviderError, "The server had an error"),
    ],
)
async def test_refusal_says_what_can_help(
    server: tuple[str, Asked], model: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told) as raised:
        await say(server[0], "one two three four", model=model)

    assert "sk-secret" not in str(raised.value)
    assert getattr(raised.value, "after", timedelta(seconds=7)) == timedelta(seconds=7)


async def test_unreachable_service_is_named() -> None:
    with pytest.raises(ProviderError, match=r"http://127\.0\.0\.1:9/v1"):
        await say("http://127.0.0.1:9/v1", "anybody there")


def test_retry_after_is_seconds_or_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)

    assert pause_of("30") == timedelta(seconds=30)
    assert timedelta(seconds=50) < (pause_of(in_a_minute) or timedelta(0)) <= timedelta(seconds=60)
    assert pause_of(past) == timedelta(0)
    assert pause_of("99999999999999") == LONGEST_PAUSE
    assert [pause_of(odd) for odd in (None, "", "soon", "-3", "1.5", "²")] == [None] * 6


@pytest.mark.parametrize("body", ["", "<html>no</html>", "[1]", '{"detail": "gone"}', '{"error": "odd"}', "null"])
def test_body_of_refusal_may_be_anything(body: str) -> None:
    assert str(refusal("service", 400, body, None)).startswith("service answered 400: ")
