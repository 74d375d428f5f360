"""Scenarios of ``VersionRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appdb import Database, VersionRepository, content_hash, uuid7_str
from appdb._driver import RawDocument
from appdb.models import GLOBAL_OWNER, NewResolvedVersion, NewVersion, Requirement, VersionTree
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SOURCE: dict[str, Any] = {"nodes": [1]}
SHARED = "shared"
"""A template that everybody may read."""
SHARED_ID = "ver_" + "e" * 32


def template_of(version_id: str) -> str:
    """Return the id of the template of a version that ``version`` made: it has the same digits."""
    return f"tpl_{version_id.removeprefix('ver_')}"


def resolved(capability: str = "gpu") -> NewResolvedVersion:
    """Return what a source resolves to."""
    return NewResolvedVersion(definition={"for": capability}, requires=[Requirement(capability=capability)])


async def tree(stage: Stage) -> VersionTree:
    """Make a template with a source that resolves to two versions, after another source."""
    versions = VersionRepository(stage.database)
    template_id = (await versions.get_or_create_template(stage.owner, owner_id=stage.owner)).id
    await versions.store(template_id, NewVersion(definition={"nodes": [0]}), owner_id=stage.owner)
    source = NewVersion(definition=SOURCE, version_id=f"ver_{template_id.removeprefix('tpl_')}")
    both = [resolved(), resolved("cpu")]
    return await versions.store(template_id, source, owner_id=stage.owner, resolved=both)


async def template(stage: Stage) -> str:
    return (await tree(stage)).source.template_id


async def version(stage: Stage) -> str:
    """Make a tree and return its source's id, which has the digits of the template's."""
    return (await tree(stage)).source.id


async def child(stage: Stage) -> str:
    return (await tree(stage)).resolved[0].id


async def name(stage: Stage) -> str:
    await tree(stage)
    return stage.owner


async def copy(stage: Stage) -> str:
    """Make a copy that lacks all of its original, and return the copy's id."""
    versions = VersionRepository(stage.database)
    return (await versions.get_or_create_copy(await template(stage), owner_id=stage.owner)).id


async def shared(database: Database) -> str:
    """Make what everybody may read, once, and return the template's id."""
    versions = VersionRepository(database)
    template_id = (await versions.get_or_create_template(SHARED, owner_id=GLOBAL_OWNER)).id
    source = NewVersion(definition=SOURCE, version_id=SHARED_ID)
    await versions.store(template_id, source, owner_id=GLOBAL_OWNER, resolved=[resolved()])
    return template_id


async def own_copy(stage: Stage) -> None:
    """Make a copy of the shared template and all that it has."""
    versions = VersionRepository(stage.database)
    made = await versions.get_or_create_copy(await shared(stage.database), owner_id=stage.owner)
    await versions.sync_copy(made.id, owner_id=stage.owner)


async def target(stage: Stage) -> str:
    """Make an empty template beside the shared one, and return its id."""
    await shared(stage.database)
    return (await VersionRepository(stage.database).get_or_create_template("target", owner_id=stage.owner)).id


async def duplicates(stage: Stage) -> None:
    """Store by other rules what is there already: another form of the name, and another hash of each content."""
    made = await tree(stage)
    templates, versions = [stage.database.collection(f"workflow_{kind}") for kind in ("templates", "versions")]
    twin = uuid7_str("tpl_")
    found = await templates.find_one({"_id": made.source.template_id})
    await templates.insert_one((found or {}) | {"_id": twin, "name": f"{stage.owner} "})
    new = {one.id: uuid7_str("ver_") for one in (made.source, *made.resolved)}
    rows = [row async for row in versions.find({"_id": {"$in": list(new)}})]
    for row in rows:
        ids = {"_id": new[row["_id"]], "template_id": twin, "parent_id": new.get(row["parent_id"])}
        await versions.insert_one(row | ids | {"content_hash": f"sha256:{row['_id']}"})


async def _get_or_create(versions: VersionRepository, made: str, owner_id: str) -> int:
    """Return how many sources the caller finds in the template of that name."""
    found = await versions.get_or_create_template(made, owner_id=owner_id)
    return len(await versions.list_sources(found.id, owner_id=owner_id))


async def _copy_of_shared(versions: VersionRepository, _: object, owner_id: str) -> int:
    """Return how many sources the caller finds in the copy of the shared template."""
    original = await versions.find_template(SHARED, owner_id=GLOBAL_OWNER)
    found = await versions.get_or_create_copy(original.id, owner_id=owner_id)
    return len(await versions.list_sources(found.id, owner_id=owner_id))


async def _template_name(stage: Stage, text: str) -> Mapping[str, object]:
    versions = VersionRepository(stage.database)
    made = await versions.get_or_create_template(text, owner_id=stage.owner)
    assert made == await versions.find_template(text, owner_id=stage.owner)
    (listed,) = await versions.list_templates(owner_id=stage.owner)
    return {"name": listed.name}


async def _store_text(stage: Stage, text: str) -> Mapping[str, object]:
    versions = VersionRepository(stage.database)
    template_id = (await versions.get_or_create_template("template", owner_id=stage.owner)).id
    given = hostile_json(text)
    alternative = NewResolvedVersion(definition=given, requires=[Requirement(capability=text)])
    made = await versions.store(template_id, NewVersion(definition=given), owner_id=stage.owner, resolved=[alternative])
    best = await versions.version_for(made.source.id, [text], owner_id=stage.owner)
    source = await versions.get(made.source.id, owner_id=stage.owner)
    is_whole = best.definition == given and best.requires == (Requirement(capability=text),)
    return {
        "source.definition": text if source.definition == given else source.definition,
        "resolved.definition": text if is_whole else best,
    }


def _owner(number: int) -> str:
    return f"usr_{number % 2_000:032x}" if number % 10 else GLOBAL_OWNER


def _template(number: int) -> RawDocument:
    base = {"_id": f"tpl_{number:032x}", "owner_id": _owner(number), "name": f"t{number}", "derived_from": None}
    if number % 3:
        base |= {"visibility": "visible"}
    else:
        base |= {"visibility": "hidden", "derived_from": f"tpl_{number // 2:032x}"}
    merged = {"merged_ids": [f"tpl_{number:032x}f"]} if number % 7 == 0 else {}
    return base | merged | {"created_at": LONG_AGO, "updated_at": LONG_AGO}


def _version(number: int) -> RawDocument:
    of = number // 50
    base = {"_id": f"ver_{number:032x}", "owner_id": _owner(of), "template_id": f"tpl_{of:032x}", "kind": "raw"}
    merged = {"merged_ids": [f"ver_{number:032x}f"]} if number % 7 == 0 else {}
    parent = {"parent_id": f"ver_{number - 1:032x}" if number % 2 else None, "created_at": LONG_AGO}
    return base | merged | parent | {"content_hash": f"sha256:{number:064x}"}


def _about(name: str, prepare: Any, about: str = "", **options: Any) -> Scenario:
    """Return the scenario of a method whose first parameter is what was prepared."""

    def call(versions: Any, made: Any, owner_id: str) -> Any:
        return getattr(versions, name)(made, owner_id=owner_id, **options)

    return Scenario(method=f"VersionRepository.{name}", about=about, prepare=prepare, call=call)


async def _next_resolved(versions: VersionRepository, made: str, owner_id: str) -> object:
    found = await versions.get(made, owner_id=owner_id)
    return await versions.list_resolved(found.parent_id or "", owner_id=owner_id, before=made)


def _store(versions: VersionRepository, made: str, owner_id: str) -> Any:
    source = NewVersion(definition={"nodes": [2]})
    return versions.store(made, source, owner_id=owner_id, resolved=[resolved("new")])


SCENES = Scenes(
    subject=VersionRepository,
    scenarios=(
        Scenario(method="VersionRepository.get_or_create_template", prepare=name, call=_get_or_create, creates=True),
        _about("get_or_create_copy", template),
        Scenario(
            method="VersionRepository.get_or_create_copy",
            about="of a shared one",
            prepare=own_copy,
            call=_copy_of_shared,
            creates=True,
        ),
        _about("get_template", template),
        _about("find_template", name),
        Scenario(
            method="VersionRepository.list_templates",
            prepare=template,
            call=lambda versions, _, owner_id: versions.list_templates(owner_id=owner_id),
        ),
        Scenario(
            method="VersionRepository.list_templates",
            about="the next",
            prepare=template,
            call=lambda versions, made, owner_id: versions.list_templates(owner_id=owner_id, before=made),
        ),
        _about("delete_template", template),
        Scenario(method="VersionRepository.store", prepare=template, call=_store),
        _about("get", version),
        _about("get_with_parent", child),
        _about("latest_source", template),
        _about("list_sources", template),
        Scenario(
            method="VersionRepository.list_sources",
            about="the next",
            prepare=version,
            call=lambda versions, made, owner_id: versions.list_sources(
                template_of(made), owner_id=owner_id, before=made
            ),
        ),
        _about("list_resolved", version),
        Scenario(
            method="VersionRepository.list_resolved",
            about="the next",
            prepare=child,
            call=_next_resolved,
        ),
        Scenario(
            method="VersionRepository.find_by_content",
            prepare=template,
            call=lambda versions, made, owner_id: versions.find_by_content(
                made, content_hash(SOURCE), owner_id=owner_id
            ),
        ),
        Scenario(
            method="VersionRepository.version_for",
            prepare=version,
            call=lambda versions, made, owner_id: versions.version_for(made, ["gpu"], owner_id=owner_id),
        ),
        Scenario(
            method="VersionRepository.copy_tree",
            prepare=version,
            call=lambda versions, made, owner_id: versions.copy_tree(made, template_of(made), owner_id=owner_id),
        ),
        Scenario(
            method="VersionRepository.copy_tree",
            about="of a shared one",
            prepare=target,
            call=lambda versions, made, owner_id: versions.copy_tree(SHARED_ID, made, owner_id=owner_id),
        ),
        _about("sync_copy", copy),
        Scenario(
            method="VersionRepository.deduplicate",
            prepare=duplicates,
            call=lambda versions, _, owner_id: versions.deduplicate(owner_id=owner_id),
        ),
        Scenario(
            method="VersionRepository.deduplicate",
            about="only said",
            prepare=duplicates,
            call=lambda versions, _, owner_id: versions.deduplicate(owner_id=owner_id, dry_run=True),
        ),
    ),
    texts=(
        Text(method="VersionRepository.get_or_create_template", fields=("name",), store=_template_name, refuses=True),
        Text(method="VersionRepository.store", fields=("source.definition", "resolved.definition"), store=_store_text),
    ),
    plain=frozenset(
        {
            "owner_id",
            "target_owner_id",
            "template_id",
            "target_template_id",
            "version_id",
            "before",
            "content_hash",
            "capabilities",
            "find_template.name",
        }
    ),
    crowds={"workflow_templates": _template, "workflow_versions": _version},
)
