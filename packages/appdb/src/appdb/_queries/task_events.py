"""The log of a task: its newest events are a part of the task itself, so that one atomic write numbers and shows them.

A batch of events is ``{first, at, attempt, events}``. Older batches move to ``task_events``: copied first, then dropped
from the task. What is in the task is committed, so anybody may copy it, and a repeated copy changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import array, number
from appdb._queries.types import Filter, Pipeline

# Events and outcome are one atomic write of one document (decision 0005): a transaction cost three times as much.
TAIL = {"tail": 1, "event_count": 1}


def appended(events: object) -> dict[str, Any]:
    """The changes that number *events* (an expression for an array) and append them to the task's log."""
    count, tail = number("$event_count"), array("$tail")
    batch = {"first": count, "at": NOW, "attempt": "$attempt", "events": events}
    return {
        "event_count": {"$add": [count, {"$size": events}]},
        "tail": {"$cond": [{"$eq": [{"$size": events}, 0]}, tail, {"$concatArrays": [tail, [batch]]}]},
    }


def dropped(upto: int) -> Pipeline:
    """Drop batches whose events all have numbers below *upto*, once they are copied."""
    # By number and not by place: another reader may have archived the same batches meanwhile.
    copied = {"$and": [{"$isNumber": "$$batch.first"}, {"$lt": ["$$batch.first", upto]}]}
    return [{"$set": {"tail": {"$filter": {"input": array("$tail"), "as": "batch", "cond": {"$not": [copied]}}}}}]


def page(task_id: str, after: int, before: int, limit: int, weight: int) -> Pipeline:
    """The oldest moved events of a task with numbers above *after* and below *before*; index task_events_log.

    At most *limit*, and none behind the one with which their data reaches *weight*; ``bytes`` is what its own weighs.
    """
    weight_of = {"$bsonSize": {"$cond": [{"$eq": [{"$type": "$data"}, "object"]}, "$data", {}]}}
    earlier = {"$sum": weight_of, "window": {"documents": ["unbounded", -1]}}
    return [
        {"$match": {"task_id": task_id, "seq": {"$gt": after, "$lt": before}}},
        {"$sort": {"seq": 1}},
        {"$limit": limit},
        # The server cuts the page by weight, so that one answer never holds megabytes that a reader did not ask for.
        {"$setWindowFields": {"sortBy": {"seq": 1}, "output": {"earlier": earlier}}},
        {"$match": {"$or": [{"earlier": None}, {"earlier": {"$lt": weight}}]}},
        {"$unset": "earlier"},
        {"$set": {"bytes": weight_of}},
    ]


def of_tasks(task_ids: Sequence[Any]) -> Filter:
    """The moved events of some tasks; served by index task_events_log."""
    return {"task_id": {"$in": list(task_ids)}}


def rows(task_id: str, tail: object) -> list[dict[str, Any]]:
    """Return the events of a task's *tail*, in order, each as it is stored in ``task_events``.

    What of it is no batch of events, since other software wrote it, is left where it is.
    """
    batches = tail if isinstance(tail, list) else []
    return [row for batch in batches for row in _rows_of(task_id, batch)]


def _rows_of(task_id: str, batch: Any) -> list[dict[str, Any]]:
    if not _is_batch(batch):
        return []
    return [
        {
            "_id": f"{task_id}:{batch['first'] + offset}",
            "task_id": task_id,
            "seq": batch["first"] + offset,
            "type": event["type"],
            "attempt": batch["attempt"],
            "at": batch["at"],
            "data": event["data"],
        }
        for offset, event in enumerate(batch["events"])
    ]


def _is_batch(batch: Any) -> bool:
    if not isinstance(batch, Mapping) or not batch.keys() >= {"first", "at", "attempt", "events"}:
        return False
    events = batch["events"]
    whole = isinstance(batch["first"], int) and isinstance(events, list)
    return whole and all(isinstance(event, Mapping) and event.keys() >= {"type", "data"} for event in events)
