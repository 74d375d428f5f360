"""What limits are kept by."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (Index(collection=collections.LIMITS, name="limits_idle", keys=(("refilled_at", 1),)),)
