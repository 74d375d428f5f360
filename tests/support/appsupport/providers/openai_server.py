"""A local server of OpenAI's chat completions, streamed as the public API has them.

A model's name says how it acts: most say the last message in capitals, or JSON that fits the schema that is asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

PLAIN_ANSWERS: dict[str, tuple[int, dict[str, str], dict[str, Any]]] = {
    "limited": (429, {"Retry-After": "7"}, {"error": {"message": "Rate limit reached", "type": "requests"}}),
    "overloaded": (503, {}, {"error": {"message": "The engine is overloaded"}}),
    "unknown": (404, {}, {"error": {"message": "The model `unknown` does not exist", "code": "model_not_found"}}),
    "locked": (401, {}, {"error": {"message": "Incorrect API key provided"}}),
}
"""What the server answers for these models: a status, headers, and a body."""


class OpenAIHandler(BaseHTTPRequestHandler):
    """Handles one request; what was asked is kept in ``requests``."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        """Answer ``/v1/chat/completions``."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
        model = body["model"]
        if self.path != "/v1/chat/completions":
            self._plain(404, {}, {"error": {"message": f"Unknown request URL: POST {self.path}"}})
        elif model in PLAIN_ANSWERS:
            self._plain(*PLAIN_ANSWERS[model])
        elif model == "unstreamed":
            message = {"role": "assistant", "content": _text(body)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
            self._plain(200, {}, {"model": model, "choices": [choice], "usage": usage})
        else:
            self._stream(model, _text(body))

    def _plain(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, model: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self._event({"role": "assistant", "content": ""}, model)
        words = [word + " " for word in text.split(" ")[:-1]] + [text.rsplit(" ", maxsplit=1)[-1]]
        for number, word in enumerate(words):
            if model == "broken" and number == 2:
                return
            if model == "failing" and number == 1:
                self._send({"error": {"message": "The server had an error", "type": "server_error"}})
                return
            self._event({"content": word}, model)
        reason = "content_filter" if model == "filtered" else "stop"
        self._event({}, model, reason)
        usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
        self._send(
            {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [], "usage": usage}
        )
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, delta: dict[str, Any], model: str, reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        self._chunk(model, choices=[choice])

    def _chunk(self, model: str, **part: Any) -> None:
        self._send({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, **part})

    def _send(self, part: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(part).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _text(body: dict[str, Any]) -> str:
    last: str = body["messages"][-1]["content"]
    wanted = body.get("response_format")
    if wanted and body["model"] != "prose":
        return json.dumps(_fitting(wanted["json_schema"]["schema"], last))
    return last.upper()


def _fitting(schema: dict[str, Any], text: str) -> Any:
    match schema.get("type"):
        case "object":
            return {name: _fitting(part, text) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_fitting(schema.get("items", {}), text) for _ in range(schema.get("minItems", 2))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return schema.get("enum", [text])[0]


@contextmanager
def openai_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the base URL of a running server, and the list of what it is asked."""
    asked: list[dict[str, Any]] = []
    handler = type("Handler", (OpenAIHandler,), {"requests": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
