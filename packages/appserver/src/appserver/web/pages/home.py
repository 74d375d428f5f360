"""The start page: write a script, and start to make it a video."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response

from appdb import InvalidDataError
from appserver.errors import InvalidRequestError
from appserver.http.callers import StateDep, VisitorDep, make_guest
from appserver.http.problems import ProblemError, as_problem
from appserver.http.routing import Router
from appserver.http.same_site import SameSiteDep
from appserver.state import AppState
from appserver.tasks.submission import Submission, submit
from appserver.tasks.worker_presence import worker_presence
from appserver.web.cookies import remember
from appserver.web.film import FILM_ACTOR
from appserver.web.forms import VOICES, FilmForm, errors_by_field, longest_script
from appserver.web.rendering import PageRoute, templates
from appserver.web.task_rows import row_of

router = Router(include_in_schema=False, route_class=PageRoute)

RECENT = 12

FormField = Annotated[str, Form()]


@router.get("/")
async def home(request: Request, visitor: VisitorDep, state: StateDep, again: str | None = None) -> Response:
    """Show the form, filled as for the task *again* when it is the visitor's, and the visitor's latest generations."""
    form = FilmForm()
    if visitor is not None and again is not None:
        form = FilmForm.of(await state.queue.get(again, owner_id=visitor))
    return await _home(request, state, visitor, form)


@router.post("/generate")
async def generate(
    request: Request,
    visitor: VisitorDep,
    state: StateDep,
    # Another site's form comes without the cookie: a new guest would take the place of the visitor who is here.
    _site: SameSiteDep,
    script: FormField = "",
    title: FormField = "",
    voice: FormField = "en",
) -> Response:
    """Start a generation and go to its page; what does not fit comes back with the script as it was."""
    form = FilmForm(script=script, title=title, voice=voice)
    key = None
    if visitor is None:
        guest = await make_guest(request, state)
        visitor, key = guest.user_id, guest.secret
    submission = Submission(owner_id=visitor, actor=FILM_ACTOR, payload=form.payload())
    try:
        task = await submit(submission, state.registry, state.queue)
    except (InvalidDataError, InvalidRequestError) as exc:
        return await _home(request, state, visitor, form, as_problem(exc))
    answer = RedirectResponse(f"/tasks/{task.id}", HTTPStatus.SEE_OTHER)
    if key is not None:
        remember(request, answer, key)
    return answer


async def _home(
    request: Request, state: AppState, visitor: str | None, form: FilmForm, problem: ProblemError | None = None
) -> Response:
    recent = [] if visitor is None else await state.queue.page(owner_id=visitor, limit=RECENT)
    presence = await worker_presence(state.registry)
    actor = presence.actors.get(FILM_ACTOR)
    context: dict[str, Any] = {
        "form": form,
        "errors": errors_by_field(problem),
        "rows": [row_of(task, presence) for task in recent],
        "voices": VOICES,
        "max_script": longest_script(actor),
        "offered": actor is not None,
        "unattended": actor and presence.unattended(actor.id, actor.version, actor.queue),
    }
    status = HTTPStatus.OK if problem is None else problem.status
    return templates.TemplateResponse(request, "home.html", context, status_code=status)
