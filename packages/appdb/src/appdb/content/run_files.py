"""Files of runs: small ones inline, large ones in the byte store; readers see no difference."""

from __future__ import annotations

import json
from functools import partial

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import tasks as task_queries
from appdb._queries import workflow_files as queries
from appdb._queries.paging import BY_ID
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.file_encoding import described, encoded
from appdb.content.stored_bytes import ByteStore
from appdb.errors import InvalidDataError, LeaseLostError, NotFoundError, UnreadableError
from appdb.models.bounds import Name, accept, at_most
from appdb.models.tasks import Task
from appdb.models.workflow_files import (
    FileCategory,
    FileDocument,
    FileWithContent,
    ModelCall,
    NewFile,
    TaskFile,
    WorkflowFile,
)
from appdb.queue.fence import hold
from appdb.queue.lease import Lease
from appdb.reading import page_of, readable
from appdb.run_lock import RunLock
from appdb.size_limits import KIB
from appdb.utils import derived_id, uuid7_str

MAX_INLINE_BYTES = 64 * KIB
MOST_LOOKS = 20
"""How often a reader follows a file that others replace again and again."""


class RunFiles:
    """Writes, reads, lists and deletes files of runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._files = connection.collection(collections.FILES)
        self._tasks = connection.collection(collections.TASKS)
        self._run_lock = RunLock(connection)
        self._bytes = ByteStore(connection, collections.FILES_BUCKET)

    async def write_file(self, file: NewFile, owner_id: str, session: Session | None) -> WorkflowFile:
        """Write a file, replacing the one of the same key."""
        accept(NewFile, file)
        accept(Name, owner_id, "owner_id")
        data = encoded(file)
        fields = described(file, owner_id, data)
        await self._admit(file.run_id, owner_id, session)
        match, update = queries.put(uuid7_str("wff_"), fields | await self._placed(file, data, owner_id))
        written = await self._put(match, update, session)
        if session is None:
            await self._clean_up(written)
        return WorkflowFile.from_document(written)

    async def write_held(self, lease: Lease, task: Task, told: TaskFile) -> WorkflowFile:
        """Write a file of the run that *task* works for, behind the fence: its bytes, then its document."""
        accept(Lease, lease, "lease")
        accept(TaskFile, told)
        if task.run_id is None:
            problem = f"task {task.id} works for no run, and files belong to runs; store content in its place"
            raise InvalidDataError(f"file {told.name!r}", problem)
        file = NewFile.of_task(told, run_id=task.run_id, branch_id=task.branch_id)
        data = encoded(file)
        fields = described(file, task.owner_id, data)
        placed = await self._placed(file, data, task.owner_id)
        match, update = queries.put(_file_id(task, file), fields | placed)
        try:
            written = await self._connection.transaction(partial(self._write_behind_fence, lease, match, update))
        except LeaseLostError:
            await self._delete(placed["file_id"])
            raise
        await self._delete(written["replaced_file_id"])
        return WorkflowFile.from_document(written)

    async def _write_behind_fence(self, lease: Lease, match: Filter, update: Pipeline, session: Session) -> RawDocument:
        # The run needs no lock: its deletion cancels its tasks before it looks for files.
        await hold(self._tasks, lease, task_queries.touch(), (), session)
        return await self._put(match, update, session)

    async def _put(self, match: Filter, update: Pipeline, session: Session | None) -> RawDocument:
        written: RawDocument = await self._files.find_one_and_update(
            match,
            update,
            projection=queries.WITHOUT_CONTENT,
            upsert=True,
            return_document=AFTER,
            session=session,
        )
        return written

    async def _delete(self, file_id: str | None) -> None:
        if file_id is not None:
            await self._bytes.delete_bytes(file_id)

    async def _admit(self, run_id: str, owner_id: str, session: Session | None) -> None:
        # Without a transaction, writers of files need not wait for each other at the run lock: a second check, after
        # the write, finds a deletion that began in between (decision 0016).
        if session is None:
            await self._run_lock.check_run(run_id, owner_id)
        else:
            await self._run_lock.lock(run_id, owner_id, session)

    async def _clean_up(self, written: RawDocument) -> None:
        await self._delete(written["replaced_file_id"])
        try:
            await self._run_lock.check_run(written["run_id"], written["owner_id"])
        except NotFoundError:
            # Retried by itself: a put that begins again would find no run, and leave what this one has written.
            await self._connection.retry(partial(self.delete_of_run, written["run_id"], written["owner_id"]))
            # The run's deletion may have taken the document alone, with the name of the bytes in it.
            await self._delete(written["file_id"])
            raise

    async def _placed(self, file: NewFile, data: bytes, owner_id: str) -> dict[str, str | None]:
        if len(data) <= MAX_INLINE_BYTES:
            return {"text": data.decode(), "file_id": None}
        metadata = {"owner_id": owner_id, "run_id": file.run_id}
        upload = await self._bytes.upload_bytes(data, filename=file.name, metadata=metadata)
        return {"text": None, "file_id": upload.file_id}

    async def read_file(self, match: RawDocument, asked: str, session: Session | None) -> FileWithContent:
        """Return the newest file that *match* finds, with its content; the error calls it *asked*."""
        # A transaction sees the same document each time, so only a reader outside of one looks again.
        looks = MOST_LOOKS if session is None else 1
        while True:
            looks -= 1
            found = await self._files.find_one(match, sort=queries.NEWEST_FIRST, session=session)
            if found is None:
                raise NotFoundError("workflow file", asked)
            file = FileDocument.from_document(found)
            try:
                text = await self._text(file, session)
                await self._run_lock.check_run(file.run_id, file.owner_id, session)
                return FileWithContent.from_document(found | {"text": text})
            except NotFoundError:
                # It was replaced after the look, so its new content is somewhere else.
                if not looks:
                    raise

    async def _text(self, file: FileDocument, session: Session | None) -> str:
        if file.file_id is None:
            if file.text is None:
                raise UnreadableError("FileDocument", file.id, "it has neither a text nor the id of its bytes")
            return file.text
        try:
            # Never in the transaction at first: bytes that it has uploaded itself are newer than what it sees.
            return await self._read_text(file, file.file_id, None)
        except NotFoundError:
            if session is None:
                raise
        # Others replaced the file after the transaction had begun: what it sees still has the old bytes.
        return await self._read_text(file, file.file_id, session)

    async def _read_text(self, file: FileDocument, file_id: str, session: Session | None) -> str:
        parts = [part async for part in self._bytes.read_range(file_id, 0, file.size, session=session)]
        try:
            return b"".join(parts).decode()
        except UnicodeDecodeError as exc:
            raise UnreadableError("FileDocument", file.id, f"its bytes are no UTF-8 at {exc.start:,}") from exc

    async def page_of_files(
        self,
        run: tuple[str, str],
        kind: tuple[FileCategory | None, str | None],
        after: str | None,
        limit: int,
        session: Session | None,
    ) -> list[WorkflowFile]:
        """Return files of a run without their content; *run* is its id and owner, *kind* a category and a group."""
        match = queries.page(*run, *kind, after)
        found = self._files.find(match, queries.WITHOUT_CONTENT, session=session).sort(BY_ID)
        files = await page_of(WorkflowFile.from_document, found, limit)
        await self._run_lock.check_run(*run, session)
        return files

    async def model_calls(self, run_id: str, owner_id: str, before: str | None, limit: int) -> list[ModelCall]:
        """Return the calls to models that a run has files of, in one aggregation."""
        found = self._files.aggregate(queries.calls(run_id, owner_id, before, at_most(limit)))
        rows = [(row["_id"], readable(WorkflowFile.from_document, row["files"])) async for row in found]
        await self._run_lock.check_run(run_id, owner_id)
        return [ModelCall.of(group, files) for group, files in rows if files]

    async def delete_of_run(self, run_id: str, owner_id: str, session: Session | None = None) -> int:
        """Delete all files of a run with their bytes, and return how many they were."""
        match = queries.of_run(run_id, owner_id)
        # All of them, since an index that tells the large ones apart would cost each write more than it saves here.
        rows = self._files.find(match, {"file_id": 1}, session=session)
        file_ids = [row["file_id"] async for row in rows if row.get("file_id") is not None]
        deleted = await self._files.delete_many(match, session=session)
        if session is None:
            # A transaction can be undone, and deleted bytes cannot: then they are left to the sweep.
            await self._bytes.delete_all(file_ids)
        return int(deleted.deleted_count)


def _file_id(task: Task, file: NewFile) -> str:
    """Return the id of a file that *task* writes, the same in each attempt, unless the file is there already."""
    # As JSON, since the parts may hold any characters, and two files must not share an id.
    return derived_id("wff_", task.id, json.dumps([file.branch_id, file.category, file.group, file.name]))
