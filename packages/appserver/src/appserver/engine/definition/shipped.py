"""The workflows that are shipped: JSON files beside the code, checked by tests."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

ROOM = "appserver.workflows"


@cache
def shipped_workflows() -> dict[str, dict[str, Any]]:
    """Return the definitions that come with this package, by name."""
    found = sorted((one for one in files(ROOM).iterdir() if one.name.endswith(".json")), key=lambda one: one.name)
    definitions = [json.loads(one.read_bytes()) for one in found]
    return {definition["name"]: definition for definition in definitions}
