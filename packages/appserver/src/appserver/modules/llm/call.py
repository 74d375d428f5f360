"""``llm.call@1``: a language model goes on with a conversation; feedback makes it longer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from appserver.modules.contract import Await, Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen, Try
from appserver.modules.json_schemas import misfits, narrowed, schema_problems, unfilled_problems
from appserver.modules.work import TaskInputs, failure_of, result_of, task_call

ACTOR = QUEUE = "llm"
KEY = "call"
MAX_TRIES = 20
"""Of which a model is told: the last ones."""


class ModelMessage(Ports):
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, max_length=200_000)


class CallInputs(TaskInputs):
    """A conversation."""

    model: str = Field(min_length=1, max_length=200, description="The model's name, as its service has it.")
    system: str = Field("", max_length=200_000, description="What the model is told first.")
    messages: list[ModelMessage] = Field(default_factory=list, max_length=100, description="What was said so far.")
    prompt: str = Field("", max_length=200_000, description="What is said last.")
    schema_: dict[str, JsonValue] | None = Field(
        None, alias="schema", description="The JSON Schema of the answer; without, it is a text."
    )
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)


class CallOutputs(Ports):
    """The text of a model."""

    text: str = Field(description="Its text.")
    value: JsonValue = Field(description="The text as JSON, where there is a schema.")
    model: str = Field(description="The model that answered.")
    finish_reason: str = Field(description="Why it ended.")
    usage: dict[str, JsonValue] = Field(description="Its tokens: ``input_tokens`` and ``output_tokens``.")


class Call(Module[CallInputs, CallOutputs]):
    """Lets a language model answer, in text or by a JSON Schema; after feedback it sees what it wrote before."""

    type = "llm.call@1"
    kind = ModuleKind.TASK
    Inputs = CallInputs
    Outputs = CallOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "model": "small",
        "system": "You write short films.",
        "prompt": "Write a scene about a tide pool.",
        "schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return why the schema cannot be used."""
        return unfilled_problems(inputs)

    def decide(self, inputs: CallInputs, seen: Seen) -> Await | Done | Fail:
        """Start the call, and give what was written."""
        work = seen.work.get(KEY)
        if work is not None and work.state not in ("open", "completed"):
            return failure_of(work)
        if work is not None and work.state == "completed":
            return _written(inputs, result_of(work))
        if inputs.schema_ is not None and (problems := schema_problems(inputs.schema_)):
            return Fail(code=ErrorCode.MISCONFIGURED, message="the schema cannot be used", problems=problems)
        payload = _payload(inputs, seen)
        if not payload["messages"]:
            message = "there is nothing to say; give a prompt or messages"
            return Fail(code=ErrorCode.MISCONFIGURED, message=message)
        return Await(calls=(task_call(inputs, KEY, ACTOR, QUEUE, payload),))

    def output_schema(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs' schema, with the answer's own schema for the value."""
        return narrowed(self.Outputs.model_json_schema(), "value", inputs.get("schema"))


def _payload(inputs: CallInputs, seen: Seen) -> dict[str, JsonValue]:
    messages: list[JsonValue] = [{"role": "system", "content": inputs.system}] if inputs.system else []
    messages += [message.model_dump() for message in inputs.messages]
    messages += [{"role": "user", "content": inputs.prompt}] if inputs.prompt else []
    for earlier in seen.tries[-MAX_TRIES:]:
        messages += _said(earlier)
    options = {"temperature": inputs.temperature, "max_tokens": inputs.max_tokens, "seed": inputs.seed}
    given = {name: value for name, value in options.items() if value is not None}
    schema = {} if inputs.schema_ is None else {"output_schema": inputs.schema_}
    return {"model": inputs.model, "messages": messages, **schema, **given}


def _said(earlier: Try) -> list[JsonValue]:
    """Return an earlier try as messages: what the model wrote, and what should be better."""
    said: list[JsonValue] = []
    if earlier.outputs is not None and (text := earlier.outputs.get("text")):
        said.append({"role": "assistant", "content": str(text)})
    if earlier.feedback:
        told = earlier.feedback.get("message")
        words = told if isinstance(told, str) else json.dumps(dict(earlier.feedback), ensure_ascii=False)
        said.append({"role": "user", "content": f"Please do it again, and mind this: {words}"})
    elif said:
        said.append({"role": "user", "content": "Please do it again, in another way."})
    return said


def _written(inputs: CallInputs, result: Mapping[str, JsonValue]) -> Done | Fail:
    value = result.get("value")
    if inputs.schema_ is not None and (problems := misfits(inputs.schema_, value)):
        return Fail(
            code=ErrorCode.INVALID_OUTPUT,
            message="what the model wrote does not fit the schema",
            hint="retry the module, with feedback or an easier schema",
            problems=problems,
        )
    usage = result.get("usage")
    outputs = {
        "text": str(result.get("text") or ""),
        "value": value,
        "model": str(result.get("model") or inputs.model),
        "finish_reason": str(result.get("finish_reason") or ""),
        "usage": usage if isinstance(usage, dict) else {},
    }
    return Done(outputs=outputs)
