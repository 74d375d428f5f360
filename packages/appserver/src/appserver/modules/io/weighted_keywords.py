"""``io.weighted_keywords@1``: what was liked gets heavier, over all runs of a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, Load, LoadKeywords, Module, ModuleKind, Ports, SaveKeywords, Seen

KEYWORDS = "keywords"
Keyword = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class KeywordInputs(Ports):
    """Keywords to weigh, or to read."""

    mode: Literal["save", "load"] = Field(description="Whether weights grow, or are read.")
    keywords: dict[Keyword, Weight] = Field(
        default_factory=dict, max_length=200, description="By how much each keyword's weight grows, for ``save``."
    )
    category: str | None = Field(None, min_length=1, max_length=200, description="A set of keywords of its own.")
    limit: int = Field(50, ge=1, le=500, description="How many are read at most, the heaviest first.")


class KeywordWeight(Ports):
    """A keyword and its weight."""

    keyword: str
    weight: float


class KeywordOutputs(Ports):
    """Keywords."""

    keywords: list[KeywordWeight] = Field(description="The heaviest first; for ``save`` what was given.")


class WeightedKeywords(Module[KeywordInputs, KeywordOutputs]):
    """Adds to the weights of a template's keywords, or reads the heaviest."""

    type = "io.weighted_keywords@1"
    kind = ModuleKind.INLINE
    Inputs = KeywordInputs
    Outputs = KeywordOutputs
    example: ClassVar[Mapping[str, Any]] = {"mode": "save", "keywords": {"sea": 1.0, "night": 0.5}}

    def decide(self, inputs: KeywordInputs, seen: Seen) -> Load | Done:
        """Save or load."""
        if inputs.mode == "save":
            write = SaveKeywords(weights=inputs.keywords, category=inputs.category)
            heaviest = sorted(inputs.keywords.items(), key=lambda item: (-item[1], item[0]))
            given = [{"keyword": keyword, "weight": float(weight)} for keyword, weight in heaviest]
            return Done(outputs={"keywords": given}, writes=(write,) if inputs.keywords else ())
        if KEYWORDS not in seen.loaded:
            request = LoadKeywords(key=KEYWORDS, category=inputs.category, limit=inputs.limit)
            return Load(requests=(request,))
        found = seen.loaded[KEYWORDS]
        rows = [_row(row) for row in found] if isinstance(found, list) else []
        return Done(outputs={"keywords": [row for row in rows if row is not None]})


def _row(row: JsonValue) -> dict[str, JsonValue] | None:
    match row:
        case {"keyword": str() as keyword, "weight": int() | float() as weight}:
            return {"keyword": keyword, "weight": float(weight)}
        case _:
            return None
