"""Indexes of ``queues``: no index: queues are read by id, and all paused ones at once."""

from __future__ import annotations

from appdb._schema.index import Index

INDEXES: tuple[Index, ...] = ()
