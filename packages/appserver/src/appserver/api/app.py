"""The application: the composition root, the only module that imports every face."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from appdb import Database
from appdb.host import NO_RETRIES, app_name_of
from appserver._version import __version__
from appserver.api.event_frames import event_frame
from appserver.api.openapi import PROBLEMS, Application
from appserver.api.routes import contents, tasks
from appserver.api.routes.accounts import guests, me
from appserver.api.routes.operations import health
from appserver.api.routes.streams import many_tasks, one_run, one_task
from appserver.api.routes.workflows import answers, history, interactions, runs, templates, uploads, ways_back
from appserver.api.run_frames import RunFrames
from appserver.http.error_handlers import install_error_handlers
from appserver.http.middleware.install import install_middleware
from appserver.settings import ServerSettings
from appserver.state import AppState, build_engine_host, build_state
from appserver.web.pages import docs, home, task
from appserver.web.pages import runs as run_pages
from appserver.web.rendering import install_error_pages


def create_app(settings: ServerSettings) -> FastAPI:
    """Return the application; it opens the database when it starts, and fails to start on one that does not fit."""
    app = Application(
        title="appserver",
        version=__version__,
        summary="Durable, live-streamed generation: enqueue, read, follow.",
        lifespan=_lifespan,
        responses=PROBLEMS,
        # The page of the description is our own: FastAPI's needs the internet.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    install_error_handlers(app)
    install_error_pages(app)
    install_middleware(app, settings)
    # A request is matched against one router after the other: what is asked most comes first.
    for routes in (interactions, runs, tasks, one_run, one_task, many_tasks, contents, history, ways_back, templates):
        app.include_router(routes.router)
    for routes in (answers, uploads, guests, me, health, home, task, run_pages, docs):
        app.include_router(routes.router)
    app.mount("/static", StaticFiles(packages=[("appserver.web", "static")]), name="static")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServerSettings = app.state.settings
    uri, name = settings.mongo_uri.get_secret_value(), settings.mongo_database
    # A caller waits: it gets an answer within the operation timeout, and asks again itself.
    app_name = app_name_of(f"appserver/{__version__}", name)
    async with Database(uri, name, app_name=app_name, retry_timeout=NO_RETRIES) as database:
        state = app.state.app = build_state(settings, database, event_frame, RunFrames())
        await state.engine.workflows.offer_shipped()
        working = [asyncio.create_task(work) for work in _work_of(state)]
        try:
            yield
        finally:
            for work in reversed(working):
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work


def _work_of(state: AppState) -> list[Coroutine[Any, Any, None]]:
    """Return what this host does beside its requests."""
    slots = state.settings.engine_slots
    return [state.feed.run(), state.engine.drafts.run(), *([build_engine_host(state).run()] if slots else [])]
