"""An interpreter of JMESPath that counts its work: a short expression can double a value at each of its steps."""

from __future__ import annotations

from typing import Any

from jmespath.functions import Functions
from jmespath.visitor import Options, TreeInterpreter

from appserver.modules.plain import CHARACTERS_PER_VALUE, weight

MAX_WORK = 200_000
"""Below 50 ms."""
VISIT = 8
"""What a visit of a node costs, against one value that is made or looked at."""
GROWING = frozenset({"flatten", "function_expression", "multi_select_dict", "multi_select_list"})
"""Nodes whose results may be larger than what they were made of."""


class TooMuchWorkError(Exception):
    """An expression asks for more work than one decision may do."""

    def __str__(self) -> str:
        return "it asks for too much work"


class CountingInterpreter(TreeInterpreter):
    """Evaluates an expression until its work is used up.

    What a value holds in several places counts in each of them, before anything is done that writes it out.
    """

    def __init__(self) -> None:
        self._called = Functions()
        super().__init__(Options(custom_functions=self._called))
        self._left = MAX_WORK

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one node, at its price."""
        self._spend(VISIT)
        result = super().visit(node, *args, **kwargs)
        if node["type"] in GROWING:
            self._spend(weight(result, self._left))
        return result

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """Call a function; it may look at all that it is given."""
        given = [self.visit(child, value) for child in node["children"]]
        for argument in given:
            self._spend(weight(argument, self._left))
        match node["value"], given:
            case "join", [str() as separator, list() as parts]:
                self._spend(len(parts) * len(separator) // CHARACTERS_PER_VALUE)
        return self._called.call_function(node["value"], given)

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Compare two values; nested ones are compared to their ends."""
        sides = [self.visit(child, value) for child in node["children"]]
        for side in sides:
            self._spend(weight(side, self._left))
        literals: Any = [{"type": "literal", "value": side, "children": []} for side in sides]
        compared: Any = {**node, "children": literals}
        return super().visit_comparator(compared, value)

    def _spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise TooMuchWorkError
