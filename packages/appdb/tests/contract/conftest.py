"""Every test of the contract runs over the real queue and over the one in memory."""

from __future__ import annotations

import pytest

from queue_contract import MemorySubject, MongoSubject, Subject


@pytest.fixture(params=["memory", "mongodb"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        return MemorySubject()
    return MongoSubject(request.getfixturevalue("database"))
