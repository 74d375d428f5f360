"""Forms: the form that makes a film, with its fields, its payload and its errors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from appdb import Task
from appdb.models import RegisteredActor
from appserver.errors import FieldError
from appserver.http.problems import ProblemError
from appserver.web.film import FILM_OPERATION

VOICES = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmForm:
    """The fields of the form, as the visitor filled them."""

    script: str = ""
    title: str = ""
    voice: str = "en"

    @classmethod
    def of(cls, task: Task) -> FilmForm:
        """Return the form filled as for *task*."""
        given = {name: task.payload.get(name) for name in asdict(cls())}
        return cls(**{name: str(value) for name, value in given.items() if value})

    def payload(self) -> dict[str, JsonValue]:
        """Return the payload of the task that the form asks for."""
        # A form sends line ends as CRLF.
        script = self.script.replace("\r\n", "\n")
        payload: dict[str, JsonValue] = {"operation": FILM_OPERATION, "script": script, "voice": self.voice}
        if self.title.strip():
            payload["title"] = self.title.strip()
        return payload


def longest_script(actor: RegisteredActor | None) -> int | None:
    """Return how many characters the actor takes, as it announced them."""
    # Any JSON: what is no schema to judge payloads by is announced all the same.
    found: Any = actor.payload_schema if actor else None
    for name in ("properties", "script", "maxLength"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) else None


def errors_by_field(problem: ProblemError | None) -> defaultdict[str, str]:
    """Return the messages of *problem* under the names of the form's fields, or under ``form``."""
    named: list[FieldError] = []
    if problem is not None:
        named = problem.errors or [FieldError(field="form", message=problem.detail)]
    # A field without an error reads as an empty text, which templates take as none.
    return defaultdict(str, {error.field.removeprefix("payload."): error.message for error in named})
