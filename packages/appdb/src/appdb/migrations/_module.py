"""The migrations of this release, loaded from their modules."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType

import appdb.migrations
from appdb.connection import Connection
from appdb.migrations._released import RELEASED
from appdb.migrations._steps import Steps
from appdb.migrations.contract import Contract

NAME = re.compile(r"m(\d{4})_")

Move = Callable[[Connection, Steps], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered module of ``appdb.migrations``.

    Args:
        id: The module's name.
        description: What it does, in one line.
        checksum: SHA-256 of its source, in hex.
        contract: What hosts must know once it has run.
        up: Brings the database along.
        down: Takes it back; ``None`` where that is not possible.
        irreversible: Why it is not.
        plan: Tells ``Steps`` that only plan what ``up`` would do.
    """

    id: str
    description: str
    checksum: str
    contract: Contract
    up: Move
    down: Move | None = None
    irreversible: str = ""
    plan: Move

    @property
    def number(self) -> int:
        """The number in its name."""
        return number_of(self.id)


def number_of(migration_id: str) -> int:
    """Return the number of the migration with this id; 0 when there is none in it."""
    found = NAME.match(migration_id)
    return int(found[1]) if found else 0


def known_migrations() -> list[Migration]:
    """Return the migrations that this release ships, in order."""
    names = sorted(info.name for info in pkgutil.iter_modules(appdb.migrations.__path__) if NAME.match(info.name))
    return [loaded(importlib.import_module(f"appdb.migrations.{name}")) for name in names]


def loaded(module: ModuleType) -> Migration:
    """Return the migration that *module* is.

    Raises:
        TypeError: It has neither ``down`` nor ``IRREVERSIBLE``.
    """
    name = module.__name__.rpartition(".")[2]
    # The first two migrations were released before modules stated their contract and their steps.
    released = RELEASED.get(name)
    down: Move | None = getattr(module, "down", None)
    irreversible: str = released.irreversible if released else getattr(module, "IRREVERSIBLE", "")
    if (down is None) != bool(irreversible):
        raise TypeError(f"{name}: give it a down(database, steps), or else say in IRREVERSIBLE why there is none")
    return Migration(
        id=name,
        description=(module.__doc__ or name).strip().splitlines()[0],
        checksum=hashlib.sha256(inspect.getsource(module).encode()).hexdigest(),
        contract=released.contract if released else module.CONTRACT,
        up=_without_steps(module.up) if released else module.up,
        plan=released.plan if released else module.up,
        down=down,
        irreversible=irreversible,
    )


def _without_steps(up: Callable[[Connection], Awaitable[None]]) -> Move:
    async def whole(connection: Connection, _: Steps) -> None:
        await up(connection)

    return whole
