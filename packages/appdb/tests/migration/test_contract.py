"""Contracts: the code that may work with a database, and the message when it may not."""

from __future__ import annotations

import pytest

from appdb import ContractMismatchError, Database
from appdb.migrations.contract import CONTRACT_VERSION
from appsupport.cli.appdb_command import CommandLine
from appsupport.migrations.earlier_releases import restore

NEXT = CONTRACT_VERSION + 1


async def state(database: Database, **contract: int) -> None:
    await database.collection("config").replace_one({"_id": "contract"}, contract, upsert=True)


@pytest.mark.parametrize(
    "contract",
    [
        {"version": CONTRACT_VERSION},
        {"version": CONTRACT_VERSION, "newest": CONTRACT_VERSION},
        {"version": CONTRACT_VERSION - 1, "newest": CONTRACT_VERSION},
        {"version": CONTRACT_VERSION - 1, "newest": CONTRACT_VERSION + 1},
        {"version": CONTRACT_VERSION, "newest": CONTRACT_VERSION + 9},
    ],
)
async def test_code_works_with_databases_allowing_its_contract(empty: Database, contract: dict[str, int]) -> None:
    await state(empty, **contract)
    await empty.open()

    assert await empty.contract_version() == contract.get("newest", contract["version"])


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
async def test_new_code_on_old_database_names_command(empty: Database, version: str) -> None:
    await restore(empty, version)
    with pytest.raises(
        ContractMismatchError, match=rf"has contract version [123].*needs {CONTRACT_VERSION}.*Run `appdb migrate`"
    ):
        await empty.open()
    await empty.migrate()
    await empty.open()


@pytest.mark.parametrize("contract", [{"version": NEXT}, {"version": NEXT, "newest": NEXT + 1}])
async def test_old_code_on_newer_database_must_upgrade(empty: Database, contract: dict[str, int]) -> None:
    await state(empty, **contract)
    with pytest.raises(ContractMismatchError, match=rf"only knows {CONTRACT_VERSION}\. Upgrade this host's package"):
        await empty.open()


async def test_old_code_leaves_newer_migrations_alone(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    newer = {"_id": "m0099_pre_later", "description": "Later.", "checksum": "x"}
    await empty.collection("migrations").insert_one(newer | {"applied_at": await empty.server_time()})
    await state(empty, version=NEXT, newest=99)
    migrated, down, validated = [
        await command("migrate", *words) for words in ([], ["down", "--to", "2"], ["validate"])
    ]

    assert (migrated.code, "Upgrade this host" in migrated.err) == (1, True)
    assert (down.code, "m0099_pre_later was applied by another release" in down.err) == (1, True)
    assert (validated.code, "m0099_pre_later" in validated.out) == (1, True)
    assert await empty.contract_version() == 99


async def test_newer_compatible_release_leaves_nothing_pending(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    newer = {"_id": "m0099_pre_later", "description": "Later.", "checksum": "x"}
    await empty.collection("migrations").insert_one(newer | {"applied_at": await empty.server_time()})
    await state(empty, version=3, newest=99)
    migrated = await command("migrate")

    assert (migrated.code, migrated.out.startswith("0 migrations run")) == (0, True)
    assert await empty.contract_version() == 99


async def test_misstated_contract_is_told_and_corrected(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    await state(empty, version=2)
    wrong = await command("migrate", "validate")
    await empty.migrate()

    assert (wrong.code, "the contract is stated as" in wrong.out) == (1, True)
    assert (await empty.migration_overview()).problems() == []
    await empty.open()
