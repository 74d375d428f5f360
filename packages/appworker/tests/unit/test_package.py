"""The public face of the package."""

from __future__ import annotations

import sysconfig
import types
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import BaseModel

import appworker
from appworker import ActorContext, actor


class Empty(BaseModel):
    pass


def test_tested_package_is_the_built_one() -> None:
    assert Path(appworker.__file__).is_relative_to(sysconfig.get_path("purelib"))
    assert appworker.__version__ == version("appworker")


def test_all_names_every_public_name() -> None:
    public = {
        name
        for name, value in vars(appworker).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }

    assert public | {"__version__"} == set(appworker.__all__)


def test_other_host_absent_and_appdb_pinned() -> None:
    assert find_spec("appserver") is None
    assert f"appdb=={version('appdb')}" in (requires("appworker") or [])


def test_actor_without_payload_model_is_refused() -> None:
    async def untyped(context: ActorContext, payload: dict[str, str]) -> None: ...

    with pytest.raises(TypeError, match="annotate it as"):
        actor("untyped")(untyped)  # type: ignore[type-var]


def test_actor_tells_schema_and_docstring() -> None:
    @actor("empty", version=3)
    async def empty(_context: ActorContext, _payload: Empty) -> None:
        """Do nothing.

        And say more.
        """

    assert (empty.name, empty.version, empty.description) == ("empty", 3, "Do nothing.")
    assert empty.payload_schema()["type"] == "object"
