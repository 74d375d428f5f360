"""A limit is the most that comes back: nobody gets everything by asking for nothing, or for less."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from appdb import Database, InvalidDataError, uuid7_str
from appdb.models.bounds import LARGEST
from appsupport.scenarios.scenario import Stage
from appsupport.scenarios.table import SCENARIOS, made_for, methods

LIMITED = sorted(name for name, method in methods().items() if "limit" in inspect.signature(method).parameters)
LIMITED.remove("TaskQueue.set_limit")
"""Its limit is another one."""


class Limited:
    """A repository of which each method gets *limit*, whatever it is called with."""

    def __init__(self, repository: Any, limit: object) -> None:
        self._repository, self._limit = repository, limit

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)
        if "limit" not in inspect.signature(method).parameters:
            return method
        return lambda *args, **given: method(*args, **{**given, "limit": self._limit})


@pytest.mark.parametrize("method", LIMITED)
async def test_non_positive_limit_is_refused(method: str, database: Database) -> None:
    scenario = next(one for one in SCENARIOS.values() if one.method == method)
    owner = uuid7_str("usr_")
    made = await scenario.prepare(Stage(database=database, owner=owner))
    for limit in (0, -1, -LARGEST, LARGEST + 1, 1.5, True):
        with pytest.raises(InvalidDataError, match=r"^limit: "):
            await scenario.call(Limited(made_for(scenario, database), limit), made, owner)
