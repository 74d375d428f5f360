"""A process that writes bare answers behind HTTP: the same web framework, without keys, reads and an engine."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from appbench.bare_run import BareRuns, RunForm
from appdb import Database

BEFORE = "floor_before"
"""The collection of the one document that a run was before the answer which is written again."""


def bare_app() -> FastAPI:
    """Return an application that writes an answer again."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Database(os.environ["APP_MONGO_URI"], os.environ["APP_MONGO_DATABASE"]) as database:
            before = await database.collection(BEFORE).find_one({})
            app.state.runs = BareRuns(database, await RunForm.of_answer(database, before or {}))
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/runs/{run_id}/answer")
    async def answer(run_id: str, body: dict[str, Any], request: Request) -> dict[str, Any]:
        await request.app.state.runs.answer(run_id)
        return {"id": run_id, "answered": body}

    return app


def main() -> None:
    """Serve until interrupted, at a port that is said."""
    taken = socket.create_server(("127.0.0.1", 0))
    print(f"serving at http://127.0.0.1:{taken.getsockname()[1]}/", flush=True)
    config = uvicorn.Config(bare_app(), access_log=False, log_level="warning")
    uvicorn.Server(config).run([taken])


if __name__ == "__main__":
    main()
