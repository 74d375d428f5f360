"""What users and their credentials are read by."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (Index(collection=collections.ACCESS_KEYS, name="access_keys_user", keys=(("user_id", 1),)),)
