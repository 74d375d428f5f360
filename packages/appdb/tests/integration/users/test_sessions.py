"""Refresh tokens: each is good once, tabs may race, and a copy that is used late ends the session for everybody."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from appdb import Database, InvalidDataError, NotFoundError, TokenReuseError, UserRepository
from appdb._queries.refresh_tokens import GRACE, MAX_LIVE
from appdb.models import Device, Lifetime, NewToken, NewUser, Role
from appsupport.mongo.stored_times import let_time_pass

ROUNDS = 50
AFTER_GRACE = GRACE + timedelta(seconds=1)


@pytest.fixture
def users(database: Database) -> UserRepository:
    return UserRepository(database)


@pytest.fixture
async def ada(users: UserRepository) -> str:
    return (await users.create(NewUser(username="ada"))).id


async def rotated(users: UserRepository, token: NewToken) -> NewToken:
    made = await users.rotate(token.token)
    assert made is not None
    return made


async def good(users: UserRepository, tokens: list[NewToken]) -> int:
    """Use each of *tokens* and return how many were taken."""
    taken = 0
    for token in tokens:
        try:
            taken += await users.rotate(token.token) is not None
        except TokenReuseError:
            continue
    return taken


async def test_every_token_has_successor_in_its_session(users: UserRepository, ada: str) -> None:
    tokens = [await users.sign_in(owner_id=ada)]
    for _ in range(5):
        tokens.append(await rotated(users, tokens[-1]))

    assert {(token.user_id, token.session_id) for token in tokens} == {(ada, tokens[0].session_id)}
    assert len({token.token for token in tokens}) == 6
    assert all(first.expires_at <= second.expires_at for first, second in pairwise(tokens))
    assert [session.id for session in await users.sessions(owner_id=ada)] == [tokens[0].session_id]


async def test_token_has_users_current_roles(users: UserRepository, ada: str) -> None:
    first = await users.sign_in(owner_id=ada)
    await users.set_roles(ada, [Role.ADMIN])

    assert first.roles == frozenset({Role.USER})
    assert (await rotated(users, first)).roles == frozenset({Role.ADMIN})


async def test_wrong_token_is_refused_and_ends_nothing(users: UserRepository, ada: str) -> None:
    first, other = await users.sign_in(owner_id=ada), await users.sign_in(owner_id=ada)
    start = len(first.session_id) + 1
    proof, secret = first.token[start : start + 43], first.token[start + 43 :]
    wrong = [
        "",
        "rt_",
        first.token[:-1],
        first.token + "x",
        f"{first.session_id}_{other.token[start : start + 43]}{secret}",
        f"{other.session_id}_{proof}{secret}",
        f"rt_{'0' * 32}_{proof}{secret}",
        "rt_$ne_\ud800",
    ]

    assert [await users.rotate(token) for token in wrong] == [None] * len(wrong)
    assert [await users.sign_out(token) for token in wrong] == [False] * len(wrong)
    assert await good(users, [first, other]) == 2


async def test_late_token_reuse_ends_session(users: UserRepository, database: Database, ada: str) -> None:
    stolen, other = await users.sign_in(owner_id=ada), await users.sign_in(owner_id=ada)
    newest = await rotated(users, stolen)
    await let_time_pass(database, AFTER_GRACE)

    for token in (stolen, newest, stolen):
        with pytest.raises(TokenReuseError) as caught:
            await users.rotate(token.token)
        assert (caught.value.user_id, caught.value.session_id) == (ada, stolen.session_id)
    assert [session.id for session in await users.sessions(owner_id=ada)] == [other.session_id]
    assert await good(users, [other]) == 1


async def test_reuse_of_older_token_ends_session(users: UserRepository, ada: str) -> None:
    first = await users.sign_in(owner_id=ada)
    newest = await rotated(users, await rotated(users, first))

    with pytest.raises(TokenReuseError):
        await users.rotate(first.token)
    assert await good(users, [newest]) == 0


async def test_lost_answer_can_be_requested_again(users: UserRepository, ada: str) -> None:
    first = await users.sign_in(owner_id=ada)
    await rotated(users, first)
    again = await rotated(users, first)

    assert (await rotated(users, again)).session_id == first.session_id
    assert len(await users.sessions(owner_id=ada)) == 1


async def test_thief_in_grace_time_is_detected(users: UserRepository, ada: str) -> None:
    first = await users.sign_in(owner_id=ada)
    users_own, thiefs = await rotated(users, first), await rotated(users, first)
    newest = await rotated(users, thiefs)

    with pytest.raises(TokenReuseError):
        await users.rotate(users_own.token)
    assert await good(users, [newest]) == 0


async def test_too_many_tabs_are_refused_harmlessly(users: UserRepository, ada: str) -> None:
    first = await users.sign_in(owner_id=ada)
    made = [await users.rotate(first.token) for _ in range(MAX_LIVE + 2)]

    assert [token is None for token in made] == [False] * MAX_LIVE + [True] * 2
    assert len(await users.sessions(owner_id=ada)) == 1


async def test_unused_session_expires(users: UserRepository, database: Database, ada: str) -> None:
    day = timedelta(days=1)
    idle, used = [await users.sign_in(owner_id=ada, lifetime=Lifetime(idle=day * 2, absolute=day * 5)) for _ in "ab"]
    for _ in range(2):
        await let_time_pass(database, day)
        used = await rotated(users, used)

    assert await users.rotate(idle.token) is None
    assert [session.id for session in await users.sessions(owner_id=ada)] == [used.session_id]


async def test_session_expires_in_any_case(users: UserRepository, database: Database, ada: str) -> None:
    day = timedelta(days=1)
    token = await users.sign_in(owner_id=ada, lifetime=Lifetime(idle=day * 2, absolute=day * 3))
    for _ in range(2):
        await let_time_pass(database, day)
        token = await rotated(users, token)
    (session,) = await users.sessions(owner_id=ada)
    await let_time_pass(database, day)

    assert session.expires_at == session.ends_at == token.expires_at
    assert await users.rotate(token.token) is None
    assert await users.sessions(owner_id=ada) == []


@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(days=-1), timedelta.max])
async def test_impossible_lifetime_is_refused(users: UserRepository, ada: str, wrong: timedelta) -> None:
    for lifetime in (Lifetime(idle=wrong), Lifetime(absolute=wrong)):
        with pytest.raises(InvalidDataError, match="lifetime"):
            await users.sign_in(owner_id=ada, lifetime=lifetime)


async def test_sessions_tell_device_and_time(users: UserRepository, ada: str) -> None:
    phone = Device(user_agent="$$NOW phone", ip_address="2001:db8::1")
    first = await users.sign_in(owner_id=ada, device=phone)
    second = await users.sign_in(owner_id=ada, device=Device(user_agent="x" * 500 + "\ud800"))
    (begun,) = await users.sessions(owner_id=ada, before=second.session_id)
    await users.rotate((await rotated(users, first)).token, device=Device(user_agent="$user_id", ip_address="$live"))
    newest, oldest = await users.sessions(owner_id=ada)

    assert (begun.user_agent, begun.ip_address) == ("$$NOW phone", "2001:db8::1")
    assert (oldest.user_agent, oldest.ip_address) == ("$user_id", "$live")
    assert begun.created_at == oldest.created_at <= begun.last_used_at <= oldest.last_used_at < oldest.expires_at
    assert newest.user_agent == "x" * 400
    assert [session.id for session in await users.sessions(owner_id=ada, limit=1)] == [second.session_id]


async def test_any_token_of_session_signs_out(users: UserRepository, ada: str) -> None:
    first = await users.sign_in(owner_id=ada)
    newest = await rotated(users, await rotated(users, first))

    assert [await users.sign_out(token.token) for token in (first, newest)] == [True, True]
    assert await users.rotate(newest.token) is None
    assert await users.sessions(owner_id=ada) == []


async def test_revoked_session_ends_others_go_on(users: UserRepository, ada: str) -> None:
    ended, kept = await users.sign_in(owner_id=ada), await users.sign_in(owner_id=ada)
    revoked = [await users.revoke_session(ended.session_id, owner_id=ada) for _ in range(2)]

    assert revoked[0] == revoked[1]
    assert await good(users, [ended, kept]) == 1
    with pytest.raises(NotFoundError):
        await users.revoke_session("rt_missing", owner_id=ada)


async def test_all_sessions_but_own_are_revoked(users: UserRepository, ada: str) -> None:
    eve = (await users.create(NewUser(username="eve"))).id
    tokens = [await users.sign_in(owner_id=ada) for _ in range(4)]
    others = await users.sign_in(owner_id=eve)
    ended = [await users.revoke_sessions(owner_id=ada, but=tokens[0].session_id) for _ in range(2)]

    assert ended == [3, 0]
    assert await good(users, [*tokens, others]) == 2
    assert await users.revoke_sessions(owner_id=ada) == 1


async def test_disabling_user_ends_sessions_for_good(users: UserRepository, ada: str) -> None:
    token = await users.sign_in(owner_id=ada)
    await users.deactivate(ada)
    off = await users.rotate(token.token)
    with pytest.raises(NotFoundError):
        await users.sign_in(owner_id=ada)
    await users.activate(ada)

    assert (off, await users.rotate(token.token)) == (None, None)
    assert await good(users, [await users.sign_in(owner_id=ada)]) == 1


async def test_user_disabled_otherwise_is_refused(users: UserRepository, database: Database, ada: str) -> None:
    token = await users.sign_in(owner_id=ada)
    await database.collection("users").update_one({"_id": ada}, {"$set": {"is_active": False}})

    assert await users.rotate(token.token) is None


async def test_two_rotating_tabs_keep_one_session(
    users: UserRepository, ada: str, mongo_uri: str, database: Database
) -> None:
    async with Database(mongo_uri, database.name) as other:
        hosts = (users, UserRepository(other))
        for _ in range(ROUNDS):
            first = await users.sign_in(owner_id=ada)
            tabs = await asyncio.gather(*(rotated(host, first) for host in hosts))

            assert {tab.session_id for tab in tabs} == {first.session_id}
            assert await good(users, [tabs[0]]) == 1
            # What the tabs share holds one of the two: the other is used up with it.
            with pytest.raises(TokenReuseError):
                await users.rotate(tabs[1].token)
    assert await users.sessions(owner_id=ada) == []


async def test_revocation_wins_race_with_rotation(
    users: UserRepository, ada: str, mongo_uri: str, database: Database
) -> None:
    async with Database(mongo_uri, database.name) as other:
        elsewhere = UserRepository(other)
        for number in range(ROUNDS):
            first = await users.sign_in(owner_id=ada)
            revoking = (
                users.revoke_session(first.session_id, owner_id=ada),
                users.sign_out(first.token),
                users.revoke_sessions(owner_id=ada),
            )
            made, *_ = await asyncio.gather(elsewhere.rotate(first.token), revoking[number % 3])
            for unused in revoking:
                unused.close()

            assert await good(users, [first, *([made] if made else [])]) == 0
            assert await users.sessions(owner_id=ada) == []


async def test_disabling_wins_race_with_sign_in(
    users: UserRepository, ada: str, mongo_uri: str, database: Database
) -> None:
    async with Database(mongo_uri, database.name) as other:
        elsewhere = UserRepository(other)
        for _ in range(ROUNDS):
            await users.activate(ada)
            first = await users.sign_in(owner_id=ada)
            racing = (elsewhere.rotate(first.token), elsewhere.sign_in(owner_id=ada))
            *outcomes, _ = await asyncio.gather(*racing, users.deactivate(ada), return_exceptions=True)
            made = [outcome for outcome in outcomes if isinstance(outcome, NewToken)]

            assert all(isinstance(outcome, NewToken | NotFoundError | None) for outcome in outcomes)
            assert await good(users, [first, *made]) == 0
            await users.activate(ada)
            assert await good(users, [first, *made]) == 0


async def test_late_reuse_wins_race_with_rotation(
    users: UserRepository, ada: str, mongo_uri: str, database: Database
) -> None:
    async with Database(mongo_uri, database.name) as other:
        elsewhere = UserRepository(other)
        for _ in range(ROUNDS):
            stolen = await users.sign_in(owner_id=ada)
            newest = await rotated(users, stolen)
            await database.collection("refresh_tokens").update_one(
                {"_id": newest.session_id}, [{"$set": {"rotated_at": newest.expires_at - timedelta(days=31)}}]
            )
            outcomes = await asyncio.gather(
                elsewhere.rotate(newest.token), users.rotate(stolen.token), return_exceptions=True
            )
            made = [outcome for outcome in outcomes if isinstance(outcome, NewToken)]

            assert isinstance(outcomes[1], TokenReuseError)
            assert await good(users, [newest, *made]) == 0
            assert await users.sessions(owner_id=ada) == []


async def test_stored_session_contains_no_usable_secret(users: UserRepository, database: Database, ada: str) -> None:
    tokens = [await users.sign_in(owner_id=ada)]
    tokens.append(await rotated(users, tokens[0]))
    stored = repr(await database.collection("refresh_tokens").find().to_list(None))

    for token in tokens:
        secrets = token.token.removeprefix(f"{token.session_id}_")
        assert secrets[:43] not in stored
        assert secrets[43:] not in stored
