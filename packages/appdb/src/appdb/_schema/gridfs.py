"""Indexes of the GridFS buckets ``media`` and ``files``: those that every GridFS driver makes, and none of ours."""

from __future__ import annotations

from appdb._schema.index import Index

INDEXES: tuple[Index, ...] = ()
MADE_BY_DRIVERS = {".files": "filename_1_uploadDate_1", ".chunks": "files_id_1_n_1"}
"""By the part of a bucket, the index that GridFS defines; it is neither missing nor extra."""
