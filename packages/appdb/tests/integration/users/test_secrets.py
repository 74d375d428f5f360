"""Secrets show nowhere: not in what models and errors say of themselves, not in logs, not in the database."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import traceback
from datetime import timedelta

import pytest

from appdb import Database, Login, NewUser, TokenReuseError, UserRepository
from appdb._queries.refresh_tokens import GRACE, Shown
from appdb.errors import AppDbError
from appdb.models.access_keys import AccessKey
from appdb.models.refresh_tokens import RefreshFamily
from appsupport.mongo.stored_times import let_time_pass

CANARY = "$argon2id$CANARY-hash"


async def test_no_model_or_error_shows_secret(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "appdb")
    users = UserRepository(database)
    new = NewUser(username="ada", password_hash=CANARY)
    ada = await users.create(new)
    key = await users.create_key(owner_id=ada.id, name="laptop")
    first = await users.sign_in(owner_id=ada.id)
    second = await users.rotate(first.token)
    assert second is not None
    login = await users.login("ada")
    stored_key = await database.collection("access_keys").find_one({"_id": key.key_id}) or {}
    stored_family = await database.collection("refresh_tokens").find_one({"_id": first.session_id}) or {}
    family = RefreshFamily.from_document(stored_family)
    secrets = [CANARY, key.secret.split("_", 2)[2], *_secrets(first.token), *_secrets(second.token)]
    digests = [stored_key["digest"], family.proof, *family.live, str(family.previous)]
    shown = [
        new,
        ada,
        key,
        first,
        second,
        login,
        AccessKey.from_document(stored_key),
        family,
        Shown(session_id="rt_1", proof=family.proof, digest=family.live[0]),
        await users.authenticate(key.secret),
        await users.keys(owner_id=ada.id),
        await users.sessions(owner_id=ada.id),
        await users.page(),
    ]
    errors = [await _refusal(users, new, CANARY + "\x00")]
    await let_time_pass(database, GRACE + timedelta(seconds=1))
    with pytest.raises(TokenReuseError) as reuse:
        await users.rotate(first.token)
    errors.append(reuse.value)
    said = [f"{value!r} {value!s}" for value in shown]
    said += [f"{error!r} {error!s} {vars(error)} {''.join(traceback.format_exception(error))}" for error in errors]

    for text in (*said, caplog.text):
        assert not [secret for secret in (*secrets, *digests) if secret in text]
    whole = repr([await database.collection(name).find().to_list(None) for name in ("access_keys", "refresh_tokens")])
    assert not [secret for secret in secrets if secret in whole]


def _secrets(token: str) -> list[str]:
    both = token.split("_", 2)[2]
    return [both[:43], both[43:]]


async def _refusal(users: UserRepository, new: NewUser, password_hash: str) -> AppDbError:
    with pytest.raises(AppDbError) as caught:
        await users.create(dataclasses.replace(new, password_hash=password_hash))
    return caught.value


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
