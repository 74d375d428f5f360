"""The llm actor: a conversation becomes a text, streamed as a model writes it."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from appdb.models import CallUsage
from appworker.actors.base import actor
from appworker.actors.contexts import ActorContext
from appworker.errors import DiscardError, ProviderError, ProviderUnavailableError
from appworker.providers.remote.openai.chat import ChatReply, ChatRequest, OpenAIChat
from appworker.settings import OPENAI_BASE_URL, load_settings

MAX_MESSAGES = 200
MAX_PIECE_CHARACTERS = 10_000
"""Of one chunk of the log; a server that does not stream sends all at once."""


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]


class LlmPayload(BaseModel):
    """A conversation that a model goes on with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="The model's name.")
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    output_schema: dict[str, Any] | None = Field(None, description="The JSON Schema of the answer.")
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)


class LlmUsage(BaseModel):
    """The tokens of one call."""

    input_tokens: int
    output_tokens: int


class LlmResult(BaseModel):
    """The text that a model wrote."""

    text: str
    value: JsonValue = None
    """The text as JSON, where the payload has a schema."""
    model: str
    finish_reason: str
    usage: LlmUsage


@lru_cache(maxsize=1)
def chat_provider() -> OpenAIChat:
    """Return the service that this host's settings name.

    Raises:
        ProviderUnavailableError: It has no key, and is the one that needs one.
    """
    settings = load_settings()
    key = settings.openai_api_key
    if key is None and settings.openai_base_url == OPENAI_BASE_URL:
        remedy = "set APPWORKER_OPENAI_API_KEY, or APPWORKER_OPENAI_BASE_URL to a server without keys"
        raise ProviderUnavailableError(OpenAIChat.name, "it has no key", remedy)
    return OpenAIChat(settings.openai_base_url, None if key is None else key.get_secret_value())


def check_llm() -> None:
    """Check that this host can reach a model.

    Raises:
        ProviderUnavailableError: A setting or an extra is missing.
    """
    chat_provider().check()


@actor("llm", queue="llm", timeout=timedelta(minutes=10), requires=check_llm)
async def llm(context: ActorContext, payload: LlmPayload) -> LlmResult:
    """Let a model of an OpenAI-compatible service go on with a conversation, streaming its text."""
    # A step: an attempt that is killed behind it does not pay for the answer again.
    return LlmResult.model_validate(await context.step("answer", partial(_answer, context, payload)))


async def _answer(context: ActorContext, payload: LlmPayload) -> JsonValue:
    asked = payload.model_dump(exclude_none=True, include={"temperature", "max_tokens", "seed"})
    request = ChatRequest(
        model=payload.model,
        messages=[message.model_dump() for message in payload.messages],
        output_schema=payload.output_schema,
        options=asked,
        idempotency_key=context.idempotency_key,
    )
    reply = ChatReply(model=payload.model)
    try:
        await _speak(context, request, reply)
    finally:
        # Also of an answer that broke off: what was said was paid for. What it costs, no service tells.
        await context.record_usage(f"call-{context.attempt}", _usage(reply))
    return _result(payload, reply).model_dump(mode="json")


async def _speak(context: ActorContext, request: ChatRequest, reply: ChatReply) -> None:
    async for text in chat_provider().stream(request, reply):
        for start in range(0, len(text), MAX_PIECE_CHARACTERS):
            await context.emit({"text": text[start : start + MAX_PIECE_CHARACTERS]})


def _usage(reply: ChatReply) -> CallUsage:
    return CallUsage(
        provider=OpenAIChat.name,
        model=reply.model,
        operation="chat",
        cost=Decimal(0),
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
    )


def _result(payload: LlmPayload, reply: ChatReply) -> LlmResult:
    if reply.finish_reason == "content_filter":
        raise DiscardError(f"model {reply.model}: it refuses to answer; say it otherwise")
    return LlmResult(
        text=reply.text,
        value=None if payload.output_schema is None else _value(reply),
        model=reply.model,
        finish_reason=reply.finish_reason or "",
        usage=LlmUsage(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        ),
    )


def _value(reply: ChatReply) -> JsonValue:
    try:
        value: JsonValue = json.loads(reply.text)
    except ValueError as exc:
        # A text that was cut off at `max_tokens` is no JSON either; another attempt may be shorter.
        why = f"it ended by {reply.finish_reason}"
        raise ProviderError(f"model {reply.model}: its answer is no JSON ({why})") from exc
    return value
