"""Uploads: a file that a person gives becomes a content item of a run, made by a task of this host."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from appdb import (
    AppDbError,
    Claimer,
    ContentRepository,
    Database,
    DatabaseUnavailableError,
    Lease,
    LeaseLostError,
    NewTask,
    Task,
    TaskQueue,
    uuid7_str,
)
from appdb.host import MediaTypeProbe, every, handler
from appdb.models import LIVE_STATES, Content, ContentKind, NewContent, Run, TaskFilter
from appserver.errors import ActionRefusedError, FileRefusedError, FileTooLargeError, UploadStalledError

ACTOR = "user.upload"
OPERATION = "upload"
ROLE = "upload"
"""Of what a person has uploaded, beside what tasks have made."""
UNKNOWN_TYPE = "application/octet-stream"
MAX_FILES = 20
"""Files that may be uploaded for one question."""
PIECE_BYTES = 1024 * 1024
SILENCE_SECONDS = 30
"""How long nothing may come before an upload is given up."""
RENEW_EVERY = timedelta(seconds=5)
CLAIM_WITHIN = timedelta(minutes=1)
"""How long a task may wait that a host has enqueued and not claimed: it died in between."""
CLAIM_SECONDS = 15
GONE_ON = "the run has gone on meanwhile"
TEXTS = ("text/", "application/json", "application/xml", "image/svg+xml")
"""Types that are text: that bytes are text says nothing of which."""
KINDS = {"image": ContentKind.IMAGE, "audio": ContentKind.AUDIO, "video": ContentKind.VIDEO}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFile:
    """A whole file, as long as it is being stored.

    Args:
        path: Where it is; a name of ours.
        size: Its bytes.
        media_type: What its bytes are, or what was said of them where they do not tell.
    """

    path: Path
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """The question that a file is for.

    Args:
        run: The run that asks.
        interaction_id: The question.
        step: The step that asks.
        module: The module that asks.
    """

    run: Run
    interaction_id: str
    step: str | None
    module: str | None


@asynccontextmanager
async def received(parts: AsyncIterator[bytes], *, said: str, most: int) -> AsyncIterator[ReceivedFile]:
    """Yield the file that *parts* are, once all of them are there; nothing is left of it afterwards.

    Args:
        parts: The bytes, as they come.
        said: The media type that the sender tells.
        most: The most bytes that are taken.

    Raises:
        FileTooLargeError: There are more; the rest is not read.
        UploadStalledError: Nothing came for 30 s.
    """
    probe = MediaTypeProbe()
    with tempfile.NamedTemporaryFile() as file:
        size = await _write(parts, file, probe, most)
        yield ReceivedFile(path=Path(file.name), size=size, media_type=_type_of(probe, said))


async def _write(parts: AsyncIterator[bytes], file: IO[bytes], probe: MediaTypeProbe, most: int) -> int:
    size, piece = 0, bytearray()
    while (part := await _next(parts)) is not None:
        size += len(part)
        if size > most:
            raise FileTooLargeError(most)
        probe.feed(part)
        piece += part
        if len(piece) >= PIECE_BYTES:
            await asyncio.to_thread(file.write, bytes(piece))
            piece.clear()
    await asyncio.to_thread(_finish, file, bytes(piece))
    return size


async def _next(parts: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            return await anext(parts, None)
    except TimeoutError:
        raise UploadStalledError(SILENCE_SECONDS) from None


def _finish(file: IO[bytes], rest: bytes) -> None:
    file.write(rest)
    file.flush()


def _type_of(probe: MediaTypeProbe, said: str) -> str:
    """Return the type of a file: of its bytes, and as it was said only where that contradicts nothing."""
    found, said = probe.media_type(), said.partition(";")[0].strip().lower()
    is_text = said.startswith(TEXTS) or said.endswith(("+json", "+xml"))
    if found == "text/plain":
        return said if is_text else found
    if found is not None:
        return found
    # What claims to be a picture, a sound or a video would have been recognised, or is none that a browser shows.
    return UNKNOWN_TYPE if is_text or not said or said.partition("/")[0] in KINDS else said


class Uploads:
    """
    Stores files that people upload, each as the only item of a task of its own.

    So all that holds for what tasks make holds for them: whose they are, that they go with their run, that bytes
    without a name are swept. Should this host die meanwhile, the task fails when its lease ends.

    Args:
        database: Where they go.
    """

    def __init__(self, database: Database) -> None:
        self._contents = ContentRepository(database)
        # A queue of its own: it keeps a picture of who waits.
        self._queue = TaskQueue(database)
        host = uuid7_str("upl_")
        self._claimer = Claimer(worker_id=host, queues=(host,), handlers=(handler(ACTOR, 1),))
        self._claiming = asyncio.Lock()

    async def check_room(self, place: FilePlace) -> None:
        """Check that one more file may be uploaded for a question.

        Raises:
            ActionRefusedError: There are 20 already.
        """
        of_question = TaskFilter(
            owner_id=place.run.owner_id,
            run_id=place.run.id,
            interaction_id=place.interaction_id,
            actor=ACTOR,
            states=LIVE_STATES,
        )
        begun = await self._queue.find(of_question, limit=MAX_FILES)
        there = await self._contents.list_for_interaction(
            place.interaction_id, owner_id=place.run.owner_id, limit=MAX_FILES
        )
        if len({task.id for task in begun} | {one.task_id for one in there}) >= MAX_FILES:
            raise ActionRefusedError("upload", f"{MAX_FILES} files were uploaded for this question, which is the most")

    async def store(self, file: ReceivedFile, filename: str, place: FilePlace) -> Content:
        """Store a received file for a question, and return its content item.

        Raises:
            FileRefusedError: There is nothing in it.
            ActionRefusedError: The run has gone on meanwhile, or others were uploaded for the question.
            NotFoundError: The run is being deleted.
            DatabaseUnavailableError: It may be stored; what is, goes with the run.
        """
        if not file.size:
            raise FileRefusedError("it is empty")
        task = await self._claimed(place)
        lease = Lease.of(task)
        renewing = asyncio.create_task(every(RENEW_EVERY, lambda: self._queue.renew([lease])))
        try:
            return await self._store(lease, task, file, filename)
        except LeaseLostError:
            raise ActionRefusedError("upload", GONE_ON) from None
        except BaseException:
            # Nobody waits for it any more; else it would fail by itself.
            with suppress(AppDbError):
                await self._queue.cancel(task.id, owner_id=task.owner_id)
            raise
        finally:
            renewing.cancel()

    async def _store(self, lease: Lease, task: Task, file: ReceivedFile, filename: str) -> Content:
        # Of what may be a path of the sender's machine, the last part.
        filename = re.split(r"[/\\]", filename)[-1] or ROLE
        said = {"filename": filename}
        await self._contents.begin(lease, task, operation=OPERATION, provider="user", source_data=said)
        item = NewContent(
            key=ROLE,
            kind=KINDS.get(file.media_type.partition("/")[0], ContentKind.TEXT),
            role=ROLE,
            media_type=file.media_type,
            filename=filename,
            data=file.path,
        )
        content = await self._contents.store(lease, task, item, seq=task.event_count)
        await self._queue.complete(lease, {"content_id": content.id})
        return content

    async def _claimed(self, place: FilePlace) -> Task:
        run = place.run
        new = NewTask(
            owner_id=run.owner_id,
            actor=ACTOR,
            queue=self._claimer.queues[0],
            payload={},
            max_attempts=1,
            expires_in=CLAIM_WITHIN,
            run_id=run.id,
            branch_id=run.branch_id,
            step=place.step,
            module=place.module,
            interaction_id=place.interaction_id,
        )
        # One after the other: what is claimed then is what was enqueued, and what is enqueued was counted.
        async with self._claiming:
            await self.check_room(place)
            try:
                async with asyncio.timeout(CLAIM_SECONDS):
                    return await self._claim(await self._queue.enqueue(new))
            except TimeoutError:
                raise DatabaseUnavailableError("storing a file", f"it took over {CLAIM_SECONDS} s") from None

    async def _claim(self, task: Task) -> Task:
        self._queue.invalidate_snapshot()
        while True:
            # Another one was left by an upload that was given up in here.
            for claimed in await self._queue.claim(self._claimer):
                if claimed.id == task.id:
                    return claimed
            if (await self._queue.get(task.id, owner_id=task.owner_id)).state.final:
                # The run was cancelled or deleted, with its tasks.
                raise ActionRefusedError("upload", GONE_ON)
