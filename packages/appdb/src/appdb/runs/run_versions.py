"""Run versions: the history of the workflow versions that a run has followed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._driver import RawDocument, Session
from appdb._queries import workflow_run_versions as queries
from appdb._queries import workflow_runs as run_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.bounds import Name, Text, accept
from appdb.models.workflow_run_versions import RunVersion
from appdb.models.workflow_runs import Run
from appdb.run_lock import RunLock
from appdb.runs.paging import RunPages
from appdb.runs.size_limits import MAX_RUN_EVENT_BYTES
from appdb.size_limits import check_size
from appdb.utils import uuid7_str

VERSION = "version"


class RunVersions:
    """Lets runs follow versions, and lists the versions that they followed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._pages = RunPages(connection, collections.RUN_VERSIONS, VERSION, RunVersion.from_document, queries.page)
        self._versions = connection.collection(collections.RUN_VERSIONS)

    async def follow_version(
        self, run_id: str, owner_id: str, entry: Mapping[str, Any], session: Session | None
    ) -> Run:
        """Let the run follow ``entry["version_id"]``; see ``WorkflowRepository.set_version``."""
        accept(Name, entry["version_id"], "version_id")
        accept(list[Text], entry["capabilities"], "capabilities")
        check_size("version history entry", entry, MAX_RUN_EVENT_BYTES)
        version_id = str(entry["version_id"])
        match = run_queries.of_other_version(run_id, owner_id, version_id)

        async def body(session: Session) -> Run:
            run = await self._run_lock.change_run(match, run_queries.follow_version(version_id), session)
            # Nothing was changed: the run is gone, which the next look tells, or follows the version already.
            if run is None:
                return await self._run_lock.find_run(run_id, owner_id, session)
            await self._versions.insert_one(version_row(run, entry, run.event_count), session=session)
            return run

        return await self._connection.joined(body, session)

    async def page_of_run(
        self, run_id: str, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[RunVersion]:
        """Return the entries of a run's history, newest first."""
        return await self._pages.page_of_run(run_id, owner_id, before, limit, session)


def version_row(run: Run, entry: Mapping[str, Any], seq: int) -> RawDocument:
    """Return the document of an entry; the run has the server's time."""
    about = {"_id": uuid7_str("rv_"), "run_id": run.id, "owner_id": run.owner_id, "seq": seq}
    return {**about, **entry, "created_at": run.updated_at}
