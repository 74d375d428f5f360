"""The announcement of actors to API hosts, and the log line where they cannot check all of a payload."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from appdb import InvalidDataError
from appworker import ActorContext, actor
from appworker.worker.announcer import announcement


class Plain(BaseModel):
    name: str = Field(pattern=r"^\p{L}+$", max_length=40)


class Tagged(BaseModel):
    tags: set[str]


class Broken(BaseModel):
    model_config = ConfigDict(json_schema_extra={"$ref": "https://elsewhere.example/schema"})


@actor("plain")
async def plain(_context: ActorContext, _payload: Plain) -> None:
    """Take what hosts can check."""


@actor("tagged")
async def tagged(_context: ActorContext, _payload: Tagged) -> None:
    """Take a set."""


@actor("broken")
async def broken(_context: ActorContext, _payload: Broken) -> None:
    """Take what nobody can check."""


def test_checkable_payload_is_announced_silently(caplog: pytest.LogCaptureFixture) -> None:
    assert announcement(plain).left_to_worker == ()
    assert not caplog.records


def test_unchecked_keyword_is_logged_with_actor(caplog: pytest.LogCaptureFixture) -> None:
    announcement(tagged)

    (record,) = caplog.records
    told: dict[str, Any] = vars(record)
    assert record.levelname == "WARNING"
    assert (told["actor"], told["unchecked"]) == ("tagged", ["properties.tags.uniqueItems"])


def test_unreadable_schema_error_names_actor_and_keyword() -> None:
    with pytest.raises(InvalidDataError, match=r"actor 'broken': payload_schema\.\$ref"):
        announcement(broken)
