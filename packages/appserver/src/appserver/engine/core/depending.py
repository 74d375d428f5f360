"""Dependence: whether what a module is given can change when others run again."""

from __future__ import annotations

from appserver.engine.core.children import paths_in
from appserver.engine.core.place import Place


class Changed:
    """The modules that give something new, and the names in the run's state that come from them.

    Args:
        first: The first of them.
    """

    def __init__(self, first: Place) -> None:
        self._roots: set[tuple[str, str]] = set()
        self.add(first)

    def add(self, place: Place) -> None:
        """Let *place* give something new."""
        self._roots |= {("modules", place.module.id), *(("state", name) for name in place.module.out)}

    def reaches(self, place: Place) -> bool:
        """Return whether *place* refers to something new."""
        raw = place.module.model_dump(mode="json", by_alias=True)
        for path in paths_in([raw["in"], raw["when"]]):
            root, _, rest = path.partition(".")
            if (root, rest.partition(".")[0]) in self._roots or (root in ("modules", "state") and not rest):
                return True
        return False
