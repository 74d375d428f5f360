"""The types of queries: plain mappings and lists, as the driver takes them."""

from __future__ import annotations

from typing import Any, TypeAlias

Filter: TypeAlias = dict[str, Any]
Update: TypeAlias = dict[str, Any]
Pipeline: TypeAlias = list[dict[str, Any]]
"""An aggregation, or an update by one."""
Projection: TypeAlias = dict[str, Any]
Sort: TypeAlias = list[tuple[str, int]]
