"""Stored data that a harness loads for modules: files, options, keywords, rows of queries, earlier tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, assert_never

from pydantic import JsonValue

from appdb import DbEventType
from appdb.models import RESERVED, RunEvent
from appserver.engine.core.decision import Needed, PastAnswer, PastOutputs, PastTries
from appserver.engine.core.scope import REUSED_FROM
from appserver.modules.contract import (
    LoadContent,
    LoadFile,
    LoadKeywords,
    LoadOptions,
    LoadQuery,
    LoadRequest,
    SaveFile,
    SaveKeywords,
    SaveOptions,
)
from appserver.testing.memory_runs import MemoryRun, MemoryRuns

TOLD = ("response", "by", "reason")


class ScriptedData(Protocol):
    """The part of a script that is loaded."""

    files: dict[tuple[str, str], JsonValue]
    queries: dict[str, JsonValue]
    contents: dict[str, JsonValue]


class Loaded:
    """
    The data that is stored beside the log.

    Args:
        stored: The runs, with what their modules have written.
        script: What was there before.
    """

    def __init__(self, stored: MemoryRuns, script: ScriptedData) -> None:
        self._stored = stored
        self._script = script

    def files(self) -> dict[tuple[str, str], JsonValue]:
        """Return the files by category and name; of one name, the last write counts."""
        found = dict(self._script.files)
        for run in self._stored.runs.values():
            for written in run.writes:
                if isinstance(written.write, SaveFile):
                    found[written.write.category, written.write.name] = written.write.content
        return found

    def of(self, run: MemoryRun, needs: Sequence[Needed]) -> dict[str, JsonValue]:
        """Return what *needs* ask for, by key."""
        return {need.key: self._one(run, need) for need in needs}

    def _one(self, run: MemoryRun, need: Needed) -> JsonValue:
        match need.request:
            case PastTries():
                return _tries(run.lines[run.run.branch_id], need.step, need.module)
            case PastAnswer(interaction_id=interaction_id):
                return _answer(run, interaction_id)
            case PastOutputs(seq=seq):
                return _outputs(run.log[seq].data) if seq < len(run.log) else None
        return self._stored_beside(run, need, need.request)

    def _stored_beside(self, run: MemoryRun, need: Needed, request: LoadRequest) -> JsonValue:
        match request:
            case LoadFile(name=name, category=category):
                return self.files().get((category, name))
            case LoadOptions(limit=limit):
                return self._options(run, need)[:limit]
            case LoadKeywords(category=category, limit=limit):
                return self._keywords(category)[:limit]
            case LoadContent(content_id=content_id):
                return self._script.contents.get(content_id)
            case LoadQuery(name=name):
                if name not in self._script.queries:
                    raise AssertionError(f"the script has no rows for the query {name!r}; give them by harness.query")
                return {"rows": self._script.queries[name]}
            case _:
                assert_never(request)

    def _options(self, run: MemoryRun, need: Needed) -> list[JsonValue]:
        used: list[JsonValue] = []
        for written in reversed(run.writes):
            if isinstance(written.write, SaveOptions) and (written.step, written.module) == (need.step, need.module):
                used += [option for option in written.write.options if option not in used]
        return used

    def _keywords(self, category: str | None) -> list[JsonValue]:
        weights: dict[str, float] = {}
        for run in self._stored.runs.values():
            for written in run.writes:
                if isinstance(written.write, SaveKeywords) and written.write.category == category:
                    for keyword, weight in written.write.weights.items():
                        weights[keyword] = weights.get(keyword, 0.0) + weight
        heaviest = sorted(weights.items(), key=lambda one: (-one[1], one[0]))
        return [{"keyword": keyword, "weight": weight} for keyword, weight in heaviest]


def _outputs(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in RESERVED and name != REUSED_FROM}


def _answer(run: MemoryRun, interaction_id: str) -> JsonValue:
    settled = (DbEventType.INTERACTION_RESPONSE, DbEventType.INTERACTION_EXPIRED)
    for event in run.log:
        if event.interaction_id == interaction_id and event.type in settled:
            told: dict[str, JsonValue] = {
                name: event.data[name] for name in ("response", "by", "reason") if name in event.data
            }
            return {"type": str(event.type), "at": event.created_at.isoformat(), **told}
    return None


def _tries(line: Sequence[RunEvent], step: str, module: str) -> list[JsonValue]:
    tries: list[dict[str, Any]] = []
    for event in line:
        if (event.step, event.module) != (step, module) and event.data.get("target_module") != module:
            continue
        if event.type is DbEventType.MODULE_COMPLETED:
            tries.append({"outputs": _outputs(event.data), "feedback": None})
        elif event.type is DbEventType.RETRY_REQUESTED:
            feedback: Mapping[str, Any] = event.data.get("feedback") or {}
            if not tries or tries[-1]["feedback"] is not None:
                tries.append({"outputs": None, "feedback": feedback})
            else:
                tries[-1]["feedback"] = feedback
    return list(tries)
