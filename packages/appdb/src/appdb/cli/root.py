"""The ``appdb`` command: finds the database that is meant, and holds the commands by subject."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TypeVar

import click

from appdb._version import __version__
from appdb.cli.bench import bench
from appdb.cli.budgets import budgets
from appdb.cli.check import check
from appdb.cli.dev_db import dev_db
from appdb.cli.limits import limits
from appdb.cli.migrate import migrate
from appdb.cli.output import printable
from appdb.cli.queues import queues
from appdb.cli.runs import runs
from appdb.cli.schedules import schedules
from appdb.cli.target import Target
from appdb.cli.tasks import tasks
from appdb.cli.users import keys, users
from appdb.cli.workers import actors, workers
from appdb.embedded import DEFAULT_PORT
from appdb.errors import InvalidDataError
from appdb.host.environment import check_variables, file_variables

T = TypeVar("T")

DEFAULT_URI = f"mongodb://127.0.0.1:{DEFAULT_PORT}/?replicaSet=rs0"


def _from_file(name: str, otherwise: str) -> Callable[[], str]:
    """Return what finds the default of a setting: from the file that hosts read too."""
    # Asked when a command runs, so that `appdb --help` works beside a `.env` that cannot be read.
    return lambda: _told(file_variables).get(name) or otherwise


def _told(read: Callable[[], T]) -> T:
    try:
        return read()
    except InvalidDataError as exc:
        raise click.ClickException(printable(str(exc))) from exc


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="appdb")
@click.option(
    "--uri",
    envvar="APP_MONGO_URI",
    default=_from_file("APP_MONGO_URI", DEFAULT_URI),
    show_default=DEFAULT_URI,
    show_envvar=True,
    help="MongoDB connection string.",
)
@click.option(
    "--database",
    envvar="APP_MONGO_DATABASE",
    default=_from_file("APP_MONGO_DATABASE", "app"),
    show_default="app",
    show_envvar=True,
    help="Database name.",
)
@click.pass_context
def main(context: click.Context, uri: str, database: str) -> None:
    """Look after the database that API hosts and worker hosts share.

    Variables in the environment or in a file `.env` name it, as they do for the hosts.

    Exit codes of all commands: 0 done; 1 it could not be done, and stderr says why and what to do next; 2 the command
    line is wrong; 130 interrupted. `tasks submit --wait`, `tasks watch` and `runs events --follow` tell the outcome:
    see theirs.
    """
    # Commands say themselves what a user needs to know; a log between their lines would spoil both.
    logging.getLogger("appdb").addHandler(logging.NullHandler())
    _told(check_variables)
    context.obj = Target(uri=uri, name=database)
    # Any value counts, as https://no-color.org has it.
    if os.environ.get("NO_COLOR"):
        context.color = False


for command in (
    dev_db,
    migrate,
    check,
    tasks,
    runs,
    queues,
    workers,
    actors,
    limits,
    budgets,
    schedules,
    users,
    keys,
    bench,
):
    main.add_command(command)
