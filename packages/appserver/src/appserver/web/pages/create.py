"""The page's routes: write a script, watch it become a video, come back to it."""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import JsonValue

from appdb import InvalidDataError
from appdb.models.actors import Actor
from appserver.http.callers import COOKIE, StateDep, VisitorDep, check_same_site
from appserver.http.problems import FieldError, ProblemError, as_problem
from appserver.http.routing import Router
from appserver.state import AppState
from appserver.tasks.attendance import attendance
from appserver.tasks.submission import Submission, submit
from appserver.web.rendering import PageRoute, templates
from appserver.web.task_page import FILM_ACTOR, FILM_OPERATION, row_of

router = Router(include_in_schema=False, route_class=PageRoute)

RECENT = 12
COOKIE_SECONDS = 365 * 24 * 3600
EMPTY_FORM = {"script": "", "title": "", "voice": "en"}
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

ScriptField = Annotated[str, Form()]


@router.get("/")
async def home(request: Request, visitor: VisitorDep, state: StateDep, again: str | None = None) -> Response:
    """Show the form, filled as for the task *again* when it is the visitor's, and the visitor's latest generations."""
    values = None
    if visitor is not None and again is not None:
        task = await state.queue.get(again, owner_id=visitor)
        values = {name: str(task.payload.get(name) or default) for name, default in EMPTY_FORM.items()}
    return await _home(request, state, visitor, values)


async def _home(
    request: Request,
    state: AppState,
    visitor: str | None,
    values: dict[str, str] | None = None,
    problem: ProblemError | None = None,
) -> Response:
    recent = [] if visitor is None else await state.queue.page(owner_id=visitor, limit=RECENT)
    present = await attendance(state.registry)
    film = present.actors.get(FILM_ACTOR)
    context: dict[str, Any] = {
        "values": values or EMPTY_FORM,
        "errors": _by_field(problem),
        "rows": [row_of(task, present) for task in recent],
        "voices": VOICES,
        "max_script": _longest_script(film),
        "offered": film is not None,
        "absence": film and present.absence(film.id, film.version, film.queue),
    }
    status = HTTPStatus.OK if problem is None else problem.status
    return templates.TemplateResponse(request, "home.html", context, status_code=status)


def _longest_script(film: Actor | None) -> int | None:
    """Return how many characters the actor takes, as it announced them."""
    # Any JSON: what is no schema to judge payloads by is announced all the same.
    found: Any = film.payload_schema if film else None
    for name in ("properties", "script", "maxLength"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int) else None


@router.post("/generate")
async def generate(
    request: Request,
    visitor: VisitorDep,
    state: StateDep,
    script: ScriptField = "",
    title: ScriptField = "",
    voice: ScriptField = "en",
) -> Response:
    """Start a generation and go to its page; what does not fit comes back with the script as it was."""
    values = {"script": script, "title": title, "voice": voice}
    key = None
    # Another site's form comes without the cookie: a new guest would take the place of whoever is here.
    check_same_site(request)
    if visitor is None:
        guest = await state.guests.make(request.client.host if request.client else None)
        visitor, key = guest.user_id, guest.secret
    # A form sends line ends as CRLF.
    payload: dict[str, JsonValue] = {
        "operation": FILM_OPERATION,
        "script": script.replace("\r\n", "\n"),
        "voice": voice,
    }
    if title.strip():
        payload["title"] = title.strip()
    try:
        task = await submit(
            Submission(owner_id=visitor, actor=FILM_ACTOR, payload=payload), state.registry, state.queue
        )
    except InvalidDataError as exc:
        return await _home(request, state, visitor, values, as_problem(exc))
    except ProblemError as exc:
        return await _home(request, state, visitor, values, exc)
    answer = RedirectResponse(f"/tasks/{task.id}", HTTPStatus.SEE_OTHER)
    if key is not None:
        _remember(request, answer, key)
    return answer


def _remember(request: Request, answer: Response, key: str) -> None:
    # Lax, not strict: a link from elsewhere must find its visitor again, or a new guest would take the old one's place.
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, key, max_age=COOKIE_SECONDS, httponly=True, samesite="lax", secure=secure)


def _by_field(problem: ProblemError | None) -> defaultdict[str, str]:
    named: list[FieldError] = []
    if problem is not None:
        named = problem.errors or [FieldError(field="form", message=problem.detail)]
    # A field without an error reads as an empty text, which templates take as none.
    return defaultdict(str, {error.field.removeprefix("payload."): error.message for error in named})
