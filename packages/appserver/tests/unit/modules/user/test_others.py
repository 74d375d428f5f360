"""``user.file_input`` and ``user.approve``: whose file, which decision."""

from __future__ import annotations

from typing import Any

import pytest

from appserver.modules.contract import Ask, ErrorCode, Load, LoadContent
from appserver.modules.json_schemas import misfits
from appsupport.modules import decided, failure, outputs, seen

FILE = "gc_" + "a" * 32
RECORD = {"content_id": FILE, "kind": "image", "media_type": "image/png", "bytes": 10, "filename": "a.png"}
INPUTS = {"title": "T", "media_types": ["image/*", "text/plain"], "max_bytes": 100}


@pytest.mark.parametrize(
    "given", ["/etc/passwd", "https://example.com/a.png", "gc_x", "gc_" + "a" * 33, "data:,x", FILE + "\n"]
)
def test_file_is_neither_path_nor_address(given: str) -> None:
    asked = decided("user.file_input@1", INPUTS)

    assert isinstance(asked, Ask)
    assert misfits(asked.question.schema, {"content_id": given})
    assert not misfits(asked.question.schema, {"content_id": FILE})


def test_file_of_owner_is_given() -> None:
    answered = seen({"content_id": FILE})

    assert decided("user.file_input@1", INPUTS, answered) == Load(requests=(LoadContent(key=FILE, content_id=FILE),))
    assert outputs("user.file_input@1", INPUTS, seen({"content_id": FILE}, loaded={FILE: RECORD})) == RECORD


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (None, "no such file"),
        (RECORD | {"bytes": 101}, "101 bytes"),
        (RECORD | {"media_type": "video/mp4"}, "video/mp4"),
    ],
)
def test_other_file_is_asked_for_again(record: dict[str, Any] | None, told: str) -> None:
    effect = decided("user.file_input@1", INPUTS, seen({"content_id": FILE}, loaded={FILE: record}))

    assert isinstance(effect, Ask)
    assert told in effect.question.message
    assert effect != decided("user.file_input@1", INPUTS)


def test_no_may_stop_run() -> None:
    answered = seen({"approved": False, "comment": "too dark"})
    problem = failure("user.approve@1", {"title": "T", "on_reject": "fail"}, answered)

    assert problem.code is ErrorCode.REJECTED
    assert "too dark" in problem.message
    assert outputs("user.approve@1", {"title": "T"}, answered)["approved"] is False


@pytest.mark.parametrize(
    ("on_expire", "default"), [("approve", {"approved": True}), ("reject", {"approved": False}), ("nothing", None)]
)
def test_silence_counts_as_it_is_told_to(on_expire: str, default: object) -> None:
    effect = decided("user.approve@1", {"title": "T", "on_expire": on_expire, "expires_seconds": 60})

    assert isinstance(effect, Ask)
    assert effect.question.default == default
    assert effect.question.by_link
