"""``db.query@1``: a query that this installation has named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, Load, LoadQuery, Module, ModuleKind, Ports, Seen

ROWS = "rows"


class QueryByNameInputs(Ports):
    """A named query and its arguments."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]{0,99}$", description="The name, as the installation has it.")
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict, description="What the query takes by its schema; values only, and never operators."
    )


class QueryByNameOutputs(Ports):
    """The rows."""

    rows: list[JsonValue] = Field(description="What the query found.")
    count: int = Field(description="How many rows these are.")


class QueryByName(Module[QueryByNameInputs, QueryByNameOutputs]):
    """Asks a query that the installation has named, and gives its rows."""

    type = "db.query@1"
    kind = ModuleKind.INLINE
    Inputs = QueryByNameInputs
    Outputs = QueryByNameOutputs
    example: ClassVar[Mapping[str, Any]] = {"name": "recent_contents", "arguments": {"limit": 10}}

    def decide(self, inputs: QueryByNameInputs, seen: Seen) -> Load | Done | Fail:
        """Ask, and give the rows."""
        if ROWS not in seen.loaded:
            return Load(requests=(LoadQuery(key=ROWS, name=inputs.name, arguments=inputs.arguments),))
        found = seen.loaded[ROWS]
        if not isinstance(found, dict) or not isinstance(rows := found.get("rows"), list):
            error = found.get("error") if isinstance(found, dict) else None
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message=f"query {inputs.name}: {error or 'it gave no rows'}"[:1_000],
                hint="correct its name or arguments, or let the operator install it",
            )
        return Done(outputs={"rows": rows, "count": len(rows)})
