"""`appdb check`: tells whether this release can work with the database, and what mends each problem."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from appdb._schema import collections
from appdb._schema.difference import IndexDifference, IndexProblem
from appdb.cli.migrate import on_server
from appdb.cli.output import json_line, table
from appdb.cli.target import ExitCode, Target, leave, pass_target
from appdb.database import Database
from appdb.errors import ContractMismatchError
from appdb.migrations.contract import CONTRACT_VERSION
from appdb.unreadable import Unreadable, unreadable

HEAD = ("severity", "what", "name", "problem", "what to do")
MIGRATE = "appdb migrate"
MOST_DOCUMENTS = 1_000


class Severity(StrEnum):
    """The weight of a finding."""

    ERROR = "error"
    WARNING = "warning"
    """Nothing breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of the database.

    Args:
        severity: Its weight.
        what: ``contract``, ``migration``, ``index`` or ``document``.
        name: Which one.
        problem: What is wrong with it.
        mend: What to do: a command, where one helps.
    """

    severity: Severity = Severity.ERROR
    what: str
    name: str
    problem: str
    mend: str


@click.command()
@click.option("--documents", is_flag=True, help="Read every document too: it takes as long as that does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_target
def check(target: Target, documents: bool, as_json: bool) -> None:
    """Say whether this release can work with the database; exit code 1 when not.

    Checks the server, the contract, the migrations, and each collection's indexes: keys, uniqueness, partial filter and
    time to live. An extra index is only a warning. With --documents it lists stored documents that cannot be read, at
    most 1,000: lists pass over them, and tasks among them are set aside as failed. Mend or delete each in the database.
    """
    findings = on_server(target, _all_findings if documents else _findings)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if as_json:
        rows = [asdict(finding) for finding in findings]
        click.echo(json_line({"ok": not errors, "database": target.name, "findings": rows}))
    elif findings:
        click.echo(table(HEAD, [tuple(str(value) for value in asdict(finding).values()) for finding in findings]))
    # A script reads the findings and the exit code; a line on stderr is for people.
    if errors and not as_json:
        remedies = "; ".join(dict.fromkeys(finding.mend for finding in errors))
        raise click.ClickException(f"database {target.name!r} does not fit this release; what to do: {remedies}")
    if not errors and not as_json:
        click.echo(f"database {target.name!r} is reachable, a replica set, and up to date")
    leave(ExitCode.FAILED if errors else ExitCode.DONE)


async def _findings(database: Database) -> list[Finding]:
    findings = await _of_contract(database)
    overview = await database.migration_overview()
    findings += [
        Finding(what="migration", name="", problem=problem, mend="appdb migrate status")
        for problem in overview.problems()
    ]
    if overview.contract is None:
        # It is empty, and every index would be told as missing.
        return findings
    mend = MIGRATE if overview.pending else f"{MIGRATE} indexes"
    findings += [Finding(what="migration", name=name, problem="pending", mend=MIGRATE) for name in overview.pending]
    return [*findings, *(_of_index(row, mend) for row in await database.index_differences())]


async def _all_findings(database: Database) -> list[Finding]:
    findings = await _findings(database)
    count = 0
    async for found in unreadable(database):
        findings.append(_of_document(found))
        count += 1
        if count == MOST_DOCUMENTS:
            break
    return findings


def _of_document(found: Unreadable) -> Finding:
    again = ", then replay the task" if found.collection == collections.TASKS else ""
    return Finding(
        what="document",
        name=f"{found.collection} {found.document_id}",
        problem=f"cannot be read: {found.problem}",
        mend=f"mend these fields in the database, or delete the document{again}",
    )


async def _of_contract(database: Database) -> list[Finding]:
    try:
        await database.check_contract()
    except ContractMismatchError as exc:
        found = await database.contract_version()
        older = found is None or found < CONTRACT_VERSION
        mend = MIGRATE if older else "upgrade this host's package"
        return [Finding(what="contract", name=str(found or "none"), problem=str(exc), mend=mend)]
    return []


def _of_index(row: IndexDifference, mend: str) -> Finding:
    # An index that an operator added serves his own queries, and breaks nothing of ours.
    extra = row.problem is IndexProblem.EXTRA
    return Finding(
        severity=Severity.WARNING if extra else Severity.ERROR,
        what="index",
        name=f"{row.collection}.{row.name}",
        problem=f"{row.problem}: {row.detail}" if row.detail else row.problem.value,
        mend="keep it if it is yours, else drop it" if extra else mend,
    )
