"""Every query of versions, settings and history is served by its index, and reads no more than it returns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from appdb import Database
from appdb._queries import config
from appdb._queries import option_usage as history
from appdb._queries import weighted_keywords as keyword_queries
from appdb._queries import workflow_templates as templates
from appdb._queries import workflow_versions as versions
from appdb._queries.paging import BY_NAME, LAST_USED_FIRST, NEWEST_FIRST
from appdb._schema import collections
from appsupport.mongo.crowds import insert_crowd

OTHERS = 3_000
GROUPS = 30
"""Owners, each with one template's versions."""
MINE, TEMPLATE = "usr_8", "tpl_8"
MODULE = {"owner_id": MINE, "template_id": TEMPLATE, "step_id": "s", "module": "m"}


@pytest.fixture
async def crowded(database: Database) -> Database:
    now = await database.server_time()

    def rows(**more: Any) -> list[dict[str, Any]]:
        return [
            {
                "_id": f"{number:05}",
                "owner_id": f"usr_{number % GROUPS}",
                "template_id": f"tpl_{number % GROUPS}",
                "created_at": now + timedelta(seconds=number),
                "last_used_at": now + timedelta(seconds=number),
            }
            | {key: value(number) for key, value in more.items()}
            for number in range(OTHERS)
        ]

    made: dict[str, list[dict[str, Any]]] = {
        collections.WORKFLOW_TEMPLATES: rows(
            name=lambda number: f"{number}",
            visibility=lambda number: "hidden" if number % 7 == 0 else "visible",
            derived_from=lambda number: f"{number}",
        ),
        collections.WORKFLOW_VERSIONS: rows(
            content_hash=lambda number: f"{number}",
            parent_id=lambda number: None if number < OTHERS / 2 else f"{number % GROUPS:05}",
        ),
        collections.OPTION_USAGE: rows(step_id=lambda _: "s", module=lambda number: "mn"[number % 2]),
        collections.WEIGHTED_KEYWORDS: rows(category=lambda _: "c", weight=lambda _: 1),
        collections.CONFIG: rows(type=lambda number: f"{number % GROUPS}", name=lambda number: f"{number:05}"),
    }
    for name, documents in made.items():
        await insert_crowd(database, name, documents)
    return database


async def test_keys_examined_stay_close_to_results(crowded: Database) -> None:
    now = (await crowded.collection(collections.WORKFLOW_TEMPLATES).find_one({"_id": "00000"}) or {})["created_at"]
    at = {"created_at": now + timedelta(seconds=OTHERS // 2), "_id": f"{OTHERS // 2:05}"}
    later = {"created_at": now + timedelta(seconds=OTHERS // 2, days=1), "_id": ""}
    page = {"sort": dict(NEWEST_FIRST), "limit": 20}
    first = {"sort": dict(NEWEST_FIRST), "limit": 1}
    copied = versions.of_templates([TEMPLATE]) | templates.readable(MINE)
    cases: list[tuple[str, dict[str, Any], dict[str, Any], int]] = [
        ("workflow_templates", templates.one("00008", MINE), {}, 1),
        ("workflow_templates", templates.owned("00008", MINE), {}, 1),
        ("workflow_templates", templates.named(MINE, "8"), {}, 1),
        ("workflow_templates", templates.copy_of("usr_7", "7"), {}, 1),
        ("workflow_templates", templates.page(MINE, None), page, 20),
        ("workflow_templates", templates.page(MINE, at), page, 20),
        ("workflow_templates", templates.all_of(MINE), {}, OTHERS // GROUPS),
        ("workflow_versions", versions.one("00008", MINE), {}, 1),
        ("workflow_versions", versions.same_content(TEMPLATE, "8", None), {}, 1),
        ("workflow_versions", versions.with_content(TEMPLATE, "8", MINE), {"sort": {"parent_id": 1}}, 1),
        ("workflow_versions", versions.children(TEMPLATE, None, MINE), first, 1),
        ("workflow_versions", versions.page(TEMPLATE, None, MINE, None), page, 20),
        (
            "workflow_versions",
            versions.page(TEMPLATE, "00008", MINE, later),
            page,
            20,
        ),
        ("workflow_versions", copied, {}, OTHERS // GROUPS),
        ("config", config.page("8", None), {"sort": dict(BY_NAME), "limit": 20}, 20),
        ("config", config.page("8", "01500"), {"sort": dict(BY_NAME), "limit": 20}, 20),
        ("option_usage", history.scope(MODULE), {"sort": dict(LAST_USED_FIRST), "limit": 20}, 20),
    ]
    for collection, match, options, returned in cases:
        command = {"find": collection, "filter": match, **options}
        answer = await crowded.raw.command({"explain": command, "verbosity": "executionStats"})
        stats, case = answer["executionStats"], f"{collection} {match}"

        assert stats["nReturned"] == returned, case
        assert "COLLSCAN" not in str(stats["executionStages"]), case
        assert "'SORT'" not in str(stats["executionStages"]), case
        assert stats["totalKeysExamined"] <= 2 * returned + 4, case
        assert stats["totalDocsExamined"] <= 2 * returned, case


async def test_weighing_reads_bounded_category(crowded: Database) -> None:
    match = history.scope({"owner_id": MINE, "template_id": TEMPLATE, "category": "c"})
    pipeline = keyword_queries.heaviest(match, half_life=timedelta(days=1), limit=5, most=50)
    command = {"aggregate": "weighted_keywords", "pipeline": pipeline, "cursor": {}}
    answer = await crowded.raw.command({"explain": command, "verbosity": "executionStats"})
    found = answer["stages"][0]["$cursor"] if "stages" in answer else answer

    assert "keywords_category" in str(found["queryPlanner"]["winningPlan"])
    assert found["executionStats"]["totalKeysExamined"] == 50
