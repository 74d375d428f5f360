"""Users and keys: only a whole, active key is anybody."""

from __future__ import annotations

import pytest

from appdb import Database, UserRepository


@pytest.fixture
def users(database: Database) -> UserRepository:
    return UserRepository(database)


async def test_a_guests_key_is_that_guest(users: UserRepository) -> None:
    first, second = await users.create_guest(), await users.create_guest()

    assert await users.user_of_key(first.secret) == first.user_id
    assert await users.user_of_key(second.secret) == second.user_id


async def test_a_wrong_key_is_nobody(users: UserRepository) -> None:
    made = await users.create_guest()
    other = await users.create_guest()
    key_id = made.secret.split("_")[1]
    wrong = [
        "",
        "app",
        "app__",
        made.secret[:-1],
        made.secret + "x",
        made.secret.replace("app", "api", 1),
        f"app_{key_id}_{other.secret.split('_', 2)[2]}",
        f"app_{key_id}_",
        "app_$ne_x",
        "app_é_ü\ud800",
    ]

    assert [await users.user_of_key(key) for key in wrong] == [None] * len(wrong)


async def test_a_key_that_was_switched_off_is_nobody(users: UserRepository, database: Database) -> None:
    made = await users.create_guest()
    await database.collection("access_keys").update_one({"user_id": made.user_id}, {"$set": {"is_active": False}})

    assert await users.user_of_key(made.secret) is None


async def test_the_secret_is_stored_and_shown_nowhere(users: UserRepository, database: Database) -> None:
    made = await users.create_guest()
    secret = made.secret.split("_", 2)[2]
    stored = [row async for row in database.collection("access_keys").find()]

    assert secret not in repr(stored)
    assert secret not in repr(made)
