"""`appdb budgets`: limits of what a user, a user in one day, or a run may cost, and how they stand."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from appdb.cli.output import json_line, printable, table
from appdb.cli.target import Target, pass_target
from appdb.models.budgets import Budget, BudgetKind, BudgetScope
from appdb.repos.budget import BudgetRepository

HEAD = ("budget", "limit, $", "spent", "reserved", "left")
NONE = "none"

_owner = click.option("--owner", "owner_id", required=True, help="Whose budget: the id of a user.")
_run = click.option("--run", "run_id", help="The budget of this run.")


@click.group()
def budgets() -> None:
    """Show and set the limits of what users and runs may cost."""


@budgets.command("list")
@_owner
@_run
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per budget and line.")
@pass_target
def list_budgets(target: Target, owner_id: str, run_id: str | None, as_json: bool) -> None:
    """List the budgets that a task of the owner, or of the run, counts for."""
    found = target.run(lambda database: BudgetRepository(database).list_for(owner_id=owner_id, run_id=run_id))
    _show(found, as_json=as_json)


@budgets.command("set")
@click.argument("amount")
@_owner
@_run
@click.option("--day", is_flag=True, help="The budget of one day, UTC, in place of that of all time.")
@pass_target
def set_budget(target: Target, amount: str, owner_id: str, run_id: str | None, day: bool) -> None:
    """Let the owner's tasks cost at most AMOUNT dollars, or take the limit away with `none`.

    Without --run and --day it is the budget of all that the owner's tasks cost. What is running goes on.
    """
    if run_id is not None and day:
        raise click.UsageError("give --run or --day, not both: a run has one budget for all its time")
    kind = BudgetKind.DAY if day else BudgetKind.USER if run_id is None else BudgetKind.RUN
    scope, limit = BudgetScope(kind=kind, run_id=run_id), _amount(amount)
    budget = target.run(lambda database: BudgetRepository(database).set_limit(scope, limit, owner_id=owner_id))
    _show([budget], as_json=False)


def _amount(text: str) -> Decimal | None:
    if text == NONE:
        return None
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise click.UsageError(f"{printable(text)!r} is no amount; write dollars, such as 2.50, or `none`") from exc


def _show(found: list[Budget], *, as_json: bool) -> None:
    rows = [_fields(budget) for budget in found]
    if as_json:
        for row in rows:
            click.echo(json_line(row))
    else:
        click.echo(table(HEAD, [["-" if value is None else value for value in row.values()] for row in rows]))


def _fields(budget: Budget) -> dict[str, str | None]:
    amounts = {"limit": budget.limit, "spent": budget.spent, "reserved": budget.reserved, "left": budget.left}
    return {"budget": budget.id} | {name: _plain(amount) for name, amount in amounts.items()}


def _plain(amount: Decimal | None) -> str | None:
    # Never as a power of ten, nor as a number that a reader would round.
    return None if amount is None else f"{amount:f}"
