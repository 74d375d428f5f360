"""Secrets show nowhere: not in what models and errors say of themselves, not in logs, not in the database."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import traceback
from dataclasses import dataclass
from datetime import timedelta

import pytest

from appdb import AppDbError, Database, TokenReuseError, UserRepository
from appdb._queries.refresh_tokens import GRACE, PresentedToken
from appdb.models import Login, NewKey, NewToken, NewUser, User
from appdb.models.access_keys import AccessKey
from appdb.models.refresh_tokens import RefreshFamily
from appsupport.mongo.stored_times import let_time_pass

CANARY = "$argon2id$CANARY-hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user with a password, an access key, and a session whose token was rotated once."""

    new: NewUser
    user: User
    key: NewKey
    first: NewToken
    second: NewToken

    def secrets(self) -> list[str]:
        """Return all that opens something."""
        return [CANARY, self.key.secret.split("_", 2)[2], *halves(self.first.token), *halves(self.second.token)]


def halves(token: str) -> list[str]:
    """Return the session's and the rotation's part of a refresh token."""
    both = token.split("_", 2)[2]
    return [both[:43], both[43:]]


@pytest.fixture(autouse=True)
def _all_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "appdb")


@pytest.fixture
def users(database: Database) -> UserRepository:
    return UserRepository(database)


@pytest.fixture
async def given(users: UserRepository) -> Credentials:
    new = NewUser(username="ada", password_hash=CANARY)
    user = await users.create(new)
    key = await users.create_key(owner_id=user.id, name="laptop")
    first = await users.sign_in(owner_id=user.id)
    second = await users.rotate(first.token)
    assert second is not None
    return Credentials(new=new, user=user, key=key, first=first, second=second)


@pytest.fixture
async def stored_key(database: Database, given: Credentials) -> AccessKey:
    return AccessKey.from_document(await database.collection("access_keys").find_one({"_id": given.key.key_id}) or {})


@pytest.fixture
async def stored_session(database: Database, given: Credentials) -> RefreshFamily:
    found = await database.collection("refresh_tokens").find_one({"_id": given.first.session_id})
    return RefreshFamily.from_document(found or {})


def digests(key: AccessKey, session: RefreshFamily) -> list[str]:
    return [key.digest, session.proof, *session.live, str(session.previous)]


async def test_no_given_value_shows_secret(
    users: UserRepository, given: Credentials, stored_key: AccessKey, stored_session: RefreshFamily
) -> None:
    values = [await users.login("ada"), await users.authenticate(given.key.secret)]
    lists = [await users.keys(owner_id=given.user.id), await users.sessions(owner_id=given.user.id), await users.page()]
    shown = "\n".join(
        f"{value!r} {value!s}"
        for value in (given.new, given.user, given.key, given.first, given.second, *values, *lists)
    )

    assert "ada" in shown
    assert [secret for secret in (*given.secrets(), *digests(stored_key, stored_session)) if secret in shown] == []


async def test_no_stored_model_shows_secret(
    given: Credentials, stored_key: AccessKey, stored_session: RefreshFamily
) -> None:
    used = PresentedToken(session_id="rt_1", proof=stored_session.proof, digest=stored_session.live[0])
    shown = f"{stored_key!r} {stored_key} {stored_session!r} {stored_session} {used!r} {used}"

    assert [secret for secret in (*given.secrets(), *digests(stored_key, stored_session)) if secret in shown] == []


async def test_no_error_or_log_shows_secret(
    database: Database,
    users: UserRepository,
    given: Credentials,
    stored_key: AccessKey,
    stored_session: RefreshFamily,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await let_time_pass(database, GRACE + timedelta(seconds=1))
    with pytest.raises(TokenReuseError) as reuse:
        await users.rotate(given.first.token)
    with pytest.raises(AppDbError) as refusal:
        await users.create(dataclasses.replace(given.new, password_hash=CANARY + "\x00"))
    logged = [record.getMessage() for phase in ("setup", "call") for record in caplog.get_records(phase)]
    told = "\n".join([text_of(reuse.value), text_of(refusal.value), *logged, caplog.text])

    assert [secret for secret in (*given.secrets(), *digests(stored_key, stored_session)) if secret in told] == []


async def test_no_stored_document_holds_usable_secret(database: Database, given: Credentials) -> None:
    names = ("access_keys", "refresh_tokens")
    stored = repr([await database.collection(name).find().to_list(None) for name in names])

    assert given.key.key_id in stored
    assert [secret for secret in given.secrets() if secret in stored] == []


def text_of(error: AppDbError) -> str:
    """Return all that an error says of itself."""
    return f"{error!r} {error!s} {vars(error)} {''.join(traceback.format_exception(error))}"


def test_login_returns_hash_on_request() -> None:
    fields = {field.name: field.repr for field in dataclasses.fields(Login)}

    assert fields == {"user": True, "password_hash": False}


def test_reused_token_error_survives_pickling() -> None:
    error = TokenReuseError("usr_1", "rt_1")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert (str(copy), copy.user_id, copy.session_id) == (str(error), "usr_1", "rt_1")


async def test_taken_name_error_hides_driver_message(database: Database) -> None:
    users = UserRepository(database)
    await users.create(NewUser(username="ada", email="canary@example.org"))
    with pytest.raises(AppDbError) as caught:
        await users.create(NewUser(username="eve", email="canary@example.org"))

    assert "canary" not in f"{caught.value} {caught.value.__cause__}"
