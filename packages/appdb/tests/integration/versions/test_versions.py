"""Templates and versions: found by content, chosen by capabilities, seen by their owner alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appdb import (
    ConflictError,
    Database,
    InvalidDataError,
    NotFoundError,
    TooLargeError,
    VersionRepository,
    WorkflowRepository,
    content_hash,
)
from appdb._driver import Session
from appdb.models import (
    GLOBAL_OWNER,
    NewResolvedVersion,
    NewRun,
    NewVersion,
    Requirement,
    SourceType,
    TemplateVisibility,
    VersionKind,
)

OWNER, OTHER = "usr_a", "usr_b"
HOSTILE = ["$ne", "$where", "a.b", "$lease.token", "$$NOW", "$$ROOT", "$definition", '{"$gt": ""}', "__proto__"]
GPU = NewResolvedVersion(definition={"for": "gpu"}, requires=[Requirement(capability="gpu", priority=5)])
NET = NewResolvedVersion(definition={"for": "net"}, requires=[Requirement(capability="net", priority=2)])
PLAIN = NewResolvedVersion(definition={"for": "all"})


@pytest.fixture
def versions(database: Database) -> VersionRepository:
    return VersionRepository(database)


@pytest.fixture
async def template_id(versions: VersionRepository) -> str:
    return (await versions.get_or_create_template("Short film", owner_id=OWNER)).id


async def test_template_is_made_once_and_found(versions: VersionRepository) -> None:
    made = await versions.get_or_create_template(" Cafe\u0301 ", owner_id=OWNER)
    again = await versions.get_or_create_template("Caf\u00e9", owner_id=OWNER)
    found = await versions.find_template("Cafe\u0301", owner_id=OWNER)

    assert made == again == found == await versions.get_template(made.id, owner_id=OWNER)
    assert made.name == "Caf\u00e9"
    assert made.visibility is TemplateVisibility.VISIBLE
    assert not made.is_global
    assert made.id.startswith("tpl_")


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb", "\ud800", "x" * 201])
async def test_unreadable_template_name_is_refused(versions: VersionRepository, name: str) -> None:
    with pytest.raises(InvalidDataError, match="name: write 1 to 200"):
        await versions.get_or_create_template(name, owner_id=OWNER)


async def test_owners_can_share_template_name(versions: VersionRepository) -> None:
    mine = await versions.get_or_create_template("film", owner_id=OWNER)
    other = await versions.get_or_create_template("film", owner_id=OTHER)
    everybodys = await versions.get_or_create_template("film", owner_id=GLOBAL_OWNER)

    assert len({mine.id, other.id, everybodys.id}) == 3
    assert {one.id for one in await versions.list_templates(owner_id=OWNER)} == {mine.id, everybodys.id}


async def test_global_template_is_read_only_for_all(versions: VersionRepository) -> None:
    template = await versions.get_or_create_template("film", owner_id=GLOBAL_OWNER)
    stored = await versions.store(template.id, NewVersion(definition={"a": 1}), owner_id=GLOBAL_OWNER)

    assert template.is_global
    assert (await versions.get_template(template.id, owner_id=OWNER)).id == template.id
    assert (await versions.get(stored.source.id, owner_id=OWNER)).definition == {"a": 1}
    with pytest.raises(NotFoundError):
        await versions.store(template.id, NewVersion(definition={"a": 2}), owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await versions.delete_template(template.id, owner_id=OWNER)


async def test_templates_are_paged_without_hidden_ones(versions: VersionRepository) -> None:
    everybodys = await versions.get_or_create_template("global", owner_id=GLOBAL_OWNER)
    made = [await versions.get_or_create_template(f"film {number}", owner_id=OWNER) for number in range(5)]
    await versions.get_or_create_copy(everybodys.id, owner_id=OWNER)

    pages, before = [], None
    while page := await versions.list_templates(owner_id=OWNER, before=before, limit=2):
        pages += [one.id for one in page]
        before = page[-1].id

    assert pages == [one.id for one in reversed([everybodys, *made])]
    with pytest.raises(NotFoundError):
        await versions.list_templates(owner_id=OTHER, before=made[0].id)


async def test_same_content_is_same_version(versions: VersionRepository, template_id: str) -> None:
    first = NewVersion(definition={"a": 1, "b": {"x": [1, 2], "y": None}}, source_type=SourceType.ZIP)
    stored = (await versions.store(template_id, first, owner_id=OWNER)).source
    again = NewVersion(definition={"b": {"y": None, "x": [1.0, 2]}, "a": 1})
    repeated = (await versions.store(template_id, again, owner_id=OWNER)).source
    other = (await versions.store(template_id, NewVersion(definition={"a": "1"}), owner_id=OWNER)).source

    assert repeated == stored
    assert stored.id == first.version_id
    assert stored.content_hash == content_hash(first.definition)
    assert stored.kind is VersionKind.RAW
    assert stored.source_type is SourceType.ZIP
    assert other.id != stored.id
    assert [one.id for one in await versions.list_sources(template_id, owner_id=OWNER)] == [other.id, stored.id]
    assert (await versions.latest_source(template_id, owner_id=OWNER)).id == other.id
    assert (await versions.get(stored.id, owner_id=OWNER)).definition == first.definition


async def test_any_key_and_text_comes_back(versions: VersionRepository, template_id: str) -> None:
    keys = [*HOSTILE, "", "é", "a..b", ".", "$", "_id", "created_at", "template_id"]
    definition: dict[str, Any] = {
        "steps": [{key: {key: key} for key in keys}],
        "schema": {"$ref": "#/$defs/a", "$id": "urn:a", "$defs": {"$ref": "b", "$id": {"$ref": "c", "$id": 1}}},
        "database": {"$ref": "a", "$id": "b", "$db": "c", "more": 1},
        "numbers": [0, -1, 1.5, 2**53 - 1, 1e300, 1.0],
        "texts": HOSTILE,
    } | {key: key for key in keys}
    resolved = NewResolvedVersion(
        definition={"$set": definition}, requires=[Requirement(capability=one) for one in HOSTILE]
    )
    stored = await versions.store(template_id, NewVersion(definition=definition), owner_id=OWNER, resolved=[resolved])

    source = await versions.get(stored.source.id, owner_id=OWNER)
    child = await versions.version_for(stored.source.id, HOSTILE, owner_id=OWNER)
    assert source.definition == definition
    assert content_hash(source.definition) == source.content_hash
    assert child.definition == {"$set": definition}
    assert sorted(one.capability for one in child.requires) == sorted(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_only_text(versions: VersionRepository, template_id: str, text: str) -> None:
    template = await versions.get_or_create_template(text, owner_id=text)

    assert (await versions.find_template(text, owner_id=text)).id == template.id
    assert template.name == template.owner_id == text
    assert [one.id for one in await versions.list_templates(owner_id=text)] == [template.id]
    stored = await versions.store(template.id, NewVersion(definition={text: text}, version_id=text), owner_id=text)
    assert stored.source.id == text
    assert (await versions.get(text, owner_id=text)).definition == {text: text}
    for owner_id in (OWNER, OTHER):
        with pytest.raises(NotFoundError):
            await versions.get(text, owner_id=owner_id)
    with pytest.raises(NotFoundError):
        await versions.get_template(template_id, owner_id=text)
    with pytest.raises(NotFoundError):
        await versions.find_by_content(template.id, text, owner_id=text)


async def test_source_and_resolution_are_stored_together(versions: VersionRepository, template_id: str) -> None:
    new = NewVersion(definition={"groups": 2})
    tree = await versions.store(template_id, new, owner_id=OWNER, resolved=[GPU, NET, PLAIN])

    assert tree.source.kind is VersionKind.UNRESOLVED
    assert [one.id for one in tree.resolved] == [GPU.version_id, NET.version_id, PLAIN.version_id]
    assert {one.kind for one in tree.resolved} == {VersionKind.RESOLVED}
    child, parent = await versions.get_with_parent(tree.resolved[0].id, owner_id=OWNER)
    assert (child.definition, parent and parent.id) == (GPU.definition, tree.source.id)
    assert await versions.get_with_parent(tree.source.id, owner_id=OWNER) == (parent, None)
    listed = await versions.list_resolved(tree.source.id, owner_id=OWNER)
    assert {one.id for one in listed} == {one.id for one in tree.resolved}
    page = await versions.list_resolved(tree.source.id, owner_id=OWNER, before=listed[0].id, limit=1)
    assert page == listed[1:2]
    assert [one.id for one in await versions.list_sources(template_id, owner_id=OWNER)] == [tree.source.id]


async def test_storing_again_adds_only_missing_parts(versions: VersionRepository, template_id: str) -> None:
    new = NewVersion(definition={"groups": 2})
    raw = await versions.store(template_id, new, owner_id=OWNER)
    first = await versions.store(template_id, new, owner_id=OWNER, resolved=[GPU])
    both = await versions.store(template_id, NewVersion(definition={"groups": 2}), owner_id=OWNER, resolved=[NET, GPU])
    last = await versions.store(template_id, new, owner_id=OWNER)

    assert raw.source.kind is VersionKind.RAW
    assert {one.source.id for one in (raw, first, both, last)} == {new.version_id}
    assert first.source.kind is both.source.kind is last.source.kind is VersionKind.UNRESOLVED
    assert both.resolved[1] == first.resolved[0]
    assert len(await versions.list_resolved(new.version_id, owner_id=OWNER)) == 2


async def test_two_sources_may_share_resolution(versions: VersionRepository, template_id: str) -> None:
    one = await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[PLAIN])
    other = await versions.store(
        template_id,
        NewVersion(definition={"v": 2}),
        owner_id=OWNER,
        resolved=[NewResolvedVersion(definition=PLAIN.definition)],
    )
    raw = await versions.store(template_id, NewVersion(definition=PLAIN.definition), owner_id=OWNER)

    chosen = [(await versions.version_for(tree.source.id, [], owner_id=OWNER)).id for tree in (one, other, raw)]
    assert chosen == [one.resolved[0].id, other.resolved[0].id, raw.source.id]
    found = await versions.find_by_content(template_id, content_hash(PLAIN.definition), owner_id=OWNER)
    assert found.id == raw.source.id


async def test_client_gets_version_it_can_run(versions: VersionRepository, template_id: str) -> None:
    tree = await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[GPU, NET])

    async def chosen(*capabilities: str) -> dict[str, Any]:
        return (await versions.version_for(tree.source.id, capabilities, owner_id=OWNER)).definition

    assert await chosen("net") == NET.definition
    assert await chosen("net", "gpu") == GPU.definition
    with pytest.raises(ConflictError, match="it lacks one of: gpu; or net"):
        await chosen("disk")
    with pytest.raises(ConflictError, match=r"it lacks one of: gpu$"):
        await versions.version_for(tree.resolved[0].id, ["net"], owner_id=OWNER)
    await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[PLAIN])
    assert await chosen("disk") == PLAIN.definition
    assert (await versions.version_for(tree.resolved[0].id, ["gpu"], owner_id=OWNER)).definition == GPU.definition


async def test_lone_unresolved_version_cannot_run(
    versions: VersionRepository, database: Database, template_id: str
) -> None:
    source = (await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER)).source
    assert (await versions.version_for(source.id, [], owner_id=OWNER)).id == source.id

    await database.collection("workflow_versions").update_one({"_id": source.id}, {"$set": {"kind": "unresolved"}})

    with pytest.raises(ConflictError, match="store it again with its resolved versions"):
        await versions.version_for(source.id, ["gpu"], owner_id=OWNER)


async def test_unstorable_tree_is_refused_whole(
    versions: VersionRepository, database: Database, template_id: str
) -> None:
    other = NewResolvedVersion(definition=GPU.definition, requires=[Requirement(capability="tpu")])
    bad: list[list[NewResolvedVersion]] = [
        [PLAIN, NewResolvedVersion(definition={"a": float("nan")})],
        [PLAIN, NewResolvedVersion(definition={"a\x00b": 1})],
        [GPU, other],
        [NewResolvedVersion(definition={}, requires=[Requirement(capability="x"), Requirement(capability="x")])],
        [NewResolvedVersion(definition={}, requires=[Requirement(capability="")])],
        [NewResolvedVersion(definition={}, requires=[Requirement(capability=f"{n}") for n in range(65)])],
        [NewResolvedVersion(definition={"n": number}) for number in range(257)],
    ]
    for resolved in bad:
        with pytest.raises(InvalidDataError, match=r"^resolved"):
            await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=resolved)

    assert await database.collection("workflow_versions").count_documents({}) == 0


async def test_tree_growing_too_large_is_refused(
    versions: VersionRepository, database: Database, template_id: str
) -> None:
    def some(start: int) -> list[NewResolvedVersion]:
        return [NewResolvedVersion(definition={"n": number}) for number in range(start, start + 150)]

    new = NewVersion(definition={"v": 1})
    await versions.store(template_id, new, owner_id=OWNER, resolved=some(0))
    with pytest.raises(InvalidDataError, match="300 are more than 256"):
        await versions.store(template_id, new, owner_id=OWNER, resolved=some(150))

    assert await database.collection("workflow_versions").count_documents({}) == 151


async def test_large_definition_kept_larger_refused(versions: VersionRepository, template_id: str) -> None:
    large = {"text": "x" * (4 * 1024 * 1024 - 100)}
    stored = await versions.store(template_id, NewVersion(definition=large), owner_id=OWNER)

    assert (await versions.get(stored.source.id, owner_id=OWNER)).definition == large
    assert stored.source.size > 4 * 1024 * 1024 - 100
    with pytest.raises(TooLargeError, match=r"^definition: 4,194,\d+ bytes is over the limit of 4,194,304 bytes"):
        await versions.store(template_id, NewVersion(definition={"text": "x" * 4 * 1024 * 1024}), owner_id=OWNER)
    many = [NewResolvedVersion(definition={**large, "n": number}) for number in range(9)]
    with pytest.raises(TooLargeError, match=r"definition with all resolved: .* over the limit of 33,554,432 bytes"):
        await versions.store(template_id, NewVersion(definition={}), owner_id=OWNER, resolved=many)


async def test_newer_releases_definition_is_left_alone(
    versions: VersionRepository, database: Database, template_id: str
) -> None:
    stored = await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER)
    for name in ("workflow_versions", "workflow_templates"):
        await database.collection(name).update_one({}, {"$set": {"newer": {"a": 1}}})

    await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[PLAIN])
    await versions.get_or_create_template("Short film", owner_id=OWNER)
    await versions.deduplicate(owner_id=OWNER)

    kept = [await database.collection("workflow_versions").find_one({"_id": stored.source.id})]
    kept += [await database.collection("workflow_templates").find_one({"_id": template_id})]
    assert [row and row["newer"] for row in kept] == [{"a": 1}, {"a": 1}]


async def test_store_joins_callers_transaction(versions: VersionRepository, database: Database) -> None:
    async def body(session: Session) -> str:
        template = await versions.get_or_create_template("film", owner_id=OWNER, session=session)
        tree = await versions.store(
            template.id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[PLAIN], session=session
        )
        assert (await versions.get(tree.source.id, owner_id=OWNER, session=session)).id == tree.source.id
        return template.id

    async def failing(session: Session) -> None:
        await body(session)
        raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        await database.transaction(failing)
    assert await versions.list_templates(owner_id=OWNER) == []
    template_id = await database.transaction(body)
    assert len(await versions.list_sources(template_id, owner_id=OWNER)) == 1


async def test_private_template_runs_for_its_owner_only(
    versions: VersionRepository, database: Database, template_id: str
) -> None:
    workflows = WorkflowRepository(database)
    everybodys = await versions.get_or_create_template("short", owner_id=GLOBAL_OWNER)
    for unseen in (template_id, "tpl_missing"):
        with pytest.raises(NotFoundError, match=f"workflow template '{unseen}'"):
            await workflows.open(NewRun(project="film", template_id=unseen), owner_id=OTHER)
    mine, _ = await workflows.open(NewRun(project="film", template_id=template_id), owner_id=OWNER)
    theirs, _ = await workflows.open(NewRun(project="film", template_id=everybodys.id), owner_id=OTHER)
    # A host of an older release lets a stranger open one.
    foreign = {"_id": "wf_foreign", "owner_id": OTHER, "template_id": template_id}
    await database.collection("workflow_runs").insert_one(foreign)

    with pytest.raises(ConflictError, match="1 runs use it"):
        await versions.delete_template(template_id, owner_id=OWNER)
    await workflows.delete(mine.id, owner_id=OWNER)
    await versions.delete_template(template_id, owner_id=OWNER)
    with pytest.raises(ConflictError, match="1 runs use it"):
        await versions.delete_template(everybodys.id, owner_id=GLOBAL_OWNER)
    await workflows.delete(theirs.id, owner_id=OTHER)
    await versions.delete_template(everybodys.id, owner_id=GLOBAL_OWNER)


async def test_template_in_use_is_not_deleted(
    versions: VersionRepository, database: Database, template_id: str
) -> None:
    kept = await versions.get_or_create_template("kept", owner_id=OWNER)
    tree = await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[PLAIN])
    await versions.store(kept.id, NewVersion(definition={"v": 1}), owner_id=OWNER)
    runs = database.collection("workflow_runs")
    run = {"_id": "wf_1", "owner_id": OWNER, "template_id": template_id, "version_id": tree.source.id}
    await runs.insert_one(run)

    with pytest.raises(ConflictError, match="1 runs use it; delete them first"):
        await versions.delete_template(template_id, owner_id=OWNER)
    assert (await versions.get_template(template_id, owner_id=OWNER)).id == template_id
    await runs.delete_one({"_id": "wf_1"})
    await versions.delete_template(template_id, owner_id=OWNER)

    assert [one.id for one in await versions.list_templates(owner_id=OWNER)] == [kept.id]
    assert await database.collection("workflow_versions").count_documents({}) == 1
    with pytest.raises(NotFoundError):
        await versions.delete_template(template_id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await versions.store(template_id, NewVersion(definition={"v": 2}), owner_id=OWNER)


async def test_another_owner_sees_nothing(versions: VersionRepository, template_id: str) -> None:
    tree = await versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=OWNER, resolved=[PLAIN])
    source, child = tree.source, tree.resolved[0]
    theirs = await versions.get_or_create_template("theirs", owner_id=OTHER)

    calls: list[Callable[[str, str], Awaitable[object]]] = [
        lambda _, owner: versions.get_template(template_id, owner_id=owner),
        lambda _, owner: versions.get_or_create_copy(template_id, owner_id=owner),
        lambda _, owner: versions.delete_template(template_id, owner_id=owner),
        lambda _, owner: versions.store(template_id, NewVersion(definition={"v": 1}), owner_id=owner),
        lambda _, owner: versions.get(source.id, owner_id=owner),
        lambda _, owner: versions.get_with_parent(child.id, owner_id=owner),
        lambda _, owner: versions.find_by_content(template_id, source.content_hash, owner_id=owner),
        lambda _, owner: versions.latest_source(template_id, owner_id=owner),
        lambda _, owner: versions.list_resolved(source.id, owner_id=owner),
        lambda _, owner: versions.version_for(source.id, [], owner_id=owner),
        lambda target, owner: versions.copy_tree(source.id, target, owner_id=owner),
        lambda target, _: versions.copy_tree(source.id, target, owner_id=OWNER, target_owner_id="usr_c"),
        lambda _, owner: versions.sync_copy(template_id, owner_id=owner),
        lambda _, owner: versions.find_template("Short film", owner_id=owner),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            await call(theirs.id, OTHER)
    assert await versions.list_sources(template_id, owner_id=OTHER) == []
    assert [one.id for one in await versions.list_templates(owner_id=OTHER)] == [theirs.id]
    with pytest.raises(NotFoundError):
        await versions.latest_source("tpl_missing", owner_id=OWNER)
