"""``appdb budgets``: limits of costs are set, shown exactly, and taken away."""

from __future__ import annotations

from decimal import Decimal

import pytest

from appdb import Database, NewTask, TaskQueue
from appsupport.cli.appdb_command import OWNER, CommandLine
from appsupport.runs.run_repositories import open_run


async def test_budgets_are_set_and_listed_exactly(command: CommandLine, database: Database) -> None:
    await open_run(database, "wf_1", owner_id=OWNER)
    for words in (["0.0000001"], ["2.50", "--day"], ["7", "--run", "wf_1"]):
        assert (await command("budgets", "set", *words, "--owner", OWNER)).code == 0
    await command("budgets", "set", "5", "--owner", OWNER)
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id="wf_1", reserves=Decimal("1.25"))
    await TaskQueue(database).enqueue(new)
    listed = await command("budgets", "list", "--owner", OWNER, "--run", "wf_1", "--json")
    as_text = await command("budgets", "list", "--owner", OWNER)

    amounts = {"spent": "0", "reserved": "1.25"}
    assert listed.rows() == [
        {"budget": "run:wf_1", "limit": "7", "left": "5.75"} | amounts,
        {"budget": f"user:{OWNER}", "limit": "5", "left": "3.75"} | amounts,
        {"budget": f"day:{OWNER}", "limit": "2.50", "left": "1.25"} | amounts,
    ]
    assert f"user:{OWNER}" in as_text.out


async def test_budget_is_taken_away(command: CommandLine) -> None:
    await command("budgets", "set", "5", "--owner", OWNER)
    taken = await command("budgets", "set", "none", "--owner", OWNER)

    assert taken.out.splitlines()[1].split() == [f"user:{OWNER}", "-", "0", "0", "-"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["much", "--owner", OWNER], "is no amount"),
        (["1", "--owner", OWNER, "--run", "wf_1", "--day"], "--run or --day"),
        (["1"], "--owner"),
        (["1", "--owner", OWNER, "--run", "wf_9"], "wf_9"),
        (["1e-13", "--owner", OWNER], "decimal"),
    ],
)
async def test_wrong_budget_is_refused(command: CommandLine, words: list[str], problem: str) -> None:
    refused = await command("budgets", "set", *words)

    assert refused.code != 0
    assert problem in refused.err
