"""The worker's answers to calls of an actor's process: methods of its context, and no other."""

from __future__ import annotations

from pathlib import Path

from appworker.execution.executor_context import ExecutorContext
from appworker.execution.process.frames import PipeFrame, encode
from appworker.execution.process.messages import content_from_json, error_to_json, file_from_json, usage_from_json

METHODS = frozenset({"describe", "emit", "join", "get_step", "save_step", "spawn"})
"""Methods whose arguments and values are JSON; the others take what is told as JSON, and bytes."""


async def answer_to(call: PipeFrame, context: ExecutorContext) -> bytes:
    """Make *call* on *context*, and return the frame to send: a value, or the error that the actor is to see."""
    answer = {"type": "answer", "number": call.body["number"]}
    try:
        return encode(answer | {"value": await _value(call, context)})
    except Exception as exc:  # noqa: BLE001 - it is raised where the call was made
        return encode(answer | {"error": error_to_json(exc)})


async def _value(call: PipeFrame, context: ExecutorContext) -> object:
    method, arguments = call.body["method"], call.body["arguments"]
    match method:
        case "store":
            return await context.store(content_from_json(arguments["item"], call.blob))
        case "read_content":
            await context.read_content(arguments["content_id"], Path(arguments["target"]))
            return None
        case "store_file":
            return await context.store_file(file_from_json(arguments["file"], call.blob))
        case "record_usage":
            return await context.record_usage(arguments["key"], usage_from_json(arguments["usage"]))
    # An actor's code may be hostile, and ``getattr`` would reach everything.
    if method not in METHODS:
        raise ValueError(f"an actor's process has no {method!r} to call")
    return await getattr(context, method)(**arguments)
