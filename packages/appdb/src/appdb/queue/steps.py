"""Steps: the finished steps and spawned children of a task, each written behind the fence for its later attempts."""

from __future__ import annotations

from dataclasses import replace

from pydantic import JsonValue

from appdb._driver import RawDocument, Session
from appdb._queries import task_steps as step_queries
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import UnreadableError
from appdb.models.bounds import Name, accept
from appdb.models.tasks import LABELS, NewTask
from appdb.queue.fence import hold
from appdb.queue.labels import handed_on, labels_of, runs_above
from appdb.queue.lease import Lease
from appdb.queue.task_document import NewTaskDocument
from appdb.run_lock import RunLock
from appdb.size_limits import MAX_STEP_BYTES, check_size
from appdb.utils import derived_id


class TaskSteps:
    """Keeps over all attempts of a task which steps are finished and which children were spawned."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._steps = connection.collection(collections.TASK_STEPS)
        self._run_lock = RunLock(connection)

    async def get_step(self, lease: Lease, key: str) -> tuple[bool, JsonValue]:
        """Return whether the step *key* of the task was finished, and its value; one round trip."""
        found = await self._steps.find_one(step_queries.by_id(_step_id(lease.task_id, key)))
        if found is None:
            return False, None
        if "value" not in found:
            raise UnreadableError("TaskStep", str(found["_id"]), "value: there is none")
        return True, found["value"]

    async def save_step(self, lease: Lease, key: str, value: JsonValue) -> None:
        """Keep *value* as what the step *key* gave; one transaction of two writes."""
        accept(Lease, lease, "lease")
        check_key(key)
        check_size(f"value of step {key!r}", {"value": value}, MAX_STEP_BYTES)
        step_id = _step_id(lease.task_id, key)
        row = {"_id": step_id, "task_id": lease.task_id, "key": key, "value": value}

        async def body(session: Session) -> None:
            # The fence is a write: a read would conflict with no one, and a lost lease would go unseen.
            await hold(self._tasks, lease, queries.touch(), (), session)
            await self._steps.replace_one(step_queries.by_id(step_id), row, upsert=True, session=session)

        await self._connection.transaction(body)

    async def spawn(self, lease: Lease, key: str, task: NewTask) -> str:
        """Enqueue *task* as a child, once over all attempts, and return its id; one transaction of up to three."""
        accept(Lease, lease, "lease")
        check_key(key)
        accept(NewTask, task)
        # The parent and the key make it one child; another key could stand for a task that is no child.
        child = replace(task, task_id=derived_id("tq_", lease.task_id, "child", key), unique_key=None)
        new = NewTaskDocument.of(child, parent_id=lease.task_id, attached=True)

        async def body(session: Session) -> None:
            # An earlier attempt may have spawned it; it is then neither counted nor stored again.
            known = await self._tasks.find_one({"_id": new.id}, {"_id": 1}, session=session)
            update = queries.touch() if known else queries.child_added()
            parent = await hold(self._tasks, lease, update, ("owner_id", "ancestor_runs", *LABELS), session)
            _check_owner(key, task, parent)
            if not known:
                labels = await self._labels_of(child, parent, session)
                match, update = queries.insert(new.fields | labels, new.times)
                await self._tasks.update_one(match, update, upsert=True, session=session)

        await self._connection.transaction(body)
        return new.id

    async def _labels_of(self, child: NewTask, parent: RawDocument, session: Session) -> RawDocument:
        """Return what *child* takes over from its parent: all but for another run, which must be there."""
        own = labels_of(child)
        if child.run_id not in (None, parent.get("run_id")):
            return {"ancestor_runs": [*await self._run_lock.hold(child.run_id, child.owner_id, session)]}
        return handed_on(own, parent) | runs_above(own, parent)


def _check_owner(key: str, child: NewTask, parent: RawDocument) -> None:
    owner_id = parent.get("owner_id")
    if not isinstance(owner_id, str):
        raise UnreadableError("Task", str(parent["_id"]), "owner_id: it must be text")
    if owner_id != child.owner_id:
        raise ValueError(f"child {key!r}: it must have the owner of its parent, {owner_id!r}")


def check_key(key: str) -> None:
    """Check that *key* can name a step or a child.

    Raises:
        InvalidDataError: It is empty, has more than 200 characters, or control characters.
    """
    accept(Name, key, "key")


def _step_id(task_id: str, key: str) -> str:
    return derived_id("st_", task_id, key)
