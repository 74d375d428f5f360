"""Scenarios of ``Database`` itself: settings, the history of options, and recovery."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from appdb import Database
from appdb._driver import RawDocument
from appdb.models import UsedKeyword
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import worked

FAR = datetime(2999, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOT_YET = timedelta(seconds=-1)
KEPT = 20
MODULE: dict[str, Any] = {"template_id": "tpl_1", "step_id": "write", "module": "choose"}
WORKFLOW: dict[str, Any] = {"template_id": "tpl_1", "half_life": DAY}


async def _options(stage: Stage) -> None:
    """Let the owner pick options in one module, and in others."""
    for module in ("choose", "another"):
        where = MODULE | {"module": module}
        await stage.database.use_options([f"o{n}" for n in range(KEPT)], owner_id=stage.owner, **where)


async def _keywords(stage: Stage) -> None:
    """Let the owner's workflow use keywords of two categories, half of them light."""
    words = [
        UsedKeyword(keyword=f"k{n}", category=category, weight=1 + 9 * (n % 2))
        for n in range(KEPT)
        for category in ("", "mood")
    ]
    await stage.database.use_keywords(words, owner_id=stage.owner, **WORKFLOW)


async def _spoiled(stage: Stage) -> str:
    """Make a run that is said to have ended, and return its id."""
    run_id = await worked(stage)
    ended = {"status": "completed", "open": False, "event_count": 3}
    await stage.database.collection("workflow_runs").update_one({"_id": run_id}, {"$set": ended})
    return run_id


async def _setting(stage: Stage) -> str:
    """Write settings of a type that only this scenario uses, and return the type."""
    for name in ("limits", "queues", "times"):
        await stage.database.set_config(stage.owner, name, {"a": 1})
    return stage.owner


async def _use_options(database: Database, _: object, owner_id: str) -> object:
    await database.use_options(["o1", "o2"], owner_id=owner_id, **MODULE)
    found = await database.list_option_usage(owner_id=owner_id, limit=2, **MODULE)
    return sorted((usage.option, usage.count) for usage in found)


async def _use_keywords(database: Database, _: object, owner_id: str) -> object:
    await database.use_keywords([UsedKeyword(keyword="k1")], owner_id=owner_id, **WORKFLOW)
    found = await database.list_keywords(owner_id=owner_id, limit=1, **WORKFLOW)
    return [(keyword.keyword, round(keyword.weight)) for keyword in found]


async def _option_text(stage: Stage, text: str) -> Mapping[str, object]:
    where: dict[str, Any] = {"owner_id": stage.owner, "template_id": text, "step_id": text, "module": text}
    for _ in range(2):
        await stage.database.use_options([text], use_id=text, **where)
    (read,) = await stage.database.list_option_usage(**where)
    await stage.database.use_options([text], use_id=f"{text}2", **where)
    (again,) = await stage.database.list_option_usage(**where)
    return {
        "options": read.option,
        "template_id": read.template_id,
        "step_id": read.step_id,
        "module": read.module,
        # It tells a repeated use from a new one.
        "use_id": text if (read.count, again.count) == (1, 2) else (read.count, again.count),
    }


async def _keyword_text(stage: Stage, text: str) -> Mapping[str, object]:
    where: dict[str, Any] = {"owner_id": stage.owner, "template_id": text, "half_life": DAY}
    used = UsedKeyword(keyword=text, category=text, details=hostile_json(text))
    for _ in range(2):
        await stage.database.use_keywords([used], use_id=text, **where)
    (read,) = await stage.database.list_keywords(category=text, **where)
    return {
        "keywords.keyword": read.keyword,
        "keywords.category": read.category,
        "keywords.details": told(text, read.details),
        "template_id": read.template_id,
        "use_id": text if round(read.weight) == 1 else read.weight,
    }


async def _config_text(stage: Stage, text: str) -> Mapping[str, object]:
    written = await stage.database.set_config(text, text, hostile_json(text))
    assert await stage.database.get_config(text, text, as_type=dict[str, Any]) == hostile_json(text)
    (read,) = await stage.database.list_config(text)
    assert read.value == written.value
    return {"type_": read.type, "name": read.name}


def _option(number: int) -> RawDocument:
    base = {"_id": f"opt_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "option": f"o{number}"}
    return base | MODULE | {"count": 1, "last_used_at": FAR}


def _keyword(number: int) -> RawDocument:
    base = {"_id": f"kw_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "keyword": f"k{number}"}
    return base | {"template_id": "tpl_1", "category": "", "weight": 1.0, "last_used_at": FAR}


def _config(number: int) -> RawDocument:
    base = {"_id": f"cfg_{number:032x}", "type": f"t{number % 2_000}", "name": f"n{number}", "value": {"a": 1}}
    return base | {"revision": 1, "created_at": FAR, "updated_at": FAR}


def _of_setting(method: str, **options: Any) -> Scenario:
    return Scenario(
        method=f"Database.{method}",
        prepare=_setting,
        call=lambda database, made, _: getattr(database, method)(made, "limits", **options),
    )


SCENES = Scenes(
    subject=Database,
    scenarios=(
        Scenario(method="Database.use_options", prepare=_options, call=_use_options, creates=True),
        Scenario(
            method="Database.list_option_usage",
            prepare=_options,
            call=lambda database, _, owner_id: database.list_option_usage(owner_id=owner_id, limit=5, **MODULE),
        ),
        Scenario(
            method="Database.prune_option_usage",
            prepare=_options,
            call=lambda database, _, owner_id: database.prune_option_usage(
                owner_id=owner_id, template_id="tpl_1", unused_for=NOT_YET
            ),
        ),
        Scenario(method="Database.use_keywords", prepare=_keywords, call=_use_keywords, creates=True, extra_keys=KEPT),
        Scenario(
            method="Database.list_keywords",
            prepare=_keywords,
            call=lambda database, _, owner_id: database.list_keywords(
                owner_id=owner_id, category="mood", limit=3, **WORKFLOW
            ),
            extra_keys=KEPT,
        ),
        Scenario(
            method="Database.prune_keywords",
            prepare=_keywords,
            call=lambda database, _, owner_id: database.prune_keywords(owner_id=owner_id, lighter_than=5, **WORKFLOW),
        ),
        Scenario(
            method="Database.recover_run",
            prepare=_spoiled,
            call=lambda database, made, owner_id: database.recover_run(made, owner_id=owner_id, steps=["write"]),
        ),
        Scenario(
            method="Database.recover_run",
            about="dry",
            prepare=_spoiled,
            call=lambda database, made, owner_id: database.recover_run(made, owner_id=owner_id, dry_run=True),
        ),
        _of_setting("get_config", as_type=dict[str, int]),
        _of_setting("read_config", as_type=dict[str, int]),
        Scenario(
            method="Database.set_config",
            prepare=_setting,
            call=lambda database, made, _: database.set_config(made, "limits", {"a": 2}),
        ),
        Scenario(
            method="Database.set_config",
            about="of a revision",
            prepare=_setting,
            call=lambda database, made, _: database.set_config(made, "limits", {"a": 2}, revision=1),
        ),
        _of_setting("delete_config", revision=1),
        Scenario(
            method="Database.list_config",
            prepare=_setting,
            call=lambda database, made, _: database.list_config(made, after="limits", limit=2),
        ),
    ),
    texts=(
        Text(
            method="Database.use_options",
            fields=("options", "template_id", "step_id", "module", "use_id"),
            store=_option_text,
        ),
        Text(
            method="Database.use_keywords",
            fields=("keywords.keyword", "keywords.category", "keywords.details", "template_id", "use_id"),
            store=_keyword_text,
        ),
        Text(method="Database.set_config", fields=("type_", "name"), store=_config_text, refuses=True),
    ),
    plain=frozenset(
        {
            "owner_id",
            "run_id",
            "steps",
            "after",
            "as_type",
            "default",
            *(
                f"{method}_config.{field}"
                for method in ("get", "read", "delete", "list")
                for field in ("type_", "name")
            ),
            *(f"list_option_usage.{field}" for field in MODULE),
            "prune_option_usage.template_id",
            "list_keywords.template_id",
            "list_keywords.category",
            "prune_keywords.template_id",
        }
    ),
    crowds={"option_usage": _option, "weighted_keywords": _keyword, "config": _config},
)
