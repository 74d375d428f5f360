"""Kept work: what an earlier try has done counts in a new one where it was done with the same values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from appdb.models import SubAction
from appserver.engine.core.deciding import call_values
from appserver.modules.contract import Ports
from appserver.modules.registry import AnyModule

DONE_WITH = "done_with"
"""In the start of a sub-action, the digest of the values that it is done with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedWork:
    """Work of an earlier try, by what becomes of it in one with other inputs.

    Args:
        same: What counts.
        other: What has other values now.
        gone: What there is no call of any more.
    """

    same: tuple[SubAction, ...] = ()
    other: tuple[SubAction, ...] = ()
    gone: tuple[SubAction, ...] = ()


def digest_of_values(values: Mapping[str, JsonValue]) -> str:
    """Return the digest of a call's values, the same for the same JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def sorted_work(module: AnyModule, inputs: Ports, subs: Iterable[SubAction]) -> SortedWork:
    """Return what becomes of the sub-actions *subs* of an earlier try in one with *inputs*."""
    same: list[SubAction] = []
    other: list[SubAction] = []
    gone: list[SubAction] = []
    for sub in subs:
        values = call_values(module, inputs, str(sub.started.data.get("key")))
        if values is None or sub.started.data.get(DONE_WITH) == digest_of_values(values):
            same.append(sub)
        else:
            (other if values else gone).append(sub)
    return SortedWork(same=tuple(same), other=tuple(other), gone=tuple(gone))
