"""``appdb bench``: figures beside bare calls, in a database of its own that is gone afterwards."""

from __future__ import annotations

import signal

from appdb import Database
from appsupport.cli.appdb_command import CommandLine, said

QUICK = ("bench", "--tasks", "100", "--seconds", "0.2")


async def databases(database: Database) -> set[str]:
    return {name for name in await database.raw.client.list_database_names() if name.startswith("appdb_bench_")}


async def test_benchmark_measures_and_cleans_up(command: CommandLine, database: Database) -> None:
    before = await database.collection("tasks").count_documents({})
    answer = await command(*QUICK, "--json")

    assert answer.code == 0
    assert [row["id"] for row in answer.rows()] == [
        "enqueue, 32 in flight",
        "enqueue in batches",
        "claim and complete, 32 at a time",
        "enqueue to wake p50",
        "enqueue to wake p99",
    ]
    assert all(row["value"] > 0 and row["floor"] > 0 and row["ratio"] > 0 for row in answer.rows())
    assert "is dropped" in answer.err
    assert await databases(database) == set()
    assert await database.collection("tasks").count_documents({}) == before == 0


async def test_interrupted_benchmark_drops_its_database(command: CommandLine, database: Database) -> None:
    process = command.start("bench", "--seconds", "60", "--tasks", "1000000")
    assert process.stderr is not None
    started = process.stderr.readline()
    while not await databases(database):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    answer = await said(process)

    assert answer.code == 130
    assert "measuring in database appdb_bench_" in started
    assert "is dropped" in answer.err
    assert await databases(database) == set()
