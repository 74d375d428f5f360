"""Problems of a definition, as they are collected: all at once, in the order of their places, within a cap."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

from appserver.errors import DefinitionProblem

MAX_PROBLEMS = 500
"""So many are told; a definition with more is told so."""
MAX_MESSAGE = 400
MAX_COMPARED = 500
"""Among so many names the nearest one is searched for."""


def problem(
    pointer: str, code: str, message: str, hint: str = "", *, severity: Literal["error", "warning"] = "error"
) -> DefinitionProblem:
    """Return a problem; a message that quotes too much is cut."""
    cut = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"
    return DefinitionProblem(pointer=pointer, code=code, message=cut, hint=hint, severity=severity)


def told(problems: Iterable[DefinitionProblem]) -> tuple[DefinitionProblem, ...]:
    """Return each problem once, as many as are told."""
    different = tuple(dict.fromkeys(problems))
    if len(different) <= MAX_PROBLEMS:
        return different
    message = f"there are {len(different):,} problems; these are the first {MAX_PROBLEMS}"
    return (*different[:MAX_PROBLEMS], problem("", "too_many_problems", message, "correct them, and check again"))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known name that is nearest to *name*, or what is known, or nothing."""
    names = sorted(known)[:MAX_COMPARED]
    if close := get_close_matches(name[:80], names, n=1):
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}" if names else ""
