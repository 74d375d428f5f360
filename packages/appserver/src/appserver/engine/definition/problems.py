"""Problems of a definition, as they are collected: all at once, within caps of number, length and time."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Literal

from appserver.errors import DefinitionProblem

MAX_PROBLEMS = 500
"""So many are told, and no more are searched for."""
MAX_MESSAGE = 400
MAX_HINTS = 20
"""So many times the nearest name is searched for in one check, since that takes a millisecond."""
MAX_COMPARED = 300


def problem(
    pointer: str, code: str, message: str, hint: str = "", *, severity: Literal["error", "warning"] = "error"
) -> DefinitionProblem:
    """Return a problem; a message that quotes too much is cut, and what is no text is shown as JSON writes it."""
    cut = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"
    said = {"pointer": _shown(pointer), "message": _shown(cut), "hint": _shown(hint)}
    return DefinitionProblem(code=code, severity=severity, **said)


def _shown(text: str) -> str:
    # Half of a surrogate pair, which can be read and not be sent.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def told(problems: Iterable[DefinitionProblem]) -> tuple[DefinitionProblem, ...]:
    """Return each problem once, as many as are told."""
    found = tuple(dict.fromkeys(islice(problems, MAX_PROBLEMS + 1)))
    if len(found) <= MAX_PROBLEMS:
        return found
    message = f"there are more problems; these are the first {MAX_PROBLEMS}"
    return (*found[:MAX_PROBLEMS], problem("", "too_many_problems", message, "correct them, and check again"))


class Hints:
    """Hints of one check that name what is nearest to a misspelt name."""

    def __init__(self) -> None:
        self._left = MAX_HINTS

    def nearest(self, name: str, known: Iterable[str]) -> str:
        """Return a hint with the known name that is nearest to *name*, or with what is known, or nothing."""
        names = sorted(known)
        if not names or self._left == 0:
            return ""
        self._left -= 1
        if close := get_close_matches(name[:80], names[:MAX_COMPARED], n=1):
            return f"did you mean {close[0]}?"
        return f"known: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
