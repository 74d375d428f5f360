"""The update that counts a use once, however often its write is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.expressions import literal
from appdb._queries.types import Pipeline
from appdb.utils import derived_id

REMEMBERED_USES = 100
"""How many uses of one option or keyword may lie between a call and its repetition."""


def counted_once(fields: Mapping[str, Any], changes: Mapping[str, Any], use_id: str) -> Pipeline:
    """Return the update that sets *fields* and *changes* (expressions), unless the use *use_id* was counted before."""
    given = {name: literal(value) for name, value in fields.items()}
    known = {"$ifNull": ["$use_ids", []]}
    mark = literal(derived_id("", use_id))
    # The last id is kept whole beside the digests, as release 0.3 reads it.
    is_repeat = {"$or": [{"$eq": ["$use_id", literal(use_id)]}, {"$in": [mark, known]}]}
    remembered = {"use_ids": {"$slice": [{"$concatArrays": [known, [mark]]}, -REMEMBERED_USES]}}
    used = {"$mergeObjects": ["$$ROOT", {**given, **changes, **remembered}]}
    return [{"$replaceWith": {"$cond": [is_repeat, "$$ROOT", used]}}]
