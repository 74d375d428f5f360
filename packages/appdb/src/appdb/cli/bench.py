"""`appdb bench`: the queue's rates on the user's own server, beside bare driver calls in the same run."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import click

from appdb._driver import translates_errors
from appdb.cli.bench_measures import BenchLimits, DriverMeasures, QueueMeasures, percentile
from appdb.cli.output import json_line, table
from appdb.cli.target import Target, pass_target, run
from appdb.database import Database
from appdb.errors import AppDbError

HEAD = ("measure", "appdb", "bare", "unit", "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One measured row.

    Args:
        id: The same in every run.
        value: What appdb took or reached.
        floor: The same work with bare driver calls.
        unit: Of both.
    """

    id: str
    value: float
    floor: float
    unit: str

    @property
    def ratio(self) -> float:
        """QueueMeasures over the floor's."""
        return self.value / self.floor


@click.command()
@click.option(
    "--tasks", "count", type=click.IntRange(100, 1_000_000), default=1_000, show_default=True, help="Per measure."
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 600), default=1.0, show_default=True, help="The most per measure."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per measure and line.")
@pass_target
def bench(target: Target, count: int, seconds: float, as_json: bool) -> None:
    """Measure the queue on the named server, in a database of its own, which is dropped afterwards.

    Nothing is read or written in --database. Each rate is shown beside the same work with bare driver calls; a ratio
    of 1 means that the queue costs nothing. It puts load on the server for about ten seconds.
    """
    # A name by chance: two who measure on one server must not drop each other's database.
    aside = Target(uri=target.uri, name=f"appdb_bench_{secrets.token_hex(6)}")
    rows = run(lambda: _measured(aside, BenchLimits(count=count, seconds=seconds)), interrupted="interrupted")
    for row in rows if as_json else ():
        fields = {"id": row.id, "value": round(row.value, 2), "unit": row.unit, "floor": round(row.floor, 2)}
        click.echo(json_line(fields | {"ratio": round(row.ratio, 3)}))
    if not as_json:
        click.echo(table(HEAD, [(row.id, row.value, row.floor, row.unit, row.ratio) for row in rows]))


async def _measured(target: Target, limits: BenchLimits) -> list[BenchRow]:
    # A build of indexes and a batch of a thousand may take longer than an operation of a host.
    database = target(operation_timeout=None)
    try:
        await database.check_server()
        return await _measured_and_dropped(database, limits)
    finally:
        await database.close()


async def _measured_and_dropped(database: Database, limits: BenchLimits) -> list[BenchRow]:
    click.echo(f"measuring in database {database.name}, which is dropped afterwards", err=True)
    try:
        await database.migrate()
        return await measure(database, limits)
    finally:
        await _drop(database)


async def _drop(database: Database) -> None:
    try:
        await drop(database)
        click.echo(f"database {database.name} is dropped", err=True)
    except AppDbError as exc:
        # Told, and not raised: the figures that were measured are right all the same.
        click.echo(f"database {database.name} could not be dropped, drop it by hand: {exc}", err=True)


@translates_errors
async def drop(database: Database) -> None:
    """Drop *database* with all that is in it."""
    await database.raw.client.drop_database(database.name)


@translates_errors
async def measure(database: Database, limits: BenchLimits) -> list[BenchRow]:
    """Return every measure, taken in a migrated *database* without other users."""
    bare, ours = DriverMeasures(database, limits), QueueMeasures(database, limits)
    rates = [
        ("enqueue, 32 in flight", ours.enqueue, bare.insert),
        ("enqueue in batches", ours.enqueue_many, bare.insert_many),
        ("claim and complete, 32 at a time", ours.drain, bare.drain),
    ]
    rows = [BenchRow(id=name, floor=await floor(), value=await value(), unit="1/s") for name, value, floor in rates]
    floors, waits = await bare.wakes(), await ours.wakes()
    for share in (50, 99):
        floor, value = percentile(floors, share), percentile(waits, share)
        rows.append(BenchRow(id=f"enqueue to wake p{share}", value=value, floor=floor, unit="ms"))
    return rows
