"""The choice of a client's version, and duplicates."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from appdb.models import Requirement, TemplateVisibility, VersionKind, VersionSummary, WorkflowTemplate
from appdb.versions.choice import best_version
from appdb.versions.duplicates import HashedVersion, groups_of, merges_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def version(name: str, needs: dict[str, int] | None = None, **more: object) -> VersionSummary:
    fields: dict[str, object] = {
        "_id": f"ver_{name}",
        "owner_id": "usr_a",
        "template_id": "tpl_a",
        "content_hash": f"sha256:{name}",
        "kind": VersionKind.RESOLVED,
        "parent_id": "ver_source",
        "requires": [Requirement(capability=one, priority=weight) for one, weight in (needs or {}).items()],
        "created_at": START,
    }
    return VersionSummary.model_validate(fields | more)


def template(name: str, age: int, **more: object) -> WorkflowTemplate:
    at = START + timedelta(days=age)
    fields: dict[str, object] = {"_id": f"tpl_{age}", "owner_id": "usr_a", "name": name, "created_at": at}
    return WorkflowTemplate.model_validate(fields | {"updated_at": at} | more)


def test_highest_fitting_sum_of_priorities_wins() -> None:
    versions = [version("plain"), version("gpu", {"gpu": 5}), version("both", {"gpu": 5, "net": 3})]

    chosen = [best_version(versions, offered) for offered in ([], ["gpu"], ["net"], ["net", "gpu", "more"])]

    assert [one.id for one in chosen if one] == ["ver_plain", "ver_gpu", "ver_plain", "ver_both"]


def test_negative_priority_is_last_resort() -> None:
    versions = [version("slow", {"cpu": -1}), version("plain")]

    best = best_version(versions, ["cpu"])

    assert best is not None
    assert best.id == "ver_plain"


def test_unresolved_version_never_runs() -> None:
    source = version("source", kind=VersionKind.UNRESOLVED, parent_id=None)

    assert best_version([source], ["gpu"]) is None
    assert best_version([source, version("gpu", {"gpu": 1})], []) is None


def test_equal_ranks_have_one_winner() -> None:
    versions = [version("b", {"x": 2}), version("a", {"y": 2}), version("c", {"x": 1, "y": 1}), version("d", {"z": 2})]

    winners = {best_version(order, ["x", "y", "z"]) for order in itertools.permutations(versions)}

    assert winners == {versions[2]}
    assert best_version(versions[:2], ["x", "y"]) == versions[1]


def test_duplicate_names_merge_hidden_copies_do_not() -> None:
    hidden = {"visibility": TemplateVisibility.HIDDEN, "derived_from": "tpl_0"}
    templates = [template("Cafe\u0301 ", 3), template("Caf\u00e9", 1), template("caf\u00e9", 2)]
    templates += [template("Caf\u00e9", 4, **hidden), template("Caf\u00e9", 5, **hidden)]

    groups = [[one.id for one in group] for group in groups_of(templates)]

    assert groups == [["tpl_1", "tpl_3"], ["tpl_2"], ["tpl_4"], ["tpl_5"]]


def test_merging_sources_merges_their_resolutions() -> None:
    source: dict[str, Any] = {"kind": VersionKind.UNRESOLVED, "parent_id": None}
    rows = [
        HashedVersion(summary=version("s1", **source), content_hash="S"),
        HashedVersion(summary=version("s2", **source, created_at=START + timedelta(1)), content_hash="S"),
        HashedVersion(summary=version("r1", {"x": 1}, parent_id="ver_s1"), content_hash="R"),
        HashedVersion(summary=version("r2", parent_id="ver_s2", merged_ids=("ver_r0",)), content_hash="R"),
        HashedVersion(summary=version("r3", parent_id="ver_s3"), content_hash="R"),
        HashedVersion(summary=version("fine", **source, content_hash="F"), content_hash="F"),
    ]

    merges = {one.kept_id: (one.merged_ids, one.content_hash) for one in merges_of("tpl_a", rows)}

    assert merges == {
        "ver_s1": (("ver_s2",), "S"),
        "ver_r2": (("ver_r1",), "R"),
        "ver_r3": ((), "R"),
    }
