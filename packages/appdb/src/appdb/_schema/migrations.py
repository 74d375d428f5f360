"""Indexes of ``migrations``: no index: there are few migrations, and they are read by id."""

from __future__ import annotations

from appdb._schema.index import Index

INDEXES: tuple[Index, ...] = ()
