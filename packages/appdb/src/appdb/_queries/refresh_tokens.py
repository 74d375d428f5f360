"""Queries and updates of ``refresh_tokens``, which holds one document for each session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline
from appdb.models.refresh_tokens import RevokedBecause

WITHOUT_DIGESTS = {"proof": 0, "live": 0, "previous": 0}
# Decision 0009: a repeated refresh whose answer was lost must not sign anybody out.
GRACE = timedelta(seconds=30)
"""Worst election (12 s) + an operation's timeout (8 s) < this: who repeats a refresh after a failover stays in."""
MAX_LIVE = 32
"""Tabs that refresh with the same token at the same time, each of which gets one of its own."""

_ROTATED, _SIBLING, _REFUSED, _REUSED = "rotated", "sibling", "refused", "reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedToken:
    """A refresh token that a caller shows: its session, and the digests of its two secrets."""

    session_id: str
    proof: str = field(repr=False)
    digest: str = field(repr=False)


def rotate(shown: PresentedToken, successor: str, device: Mapping[str, str]) -> tuple[Filter, Pipeline]:
    """Let *successor* (a digest) follow the token that was shown, or end the session of one that was used up.

    Afterwards *successor* is among the live ones if and only if the token was accepted.
    """
    rotated = {"$eq": ["$verdict", _ROTATED]}
    accepted = {"$in": ["$verdict", [_ROTATED, _SIBLING]]}
    reused = {"$eq": ["$verdict", _REUSED]}
    idle = {"$dateAdd": {"startDate": NOW, "unit": "second", "amount": "$idle_seconds"}}
    changes = {
        "live": {"$switch": {"branches": _live_after(successor), "default": "$live"}},
        "previous": _either(rotated, literal(shown.digest), "$previous"),
        "rotated_at": _either(rotated, NOW, "$rotated_at"),
        "last_used_at": _either(accepted, NOW, "$last_used_at"),
        "expires_at": _either(accepted, {"$min": ["$ends_at", idle]}, "$expires_at"),
        "revoked_at": _either(reused, NOW, "$revoked_at"),
        "revoked_because": _either(reused, RevokedBecause.REUSE, "$revoked_because"),
    }
    seen = {name: _either(accepted, literal(value), f"${name}") for name, value in device.items()}
    steps: Pipeline = [{"$set": {"verdict": _verdict(shown.digest)}}, {"$set": changes | seen}, {"$unset": "verdict"}]
    # One atomic update, so that of two holders of one token never both rotate it.
    return proved(shown), steps


def _verdict(digest: str) -> dict[str, Any]:
    over = {"$or": [{"$ne": ["$revoked_at", None]}, {"$lte": ["$expires_at", NOW]}]}
    # Only the token just before the live ones, and only until one of those is used: that shows that it arrived.
    just_before = {
        "$and": [{"$eq": ["$previous", literal(digest)]}, {"$gt": ["$rotated_at", from_now(-GRACE)]}],
    }
    crowded = {"$gte": [{"$size": "$live"}, MAX_LIVE]}
    branches = [
        {"case": over, "then": _REFUSED},
        {"case": {"$in": [literal(digest), "$live"]}, "then": _ROTATED},
        {"case": {"$and": [just_before, crowded]}, "then": _REFUSED},
        {"case": just_before, "then": _SIBLING},
    ]
    return {"$switch": {"branches": branches, "default": _REUSED}}


def _live_after(successor: str) -> list[dict[str, Any]]:
    return [
        {"case": {"$eq": ["$verdict", _ROTATED]}, "then": [literal(successor)]},
        {"case": {"$eq": ["$verdict", _SIBLING]}, "then": {"$concatArrays": ["$live", [literal(successor)]]}},
        {"case": {"$eq": ["$verdict", _REUSED]}, "then": []},
    ]


def _either(condition: dict[str, Any], then: object, otherwise: str) -> dict[str, Any]:
    return {"$cond": [condition, then, otherwise]}


def proved(shown: PresentedToken) -> Filter:
    """The session that a token is of, be the token used up or not."""
    return {"_id": shown.session_id, "proof": shown.proof}


def owned(session_id: str, user_id: str) -> Filter:
    """One session of one user."""
    return {"_id": session_id, "user_id": user_id}


def held(user_id: str, *, but: str | None = None) -> Filter:
    """A user's sessions that were not revoked, without the one *but*; served by index refresh_tokens_live."""
    return {"user_id": user_id, "revoked_at": None} | ({} if but is None else {"_id": {"$ne": but}})


def page(user_id: str, before: str | None) -> Filter:
    """A user's sessions that can be used, begun before the session *before*; served by index refresh_tokens_live.

    What has expired is deleted within about a minute, so the clock takes away next to nothing.
    """
    older = {} if before is None else {"_id": {"$lt": before}}
    return held(user_id) | older | {"$expr": {"$gt": ["$expires_at", NOW]}}


def all_of(user_id: str) -> Filter:
    """All sessions of a user; served by index refresh_tokens_live."""
    return {"user_id": user_id}


def revoke() -> Pipeline:
    """End a session; the first time and the first reason count."""
    first = {
        "revoked_at": {"$ifNull": ["$revoked_at", NOW]},
        "revoked_because": {"$ifNull": ["$revoked_because", RevokedBecause.SIGNED_OUT]},
    }
    return [{"$set": first | {"live": [], "previous": None}}]
