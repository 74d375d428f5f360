"""Scenarios of ``UserRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count

from appdb import UserRepository
from appdb._driver import RawDocument
from appdb.models import Device, NewUser, Role
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text

FAR = datetime(2999, 1, 1, tzinfo=UTC)
_numbers = count()


def _name() -> str:
    return f"ada{next(_numbers)}"


async def user(stage: Stage) -> NewUser:
    """Make the stage's owner a user with every name."""
    name = _name()
    made = NewUser(username=name, email=f"{name}@example.org", password_hash="hash", user_id=stage.owner)
    await UserRepository(stage.database).create(made)
    return made


async def key(stage: Stage) -> str:
    await user(stage)
    return (await UserRepository(stage.database).create_key(owner_id=stage.owner, name="laptop")).key_id


async def secret(stage: Stage) -> str:
    await user(stage)
    return (await UserRepository(stage.database).create_key(owner_id=stage.owner, name="laptop")).secret


async def session(stage: Stage) -> str:
    await user(stage)
    return (await UserRepository(stage.database).sign_in(owner_id=stage.owner)).session_id


async def token(stage: Stage) -> str:
    await user(stage)
    return (await UserRepository(stage.database).sign_in(owner_id=stage.owner)).token


async def guest(stage: Stage) -> NewUser:
    made = await UserRepository(stage.database).create_guest()
    return NewUser(username=_name(), user_id=made.user_id)


def _user(number: int) -> RawDocument:
    names = {"username": f"o{number}", "username_key": f"o{number}", "email_key": f"o{number}@example.org"}
    return {"_id": f"usr_{number:032x}", "is_guest": False, "is_active": True, "created_at": FAR} | names


def _key(number: int) -> RawDocument:
    base = {"_id": f"{number:032x}", "user_id": f"usr_{number % 2_000:032x}", "digest": "0" * 64, "created_at": FAR}
    return base | {"is_active": number % 3 > 0}


def _family(number: int) -> RawDocument:
    base = {"_id": f"rt_{number:032x}", "user_id": f"usr_{number % 2_000:032x}", "proof": "0" * 64, "live": []}
    return base | {"revoked_at": None if number % 3 else FAR, "expires_at": FAR, "created_at": FAR}


async def _create(stage: Stage, text: str) -> Mapping[str, object]:
    made = await UserRepository(stage.database).create(NewUser(username=text, email=f"{text}@{text}"))
    read = await UserRepository(stage.database).by_username(text)
    assert read == made == await UserRepository(stage.database).by_email(f"{text}@{text}")
    return {"user.username": read.username, "user.email": str(read.email).rpartition("@")[2]}


async def _password(stage: Stage, text: str) -> Mapping[str, object]:
    users, name = UserRepository(stage.database), _name()
    made = await users.create(NewUser(username=name, password_hash=text))
    first = (await users.login(name)).password_hash
    await users.set_password_hash(made.id, f"{text}2")
    assert (await users.login(name)).password_hash == f"{text}2"
    return {"password_hash": first}


async def _upgrade(stage: Stage, text: str) -> Mapping[str, object]:
    users = UserRepository(stage.database)
    made = NewUser(username=text, email=f"{text}@{text}", user_id=(await users.create_guest()).user_id)
    read = await users.upgrade_guest(made)
    return {"user.username": read.username, "user.email": str(read.email).rpartition("@")[2]}


async def _key_name(stage: Stage, text: str) -> Mapping[str, object]:
    users = UserRepository(stage.database)
    await user(stage)
    await users.create_key(owner_id=stage.owner, name=text)
    (read,) = await users.keys(owner_id=stage.owner)
    return {"name": read.name}


async def _rename(stage: Stage, text: str) -> Mapping[str, object]:
    users = UserRepository(stage.database)
    await users.rename_key(await key(stage), text, owner_id=stage.owner)
    (read,) = await users.keys(owner_id=stage.owner)
    return {"name": read.name}


async def _sign_in(stage: Stage, text: str) -> Mapping[str, object]:
    users = UserRepository(stage.database)
    await user(stage)
    await users.sign_in(owner_id=stage.owner, device=Device(user_agent=text, ip_address=text))
    (read,) = await users.sessions(owner_id=stage.owner)
    return {"device.user_agent": read.user_agent, "device.ip_address": read.ip_address}


async def _rotate(stage: Stage, text: str) -> Mapping[str, object]:
    users = UserRepository(stage.database)
    await users.rotate(await token(stage), device=Device(user_agent=text, ip_address=text))
    (read,) = await users.sessions(owner_id=stage.owner)
    return {"device.user_agent": read.user_agent, "device.ip_address": read.ip_address}


SCENES = Scenes(
    subject=UserRepository,
    scenarios=(
        Scenario(method="UserRepository.create", call=lambda users, _, __: users.create(NewUser(username=_name()))),
        Scenario(method="UserRepository.create_guest", call=lambda users, _, __: users.create_guest()),
        Scenario(
            method="UserRepository.count_guests",
            prepare=guest,
            call=lambda users, _, __: users.count_guests(within=timedelta(days=1), at_most=10),
            scans="it counts the guests of a day, by the index of ids",
        ),
        Scenario(
            method="UserRepository.upgrade_guest", prepare=guest, call=lambda users, made, _: users.upgrade_guest(made)
        ),
        Scenario(method="UserRepository.get", prepare=user, call=lambda users, made, _: users.get(made.user_id)),
        Scenario(
            method="UserRepository.by_username",
            prepare=user,
            call=lambda users, made, _: users.by_username(made.username),
        ),
        Scenario(
            method="UserRepository.by_email", prepare=user, call=lambda users, made, _: users.by_email(made.email)
        ),
        Scenario(method="UserRepository.login", prepare=user, call=lambda users, made, _: users.login(made.username)),
        Scenario(
            method="UserRepository.login",
            about="by address",
            prepare=user,
            call=lambda users, made, _: users.login(made.email),
        ),
        Scenario(method="UserRepository.page", prepare=user, call=lambda users, _, __: users.page(limit=20)),
        Scenario(
            method="UserRepository.page",
            about="the next",
            prepare=user,
            call=lambda users, made, _: users.page(before=made.user_id, limit=20),
        ),
        Scenario(
            method="UserRepository.set_roles",
            prepare=user,
            call=lambda users, made, _: users.set_roles(made.user_id, [Role.ADMIN]),
        ),
        Scenario(
            method="UserRepository.set_password_hash",
            prepare=user,
            call=lambda users, made, _: users.set_password_hash(made.user_id, "other"),
        ),
        Scenario(
            method="UserRepository.deactivate",
            prepare=session,
            call=lambda users, _, owner_id: users.deactivate(owner_id),
        ),
        Scenario(
            method="UserRepository.activate", prepare=user, call=lambda users, made, _: users.activate(made.user_id)
        ),
        Scenario(
            method="UserRepository.delete", prepare=session, call=lambda users, _, owner_id: users.delete(owner_id)
        ),
        Scenario(
            method="UserRepository.create_key",
            prepare=key,
            call=lambda users, _, owner_id: users.create_key(owner_id=owner_id, name="phone"),
            creates=True,
        ),
        Scenario(
            method="UserRepository.authenticate", prepare=secret, call=lambda users, made, _: users.authenticate(made)
        ),
        Scenario(
            method="UserRepository.user_of_key", prepare=secret, call=lambda users, made, _: users.user_of_key(made)
        ),
        Scenario(
            method="UserRepository.keys", prepare=key, call=lambda users, _, owner_id: users.keys(owner_id=owner_id)
        ),
        Scenario(
            method="UserRepository.rename_key",
            prepare=key,
            call=lambda users, made, owner_id: users.rename_key(made, "phone", owner_id=owner_id),
        ),
        Scenario(
            method="UserRepository.revoke_key",
            prepare=key,
            call=lambda users, made, owner_id: users.revoke_key(made, owner_id=owner_id),
        ),
        Scenario(
            method="UserRepository.sign_in",
            prepare=session,
            call=lambda users, _, owner_id: users.sign_in(owner_id=owner_id),
            creates=True,
        ),
        Scenario(method="UserRepository.rotate", prepare=token, call=lambda users, made, _: users.rotate(made)),
        Scenario(method="UserRepository.sign_out", prepare=token, call=lambda users, made, _: users.sign_out(made)),
        Scenario(
            method="UserRepository.sessions",
            prepare=session,
            call=lambda users, _, owner_id: users.sessions(owner_id=owner_id),
        ),
        Scenario(
            method="UserRepository.sessions",
            about="the next page",
            prepare=session,
            call=lambda users, made, owner_id: users.sessions(owner_id=owner_id, before=made + "f"),
        ),
        Scenario(
            method="UserRepository.revoke_session",
            prepare=session,
            call=lambda users, made, owner_id: users.revoke_session(made, owner_id=owner_id),
        ),
        Scenario(
            method="UserRepository.revoke_sessions",
            prepare=session,
            call=lambda users, _, owner_id: users.revoke_sessions(owner_id=owner_id),
        ),
        Scenario(
            method="UserRepository.revoke_sessions",
            about="but one",
            prepare=session,
            call=lambda users, made, owner_id: users.revoke_sessions(owner_id=owner_id, but=made + "f"),
        ),
    ),
    texts=(
        Text(method="UserRepository.create", fields=("user.username", "user.email"), store=_create, refuses=True),
        Text(
            method="UserRepository.upgrade_guest",
            fields=("user.username", "user.email"),
            store=_upgrade,
            refuses=True,
        ),
        Text(method="UserRepository.set_password_hash", fields=("password_hash",), store=_password, refuses=True),
        Text(method="UserRepository.create_key", fields=("name",), store=_key_name, refuses=True),
        Text(method="UserRepository.rename_key", fields=("name",), store=_rename, refuses=True),
        Text(method="UserRepository.sign_in", fields=("device.user_agent", "device.ip_address"), store=_sign_in),
        Text(method="UserRepository.rotate", fields=("device.user_agent", "device.ip_address"), store=_rotate),
    ),
    plain=frozenset(
        {
            "owner_id",
            "user_id",
            "key_id",
            "session_id",
            "before",
            "but",
            "key",
            "token",
            "scopes",
            "user.password_hash",
            "by_username.username",
            "by_email.email",
            "login.name",
        }
    ),
    crowds={"users": _user, "access_keys": _key, "refresh_tokens": _family},
)
