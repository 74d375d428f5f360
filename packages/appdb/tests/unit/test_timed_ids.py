"""Ids that tell a time which another clock has told."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from appdb.utils import uuid7_at, uuid7_floor, uuid7_str

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def test_an_id_of_a_moment_is_a_lawful_uuid_of_version_7() -> None:
    made = {uuid7_at("file_", MOMENT) for _ in range(1_000)}

    assert len(made) == 1_000
    for found in (uuid.UUID(text.removeprefix("file_")) for text in made):
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert found.int >> 80 == int(MOMENT.timestamp() * 1000)


def test_ids_lie_on_the_right_side_of_a_moment() -> None:
    floor = uuid7_floor("file_", MOMENT)

    assert uuid7_at("file_", MOMENT - timedelta(milliseconds=1)) < floor <= uuid7_at("file_", MOMENT)
    day = timedelta(days=1)
    assert uuid7_floor("", datetime.now(UTC) - day) < uuid7_str() < uuid7_floor("", datetime.now(UTC) + day)
