"""Chat completions with streamed text, as OpenAI's API and the many servers that speak it have them.

Specification: https://platform.openai.com/docs/api-reference/chat (``POST /chat/completions`` with ``stream``).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appworker.errors import DiscardError, ProviderError
from appworker.providers.remote.http import check_answer, check_http, http_client, refusal

if TYPE_CHECKING:
    import httpx2

NAME = "openai-chat"
END = "[DONE]"
MAX_TEXT_CHARACTERS = 25_000
"""Of whatever letters, and twice as it is in a result with its value, they fit into what a task may give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request for a completion.

    Args:
        model: The model's name, as the service has it.
        messages: The conversation, oldest first: ``role`` and ``content``.
        output_schema: The JSON Schema of the answer; ``None`` for free text.
        options: Further fields of the request, such as ``temperature``.
        idempotency_key: The same for every attempt, so that a service that knows it answers a repeated call once.
    """

    model: str
    messages: Sequence[Mapping[str, str]]
    output_schema: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the request's JSON."""
        body: dict[str, Any] = {
            **self.options,
            "model": self.model,
            "messages": list(self.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.output_schema is not None:
            named = {"name": "output", "schema": self.output_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body


@dataclass(slots=True)
class ChatReply:
    """A completion, which grows while it is streamed."""

    model: str
    text: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input_tokens(self) -> int:
        """Tokens that went in; 0 where the service does not say."""
        return int(self.usage.get("prompt_tokens") or 0)

    @property
    def output_tokens(self) -> int:
        """Tokens that came out; 0 where the service does not say."""
        return int(self.usage.get("completion_tokens") or 0)

    def take(self, part: Mapping[str, Any]) -> str:
        """Add one part of the stream, and return the text that it brought."""
        self.model = part.get("model") or self.model
        # Services differ in whether the part with the usage has an empty list of choices, or none at all.
        self.usage = part.get("usage") or self.usage
        choice: Mapping[str, Any] = next(iter(part.get("choices") or ()), {})
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        told = (choice.get("delta") or choice.get("message") or {}).get("content")
        text = told if isinstance(told, str) else ""
        self.text += text
        return text


class OpenAIChat:
    """Chat completions of one service.

    Args:
        base_url: Its address up to the version, such as ``https://api.openai.com/v1``.
        api_key: Its key; ``None`` for a server that asks for none.
    """

    name = NAME

    def __init__(self, base_url: str, api_key: str | None) -> None:
        self._base_url = base_url
        self._api_key = api_key

    def check(self) -> None:
        """Check that this host can call it.

        Raises:
            ProviderUnavailableError: The HTTP client is not installed.
        """
        check_http(NAME)

    async def stream(self, request: ChatRequest, reply: ChatReply) -> AsyncIterator[str]:
        """Yield the texts of a completion as they come; *reply* is whole when it ends.

        Raises:
            ProviderError: The service or the way to it failed; another attempt may succeed.
            RetryLaterError: The service says when to come back.
            DiscardError: It refuses the request.
        """
        headers = {"Idempotency-Key": request.idempotency_key} if request.idempotency_key else {}
        async with http_client(NAME, self._base_url, self._api_key) as client:
            asked = client.stream("POST", "/chat/completions", json=request.body(), headers=headers)
            async with asked as answer:
                await check_answer(NAME, answer)
                async for part in _parts(answer):
                    if text := reply.take(part):
                        yield text
                    if len(reply.text) > MAX_TEXT_CHARACTERS:
                        raise DiscardError(
                            f"{NAME}: the answer is over {MAX_TEXT_CHARACTERS:,} characters; ask for less"
                        )
        if reply.finish_reason is None:
            raise ProviderError(f"{NAME}: the answer broke off after {len(reply.text):,} characters")


async def _parts(answer: httpx2.Response) -> AsyncIterator[Mapping[str, Any]]:
    import httpx2  # noqa: PLC0415 - an extra; who got here has it

    # Some servers do not stream, whatever they were asked for.
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        yield _part(await answer.aread())
        return
    async for event in httpx2.EventSource(answer):
        if event.data == END:
            return
        # A keep-alive may be an event without data.
        if event.data:
            yield _part(event.data)


def _part(raw: str | bytes) -> Mapping[str, Any]:
    try:
        part = json.loads(raw)
    except ValueError as exc:
        raise ProviderError(f"{NAME}: the service sent what is no JSON") from exc
    if not isinstance(part, Mapping):
        raise ProviderError(f"{NAME}: the service sent JSON that is no object")
    if error := part.get("error"):
        # An error in the middle of a stream has no status of its own; 500 and 503 are what its causes would have got.
        raise refusal(NAME, 500, json.dumps({"error": error}), None)
    return part
