"""The calls of a module's own code: whatever goes wrong in it is an error of the run, and never of the host."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from appserver.modules.contract import Await, Effect, ErrorCode, Fail, FieldProblem, Ports, Seen
from appserver.modules.registry import AnyModule

logger = logging.getLogger(__name__)
WARNING = "a module failed unexpectedly"


def decided(module: AnyModule, inputs: Ports, seen: Seen) -> Effect:
    """Return what a module decides."""
    try:
        return module.decide(inputs, seen)
    except Exception as exc:
        logger.exception(WARNING, extra={"module_type": module.type, "run_id": seen.run_id})
        return _bug(module, exc)


def acted(
    module: AnyModule, inputs: Ports, seen: Seen, action: str, arguments: Mapping[str, JsonValue]
) -> Await | Fail:
    """Return the work of a sub-action that a person asks for."""
    try:
        return module.act(inputs, seen, action, arguments)
    except Exception as exc:
        logger.exception(WARNING, extra={"module_type": module.type, "run_id": seen.run_id})
        return _bug(module, exc)


def answer_problems(module: AnyModule, inputs: Ports, seen: Seen, response: JsonValue) -> Sequence[FieldProblem]:
    """Return what a module says is wrong with an answer that fits the question's schema."""
    try:
        return module.check_answer(inputs, seen, response)
    except Exception as exc:
        logger.exception(WARNING, extra={"module_type": module.type, "run_id": seen.run_id})
        return [FieldProblem(pointer="", message=_bug(module, exc).message)]


def repeats(module: AnyModule, inputs: Ports) -> bool:
    """Return whether a module says that a completion with these inputs may be taken over."""
    try:
        return bool(module.repeats(inputs))
    except Exception:
        logger.exception(WARNING, extra={"module_type": module.type})
        return False


def call_values(module: AnyModule, inputs: Ports, key: str) -> Mapping[str, JsonValue] | None:
    """Return the values that a module says a call has; none where it fails, so that nothing is kept by mistake."""
    try:
        return module.call_values(inputs, key)
    except Exception:
        logger.exception(WARNING, extra={"module_type": module.type})
        return {}


def _bug(module: AnyModule, error: Exception) -> Fail:
    return Fail(
        code=ErrorCode.BUG,
        message=f"{module.type} failed unexpectedly: {type(error).__name__}",
        hint="the host's log has the details; go back, or move the run to a version without it",
    )
