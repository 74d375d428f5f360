"""The form of a definition, checked: errors of the model become problems with pointers and plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from appserver.engine.definition.model import Definition, ModuleDefinition, StepDefinition
from appserver.engine.definition.problems import MAX_PROBLEMS, Hints, problem
from appserver.errors import DefinitionProblem
from appserver.values.conditions import AllOf, AnyOf, Comparison, Not
from appserver.values.pointers import pointer_of
from appserver.values.scope import NOTHING, inner

IDS = "begin with a small letter; go on with small letters, digits and _, at most 64 characters in all"
FORMS: Mapping[str, str] = {
    r"^[a-z][a-z0-9_]{0,63}$": IDS,
    r"^[0-9]{1,9}(\.[0-9]{1,12})?$": 'write an amount as text, such as "2.50"',
}
"""The hint for a pattern of the model."""
TYPE_HINT = "write a module's name and major version, such as user.form@1"
PARTS: Sequence[type[BaseModel]] = (Definition, StepDefinition, ModuleDefinition, Comparison, AllOf, AnyOf, Not)
FIELDS = frozenset(field.alias or name for part in PARTS for name, field in part.model_fields.items())


def formed(value: object, hints: Hints) -> tuple[Definition | None, list[DefinitionProblem]]:
    """Return a definition of this form, or the problems of *value*'s form."""
    try:
        return Definition.model_validate(value), []
    except ValidationError as exc:
        errors = exc.errors(include_url=False)[: MAX_PROBLEMS + 1]
        return None, [form_problem(error, value, hints) for error in errors if not is_echo(error)]


def is_echo(error: ErrorDetails) -> bool:
    """Return whether a list counts as too short only since its items, which have errors of their own, do not count."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def form_problem(
    error: ErrorDetails, value: object, hints: Hints, pointer: str = "", known: Iterable[str] = FIELDS
) -> DefinitionProblem:
    """Return an error of a model as a problem.

    Args:
        error: One error of a model.
        value: What the model was given, in which names of alternatives are told from names of fields.
        hints: The hints of this check.
        pointer: The pointer of *value*.
        known: The names of fields, one of which a misspelt one may mean.
    """
    place = pointer + pointer_of(place_of(error, value))
    code, words = WORDS.get(error["type"], ("bad_value", lambda _: (_sentence(error["msg"]), "")))
    message, hint = words(error)
    if error["type"] == "extra_forbidden":
        hint = hints.nearest(str(error["loc"][-1]), known)
    return problem(place, code, message, hint)


def place_of(error: ErrorDetails, value: object) -> list[str | int]:
    """Return the names and indexes that lead to an error, without the names of alternatives, which no document has."""
    found: list[str | int] = []
    parts = error["loc"]
    for position, part in enumerate(parts):
        following = inner(value, str(part))
        if following is not NOTHING:
            value = following
        elif not (error["type"] == "missing" and position == len(parts) - 1):
            continue
        found.append(part)
    return found


def _sentence(message: str) -> str:
    return f"it does not fit: {message[:1].lower()}{message[1:]}"


def _pattern(error: ErrorDetails) -> tuple[str, str]:
    pattern = error["ctx"]["pattern"]
    return f"{error['input']!r:.80} is not of the form that is asked for", FORMS.get(pattern, TYPE_HINT)


def _unknown(error: ErrorDetails) -> tuple[str, str]:
    return f"there is no field {str(error['loc'][-1])[:80]!r} here", ""


def _limits(unit: str) -> Callable[[ErrorDetails], tuple[str, str]]:
    def words(error: ErrorDetails) -> tuple[str, str]:
        limits = {key: limit for key, limit in error.get("ctx", {}).items() if key.endswith("length")}
        least, most = limits.get("min_length"), limits.get("max_length")
        return (
            f"at most {most:,} {unit} are allowed" if least is None else f"at least {least:,} {unit} are needed"
        ), ""

    return words


WORDS: Mapping[str, tuple[str, Callable[[ErrorDetails], tuple[str, str]]]] = {
    "missing": ("missing", lambda error: (f"the field {str(error['loc'][-1])!r} is missing", "")),
    "extra_forbidden": ("unknown_field", _unknown),
    "string_pattern_mismatch": ("bad_form", _pattern),
    "condition_form": ("bad_condition", lambda error: (error["msg"], "")),
    "string_too_long": ("too_long", _limits("characters")),
    "string_too_short": ("too_short", _limits("characters")),
    "too_long": ("too_many", _limits("items")),
    "too_short": ("too_few", _limits("items")),
    "string_type": ("wrong_type", lambda _: ("it must be a text", "")),
    "int_type": ("wrong_type", lambda _: ("it must be a whole number", "")),
    "float_type": ("wrong_type", lambda _: ("it must be a number", "")),
    "bool_type": ("wrong_type", lambda _: ("it must be true or false", "")),
    "tuple_type": ("wrong_type", lambda _: ("it must be a list", "")),
    "list_type": ("wrong_type", lambda _: ("it must be a list", "")),
    "dict_type": ("wrong_type", lambda _: ("it must be an object", "")),
    "model_type": ("wrong_type", lambda _: ("it must be an object", "")),
    "literal_error": ("bad_value", lambda error: (f"it must be {error['ctx']['expected']}", "")),
}
"""The code of each error of pydantic, and its message and hint."""
