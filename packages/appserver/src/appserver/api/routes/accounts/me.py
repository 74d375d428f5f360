"""Routes of the caller's own account: who one is, and the keys that one holds."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from fastapi import Response

from appserver.api.dependencies import JsonDep
from appserver.api.schemas.accounts import HeldKey, HeldKeys, KeyName, KeyRequest, MadeKey, Me
from appserver.http.callers import CallerDep, OwnerDep, StateDep
from appserver.http.routing import Router

router = Router(prefix="/api/me", tags=["account"])


@router.get("")
async def get_me(caller: CallerDep, state: StateDep) -> Me:
    """Return the user who asks, and the key that was shown."""
    return Me.of(await state.users.get(caller.user_id), caller)


@router.get("/keys")
async def list_keys(owner: OwnerDep, state: StateDep) -> HeldKeys:
    """Return the caller's keys that were not revoked, newest first; at most 50."""
    return HeldKeys(items=[HeldKey.of(key) for key in await state.users.keys(owner_id=owner)])


@router.post("/keys", status_code=HTTPStatus.CREATED)
async def create_key(body: KeyRequest, _json: JsonDep, response: Response, owner: OwnerDep, state: StateDep) -> MadeKey:
    """Make another key of the caller's; its secret is shown this once, and 50 keys are the most."""
    expires_in = None if body.expires_in_seconds is None else timedelta(seconds=body.expires_in_seconds)
    made = await state.users.create_key(owner_id=owner, name=body.name, expires_in=expires_in)
    response.headers["Location"] = f"/api/me/keys/{made.key_id}"
    return MadeKey(id=made.key_id, key=made.secret, name=body.name, expires_at=made.expires_at)


@router.patch("/keys/{key_id}")
async def rename_key(key_id: str, body: KeyName, _json: JsonDep, owner: OwnerDep, state: StateDep) -> HeldKey:
    """Give a key of the caller's another name."""
    return HeldKey.of(await state.users.rename_key(key_id, body.name, owner_id=owner))


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: str, owner: OwnerDep, state: StateDep) -> HeldKey:
    """End a key of the caller's for good, also the one that is shown; doing it again changes nothing."""
    return HeldKey.of(await state.users.revoke_key(key_id, owner_id=owner))
