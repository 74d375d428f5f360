"""Answer links: one question is shown to, and answered by, whoever has a token; nothing else of the run is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue

from appdb import AnswerRepository, NotFoundError
from appdb.models import AnswerLink, EventSummary, RunView
from appserver.engine.core.causes import Answered
from appserver.engine.runner.advancing import Advancer
from appserver.engine.runner.reading import PictureReader
from appserver.errors import LinkRefusedError, QuestionClosedError

LONGEST = timedelta(days=30)
NAME_CHARACTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedQuestion:
    """A question as whoever has a link to it sees it.

    Args:
        link: The link.
        asked: The event that asks it.
    """

    link: AnswerLink
    asked: EventSummary


class LinkedAnswers:
    """
    Makes links, and takes the answers that come by them.

    Args:
        answers: Where links are.
        reader: Reads runs.
        advancer: Takes answers.
    """

    def __init__(self, answers: AnswerRepository, reader: PictureReader, advancer: Advancer) -> None:
        self._answers = answers
        self._reader = reader
        self._advancer = advancer

    async def create(
        self, run_id: str, interaction_id: str, *, owner_id: str, expires_in: timedelta
    ) -> tuple[str, AnswerLink]:
        """Return the token of a new link to an open question, and the link.

        Raises:
            NotFoundError: The owner has no such run.
            QuestionClosedError: The question is not open.
            LinkRefusedError: The question is not to be answered by link.
            ConflictError: Too many links to it live already.
        """
        asked = _open(await self._reader.view(run_id, owner_id), interaction_id)
        if not asked.data.get("by_link"):
            raise LinkRefusedError(interaction_id)
        return await self._answers.create_link(run_id, interaction_id, owner_id=owner_id, expires_in=expires_in)

    async def question(self, token: str) -> LinkedQuestion:
        """Return the question that a token leads to.

        Raises:
            NotFoundError: There is no such link, or it has expired.
            QuestionClosedError: The question is not open any more.
        """
        link = await self._answers.find_link(token)
        try:
            view = await self._reader.view(link.run_id, link.owner_id)
        except NotFoundError as exc:
            raise _no_link() from exc
        return LinkedQuestion(link=link, asked=_open(view, link.interaction_id))

    async def answer(self, token: str, response: JsonValue) -> None:
        """Answer the question that a token leads to; the same answer again changes nothing.

        Raises:
            NotFoundError: There is no such link, or it has expired.
            InvalidAnswerError: The answer does not fit; the question stays open.
            QuestionClosedError: It has another answer, has expired, or is not asked any more.
        """
        link = await self._answers.find_link(token)
        by = link.id[:NAME_CHARACTERS]
        cause = Answered(interaction_id=link.interaction_id, response=response, by=by)
        try:
            await self._advancer.advance(link.run_id, link.owner_id, cause)
        except QuestionClosedError as exc:
            # What somebody else has answered is not for whoever has a link.
            raise QuestionClosedError(exc.interaction_id, exc.reason) from exc
        except NotFoundError as exc:
            raise _no_link() from exc


def _no_link() -> NotFoundError:
    """Return what is said of a link whose run is gone: which run that was is not for whoever has a link."""
    return NotFoundError("answer link", "of this token")


def _open(view: RunView, interaction_id: str) -> EventSummary:
    asked = view.state.pending
    if asked is None or asked.data["interaction_id"] != interaction_id:
        raise QuestionClosedError(interaction_id, "undone")
    return asked
