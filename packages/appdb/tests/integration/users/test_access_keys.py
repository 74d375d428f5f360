"""Access keys: only a whole, active key of an active user is anybody, and it tells who and what for in one look."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from appdb import ConflictError, Database, InvalidDataError, NotFoundError, UserRepository
from appdb.models import NewKey, NewUser, Role
from appdb.users.access_keys import MAX_KEYS
from appsupport.mongo.fail_points import fail_point
from appsupport.mongo.stored_times import let_time_pass

ROUNDS = 50
APP = "test_access_keys"
GENEROUS_SECONDS = 30


@pytest.fixture
def users(database: Database) -> UserRepository:
    return UserRepository(database)


@pytest.fixture
async def ada(users: UserRepository) -> str:
    return (await users.create(NewUser(username="ada", roles=(Role.ADMIN,)))).id


async def key_of(users: UserRepository, owner_id: str, **options: Any) -> NewKey:
    return await users.create_key(owner_id=owner_id, name="laptop", **options)


async def test_guests_key_identifies_guest(users: UserRepository) -> None:
    first, second = await users.create_guest(), await users.create_guest()

    assert await users.user_of_key(first.secret) == first.user_id
    assert await users.user_of_key(second.secret) == second.user_id


async def test_wrong_key_identifies_nobody(users: UserRepository) -> None:
    made, other = await users.create_guest(), await users.create_guest()
    wrong = [
        "",
        "app",
        "app__",
        made.secret[:-1],
        made.secret + "x",
        made.secret + "\n",
        made.secret.replace("app", "api", 1),
        f"app_{made.key_id}_{other.secret.split('_', 2)[2]}",
        f"app_{other.key_id}_{made.secret.split('_', 2)[2]}",
        f"app_{made.key_id}_",
        "app_$ne_x",
        "app_é_ü\ud800",
    ]

    assert [await users.user_of_key(key) for key in wrong] == [None] * len(wrong)


async def test_first_releases_key_still_works(users: UserRepository, database: Database) -> None:
    made = await users.create_guest()
    now = await database.server_time()
    for name, old in (("users", ["is_guest", "is_active"]), ("access_keys", ["user_id", "digest", "is_active"])):
        row = await database.collection(name).find_one({}) or {}
        first = {field: row[field] for field in ["_id", *old]} | {"created_at": now}
        times = {"expires_at": None} if name == "access_keys" else {}
        await database.collection(name).replace_one({"_id": row["_id"]}, first | times)
    caller = await users.authenticate(made.secret)

    assert caller is not None
    assert (caller.user_id, caller.is_guest, caller.roles, caller.scopes) == (
        made.user_id,
        True,
        frozenset({Role.USER}),
        None,
    )
    assert [key.name for key in await users.keys(owner_id=made.user_id)] == [""]


async def test_key_tells_owner_and_scopes(users: UserRepository, ada: str) -> None:
    whole, narrow = (
        await key_of(users, ada),
        await key_of(users, ada, scopes=["tasks:read", "tasks:read", "runs:write"]),
    )
    callers = [await users.authenticate(key.secret) for key in (whole, narrow)]

    assert [caller and (caller.user_id, caller.key_id, caller.roles) for caller in callers] == [
        (ada, key.key_id, frozenset({Role.ADMIN})) for key in (whole, narrow)
    ]
    asked = ("tasks:read", "runs:write", "tasks:write")
    assert [[caller and caller.may(scope) for scope in asked] for caller in callers] == [
        [True, True, True],
        [True, True, False],
    ]


@pytest.mark.parametrize(
    "scopes", [[], ["tasks"], ["Tasks:read"], ["tasks:read "], ["tasks:$ne"], [f"a:b{n}" for n in range(51)]]
)
async def test_unknown_scope_is_refused(users: UserRepository, ada: str, scopes: list[str]) -> None:
    with pytest.raises(InvalidDataError, match="tasks:read"):
        await key_of(users, ada, scopes=scopes)
    assert await users.keys(owner_id=ada) == []


async def test_key_expires_by_servers_clock(users: UserRepository, database: Database, ada: str) -> None:
    key, lasting = await key_of(users, ada, expires_in=timedelta(days=1)), await key_of(users, ada)
    before = await users.user_of_key(key.secret)
    await let_time_pass(database, timedelta(days=1))
    now = await database.server_time()
    listed = await users.keys(owner_id=ada)

    assert (before, await users.user_of_key(key.secret)) == (ada, None)
    assert await users.user_of_key(lasting.secret) == ada
    assert [key.expires_at is not None and key.expires_at <= now for key in listed] == [False, True]


@pytest.mark.parametrize("expires_in", [timedelta(0), timedelta(days=-1), timedelta.max])
async def test_impossible_expiry_is_refused(users: UserRepository, ada: str, expires_in: timedelta) -> None:
    with pytest.raises(InvalidDataError, match="expires_in"):
        await key_of(users, ada, expires_in=expires_in)


async def test_revoked_key_is_refused_for_good(users: UserRepository, ada: str) -> None:
    key, kept = await key_of(users, ada), await key_of(users, ada)
    revoked = [await users.revoke_key(key.key_id, owner_id=ada) for _ in range(2)]

    assert await users.user_of_key(key.secret) is None
    assert await users.user_of_key(kept.secret) == ada
    assert revoked[0] == revoked[1]
    assert revoked[0].revoked_at is not None
    assert [listed.id for listed in await users.keys(owner_id=ada)] == [kept.key_id]
    with pytest.raises(NotFoundError):
        await users.rename_key(key.key_id, "again", owner_id=ada)


async def test_check_after_revocation_finds_nobody(
    users: UserRepository, ada: str, mongo_uri: str, database: Database
) -> None:
    async with Database(mongo_uri, database.name) as other:
        elsewhere = UserRepository(other)
        for _ in range(ROUNDS):
            key = await key_of(users, ada)
            checks = [asyncio.create_task(elsewhere.user_of_key(key.secret)) for _ in range(3)]
            await users.revoke_key(key.key_id, owner_id=ada)

            assert await elsewhere.user_of_key(key.secret) is None
            assert set(await asyncio.gather(*checks)) <= {ada, None}


async def test_key_of_disabled_user_is_refused_until_enabled(users: UserRepository, ada: str) -> None:
    key = await key_of(users, ada)
    await users.deactivate(ada)
    off = await users.user_of_key(key.secret)
    with pytest.raises(NotFoundError):
        await key_of(users, ada)
    await users.activate(ada)

    assert (off, await users.user_of_key(key.secret)) == (None, ada)


async def test_keys_are_listed_without_digest_and_renamed(users: UserRepository, ada: str) -> None:
    first, second = await key_of(users, ada, scopes=["tasks:read"]), await key_of(users, ada)
    renamed = await users.rename_key(first.key_id, "$lease.token", owner_id=ada)
    listed = await users.keys(owner_id=ada)

    assert [key.id for key in listed] == [second.key_id, first.key_id]
    assert listed[1] == renamed
    assert (renamed.name, renamed.scopes) == ("$lease.token", ("tasks:read",))
    assert not any("digest" in type(key).model_fields for key in listed)
    for name in ("", "a\x00b", "x" * 101):
        with pytest.raises(InvalidDataError, match="laptop"):
            await users.rename_key(first.key_id, name, owner_id=ada)


async def test_key_limit_holds_under_concurrent_creation(
    users: UserRepository, ada: str, mongo_uri: str, database: Database
) -> None:
    for _ in range(MAX_KEYS - 3):
        await key_of(users, ada)
    async with Database(mongo_uri, database.name) as other:
        hosts = [users, UserRepository(other)]
        making = [key_of(hosts[number % 2], ada) for number in range(8)]
        outcomes = await asyncio.gather(*making, return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError"] * 5 + ["NewKey"] * 3
    held = await users.keys(owner_id=ada)
    assert len(held) == MAX_KEYS
    with pytest.raises(ConflictError, match="revoke one first"):
        await key_of(users, ada)
    await users.revoke_key(held[0].id, owner_id=ada)
    assert await users.user_of_key((await key_of(users, ada)).secret) == ada


async def last_use(database: Database, key_id: str) -> Any:
    """Return when the key was last used, as soon as that is noted."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        while True:
            row = await database.collection("access_keys").find_one({"_id": key_id}) or {}
            if "last_used_at" in row:
                return row["last_used_at"]
            await asyncio.sleep(0.01)


async def test_last_use_is_noted_once_per_minute(users: UserRepository, database: Database, ada: str) -> None:
    key = await key_of(users, ada)
    before = await database.server_time()
    for _ in range(5):
        await users.authenticate(key.secret)
    first = await last_use(database, key.key_id)
    await let_time_pass(database, timedelta(seconds=50))
    for _ in range(5):
        await users.authenticate(key.secret)
    (within,) = await users.keys(owner_id=ada)
    await let_time_pass(database, timedelta(seconds=10))
    await database.collection("access_keys").update_one({"_id": key.key_id}, {"$rename": {"last_used_at": "was"}})
    await users.authenticate(key.secret)

    assert first >= before
    assert within.last_used_at == first - timedelta(seconds=50)
    assert await last_use(database, key.key_id) >= first


async def test_check_survives_failed_use_note(
    mongo_uri: str, database: Database, users: UserRepository, ada: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = await key_of(users, ada)
    async with Database(mongo_uri, database.name, app_name=APP) as slow:
        stuck = {"blockConnection": True, "blockTimeMS": 2_000, "errorCode": 8000}
        async with fail_point(database, APP, ["update"], **stuck) as point:
            found = await UserRepository(slow).user_of_key(key.secret)
            await point.met()
            noted = [listed.last_used_at for listed in await users.keys(owner_id=ada)]
            async with asyncio.timeout(GENEROUS_SECONDS):
                while "the last use of a key was not noted" not in caplog.text:
                    await asyncio.sleep(0.01)

    assert (found, noted) == (ada, [None])
    assert key.secret.split("_", 2)[2] not in caplog.text


async def test_every_refused_key_takes_same_path(users: UserRepository, database: Database, ada: str) -> None:
    keys = [await key_of(users, ada, expires_in=timedelta(days=1)) for _ in range(3)]
    secrets = [key.secret.split("_", 2)[2] for key in keys]
    await users.revoke_key(keys[1].key_id, owner_id=ada)
    await database.collection("access_keys").update_one(
        {"_id": keys[2].key_id}, {"$set": {"expires_at": await database.server_time()}}
    )
    refused = [
        f"app_{'0' * 32}_{secrets[0]}",
        f"app_{keys[0].key_id}_{secrets[1]}",
        keys[1].secret,
        keys[2].secret,
    ]
    paths = []
    for key in refused:
        await database.raw.command("profile", 2)
        assert await users.authenticate(key) is None
        await database.raw.command("profile", 0)
        rows = await database.collection("system.profile").find({"op": "command"}).to_list(None)
        sent = [row for row in rows if "aggregate" in row["command"]]
        paths.append([(len(str(row["command"]["pipeline"])), row["nreturned"], row["planSummary"]) for row in sent])
        await database.collection("system.profile").drop()

    assert paths == [paths[0]] * 4
    assert [(path[1:]) for path in paths[0]] == [(0, "IXSCAN { _id: 1 }")]
