"""Answers on their way: links by which somebody else may answer a question, and drafts of its owner."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta

from pydantic import JsonValue

from appdb._driver import AFTER, Session
from appdb._queries import answer_drafts, answer_links
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError
from appdb.models.answer_drafts import AnswerDraft
from appdb.models.answer_links import AnswerLink
from appdb.models.bounds import Name, accept
from appdb.run_lock import RunLock
from appdb.size_limits import KIB, check_size
from appdb.utils import derived_id

MAX_DRAFT_BYTES = 64 * KIB
MAX_LINKS = 20
"""Links to one question that live at a time."""
MAX_AT_ONCE = 500
"""Drafts that one call deletes."""
TOKEN_BYTES = 32


def new_token() -> str:
    """Return a new token, of 256 bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class AnswerLinks:
    """Makes, finds and revokes links."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._links = connection.collection(collections.ANSWER_LINKS)
        self._run_lock = RunLock(connection)

    async def make(
        self, question: tuple[str, str], owner_id: str, token: str, expires_in: timedelta, session: Session | None
    ) -> AnswerLink:
        """Store the link of *token* to *question*, a run and its interaction; again it only changes the times."""
        run_id, interaction_id = question
        match = answer_links.of_interaction(run_id, owner_id, interaction_id)

        async def body(session: Session) -> AnswerLink:
            # Links that are made at once are counted one after the other, and a deletion of the run finds them.
            await self._run_lock.lock(run_id, owner_id, session)
            if await self._links.count_documents(match, limit=MAX_LINKS, session=session) >= MAX_LINKS:
                problem = f"{MAX_LINKS} links to it live already; revoke them, or wait until some expire"
                raise ConflictError("interaction", interaction_id, problem)
            row = await self._links.find_one_and_update(
                {"_id": _id_of(token)},
                answer_links.make(run_id, owner_id, interaction_id, expires_in),
                upsert=True,
                return_document=AFTER,
                session=session,
            )
            return AnswerLink.from_document(row)

        return await self._connection.joined(body, session)

    async def find(self, token: str, session: Session | None) -> AnswerLink:
        """Return the link of *token*, unless it has expired."""
        found = await self._links.find_one(answer_links.valid(_id_of(token)), session=session)
        if found is None:
            raise NotFoundError("answer link", "of this token")
        return AnswerLink.from_document(found)

    async def revoke(self, run_id: str, interaction_id: str, owner_id: str, session: Session | None) -> int:
        """Delete all links to a question."""
        match = answer_links.of_interaction(run_id, owner_id, interaction_id)
        return (await self._links.delete_many(match, session=session)).deleted_count


class AnswerDrafts:
    """Keeps one draft for each user and question."""

    def __init__(self, connection: Connection) -> None:
        self._drafts = connection.collection(collections.ANSWER_DRAFTS)
        self._run_lock = RunLock(connection)

    async def put(
        self, run_id: str, interaction_id: str, owner_id: str, value: JsonValue, session: Session | None
    ) -> AnswerDraft:
        """Write the draft in place of the one before."""
        accept(Name, interaction_id, "interaction_id")
        check_size("value", {"value": value}, MAX_DRAFT_BYTES)
        await self._run_lock.check_run(run_id, owner_id, session)
        row = await self._drafts.find_one_and_update(
            answer_drafts.one(_draft_id(owner_id, run_id, interaction_id), owner_id),
            answer_drafts.put(run_id, interaction_id, value),
            upsert=True,
            return_document=AFTER,
            session=session,
        )
        await self._run_lock.check_run(run_id, owner_id, session)
        return AnswerDraft.from_document(row)

    async def find(
        self, run_id: str, interaction_id: str, owner_id: str, session: Session | None
    ) -> AnswerDraft | None:
        """Return the draft, or ``None``."""
        match = answer_drafts.one(_draft_id(owner_id, run_id, interaction_id), owner_id)
        found = await self._drafts.find_one(match, session=session)
        return None if found is None else AnswerDraft.from_document(found)

    async def delete(self, run_id: str, interaction_id: str, owner_id: str, session: Session | None) -> bool:
        """Delete the draft, and return whether it was there."""
        match = answer_drafts.one(_draft_id(owner_id, run_id, interaction_id), owner_id)
        return bool((await self._drafts.delete_one(match, session=session)).deleted_count)

    async def delete_some(self, drafts: Collection[tuple[str, str, str]]) -> int:
        """Delete the drafts of owners, runs and interactions, and return how many were there."""
        if len(drafts) > MAX_AT_ONCE:
            raise InvalidDataError("drafts", f"give at most {MAX_AT_ONCE} in one call")
        # The ids follow from the owners, so nobody's draft goes by another's name.
        match = answer_drafts.some([_draft_id(*key) for key in drafts])
        return (await self._drafts.delete_many(match)).deleted_count


def _id_of(token: str) -> str:
    # A fast digest does: nobody guesses 256 random bits.
    return f"lnk_{hashlib.sha256(token.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _draft_id(owner_id: str, run_id: str, interaction_id: str) -> str:
    return derived_id("dft_", owner_id, run_id, interaction_id)
