"""The ``appdb`` command."""

from __future__ import annotations

from appdb.cli.root import main

__all__ = ["main"]
