"""Lines: modules that are done one after the other, and what each of them may refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from appserver.engine.definition.model import ModuleDefinition
from appserver.engine.definition.promises import certain_paths, comparisons_in, reads_state
from appserver.engine.definition.references import references_in
from appserver.engine.definition.subschemas import ABSENT, SchemaView
from appserver.modules.registry import AnyModule
from appserver.values.conditions import Condition

RUN_NAMES = ("id", "project", "owner")
INTEGER = SchemaView({"type": "integer"})
STRING = SchemaView({"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleUse:
    """One module of a line.

    Args:
        pointer: Where it stands in the definition.
        definition: The module, as it is written.
        module: Its type; ``None`` where this host lacks it.
        outputs: The schema of what it gives; ``None`` for unknown.
    """

    pointer: str
    definition: ModuleDefinition
    module: AnyModule | None = None
    outputs: SchemaView | None = None

    @property
    def may_be_skipped(self) -> bool:
        """Whether a run may go past it without its outputs."""
        return self.definition.when is not None or self.definition.on_error == "skip"


@dataclass(frozen=True, slots=True)
class PathTarget:
    """The value that a path leads to.

    Args:
        schema: What is known of it.
        fault: The code of what is wrong with the path; empty when nothing is.
        message: What that is.
        name: The name that is unknown, where a hint may name a nearer one.
        known: The names that are known in its place.
        severity: How bad it is.
    """

    schema: SchemaView | None = None
    fault: str = ""
    message: str = ""
    name: str = ""
    known: Sequence[str] = ()
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Outer:
    """The module that runs a line for its items, or as a child.

    Args:
        line: The line that it stands in.
        position: Its index there.
    """

    line: Line
    position: int

    @property
    def use(self) -> ModuleUse:
        """The module itself."""
        return self.line.uses[self.position]

    @property
    def has_items(self) -> bool:
        """Whether it runs the line for each of its items."""
        return "items" in self.use.definition.inputs

    @property
    def hands_input_on(self) -> bool:
        """Whether ``input`` is in the line what it is outside."""
        return "input" not in self.use.definition.inputs


class Line:
    """The modules of a definition, or of a child run, in their order.

    Args:
        uses: The modules.
        input_schema: The schema of ``input``; ``None`` for unknown.
        outer: The module that runs the line, so that ``item``, ``index`` and what ran before it are known.
    """

    def __init__(
        self, uses: Sequence[ModuleUse], input_schema: Mapping[str, Any] | None, outer: Outer | None = None
    ) -> None:
        self.uses = uses
        self._input = None if input_schema is None else SchemaView(input_schema)
        self._outer = outer
        self._targets: dict[tuple[str, int, bool], PathTarget] = {}
        # Of two with one id the first counts; the second is a problem of its own.
        self._position = {use.definition.id: index for index, use in reversed(list(enumerate(uses)))}

    def target(self, path: str, position: int, *, guarded: bool) -> PathTarget:
        """Return what *path* leads to for the module at *position*.

        Args:
            path: A well-formed path.
            position: The module's index in the line; its length for what comes after all of them.
            guarded: Whether nothing there is taken for an answer: in a condition, and where a default is given.
        """
        key = (path, position, guarded)
        if key not in self._targets:
            self._targets[key] = self._found(path, position, guarded=guarded)
        return self._targets[key]

    def _found(self, path: str, position: int, *, guarded: bool) -> PathTarget:
        root, *rest = path.split(".")
        if self._outer is not None and rest and not self._is_own(root, rest[0]):
            known_to_be_there = guarded or f"{root}.{rest[0]}" in self._certain_paths(position)
            return self._outer.line.target(path, self._outer.position, guarded=known_to_be_there)
        return self._own_target(root, rest, position, guarded=guarded)

    def _own_target(self, root: str, rest: Sequence[str], position: int, *, guarded: bool) -> PathTarget:
        match root:
            case "input":
                return self._of_input(rest)
            case "modules":
                return self._of_module(rest, position, guarded=guarded)
            case "state":
                return self._of_state(rest, position, guarded=guarded)
            case "run":
                return _of_run(rest)
            case ("item" | "index") as name if self._has_items:
                return self._within(name, INTEGER if name == "index" else None, rest)
            case _:
                return self._unknown_root(root)

    def _is_own(self, root: str, name: str) -> bool:
        """Return whether a path is answered by this line; its modules and names hide those of the outer line."""
        match root:
            case "input":
                return self._outer is None or not self._outer.hands_input_on
            case "modules":
                return name in self._position
            case "state":
                return any(name in use.definition.out for use in self.uses)
            case _:
                return True

    @property
    def _has_items(self) -> bool:
        return self._outer is not None and self._outer.has_items

    def _unknown_root(self, root: str) -> PathTarget:
        roots = ["input", "modules", "state", "run", *(["item", "index"] if self._has_items else [])]
        if root in {"item", "index"}:
            return PathTarget(fault="unknown_root", message=f"{root} is known only to modules that a map runs")
        return PathTarget(fault="unknown_root", message=f"no path begins with {root!r}", name=root, known=roots)

    def _of_input(self, rest: Sequence[str]) -> PathTarget:
        if self._input is None:
            return PathTarget()
        found = self._input.at(rest)
        if found is ABSENT:
            return self._absent("the run's input", self._input, rest)
        if rest and found is None and (names := self._input.names()) and rest[0] not in names:
            message = f"the schema of the run's input does not name {rest[0]!r}"
            return PathTarget(fault="unnamed_input", message=message, name=rest[0], known=names, severity="warning")
        return PathTarget(found)

    def _of_module(self, rest: Sequence[str], position: int, *, guarded: bool) -> PathTarget:
        if not rest:
            return PathTarget(fault="bad_path", message="a module's id comes after 'modules.'")
        name, *inner = rest
        at = self._position.get(name)
        if at is None:
            known = [use.definition.id for use in self.uses[:position]]
            return PathTarget(fault="dangling", message=f"there is no module {name!r}", name=name, known=known)
        if at >= position:
            return self._too_early(name, at, position)
        use = self.uses[at]
        if not guarded and not self._is_certain(use, f"modules.{name}", position):
            return PathTarget(fault="not_certain", message=f"module {name!r} may be skipped, so that it gives nothing")
        return self._within(f"module {name!r}", use.outputs, inner)

    def _of_state(self, rest: Sequence[str], position: int, *, guarded: bool) -> PathTarget:
        if not rest:
            return PathTarget(fault="bad_path", message="a name comes after 'state.'")
        name, *inner = rest
        writers = [use for use in self.uses[:position] if name in use.definition.out]
        if not writers:
            return self._unwritten(name, position)
        if not guarded and not any(self._is_certain(use, f"state.{name}", position) for use in writers):
            return PathTarget(fault="not_certain", message=f"the modules that set state.{name} may be skipped")
        only = writers[0]
        if len(writers) > 1 or only.outputs is None:
            return PathTarget()
        schema = only.outputs.at(only.definition.out[name].split("."))
        return self._within(f"state.{name}", schema if isinstance(schema, SchemaView) else None, inner)

    def _unwritten(self, name: str, position: int) -> PathTarget:
        if any(name in use.definition.out for use in self.uses[position:]):
            return PathTarget(fault="forward", message=f"state.{name} is set only by a later module")
        known = [each for use in self.uses[:position] for each in use.definition.out]
        return PathTarget(fault="dangling", message=f"no module sets state.{name} by its 'out'", name=name, known=known)

    def _too_early(self, name: str, at: int, position: int) -> PathTarget:
        if at == position:
            return PathTarget(fault="cycle", message=f"module {name!r} refers to what it gives itself")
        if self._needs(at, self.uses[position].definition.id):
            mine = self.uses[position].definition.id
            return PathTarget(fault="cycle", message=f"module {mine!r} needs {name!r}, which needs {mine!r}")
        return PathTarget(fault="forward", message=f"module {name!r} runs only later")

    def _needs(self, at: int, name: str) -> bool:
        written = self.uses[at].definition
        paths = [reference.path for _, reference in references_in(written.inputs)]
        if written.when is not None:
            paths += [comparison.path for _, comparison in comparisons_in(written.when, "")]
        return any(path.split(".")[:2] == ["modules", name] for path in paths)

    def _is_certain(self, use: ModuleUse, path: str, position: int) -> bool:
        if not use.may_be_skipped:
            return True
        if path in self._certain_paths(position):
            return True
        mine = self._condition(position)
        same = mine is not None and mine == use.definition.when and not reads_state(mine)
        return same and use.definition.on_error == "fail"

    def _certain_paths(self, position: int) -> frozenset[str]:
        condition = self._condition(position)
        return frozenset() if condition is None else certain_paths(condition)

    def _condition(self, position: int) -> Condition | None:
        return self.uses[position].definition.when if position < len(self.uses) else None

    def _within(self, owner: str, schema: SchemaView | None, path: Sequence[str]) -> PathTarget:
        if schema is None:
            return PathTarget()
        found = schema.at(path)
        return self._absent(owner, schema, path) if found is ABSENT else PathTarget(found)

    def _absent(self, owner: str, schema: SchemaView, path: Sequence[str]) -> PathTarget:
        length = next(length for length in range(1, len(path) + 1) if schema.at(path[:length]) is ABSENT)
        beginning = schema.at(path[: length - 1])
        known = beginning.names() if isinstance(beginning, SchemaView) else []
        where = owner if length == 1 else f"{'.'.join(path[: length - 1])} of {owner}"
        name = path[length - 1]
        return PathTarget(fault="unknown_output", message=f"{where} has no {name!r}", name=name, known=known)


def _of_run(rest: Sequence[str]) -> PathTarget:
    if len(rest) == 1 and rest[0] in RUN_NAMES:
        return PathTarget(STRING)
    name = ".".join(rest)
    return PathTarget(fault="dangling", message=f"run has no {name!r}", name=name, known=RUN_NAMES)
