"""The contract of modules, as a test that authors of modules run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import JsonValue, ValidationError

from appserver.modules.contract import Ask, Await, Effect, Fail, ModuleKind, Ports, Seen, Try
from appserver.modules.plain import is_json
from appserver.modules.registry import AnyModule
from appserver.testing.effect_checks import effect_problems, schema_errors
from appserver.testing.module_walk import MAX_STEPS, ODD, Script, beginning, disturbed, follow
from appserver.testing.purity import impurities

TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+@[1-9][0-9]*")


def module_contract(
    module: AnyModule,
    *,
    inputs: Sequence[Mapping[str, Any]] = (),
    answers: Sequence[JsonValue] = (),
    results: Mapping[str, JsonValue] | None = None,
    loaded: Mapping[str, JsonValue] | None = None,
    tries: Sequence[Try] = (),
) -> list[Effect]:
    """Hold *module* against the contract of modules; every breach is told at once.

    The module is led from its beginning to its end, and at each step also astray: calls fail, are cancelled or give
    what nobody promised; stored values are missing or odd; answers are nonsense. It must decide each time, the same
    for the same, within 50 ms, without files, network, clock or chance of its own, and give effects that the engine
    takes.

    Args:
        module: An instance.
        inputs: More inputs than the module's example to try it with.
        answers: What a person answers, question by question; without, samples made of the questions' schemas.
        results: By key, what its calls give.
        loaded: By key, what it loads.
        tries: Earlier tries of it.

    Returns:
        The effects of the good way with the example, to look further at.

    Raises:
        AssertionError: The module breaks the contract; the message names each breach.
    """
    script = Script(answers=answers, results=results or {}, loaded=loaded or {}, tries=tuple(tries))
    problems = list(_of_class(module))
    effects: list[Effect] = []
    for number, given in enumerate([] if problems else [module.example, *inputs]):
        found, way = _led(module, given, script)
        problems += [f"{'example' if number == 0 else f'inputs {number}'}: {problem}" for problem in found]
        effects = way if number == 0 else effects
    if problems:
        raise AssertionError(f"{module.type} breaks the contract of modules:\n" + "\n".join(dict.fromkeys(problems)))
    return effects


def _of_class(module: AnyModule) -> Iterator[str]:
    cls = type(module)
    if not TYPE.fullmatch(str(getattr(cls, "type", ""))):
        yield "its type is no name with a dot and a major version, such as 'acme.translate@1'"
    if not isinstance(getattr(cls, "kind", None), ModuleKind):
        yield "its kind is no ModuleKind"
    if not (cls.__doc__ or "").strip().splitlines() or not (cls.__doc__ or "").strip().splitlines()[0].endswith("."):
        yield "its docstring does not begin with a sentence; authors of workflows read it"
    for name in ("Inputs", "Outputs"):
        ports = getattr(cls, name, None)
        if not (isinstance(ports, type) and issubclass(ports, Ports)):
            yield f"its {name} are no subclass of Ports"
        elif ports.model_config.get("extra") != "forbid":
            yield f"its {name} are open: a misspelt name would be ignored"
    if not is_json(dict(getattr(cls, "example", {}))):
        yield "its example is no JSON"


def _led(module: AnyModule, given: Mapping[str, Any], script: Script) -> tuple[list[str], list[Effect]]:
    try:
        inputs = module.Inputs.model_validate(dict(given))
    except ValidationError as exc:
        return [f"does not fit Inputs: {exc}"], []
    problems = [
        f"does not fit the schema of Inputs: {one}"
        for one in schema_errors(module.Inputs.model_json_schema(), dict(given))
    ]
    seen, way = beginning(script), []
    for _ in range(MAX_STEPS):
        found, effect = _decided(module, inputs, seen)
        problems += found
        if effect is None:
            break
        way.append(effect)
        for other in disturbed(seen, effect):
            problems += _decided(module, inputs, other)[0]
        problems += _astray(module, inputs, seen, effect)
        following = follow(seen, effect, script)
        if following is None:
            break
        seen = following
    return problems, way


def _decided(module: AnyModule, inputs: Ports, seen: Seen) -> tuple[list[str], Effect | None]:
    before = inputs.model_dump_json()
    try:
        effect: Effect = module.decide(inputs, seen)
        problems = effect_problems(module, effect, seen) + impurities(lambda: module.decide(inputs, seen))
    except Exception as exc:  # noqa: BLE001
        return [f"decide raises {type(exc).__name__}: {exc}, where it should return Fail"], None
    if inputs.model_dump_json() != before:
        problems.append("decide changes its inputs")
    return problems, effect


def _astray(module: AnyModule, inputs: Ports, seen: Seen, effect: Effect) -> Iterator[str]:
    """Yield what goes wrong with nonsense from people."""
    for odd in ODD:
        try:
            list(module.check_answer(inputs, seen, odd))
            acted = module.act(inputs, seen, "no_such_action", {"value": odd})
        except Exception as exc:  # noqa: BLE001
            yield f"check_answer or act raises {type(exc).__name__} for {odd!r}: {exc}"
        else:
            if not isinstance(acted, Fail):
                yield "act takes an action that there is not"
    if isinstance(effect, Ask):
        for action in effect.question.actions:
            yield from _acted(module, inputs, seen, action)


def _acted(module: AnyModule, inputs: Ports, seen: Seen, action: str) -> Iterator[str]:
    try:
        acted: object = module.act(inputs, seen, action, {})
    except Exception as exc:  # noqa: BLE001
        yield f"act raises {type(exc).__name__} for {action}: {exc}"
        return
    if not isinstance(acted, Await | Fail):
        yield f"act gives {type(acted).__name__} for {action}, and not Await or Fail"
        return
    yield from effect_problems(module, acted, seen)
