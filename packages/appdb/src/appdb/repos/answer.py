"""AnswerRepository: links by which somebody else may answer a question of a run, and drafts of its owner."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from pydantic import JsonValue

from appdb._driver import Session, retried
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.answer_drafts import AnswerDraft
from appdb.models.answer_links import AnswerLink
from appdb.models.bounds import Duration, Name, accept
from appdb.runs.answers import AnswerDrafts, AnswerLinks, new_token


class AnswerRepository(BaseRepository):
    """Links and drafts: the part of an answer before it is given.

    Nothing of it is in the run's log, and it goes with the run.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._links = AnswerLinks(connection)
        self._drafts = AnswerDrafts(connection)

    async def create_link(
        self,
        run_id: str,
        interaction_id: str,
        *,
        owner_id: str,
        expires_in: timedelta,
        session: Session | None = None,
    ) -> tuple[str, AnswerLink]:
        """Make a link by which whoever has its token may answer one question.

        Args:
            run_id: The run that asks.
            interaction_id: The question.
            owner_id: The run's owner.
            expires_in: How long it is worth something.
            session: The caller's transaction.

        Returns:
            The token, of 256 bits, which is shown once and stored nowhere; and the link.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: 20 links to the question live already.
        """
        accept(Duration, expires_in, "expires_in")
        accept(Name, interaction_id, "interaction_id")
        # Before the retries, so that a repeated write makes no second link.
        token = new_token()
        made = await self._make((run_id, interaction_id), owner_id, token, expires_in, session=session)
        return token, made

    @retried
    async def _make(
        self,
        question: tuple[str, str],
        owner_id: str,
        token: str,
        expires_in: timedelta,
        *,
        session: Session | None,
    ) -> AnswerLink:
        return await self._links.make(question, owner_id, token, expires_in, session)

    @retried
    async def find_link(self, token: str, *, session: Session | None = None) -> AnswerLink:
        """Return the link of a token; the token alone is the right to it, so no owner is asked.

        Raises:
            NotFoundError: There is none, or it has expired.
        """
        return await self._links.find(token, session)

    @retried
    async def revoke_links(
        self, run_id: str, interaction_id: str, *, owner_id: str, session: Session | None = None
    ) -> int:
        """Delete all links to a question of the owner's run, and return how many there were; safe to repeat."""
        return await self._links.revoke(run_id, interaction_id, owner_id, session)

    @retried
    async def put_draft(
        self,
        run_id: str,
        interaction_id: str,
        value: JsonValue,
        *,
        owner_id: str,
        session: Session | None = None,
    ) -> AnswerDraft:
        """Keep what the owner has begun to answer, in place of what was kept before; for 90 days without a change.

        Raises:
            NotFoundError: The owner has no such run.
            TooLargeError: The value is over 64 KiB as BSON.
            InvalidDataError: The value holds what cannot be stored.
        """
        return await self._drafts.put(run_id, interaction_id, owner_id, value, session)

    @retried
    async def find_draft(
        self, run_id: str, interaction_id: str, *, owner_id: str, session: Session | None = None
    ) -> AnswerDraft | None:
        """Return what the owner has begun to answer, or ``None``."""
        return await self._drafts.find(run_id, interaction_id, owner_id, session)

    @retried
    async def delete_draft(
        self, run_id: str, interaction_id: str, *, owner_id: str, session: Session | None = None
    ) -> bool:
        """Delete what the owner has begun to answer, and return whether there was something; safe to repeat."""
        return await self._drafts.delete(run_id, interaction_id, owner_id, session)

    @retried
    async def delete_drafts(self, drafts: Collection[tuple[str, str, str]]) -> int:
        """Delete what owners had begun to answer, and return how much of it was there; one round trip, safe to repeat.

        Args:
            drafts: The owner, run and interaction of each; at most 500 in one call.

        Raises:
            InvalidDataError: There are too many.
        """
        return await self._drafts.delete_some(drafts)
