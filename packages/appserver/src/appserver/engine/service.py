"""EngineService: what people and programs can do with runs; each is a cause, and the reply holds what follows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pydantic import JsonValue

from appdb import ConflictError, NotFoundError, derived_id, uuid7_str
from appdb.host import Session
from appdb.models import CLOSED_STATUSES, NewRun, RunView, VersionSummary
from appserver.engine.answer_links import LinkedAnswers
from appserver.engine.core.causes import Act, Answered, Look, Signal
from appserver.engine.core.engine_tasks import look
from appserver.engine.definition.model import Definition
from appserver.engine.runner.advancing import Advancer
from appserver.engine.runner.going_back import Returner
from appserver.engine.runner.looks import Looks
from appserver.engine.runner.reading import PictureReader
from appserver.engine.runner.settled_drafts import SettledDrafts
from appserver.engine.runner.stores import EngineStores
from appserver.engine.ways import Ways
from appserver.engine.workflows import Workflows
from appserver.errors import FieldError, InvalidAnswerError, RunOpenError
from appserver.modules.json_schemas import misfits
from appserver.modules.registry import ModuleRegistry

WhenOpen: TypeAlias = Literal["reject", "enqueue", "cancel_and_start"]
"""What a start does where its project has an open run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStart:
    """A run to start.

    Args:
        owner_id: Whose run.
        input: What the workflow's ``input`` asks for.
        template_id: The workflow, of which the newest version is taken.
        version_id: The version, in place of a workflow.
        definition: A definition, in place of both; it is stored as a version of the owner's workflow of its name.
        project: The user's name for what is made; a project has one open run. Without one, the run is alone in a
            project of its own.
        key: The caller's name for this start: the same one again gives the same run.
        when_open: What to do when the project has an open run: refuse, wait until that one and those that wait already
            have ended, or begin in its place, before those that wait.
    """

    owner_id: str
    input: Mapping[str, JsonValue] = field(default_factory=dict)
    template_id: str | None = None
    version_id: str | None = None
    definition: Mapping[str, Any] | None = None
    project: str | None = None
    key: str | None = None
    when_open: WhenOpen = "reject"


class EngineService:
    """
    Runs of workflows, as faces use them.

    Args:
        stores: Where runs are.
        registry: The module types of this host.
    """

    def __init__(self, stores: EngineStores, registry: ModuleRegistry) -> None:
        self._stores = stores
        self._reader = PictureReader(stores, registry)
        self.drafts = SettledDrafts(stores.answers)
        self.advancer = Advancer(stores, self._reader, self.drafts)
        self.looks = Looks(stores, self.advancer)
        self.returner = Returner(stores, self._reader, self.advancer, self.drafts)
        self.ways = Ways(stores)
        self.links = LinkedAnswers(stores.answers, self._reader, self.advancer)
        self.workflows = Workflows(stores.versions, registry)

    async def start(self, start: NewStart) -> tuple[RunView, bool]:
        """Start a run, and do what follows up to its first wait: one transaction.

        Returns:
            The run, and whether this call has made it, or an earlier one with the same key. Its status is ``waiting``
            where it begins by itself once those before it have ended.

        Raises:
            NotFoundError: The owner sees no such workflow or version.
            DefinitionError: The definition has problems.
            InvalidAnswerError: The input does not fit.
            RunOpenError: The project has an open run, and this one was neither to wait nor to take its place.
            TooManyWaitingError: It was to wait, and too many do.
            ConflictError: The key was used with another project, version or input.
        """
        version = await self._version_of(start)
        _check_input(await self._reader.of_version(version.id, start.owner_id), start.input)
        new = _new_run(start, version)
        view, made = await self.advancer.open(new, start.owner_id)
        if view.run.id == new.run_id:
            return view, made
        if start.when_open != "cancel_and_start":
            raise RunOpenError(view.run.id, view.run.project)
        return await self._replace(view.run.id, new, start.owner_id)

    async def view(self, run_id: str, *, owner_id: str) -> RunView:
        """Return a run with its state.

        Raises:
            NotFoundError: The owner has no such run.
        """
        return await self._reader.view(run_id, owner_id)

    async def look(self, run_id: str, *, owner_id: str) -> RunView:
        """Go on with a run that may be stuck, by what is stored: safe at any time.

        Raises:
            NotFoundError: The owner has no such run.
        """
        return await self.advancer.advance(run_id, owner_id, Look())

    async def respond(
        self, run_id: str, interaction_id: str, response: JsonValue, *, owner_id: str, by: str | None = None
    ) -> RunView:
        """Answer a question, and do what follows up to the next wait; the same answer again changes nothing.

        Raises:
            NotFoundError: The owner has no such run.
            InvalidAnswerError: The answer does not fit; the question stays open.
            QuestionClosedError: It has another answer, has expired, or is not asked any more.
        """
        cause = Answered(interaction_id=interaction_id, response=response, by=by or owner_id)
        return await self.advancer.advance(run_id, owner_id, cause)

    async def act(
        self,
        run_id: str,
        module: str,
        action: str,
        *,
        owner_id: str,
        arguments: Mapping[str, JsonValue] | None = None,
        key: str | None = None,
    ) -> RunView:
        """Do a sub-action of the module whose question is open.

        Raises:
            NotFoundError: The owner has no such run.
            RunConflictError: The module's question is not open.
            InvalidAnswerError: The module has no such action, or the arguments do not fit.
        """
        cause = Act(module=module, action=action, arguments=arguments or {}, request_id=key or uuid7_str("act_"))
        return await self.advancer.advance(run_id, owner_id, cause)

    async def signal(
        self, run_id: str, name: str, payload: JsonValue, *, owner_id: str, key: str | None = None
    ) -> RunView:
        """Send a message to a run; one that nobody waits for yet is kept.

        Raises:
            NotFoundError: The owner has no such run.
            RunEndedError: The run has ended.
            InboxFullError: It keeps too many messages that nobody has taken.
        """
        cause = Signal(name=name, signal_id=key or uuid7_str("sig_"), payload=payload)
        return await self.advancer.advance(run_id, owner_id, cause)

    async def cancel(self, run_id: str, *, owner_id: str) -> RunView:
        """Cancel a run with its tasks and child runs; final at once for everybody who looks.

        A run that it is a part of hears of it.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: It has completed.
        """
        run = await self._stores.runs.get(run_id, owner_id=owner_id)
        event = derived_id("evt_", run_id, "cancel", str(run.event_count))

        async def body(session: Session) -> None:
            data = {"by": owner_id}
            await self._stores.runs.cancel(run_id, owner_id=owner_id, data=data, event_id=event, session=session)
            if run.parent_id is not None:
                await self._stores.queue.enqueue(look(owner_id, run.parent_id), session=session)

        await self._stores.database.transaction(body)
        self.drafts.note(run, None)
        # What the first transaction leaves; should this host die before, maintenance finishes it.
        await self._stores.runs.cancel(run_id, owner_id=owner_id)
        return await self._reader.view(run_id, owner_id)

    async def delete(self, run_id: str, *, owner_id: str) -> None:
        """Delete a run with all that hangs on it.

        Raises:
            NotFoundError: The owner has no such run.
        """
        run = await self._stores.runs.get(run_id, owner_id=owner_id)
        if run.parent_id is not None and run.status not in CLOSED_STATUSES:
            # So that the run that waits for it hears of it, in the same transaction.
            await self.cancel(run_id, owner_id=owner_id)
        await self._stores.runs.delete(run_id, owner_id=owner_id)

    async def _replace(self, run_id: str, new: NewRun, owner_id: str) -> tuple[RunView, bool]:
        """Start a run in the place of the project's open one, which is cancelled in the same transaction."""
        opened = await self.advancer.open(replace(new, fresh=True), owner_id)
        # What works for it is stopped at once; should this host die before, maintenance does it. Had it ended by
        # itself meanwhile, or was it deleted, nothing is left to do.
        with suppress(ConflictError, NotFoundError):
            await self._stores.runs.cancel(run_id, owner_id=owner_id)
        return opened

    async def _version_of(self, start: NewStart) -> VersionSummary:
        if start.definition is not None:
            _, saved = await self.workflows.save(start.definition, owner_id=start.owner_id)
            return saved
        if start.version_id is not None:
            return await self.workflows.version(start.version_id, owner_id=start.owner_id)
        return await self.workflows.newest(start.template_id or "", owner_id=start.owner_id)


def _check_input(definition: Definition, given: Mapping[str, JsonValue]) -> None:
    schema = definition.input_schema
    if not schema:
        return
    if problems := misfits(schema, dict(given)):
        raise InvalidAnswerError([FieldError(field=f"/input{one.pointer}", message=one.message) for one in problems])


def _new_run(start: NewStart, version: VersionSummary) -> NewRun:
    run_id = uuid7_str("wf_") if start.key is None else derived_id("wf_", start.owner_id, start.key)
    return NewRun(
        project=start.project or run_id,
        template_id=version.template_id,
        version_id=version.id,
        data={"input": dict(start.input), "definition": version.id},
        run_id=run_id,
        branch_id=derived_id("br_", run_id, "0"),
        event_id=derived_id("evt_", run_id, "0"),
        on_begin=look(start.owner_id, run_id) if start.when_open == "enqueue" else None,
    )
