"""FileRepository: files of runs."""

from __future__ import annotations

from datetime import timedelta

from appdb._driver import Session, retried, translates_errors
from appdb._queries import workflow_files as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.content.run_files import RunFiles
from appdb.content.sweep import GRACE, LOOKED_AT_ONCE, BytesSweep
from appdb.models.tasks import Task
from appdb.models.workflow_files import FileCategory, FileWithContent, ModelCall, NewFile, TaskFile, WorkflowFile
from appdb.queue.lease import Lease


class FileRepository(BaseRepository):
    """
    Files of runs.

    JSON is stored as text, so that it comes back as it was given: any keys, any order, numbers of any size.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._run_files = RunFiles(connection)
        self._lost_bytes = BytesSweep(connection, collections.FILES_BUCKET, collections.FILES)

    @retried
    async def put(self, file: NewFile, *, owner_id: str, session: Session | None = None) -> WorkflowFile:
        """Write a file, replacing the one with the same run, branch, category, group and name, whose id it keeps.

        One atomic write: readers get the old or the new content, and of many writers the last one wins. Repeating is
        safe. The old bytes are deleted afterwards; in a caller's transaction they are left to ``sweep``.

        One round trip more in a caller's transaction, which then comes before the run's deletion or is refused;
        elsewhere two, of which the second one deletes again what came too late.

        Args:
            file: What to write.
            owner_id: Whose run.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            TooLargeError: The content is over 32 MiB, the metadata over 16 KiB, or the names over 4 KiB.
            InvalidDataError: A value cannot be stored.
        """
        return await self._run_files.write_file(file, owner_id, session)

    @retried
    async def store(self, lease: Lease, task: Task, file: TaskFile) -> WorkflowFile:
        """Write a file as ``put`` does, for the run that *task* works for: one transaction behind the fence.

        A crash before its end leaves bytes that nobody names, which are swept. A re-run that writes the same file
        replaces it.

        Args:
            lease: The lease that the fence checks.
            task: The claimed task.
            file: What to write.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            TooLargeError: The content is over 32 MiB, the metadata over 16 KiB, or the names over 4 KiB.
            InvalidDataError: The task works for no run, or a value cannot be stored; nothing was written.
        """
        return await self._run_files.write_held(lease, task, file)

    @retried
    async def get(self, file_id: str, *, owner_id: str, session: Session | None = None) -> FileWithContent:
        """Return a file with its content.

        In a caller's transaction it is the file that the transaction sees, also when others have replaced it since.

        Raises:
            NotFoundError: The owner has no such file, or its run is being deleted.
        """
        return await self._run_files.read_file(queries.owned(file_id, owner_id), file_id, session)

    @retried
    async def newest(
        self,
        run_id: str,
        name: str,
        *,
        owner_id: str,
        category: FileCategory | None = None,
        session: Session | None = None,
    ) -> FileWithContent:
        """Return the file of this name that was written last, on whichever branch and in whichever group.

        In a caller's transaction as ``get``.

        Raises:
            NotFoundError: The owner's run has no file of this name.
        """
        return await self._run_files.read_file(queries.named(run_id, owner_id, name, category), name, session)

    @retried
    async def page(
        self,
        run_id: str,
        *,
        owner_id: str,
        category: FileCategory | None = None,
        group: str | None = None,
        after: str | None = None,
        limit: int = 100,
        session: Session | None = None,
    ) -> list[WorkflowFile]:
        """Return files of a run without their content, in the order in which they were first written by hosts' clocks.

        Args:
            run_id: The run.
            owner_id: Whose run.
            category: Only this category.
            group: Only this group; needs a category.
            after: The id of the last file of the page before.
            limit: The most files to return.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            ValueError: A group was given without its category.
        """
        if group is not None and category is None:
            raise ValueError("a group belongs to a category; give that too")
        return await self._run_files.page_of_files((run_id, owner_id), (category, group), after, limit, session)

    @retried
    async def calls(self, run_id: str, *, owner_id: str, before: str | None = None, limit: int = 50) -> list[ModelCall]:
        """Return what was said to models and what they answered, a call for each group, in one aggregation.

        Args:
            run_id: The run.
            owner_id: Whose run.
            before: The group of the last call of the page before.
            limit: The most calls to return, those with the highest group first: newest, where groups are uuid7; of
                each, the first 200 files.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        return await self._run_files.model_calls(run_id, owner_id, before, limit)

    @retried
    async def delete_run(self, run_id: str, *, owner_id: str, session: Session | None = None) -> int:
        """Delete all files of a run with their bytes, and return how many they were.

        In a caller's transaction the bytes are left to ``sweep``, since that can be undone. Whoever may still write
        files of the run must be stopped before.
        """
        return await self._run_files.delete_of_run(run_id, owner_id, session)

    @translates_errors
    async def sweep(self, *, older_than: timedelta = GRACE, limit: int = LOOKED_AT_ONCE) -> int:
        """Delete bytes that no file names, and return how many there were; see ``ContentRepository.sweep``."""
        return await self._lost_bytes.sweep(older_than, limit)
