"""Promises of conditions: what is certainly there whenever a condition holds."""

from __future__ import annotations

from collections.abc import Iterator

from appserver.values.conditions import AllOf, AnyOf, Comparison, Condition, Not


def certain_paths(condition: Condition) -> frozenset[str]:
    """Return the modules and names of the state that are there whenever *condition* holds, as ``modules.a``."""
    match condition:
        case Comparison(path=path, op=op) if op != "ne":
            return frozenset({".".join(path.split(".")[:2])})
        case AllOf(all=parts):
            return frozenset[str]().union(*map(certain_paths, parts))
        case AnyOf(any=[first, *others]):
            return certain_paths(first).intersection(*map(certain_paths, others))
        case _:
            return frozenset()


def comparisons_in(condition: Condition, pointer: str) -> Iterator[tuple[str, Comparison]]:
    """Yield each comparison of a condition with its pointer."""
    match condition:
        case Comparison():
            yield pointer, condition
        case AllOf(all=parts):
            for index, part in enumerate(parts):
                yield from comparisons_in(part, f"{pointer}/all/{index}")
        case AnyOf(any=parts):
            for index, part in enumerate(parts):
                yield from comparisons_in(part, f"{pointer}/any/{index}")
        case Not(not_=part):
            yield from comparisons_in(part, f"{pointer}/not")


def reads_state(condition: Condition) -> bool:
    """Return whether a condition looks at the state, which a later module may set anew."""
    return any(comparison.path.startswith("state.") for _, comparison in comparisons_in(condition, ""))
