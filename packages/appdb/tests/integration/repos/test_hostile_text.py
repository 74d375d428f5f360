"""Text of users stays text: no operator, no path, no variable, whatever field it is in and however it is stored."""

from __future__ import annotations

import re

import pytest

from appdb import Database, InvalidDataError, uuid7_str
from appsupport.scenarios.scenario import Stage
from appsupport.scenarios.table import TEXTS, methods, plain_of, texts_of

HOSTILE = [
    "$ne",
    "$where",
    "$lease.token",
    "$$NOW",
    "$$ROOT",
    "$literal",
    "$password_hash",
    "a.b.c",
    "$set.roles.0",
    "..",
    ".",
    "$",
    "__proto__",
    "constructor",
    '{"$gt":""}',
    "{'$expr':true}",
    "';return(true);//",
    "{{7*7}}",
    "<script>",
    "%00",
    "../../etc",
    "null",
    "0",
]
CONTROL = re.compile(r"[\x00-\x1f]")
UNSHOWABLE = ["a\x00b", "\x00", "a\nb", "\u202eabc", "\x1f$ne"]


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_text_parameter_is_tried_or_plain(method: str) -> None:
    tried = set(TEXTS[method].fields) if method in TEXTS else set()
    forgotten = texts_of(method) - plain_of(method) - tried

    assert not forgotten, (
        f"{method}: {', '.join(sorted(forgotten))} can hold what a user wrote: store it in a Text of the repository's "
        "module in tests/support/appsupport/scenarios, or declare it plain there"
    )
    assert tried <= texts_of(method)


@pytest.mark.parametrize("method", sorted(TEXTS))
async def test_hostile_text_comes_back_unchanged(method: str, database: Database) -> None:
    text = TEXTS[method]
    for hostile in HOSTILE:
        stage = Stage(database=database, owner=uuid7_str("usr_"))
        assert dict(await text.store(stage, hostile)) == dict.fromkeys(text.fields, hostile)


@pytest.mark.parametrize("method", sorted(TEXTS))
async def test_unprintable_text_is_refused_or_unchanged(method: str, database: Database) -> None:
    text = TEXTS[method]
    for hostile in UNSHOWABLE:
        stage = Stage(database=database, owner=uuid7_str("usr_"))
        try:
            stored = dict(await text.store(stage, hostile))
        except InvalidDataError:
            # Names of fields cannot hold NUL in BSON, nor an actor's name the separator of lanes.
            assert text.refuses or CONTROL.search(hostile)
        else:
            assert not text.refuses
            assert stored == dict.fromkeys(text.fields, hostile)
