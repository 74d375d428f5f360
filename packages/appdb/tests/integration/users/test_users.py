"""Users: names are compared without case and unique where there are any, and who is switched off is off at once."""

from __future__ import annotations

import asyncio

import pytest

from appdb import ConflictError, Database, InvalidDataError, NotFoundError, UserRepository
from appdb._driver import Session
from appdb.models import NewUser, Role

ROUNDS = 50
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"


@pytest.fixture
def users(database: Database) -> UserRepository:
    return UserRepository(database)


async def test_user_is_found_by_every_name(users: UserRepository) -> None:
    made = await users.create(NewUser(username="Ada", email="Ada@Example.org", password_hash=HASH, roles=(Role.ADMIN,)))
    found = [
        await users.get(made.id),
        await users.by_username("ada"),
        await users.by_username("ADA"),
        await users.by_email("ada@example.ORG"),
    ]

    assert found == [made] * 4
    assert (made.username, made.email, made.is_guest, made.is_active) == ("Ada", "Ada@Example.org", False, True)
    assert made.roles == (Role.ADMIN,)


async def test_users_without_name_and_address_coexist(users: UserRepository, database: Database) -> None:
    for number in range(3):
        await users.create(NewUser(username=f"user{number}"))
        await users.create(NewUser(email=f"user{number}@example.org"))
        await users.create_guest()
    nameless = {"username_key": None, "email_key": None, "is_guest": True, "created_at": await database.server_time()}
    await database.collection("users").insert_many([{"_id": f"usr_null{n}", **nameless} for n in range(2)])

    assert len(await users.page()) == 11


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (NewUser(username="ada"), NewUser(username="ADA")),
        (NewUser(username="straße"), NewUser(username="STRASSE")),
        (NewUser(username="ﬁne"), NewUser(username="fine")),
        (NewUser(username="e\u0301va"), NewUser(username="\u00c9va")),
        (NewUser(email="a@example.org"), NewUser(email="A@EXAMPLE.org")),
        (NewUser(username="x", email="a@example.org"), NewUser(username="y", email="a@example.org")),
    ],
    ids=["case", "sharp s", "ligature", "composition", "address", "address of two names"],
)
async def test_two_users_cannot_share_name(users: UserRepository, first: NewUser, second: NewUser) -> None:
    await users.create(first)

    with pytest.raises(ConflictError, match="belongs to somebody else"):
        await users.create(second)


async def test_concurrent_takers_of_name_have_one_winner(users: UserRepository) -> None:
    for number in range(ROUNDS):
        taking = [users.create(NewUser(username=f"name{number}")) for _ in range(4)]
        outcomes = await asyncio.gather(*taking, return_exceptions=True)

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError"] * 3 + ["User"]


async def test_creating_user_again_returns_first(users: UserRepository) -> None:
    new = NewUser(username="ada", password_hash=HASH)
    made = [await users.create(new) for _ in range(2)]
    await users.set_roles(new.user_id, [Role.ADMIN])
    again = await users.create(new)

    assert made[0] == made[1]
    assert again.roles == (Role.ADMIN,)
    with pytest.raises(ConflictError, match="exists by another name"):
        await users.create(NewUser(username="eve", user_id=new.user_id))


async def test_concurrent_creations_make_one_user(users: UserRepository) -> None:
    for number in range(ROUNDS):
        new = NewUser(username=f"name{number}")
        made = await asyncio.gather(*(users.create(new) for _ in range(4)))

        assert made == [made[0]] * 4


@pytest.mark.parametrize(
    "user",
    [
        NewUser(),
        NewUser(username=""),
        NewUser(username="a b"),
        NewUser(username="a@b"),
        NewUser(username="a\x00b"),
        NewUser(username="\ud800"),
        NewUser(username="x" * 65),
        NewUser(email="nobody"),
        NewUser(email="@example.org"),
        NewUser(email="a@"),
        NewUser(email="a@b@c"),
        NewUser(email="a\n@example.org"),
        NewUser(email="x" * 250 + "@a.org"),
        NewUser(username="ada", password_hash=""),
        NewUser(username="ada", password_hash="x" * 1_001),
        NewUser(username="ada", password_hash="pass\x00word"),
        NewUser(username="ada", roles=()),
    ],
)
async def test_invalid_user_is_refused(users: UserRepository, database: Database, user: NewUser) -> None:
    with pytest.raises(InvalidDataError):
        await users.create(user)

    assert await database.collection("users").count_documents({}) == 0


async def test_unknown_role_is_refused(users: UserRepository) -> None:
    made = await users.create(NewUser(username="ada"))

    with pytest.raises(InvalidDataError, match="admin, user"):
        await users.set_roles(made.id, ["root"])  # type: ignore[list-item]
    assert (await users.get(made.id)).roles == (Role.USER,)


async def test_every_method_tells_missing_user(users: UserRepository) -> None:
    calls = [
        users.get("usr_missing"),
        users.by_username("missing"),
        users.by_email("missing@example.org"),
        users.login("missing"),
        users.set_roles("usr_missing", [Role.ADMIN]),
        users.set_password_hash("usr_missing", HASH),
        users.deactivate("usr_missing"),
        users.activate("usr_missing"),
        users.delete("usr_missing"),
        users.upgrade_guest(NewUser(username="ada", user_id="usr_missing")),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="missing"):
            await call


async def test_login_by_either_name_has_hash(users: UserRepository) -> None:
    made = await users.create(NewUser(username="ada", email="a@example.org", password_hash=HASH))
    logins = [await users.login("Ada"), await users.login("A@example.org")]

    assert [(login.user, login.password_hash) for login in logins] == [(made, HASH)] * 2
    await users.set_password_hash(made.id, None)
    assert (await users.login("ada")).password_hash is None
    await users.deactivate(made.id)
    with pytest.raises(NotFoundError):
        await users.login("ada")


async def test_guest_becomes_user_and_keeps_key(users: UserRepository) -> None:
    guest = await users.create_guest()
    new = NewUser(username="ada", password_hash=HASH, user_id=guest.user_id)
    upgraded = [await users.upgrade_guest(new) for _ in range(2)]

    assert upgraded[0] == upgraded[1] == await users.by_username("ada")
    assert (upgraded[0].id, upgraded[0].is_guest) == (guest.user_id, False)
    assert (await users.login("ada")).password_hash == HASH
    assert await users.user_of_key(guest.secret) == guest.user_id
    with pytest.raises(ConflictError, match="is no guest"):
        await users.upgrade_guest(NewUser(username="eve", user_id=guest.user_id))


async def test_guest_cannot_take_existing_name(users: UserRepository) -> None:
    await users.create(NewUser(username="ada"))
    guest = await users.create_guest()

    with pytest.raises(ConflictError, match="belongs to somebody else"):
        await users.upgrade_guest(NewUser(username="Ada", user_id=guest.user_id))
    assert (await users.get(guest.user_id)).is_guest


async def test_users_are_paged_newest_first(users: UserRepository) -> None:
    made = [await users.create(NewUser(username=f"user{number}")) for number in range(5)]
    first = await users.page(limit=3)
    rest = await users.page(before=first[-1].id, limit=3)

    assert first + rest == made[::-1]


async def test_deleted_user_leaves_no_credential(users: UserRepository, database: Database) -> None:
    made = [await users.create(NewUser(username=name)) for name in ("ada", "eve")]
    keys = [await users.create_key(owner_id=user.id, name="laptop") for user in made]
    tokens = [await users.sign_in(owner_id=user.id) for user in made]
    await users.delete(made[0].id)

    assert [await users.user_of_key(key.secret) for key in keys] == [None, made[1].id]
    assert await users.rotate(tokens[0].token) is None
    assert await users.rotate(tokens[1].token) is not None
    for name in ("access_keys", "refresh_tokens"):
        assert await database.collection(name).distinct("user_id") == [made[1].id]
    assert (await users.create(NewUser(username="ada"))).id != made[0].id


async def test_user_being_deleted_gets_no_credential(users: UserRepository, database: Database) -> None:
    for number in range(ROUNDS):
        made = await users.create(NewUser(username=f"user{number}"))
        making = [users.create_key(owner_id=made.id, name="laptop"), users.sign_in(owner_id=made.id)]
        await asyncio.gather(*making, users.delete(made.id), return_exceptions=True)

        for name in ("access_keys", "refresh_tokens"):
            assert await database.collection(name).count_documents({"user_id": made.id}) == 0


async def test_newer_releases_fields_survive_every_change(users: UserRepository, database: Database) -> None:
    guest = await users.create_guest()
    rows = database.collection("users")
    await rows.update_one({"_id": guest.user_id}, {"$set": {"newer": {"a": 1}, "roles": ["user", "moderator"]}})
    read = await users.get(guest.user_id)
    await users.upgrade_guest(NewUser(username="ada", user_id=guest.user_id))
    await users.set_password_hash(guest.user_id, HASH)
    await users.deactivate(guest.user_id)
    stored = await rows.find_one({"_id": guest.user_id}) or {}

    assert read.roles == ("user", "moderator")
    assert stored["newer"] == {"a": 1}


async def test_several_changes_join_one_transaction(users: UserRepository, database: Database) -> None:
    async def body(session: Session) -> None:
        made = await users.create(NewUser(username="ada"), session=session)
        await users.create_key(owner_id=made.id, name="laptop", session=session)
        await users.sign_in(owner_id=made.id, session=session)
        raise _OffError

    with pytest.raises(_OffError):
        await database.transaction(body)
    for name in ("users", "access_keys", "refresh_tokens"):
        assert await database.collection(name).count_documents({}) == 0


class _OffError(Exception):
    pass
