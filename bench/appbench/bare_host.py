"""A process that writes bare answers behind HTTP: the same web framework, without keys, reads and an engine."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from appbench.bare_run import BareRuns, RunForm
from appdb import Database


def bare_app(run_id: str, after: int) -> FastAPI:
    """Return an application that writes again what was written behind the event *after* of a run."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Database(os.environ["APP_MONGO_URI"], os.environ["APP_MONGO_DATABASE"]) as database:
            app.state.runs = BareRuns(database, await RunForm.of(database, run_id, after=after, started=False))
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
    config = uvicorn.Config(bare_app(sys.argv[1], int(sys.argv[2])), access_log=False, log_level="warning")
    uvicorn.Server(config).run([taken])


if __name__ == "__main__":
    main()
