"""Copies of templates, and duplicates that become one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from appdb import ConflictError, Database, NotFoundError, VersionRepository, content_hash
from appdb.models import (
    GLOBAL_OWNER,
    Deduplication,
    NewResolvedVersion,
    NewVersion,
    Requirement,
    TemplateMerge,
    TemplateVisibility,
    VersionKind,
)

OWNER = "usr_a"
GPU = [Requirement(capability="gpu", priority=5)]


@pytest.fixture
def versions(database: Database) -> VersionRepository:
    return VersionRepository(database)


@pytest.fixture
async def original(versions: VersionRepository) -> str:
    """A global template with a raw source, and one that resolves to two versions."""
    template = await versions.get_or_create_template("film", owner_id=GLOBAL_OWNER)
    await versions.store(template.id, NewVersion(definition={"v": 1}), owner_id=GLOBAL_OWNER)
    await versions.store(
        template.id, NewVersion(definition={"v": 2}), owner_id=GLOBAL_OWNER, resolved=resolved("gpu", "")
    )
    return template.id


def resolved(*names: str) -> list[NewResolvedVersion]:
    return [NewResolvedVersion(definition={"for": name}, requires=GPU if name == "gpu" else []) for name in names]


async def contents(versions: VersionRepository, template_id: str, owner_id: str) -> dict[str, set[str]]:
    """The content of each source, oldest first, and of what it resolves to."""
    sources = await versions.list_sources(template_id, owner_id=owner_id)
    children = {one.content_hash: await versions.list_resolved(one.id, owner_id=owner_id) for one in reversed(sources)}
    return {source: {one.content_hash for one in found} for source, found in children.items()}


async def test_hidden_copy_is_whole_and_made_once(versions: VersionRepository, original: str) -> None:
    copy = await versions.get_or_create_copy(original, owner_id=OWNER)
    new = await versions.sync_copy(copy.id, owner_id=OWNER)

    assert await versions.get_or_create_copy(original, owner_id=OWNER) == copy.model_copy(
        update={"revision": 2, "updated_at": (await versions.get_template(copy.id, owner_id=OWNER)).updated_at}
    )
    assert (copy.name, copy.derived_from, copy.visibility) == ("film", original, TemplateVisibility.HIDDEN)
    assert [len(tree.resolved) for tree in new] == [0, 2]
    assert await contents(versions, copy.id, OWNER) == await contents(versions, original, OWNER)
    assert list(await contents(versions, copy.id, OWNER)) == list(await contents(versions, original, OWNER))
    tree = new[1]
    assert {one.parent_id for one in tree.resolved} == {tree.source.id}
    assert {one.owner_id for one in (tree.source, *tree.resolved)} == {OWNER}
    assert tree.source.kind is VersionKind.UNRESOLVED
    assert new[0].source.kind is VersionKind.RAW
    mine = await versions.version_for(tree.source.id, ["gpu"], owner_id=OWNER)
    assert (mine.definition, mine.template_id) == ({"for": "gpu"}, copy.id)
    with pytest.raises(NotFoundError):
        await versions.find_template("film", owner_id=OWNER)


async def test_sync_copies_only_new_versions(versions: VersionRepository, original: str, database: Database) -> None:
    copy = await versions.get_or_create_copy(original, owner_id=OWNER)
    first = await versions.sync_copy(copy.id, owner_id=OWNER)
    assert await versions.sync_copy(copy.id, owner_id=OWNER) == []
    await versions.store(copy.id, NewVersion(definition={"mine": True}), owner_id=OWNER)

    await versions.store(original, NewVersion(definition={"v": 2}), owner_id=GLOBAL_OWNER, resolved=resolved("new"))
    await versions.store(original, NewVersion(definition={"v": 3}), owner_id=GLOBAL_OWNER)
    second = await versions.sync_copy(copy.id, owner_id=OWNER)

    assert [one.source.content_hash for one in second] == [content_hash({"v": 2}), content_hash({"v": 3})]
    assert second[0].source == first[1].source
    assert {one.id for one in first[1].resolved} < {one.id for one in second[0].resolved}
    assert await database.collection("workflow_versions").count_documents({"owner_id": OWNER}) == 4 + 1 + 1 + 1
    assert (await versions.latest_source(copy.id, owner_id=OWNER)).definition == {"v": 3}
    theirs = await contents(versions, original, OWNER)
    assert theirs.items() <= (await contents(versions, copy.id, OWNER)).items()


async def test_killed_sync_is_finished_by_next(versions: VersionRepository, original: str) -> None:
    copy = await versions.get_or_create_copy(original, owner_id=OWNER)
    oldest = (await versions.list_sources(original, owner_id=OWNER))[-1]
    await versions.copy_tree(oldest.id, copy.id, owner_id=OWNER)

    done = await versions.sync_copy(copy.id, owner_id=OWNER)

    assert [one.source.content_hash for one in done] == [content_hash({"v": 2})]
    assert await contents(versions, copy.id, OWNER) == await contents(versions, original, OWNER)


async def test_only_copies_can_be_synced(versions: VersionRepository, original: str) -> None:
    mine = await versions.get_or_create_template("mine", owner_id=OWNER)

    with pytest.raises(ConflictError, match="it is no copy"):
        await versions.sync_copy(mine.id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await versions.sync_copy(original, owner_id=OWNER)


async def test_copy_outlives_original(versions: VersionRepository, original: str) -> None:
    copy = await versions.get_or_create_copy(original, owner_id=OWNER)
    await versions.sync_copy(copy.id, owner_id=OWNER)
    await versions.delete_template(original, owner_id=GLOBAL_OWNER)

    assert (await versions.latest_source(copy.id, owner_id=OWNER)).definition == {"v": 2}
    with pytest.raises(NotFoundError):
        await versions.sync_copy(copy.id, owner_id=OWNER)


async def test_tree_is_copied_to_owner_once(versions: VersionRepository, original: str) -> None:
    target = await versions.get_or_create_template("theirs", owner_id="usr_b")
    newest = await versions.latest_source(original, owner_id=OWNER)
    child = (await versions.list_resolved(newest.id, owner_id=OWNER))[0]

    copied = [
        await versions.copy_tree(version_id, target.id, owner_id=OWNER, target_owner_id="usr_b")
        for version_id in (newest.id, newest.id, child.id)
    ]

    assert copied[0] == copied[1] == copied[2]
    assert copied[0].source.owner_id == "usr_b"
    assert len(copied[0].resolved) == 2


async def old_version(database: Database, name: str, template_id: str, definition: dict[str, Any], **more: Any) -> str:
    """Store a version as another way of hashing would have done."""
    now = await database.server_time()
    row: dict[str, Any] = {
        "_id": f"ver_{name}",
        "owner_id": OWNER,
        "template_id": template_id,
        "content_hash": f"sha256:{name}",
    }
    row |= {"kind": "raw", "parent_id": None, "requires": [], "definition": definition, "created_at": now}
    await database.collection("workflow_versions").insert_one(row | more)
    return f"ver_{name}"


async def test_merged_versions_keep_their_ids(versions: VersionRepository, database: Database) -> None:
    template = await versions.get_or_create_template("film", owner_id=OWNER)
    tree = await versions.store(
        template.id, NewVersion(definition={"a": 1, "b": 2}), owner_id=OWNER, resolved=resolved("x")
    )
    late = tree.source.created_at + timedelta(days=1)
    twin = await old_version(database, "twin", template.id, {"b": 2, "a": 1}, kind="unresolved", created_at=late)
    x = await old_version(database, "x", template.id, {"for": "x"}, kind="resolved", parent_id=twin, created_at=late)
    y = await old_version(database, "y", template.id, {"for": "y"}, kind="resolved", parent_id=twin)
    lone = await old_version(database, "lone", template.id, {"c": 1})

    planned = await versions.deduplicate(owner_id=OWNER, dry_run=True)
    count = await database.collection("workflow_versions").count_documents({})
    done = await versions.deduplicate(owner_id=OWNER)

    assert count == 6
    assert planned == done
    assert {(one.kept_id, one.merged_ids) for one in done.versions} == {
        (tree.source.id, (twin,)),
        (tree.resolved[0].id, (x,)),
        (y, ()),
        (lone, ()),
    }
    assert (await versions.get(twin, owner_id=OWNER)).id == tree.source.id
    assert (await versions.get(x, owner_id=OWNER)).id == tree.resolved[0].id
    child, parent = await versions.get_with_parent(y, owner_id=OWNER)
    assert (child.id, parent and parent.id) == (y, tree.source.id)
    assert {one.id for one in await versions.list_resolved(twin, owner_id=OWNER)} == {tree.resolved[0].id, y}
    again = await versions.store(template.id, NewVersion(definition={"c": 1.0}), owner_id=OWNER)
    assert again.source.id == lone
    assert await versions.deduplicate(owner_id=OWNER) == Deduplication()
    with pytest.raises(NotFoundError):
        await versions.get(twin, owner_id="usr_b")


async def test_merged_templates_keep_versions_and_runs(versions: VersionRepository, database: Database) -> None:
    kept = await versions.get_or_create_template("Caf\u00e9", owner_id=OWNER)
    source = (await versions.store(kept.id, NewVersion(definition={"v": 1}), owner_id=OWNER)).source
    later = kept.created_at + timedelta(days=1)
    twin = {"_id": "tpl_twin", "owner_id": OWNER, "name": "Cafe\u0301", "visibility": "visible", "created_at": later}
    await database.collection("workflow_templates").insert_one(
        twin | {"updated_at": later, "merged_ids": ["tpl_older"]}
    )
    same = await old_version(database, "same", "tpl_twin", {"v": 1}, created_at=later, content_hash=source.content_hash)
    own = await old_version(database, "own", "tpl_twin", {"v": 2})
    await database.collection("workflow_runs").insert_one(
        {"_id": "wf_1", "template_id": "tpl_twin", "version_id": same}
    )

    planned = await versions.deduplicate(owner_id=OWNER, dry_run=True)
    done = await versions.deduplicate(owner_id=OWNER)

    merged = ("tpl_twin", "tpl_older")
    assert done.templates == (TemplateMerge(kept_id=kept.id, merged_ids=merged, name="Caf\u00e9"),)
    assert planned == done
    assert [one.id for one in await versions.list_templates(owner_id=OWNER)] == [kept.id]
    for old in merged:
        assert (await versions.get_template(old, owner_id=OWNER)).id == kept.id
    assert {one.id for one in await versions.list_sources(kept.id, owner_id=OWNER)} == {source.id, own}
    assert (await versions.get(same, owner_id=OWNER)).id == source.id
    run = await database.collection("workflow_runs").find_one({"_id": "wf_1"})
    assert run == {"_id": "wf_1", "template_id": kept.id, "version_id": same}
    stored = await versions.store("tpl_twin", NewVersion(definition={"v": 2}), owner_id=OWNER)
    assert (stored.source.id, stored.source.template_id) == (own, kept.id)
    assert await versions.deduplicate(owner_id=OWNER) == Deduplication()


async def test_merge_spares_other_owners(versions: VersionRepository, database: Database) -> None:
    template = await versions.get_or_create_template("film", owner_id=OWNER)
    await old_version(database, "one", template.id, {"a": 1})
    await old_version(database, "two", template.id, {"a": 1})

    assert await versions.deduplicate(owner_id="usr_b") == Deduplication()
    assert await database.collection("workflow_versions").count_documents({}) == 2
