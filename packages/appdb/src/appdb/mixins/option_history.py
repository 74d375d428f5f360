"""Option history: the options that a user picked and the keywords that a workflow used; choices do not repeat."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from appdb._driver import BulkWriteError, Collection, RawDocument, Session, UpdateOne, refused, retried
from appdb._queries import option_usage as queries
from appdb._queries import weighted_keywords as keyword_queries
from appdb._queries.paging import LAST_USED_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import InvalidDataError
from appdb.models.bounds import AnyText, Name, accept
from appdb.models.option_usage import OptionUsage
from appdb.models.weighted_keywords import UsedKeyword, WeightedKeyword
from appdb.reading import first_readable, page_of
from appdb.size_limits import DUPLICATE_KEY, KIB, check_size
from appdb.utils import derived_id, uuid7_str

MAX_TEXT_BYTES = 4 * KIB
MAX_USES = 1_000
"""Options or keywords of one call."""
MAX_WEIGHT = 1_000_000.0
MAX_KEYWORDS_WEIGHED = 5_000
"""Keywords of one category that a list looks at, the last used first."""
SHORTEST_HALF_LIFE = timedelta(seconds=1)


class HistoryMixin(Connection):
    """The part of ``Database`` that counts picked options and used keywords.

    A user's text is stored as a value, never as a name.
    """

    async def use_options(
        self,
        options: Sequence[str],
        *,
        owner_id: str,
        template_id: str,
        step_id: str,
        module: str,
        use_id: str | None = None,
        session: Session | None = None,
    ) -> None:
        """Count that the owner picked *options* in a module of a workflow's step; each in one atomic command.

        Args:
            options: What was picked, at most 1,000 texts of at most 4 KiB; what is there twice counts once.
            owner_id: Who picked.
            template_id: In which workflow.
            step_id: In which step.
            module: In which module.
            use_id: What makes it safe to repeat, such as the id of the interaction; ``None`` for a new one. Of each
                option the last 100 uses are remembered.
            session: A transaction to take part in.

        Raises:
            InvalidDataError: A text cannot be stored, or there are too many; nothing was written.
            TooLargeError: A text is over 4 KiB; nothing was written.
        """
        where = {"owner_id": owner_id, "template_id": template_id, "step_id": step_id, "module": module}
        use = _checked_use(use_id)
        # An option that was picked twice in one call counts once: ids are derived from the texts.
        rows = [_identified("opt_", {**where, "option": option}) for option in dict.fromkeys(options)]
        updates = [_update(row, lambda fields: queries.use_option(fields, use)) for row in rows]
        await self._count(self.collection(collections.OPTION_USAGE), updates, session=session)

    @retried
    async def list_option_usage(
        self,
        *,
        owner_id: str,
        template_id: str,
        step_id: str,
        module: str,
        limit: int = 100,
        session: Session | None = None,
    ) -> list[OptionUsage]:
        """Return what the owner picked in a module, the last picked first.

        Args:
            owner_id: Whose history.
            template_id: Of which workflow.
            step_id: Of which step.
            module: Of which module.
            limit: The most options to return.
            session: A transaction to take part in.
        """
        where = {"owner_id": owner_id, "template_id": template_id, "step_id": step_id, "module": module}
        picked = self.collection(collections.OPTION_USAGE).find(queries.scope(where), session=session)
        found = picked.sort(LAST_USED_FIRST)
        return await page_of(OptionUsage.from_document, found, limit)

    @retried
    async def prune_option_usage(
        self, *, owner_id: str, template_id: str, unused_for: timedelta, session: Session | None = None
    ) -> int:
        """Forget what the owner has not picked in a workflow for *unused_for*, and return how many options that were.

        Safe to repeat.
        """
        match = queries.scope({"owner_id": owner_id, "template_id": template_id})
        options = self.collection(collections.OPTION_USAGE)
        return (await options.delete_many(queries.unused_for(match, unused_for), session=session)).deleted_count

    async def use_keywords(
        self,
        keywords: Sequence[UsedKeyword],
        *,
        owner_id: str,
        template_id: str,
        half_life: timedelta,
        use_id: str | None = None,
        session: Session | None = None,
    ) -> None:
        """Add to the weights of keywords what their use weighs, each in one atomic command.

        What was there has decayed by the database's clock: it halves with every *half_life*. Uses at the same time
        add up.

        Args:
            keywords: What was used, at most 1,000; each at most once in its category.
            owner_id: Whose workflow used them.
            template_id: Which workflow.
            half_life: The time in which a weight halves, at least a second; give the same one to every call.
            use_id: What makes it safe to repeat, such as the id of an event; ``None`` for a new one. Of each keyword
                the last 100 uses are remembered.
            session: A transaction to take part in.

        Raises:
            InvalidDataError: A keyword, weight or half-life cannot be used; nothing was written.
            TooLargeError: A text, or details, are over 4 KiB; nothing was written.
        """
        _check_half_life(half_life)
        use = _checked_use(use_id)
        where = {"owner_id": owner_id, "template_id": template_id}
        rows = {one: _keyword_row(where, keyword) for one, keyword in enumerate(keywords)}
        # Two updates of one document in an unordered bulk write come in no defined order.
        if len({row["_id"] for row in rows.values()}) < len(rows):
            raise InvalidDataError("keywords", "one is there twice in its category; add its weights up")
        updates = [_update(row, _adding(keywords[one], use_id=use, half_life=half_life)) for one, row in rows.items()]
        await self._count(self.collection(collections.WEIGHTED_KEYWORDS), updates, session=session)

    @retried
    async def list_keywords(
        self,
        *,
        owner_id: str,
        template_id: str,
        half_life: timedelta,
        category: str = "",
        limit: int = 100,
        session: Session | None = None,
    ) -> list[WeightedKeyword]:
        """Return the heaviest keywords of a category with their weights now, the heaviest first.

        Of the category, the 5,000 keywords that were used last are weighed.

        Args:
            owner_id: Whose workflow used them.
            template_id: Which workflow.
            half_life: The time in which a weight halves.
            category: Of what kind.
            limit: The most keywords to return.
            session: A transaction to take part in.

        Raises:
            InvalidDataError: The half-life is under a second.
        """
        _check_half_life(half_life)
        match = queries.scope({"owner_id": owner_id, "template_id": template_id, "category": category})
        keywords = self.collection(collections.WEIGHTED_KEYWORDS)

        def look(most: int) -> Awaitable[Sequence[RawDocument]]:
            pipeline = keyword_queries.heaviest(match, half_life=half_life, limit=most, most=MAX_KEYWORDS_WEIGHED)
            return keywords.aggregate(pipeline, session=session).to_list(None)

        return await first_readable(WeightedKeyword.from_document, look, limit)

    @retried
    async def prune_keywords(
        self,
        *,
        owner_id: str,
        template_id: str,
        half_life: timedelta,
        lighter_than: float = 0.01,
        session: Session | None = None,
    ) -> int:
        """Forget a workflow's keywords that have decayed to next to nothing, and return how many; safe to repeat.

        Args:
            owner_id: Whose workflow used them.
            template_id: Which workflow.
            half_life: The time in which a weight halves.
            lighter_than: The weight under which a keyword is forgotten.
            session: A transaction to take part in.

        Raises:
            InvalidDataError: The half-life is under a second.
        """
        _check_half_life(half_life)
        match = queries.scope({"owner_id": owner_id, "template_id": template_id})
        gone = keyword_queries.lighter_than(match, lighter_than, half_life)
        deleted = await self.collection(collections.WEIGHTED_KEYWORDS).delete_many(gone, session=session)
        return deleted.deleted_count

    @retried
    async def _count(self, collection: Collection, updates: Sequence[UpdateOne], *, session: Session | None) -> None:
        if len(updates) > MAX_USES:
            raise InvalidDataError("uses", f"{len(updates)} are more than {MAX_USES:,} at once; write them in parts")
        if not updates:
            return
        try:
            await collection.bulk_write(updates, ordered=False, session=session)
        except BulkWriteError as exc:
            if session is not None or set(refused(exc).values()) != {DUPLICATE_KEY}:
                raise
            # Another caller has just made one of them; what was counted is not counted again.
            await collection.bulk_write(updates, ordered=False, session=session)


def _checked_use(use_id: str | None) -> str:
    # Made before the first try: every retry of the call carries the same one, and counts once.
    use = uuid7_str("use_") if use_id is None else use_id
    accept(Name, use, "use_id")
    return use


def _identified(prefix: str, fields: Mapping[str, str]) -> RawDocument:
    accept(Name, fields["owner_id"], "owner_id")
    for name, text in fields.items():
        accept(AnyText, text, name)
        check_size(name, {name: text}, MAX_TEXT_BYTES)
    # As JSON, since two users' texts could otherwise meet wherever parts are joined.
    return {"_id": derived_id(prefix, json.dumps(list(fields.values()))), **fields}


def _keyword_row(where: Mapping[str, str], keyword: UsedKeyword) -> RawDocument:
    accept(UsedKeyword, keyword)
    if not 0 < keyword.weight <= MAX_WEIGHT:
        raise InvalidDataError("weight", f"{keyword.weight} is not over 0 and at most {MAX_WEIGHT:,.0f}")
    check_size("details", keyword.details, MAX_TEXT_BYTES)
    return _identified("kw_", {**where, "category": keyword.category, "keyword": keyword.keyword})


def _adding(keyword: UsedKeyword, *, use_id: str, half_life: timedelta) -> Callable[[RawDocument], Any]:
    def pipeline(fields: RawDocument) -> Any:
        return keyword_queries.use_keyword(fields, keyword.details, use_id, weight=keyword.weight, half_life=half_life)

    return pipeline


def _update(row: RawDocument, pipeline: Callable[[RawDocument], Any]) -> UpdateOne:
    fields = {name: value for name, value in row.items() if name != "_id"}
    return UpdateOne({"_id": row["_id"]}, pipeline(fields), upsert=True)


def _check_half_life(half_life: timedelta) -> None:
    if half_life < SHORTEST_HALF_LIFE:
        raise InvalidDataError("half_life", f"{half_life} is too short; give at least {SHORTEST_HALF_LIFE}")
