"""Artefacts of runs: small ones inline, large ones in GridFS, and nobody who reads them sees the difference."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from appdb._driver import AFTER, RawDocument, Session, retried, translates_errors
from appdb._queries import workflow_files as queries
from appdb._queries.paging import BY_ID
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.content.stored_bytes import ByteStore
from appdb.content.sweep import GRACE, LOOKED_AT_ONCE, BytesSweep
from appdb.errors import InvalidDataError, NotFoundError, TooLargeError
from appdb.models.bounds import Name, accept, at_most
from appdb.models.workflow_files import FileCategory, FileFormat, FileWithContent, ModelCall, NewFile, WorkflowFile
from appdb.reading import page_of, readable
from appdb.run_lock import RunLock
from appdb.size_limits import KIB, check_size
from appdb.utils import uuid7_str

MAX_INLINE_BYTES = 64 * KIB
MAX_CONTENT_BYTES = 32 * 1024 * KIB
"""A content is read whole, into memory; what is larger is media."""
MAX_METADATA_BYTES = 16 * KIB
MAX_NAMES_BYTES = 4 * KIB
"""Of all parts of the key together."""
MOST_LOOKS = 20
"""How often a reader follows a file that is replaced again and again under its eyes."""


class FileRepository(BaseRepository):
    """
    Files of runs.

    JSON is stored as text, so that it comes back as it was given: any keys, any order, numbers of any size.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._files = self._collection(collections.FILES)
        self._run_lock = RunLock(connection)
        self._bytes = ByteStore(connection, collections.FILES_BUCKET)
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
        accept(NewFile, file)
        accept(Name, owner_id, "owner_id")
        data = _encoded(file)
        fields = _described(file, owner_id, data)
        await self._admit(file.run_id, owner_id, session)
        place = await self._placed(file, data, owner_id)
        match, update = queries.put(uuid7_str("wff_"), fields | place)
        written: RawDocument = await self._files.find_one_and_update(
            match,
            update,
            projection=queries.WITHOUT_CONTENT,
            upsert=True,
            return_document=AFTER,
            session=session,
        )
        if session is None:
            await self._settle(written)
        return WorkflowFile.from_document(written)

    async def _admit(self, run_id: str, owner_id: str, session: Session | None) -> None:
        if session is None:
            await self._run_lock.check_run(run_id, owner_id)
        else:
            await self._run_lock.lock(run_id, owner_id, session)

    async def _settle(self, written: RawDocument) -> None:
        if (replaced := written["replaced_file_id"]) is not None:
            await self._bytes.delete_bytes(replaced)
        try:
            await self._run_lock.check_run(written["run_id"], written["owner_id"])
        except NotFoundError:
            await self.delete_run(written["run_id"], owner_id=written["owner_id"])
            if written["file_id"] is not None:  # whose name the run's deletion may have taken alone
                await self._bytes.delete_bytes(written["file_id"])
            raise

    async def _placed(self, file: NewFile, data: bytes, owner_id: str) -> dict[str, str | None]:
        if len(data) <= MAX_INLINE_BYTES:
            return {"text": data.decode(), "file_id": None}
        metadata = {"owner_id": owner_id, "run_id": file.run_id}
        upload = await self._bytes.upload_bytes(data, filename=file.name, metadata=metadata)
        return {"text": None, "file_id": upload.file_id}

    @retried
    async def get(self, file_id: str, *, owner_id: str) -> FileWithContent:
        """Return a file with its content.

        Raises:
            NotFoundError: The owner has no such file, or its run is being deleted.
        """
        return await self._read(queries.owned(file_id, owner_id), file_id)

    @retried
    async def newest(
        self, run_id: str, name: str, *, owner_id: str, category: FileCategory | None = None
    ) -> FileWithContent:
        """Return the file of this name that was written last, on whichever branch and in whichever group.

        Raises:
            NotFoundError: The owner's run has no file of this name.
        """
        return await self._read(queries.named(run_id, owner_id, name, category), name)

    async def _read(self, match: RawDocument, asked: str) -> FileWithContent:
        looks = 1
        while True:
            found = await self._files.find_one(match, sort=queries.NEWEST_FIRST)
            if found is None:
                raise NotFoundError("workflow file", asked)
            try:
                text = found["text"] if found["file_id"] is None else await self._text(found)
                await self._run_lock.check_run(found["run_id"], found["owner_id"])
                return FileWithContent.from_document(found | {"text": text})
            except NotFoundError:
                # It was replaced after the look, so its new content is somewhere else.
                if looks == MOST_LOOKS:
                    raise
            looks += 1

    async def _text(self, found: RawDocument) -> str:
        parts = [part async for part in self._bytes.read_range(found["file_id"], 0, found["size"])]
        return b"".join(parts).decode()

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
    ) -> list[WorkflowFile]:
        """Return files of a run without their content, in the order in which they were first written by hosts' clocks.

        Args:
            run_id: The run.
            owner_id: Whose run.
            category: Only this category.
            group: Only this group; needs a category.
            after: The id of the last file of the page before.
            limit: The most files to return.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            ValueError: A group was given without its category.
        """
        if group is not None and category is None:
            raise ValueError("a group belongs to a category; give that too")
        match = queries.page(run_id, owner_id, category, group, after)
        found = self._files.find(match, queries.WITHOUT_CONTENT).sort(BY_ID)
        files = await page_of(WorkflowFile.from_document, found, limit)
        await self._run_lock.check_run(run_id, owner_id)
        return files

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
        found = self._files.aggregate(queries.calls(run_id, owner_id, before, at_most(limit)))
        rows = [(row["_id"], readable(WorkflowFile.from_document, row["files"])) async for row in found]
        await self._run_lock.check_run(run_id, owner_id)
        return [ModelCall.of(group, files) for group, files in rows if files]

    @retried
    async def delete_run(self, run_id: str, *, owner_id: str, session: Session | None = None) -> int:
        """Delete all files of a run with their bytes, and return how many they were.

        In a caller's transaction the bytes are left to ``sweep``, since that can be undone. Whoever may still write
        files of the run must be stopped before.
        """
        match = queries.of_run(run_id, owner_id)
        # All of them, since an index that tells the large ones apart would cost each write more than it saves here.
        rows = self._files.find(match, {"file_id": 1}, session=session)
        file_ids = [row["file_id"] async for row in rows if row["file_id"] is not None]
        deleted = await self._files.delete_many(match, session=session)
        if session is None:
            await self._bytes.delete_all(file_ids)
        return int(deleted.deleted_count)

    @translates_errors
    async def sweep(self, *, older_than: timedelta = GRACE, limit: int = LOOKED_AT_ONCE) -> int:
        """Delete bytes that no file names, and return how many there were; see ``ContentRepository.sweep``."""
        return await self._lost_bytes.sweep(older_than, limit)


def _encoded(file: NewFile) -> bytes:
    try:
        if file.format is FileFormat.JSON:
            data = json.dumps(file.content, ensure_ascii=False, allow_nan=False).encode()
        else:
            data = _text_of(file).encode()
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidDataError(f"content of {file.name!r}", f"cannot be stored: {exc}") from exc
    if len(data) > MAX_CONTENT_BYTES:
        raise TooLargeError(f"content of {file.name!r}", len(data), MAX_CONTENT_BYTES)
    return data


def _text_of(file: NewFile) -> str:
    if not isinstance(file.content, str):
        raise TypeError("it is no text; give format=FileFormat.JSON")
    return file.content


def _described(file: NewFile, owner_id: str, data: bytes) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(file).items() if name != "content"} | {"owner_id": owner_id}
    check_size("names of a file", {name: fields[name] for name in queries.KEY}, MAX_NAMES_BYTES)
    check_size("metadata of a file", file.metadata, MAX_METADATA_BYTES)
    return fields | {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
