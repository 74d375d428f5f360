"""The contract of modules: what a module is given, and the effects that it may return.

A module is a pure decision. It gets its inputs and everything that has happened to it so far, and returns one effect;
it reads no clock, no network and no database. The engine asks it again whenever something has happened, so a crash
between two events costs nothing: the same picture gives the same effect, and what was started is not started twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue


class Ports(BaseModel):
    """The base of a module's inputs and outputs: closed, so that a misspelt name is an error and not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the JSON Schema. Without arguments it is made once and shared, so it must not be changed."""
        return super().model_json_schema(*args, **options) if args or options else _schema_of(cls)


@cache
def _schema_of(ports: type[Ports]) -> dict[str, Any]:
    # Milliseconds each time, and a definition of 200 modules asks for 400.
    return super(Ports, ports).model_json_schema()


class ModuleKind(StrEnum):
    """The way in which time passes for a module."""

    INLINE = "inline"
    """It ends at once; it reads at most what the engine loads for it."""
    INTERACTION = "interaction"
    """It waits for a person."""
    TASK = "task"
    """It waits for workers."""
    FLOW = "flow"
    """It waits for time, for messages, or for child runs."""


class ErrorCode(StrEnum):
    """The classes of errors of a run; the same words in events, streams, problems and pages."""

    RETRYABLE = "retryable"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    """The provider refuses the content itself; only other content helps."""
    MISCONFIGURED = "misconfigured"
    INVALID_OUTPUT = "invalid_output"
    BUDGET_EXCEEDED = "budget_exceeded"
    EXPIRED = "expired"
    MODULE_MISSING = "module_missing"
    CANCELLED = "cancelled"
    BUG = "bug"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One problem of an input or an answer.

    Args:
        pointer: The JSON Pointer (RFC 6901) of the value; empty for the whole.
        message: What is wrong with it and what would be right.
    """

    pointer: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to a person.

    Args:
        kind: How a page shows it, such as ``form`` or ``select``.
        title: One line.
        schema: The JSON Schema that an answer must fit.
        message: What the person reads before answering.
        data: What is shown to choose from, or to judge.
        ui: Hints for the page, by the name of the field.
        default: What counts as the answer when the question expires; ``None`` for nothing.
        expires_in: How long it stays open; ``None`` for ever.
        by_link: Whether somebody who is not signed in may answer by a link.
        actions: Names of sub-actions that may be asked for while it is open.
    """

    kind: str
    title: str
    schema: Mapping[str, Any]
    message: str = ""
    data: JsonValue = None
    ui: Mapping[str, Any] = field(default_factory=dict)
    default: JsonValue = None
    expires_in: timedelta | None = None
    by_link: bool = False
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCall:
    """A task for a worker.

    Args:
        key: Its name within the module, such as the index of an item; the same key is started once in a try.
        actor: The actor's name.
        payload: Its input.
        actor_version: The version of the payload's schema.
        queue: The queue's name.
        label: What people read while it runs.
        estimate: What it will cost at most, in the ledger's currency; reserved when it is enqueued.
        timeout: How long one attempt may run.
        max_attempts: How many claims may end without a result.
    """

    key: str
    actor: str
    payload: Mapping[str, JsonValue]
    actor_version: int = 1
    queue: str = "default"
    label: str = ""
    estimate: Decimal | None = None
    timeout: timedelta | None = None
    max_attempts: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCall:
    """A child run, with a log, a branch and questions of its own.

    Its result has, by module, what each gave; that of a version has what its definition calls its output.

    Args:
        key: Its name within the module.
        modules: The definitions of its modules, as the parent's definition has them under ``run``.
        version_id: In place of *modules*, a version of a workflow that it follows.
        input: What its modules find under ``input``; ``None`` for what the parent has there.
        values: Roots that only its *modules* have, such as ``item`` and ``index``.
        label: What people read while it runs.
    """

    key: str
    modules: Sequence[Mapping[str, Any]] = ()
    version_id: str | None = None
    input: Mapping[str, JsonValue] | None = None
    values: Mapping[str, JsonValue] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCall:
    """Another module, run as a part of this one; its result has that module's outputs.

    Where the other module needs one task and nothing else, that task is this module's own; else it is a child run.

    Args:
        key: Its name within the module.
        nested: The input that holds the other module's definition; one of ``Module.nested``.
        values: Roots that only the other module has, such as ``item`` and ``index``.
        label: What people read while it runs.
    """

    key: str
    nested: str
    values: Mapping[str, JsonValue] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerCall:
    """A timer.

    Args:
        key: Its name within the module.
        delay: How long it runs, from the moment at which it is started.
        at: When it fires, by the database's clock, in place of a delay.
        label: What people read while it runs.
    """

    key: str
    delay: timedelta | None = None
    at: datetime | None = None
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalCall:
    """A wait for a message from outside; one that came before the wait is taken.

    Args:
        key: Its name within the module.
        name: The message's name.
    """

    key: str
    name: str


Call: TypeAlias = TaskCall | ItemCall | ChildCall | TimerCall | SignalCall


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFile:
    """A run file to read: its JSON value or text, or ``None`` where there is none."""

    key: str
    name: str
    category: str = "outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The options that the run's owner had lately in this module, the last first."""

    key: str
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadKeywords:
    """The weighted keywords of the run's template, the heaviest first, each as ``{keyword, weight}``."""

    key: str
    category: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadQuery:
    """The rows of a named query that this installation offers: ``{rows}``, or ``{error}`` where it cannot be asked."""

    key: str
    name: str
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadContent:
    """The record of a content or a run file of the run's owner, or ``None`` where the owner has none of this id.

    It is an object: ``content_id``, ``kind``, ``media_type``, ``bytes`` (its size), ``filename``.
    """

    key: str
    content_id: str


LoadRequest: TypeAlias = LoadFile | LoadOptions | LoadKeywords | LoadQuery | LoadContent


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveFile:
    """A run file to write in the transaction that completes the module; the same name replaces."""

    name: str
    content: JsonValue
    category: str = "outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """Options that the run's owner has picked now."""

    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveKeywords:
    """Keywords whose weights grow by what is given."""

    weights: Mapping[str, float]
    category: str | None = None


Write: TypeAlias = SaveFile | SaveOptions | SaveKeywords


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The module is completed.

    Args:
        outputs: What it gives, by name; it must fit the module's ``Outputs``.
        writes: What is written together with its completion.
    """

    outputs: Mapping[str, Any]
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The module waits for a person. The same question again, while it is open, changes nothing."""

    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """The module waits for work: calls whose keys were not started in this try are started now.

    Args:
        calls: All that is wanted so far; what was started and is not named any more goes on.
        stop: Keys of open calls that are not needed any more; their tasks are cancelled.
    """

    calls: tuple[Call, ...]
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The module needs stored data; it is asked again at once, with ``Seen.loaded``."""

    requests: tuple[LoadRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoBack:
    """The person wants an earlier module, or this one, to run again.

    Args:
        module: Which.
        feedback: What should be better; the module finds it in ``Seen.tries``.
        branch: Whether a new branch begins there, instead of undoing on this one.
    """

    module: str
    feedback: Mapping[str, JsonValue] = field(default_factory=dict)
    branch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """The module cannot be completed.

    Args:
        code: The class of the error.
        message: What happened.
        hint: What to do about it.
        problems: The single values that are wrong.
        retry_after: How long to wait at least before another try.
    """

    code: ErrorCode
    message: str
    hint: str = ""
    problems: tuple[FieldProblem, ...] = ()
    retry_after: timedelta | None = None


Effect: TypeAlias = Done | Ask | Await | Load | GoBack | Fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An accepted answer.

    Args:
        interaction_id: The question's id.
        response: What was answered; it fits the question's schema.
        expired: Whether it is the question's default, since nobody answered in time.
    """

    interaction_id: str
    response: JsonValue
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A call of the module, as it stands.

    Args:
        kind: What it is.
        state: ``open`` until it has ended.
        id: The id of the task, the child run, the timer or the message.
        result: What it gave: a task's result, a child's outputs, a message's content.
        error: Why it failed: ``code``, ``message``, and more where known.
    """

    kind: Literal["task", "child", "timer", "signal"]
    state: Literal["open", "completed", "failed", "cancelled"]
    id: str
    result: JsonValue = None
    error: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """An earlier try of the module on this line of history.

    Args:
        outputs: What it gave; ``None`` when it did not complete.
        feedback: What was asked to be better; ``None`` when nothing was said.
    """

    outputs: Mapping[str, Any] | None
    feedback: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that has happened to a module in this try, and what it may know of its run.

    Args:
        run_id: The run.
        project: The user's name for what is made.
        module: The module's id.
        number: Which try this is, from 1.
        seed: The same for the same run, module and try, for chance that repeats.
        now: The time of this decision by the database's clock; for display and durations, not for order.
        answers: The accepted answers, oldest first.
        work: By key, the calls that were started.
        tries: Earlier tries, oldest first.
        loaded: By key, what was asked for by ``Load``.
    """

    run_id: str
    project: str
    module: str
    number: int
    seed: int
    now: datetime
    answers: tuple[Answer, ...] = ()
    work: Mapping[str, Work] = field(default_factory=dict)
    tries: tuple[Try, ...] = ()
    loaded: Mapping[str, JsonValue] = field(default_factory=dict)


In = TypeVar("In", bound=Ports)
Out = TypeVar("Out", bound=Ports)
PortsType: TypeAlias = type[Ports]


class Module(ABC, Generic[In, Out]):
    """A kind of step that workflows are made of.

    Subclasses are stateless. ``type`` has the major version: one that reads or gives something else is another type, so
    that runs of old versions go on. The first line of the class's docstring is shown to authors of workflows.
    """

    type: ClassVar[str]
    """Its name and major version, such as ``user.form@1``."""
    kind: ClassVar[ModuleKind]
    Inputs: ClassVar[PortsType]
    Outputs: ClassVar[PortsType]
    example: ClassVar[Mapping[str, Any]]
    """Inputs that work, for documents and tests."""
    repeatable: ClassVar[bool] = False
    """Whether the same inputs always give equally good outputs, so that a completion may be reused."""
    literal: ClassVar[frozenset[str]] = frozenset()
    """Names of inputs whose texts stand for themselves, such as a template with braces of its own; only ``$ref``
    objects are filled in them."""
    nested: ClassVar[frozenset[str]] = frozenset()
    """Names of inputs that hold definitions of modules, such as ``run`` of a map; they are given as they are written,
    since what they refer to is known only in the child run."""

    @abstractmethod
    def decide(self, inputs: In, seen: Seen) -> Effect:
        """Return what follows from what has happened; pure, and quick: at most 50 ms."""

    def check_answer(self, inputs: In, seen: Seen, response: JsonValue) -> Sequence[FieldProblem]:  # noqa: ARG002
        """Return what is wrong with an answer beyond the question's schema."""
        return ()

    def act(
        self,
        inputs: In,  # noqa: ARG002
        seen: Seen,
        action: str,
        arguments: Mapping[str, JsonValue],  # noqa: ARG002
    ) -> Await | Fail:
        """Return the work of a sub-action that a person asks for while the question is open."""
        return Fail(code=ErrorCode.MISCONFIGURED, message=f"module {seen.module} has no sub-action {action!r}")

    def repeats(self, inputs: In) -> bool:  # noqa: ARG002
        """Return whether a completion with these inputs may be reused; ``repeatable``, unless the inputs decide it."""
        return self.repeatable

    def call_values(self, inputs: In, key: str) -> Mapping[str, JsonValue] | None:  # noqa: ARG002
        """Return the values that the call of this key has by these inputs, as ``ItemCall`` and ``ChildCall`` have them.

        What an earlier try has done counts in this one only where it was done with the same values. Empty ones say that
        there is no such call, and ``None`` that calls have no values, so that all counts that was done.
        """
        return None

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:  # noqa: ARG002
        """Return what is wrong with inputs as a definition has them, beyond what ``Inputs`` says; quick, as ``decide``.

        References are not filled yet, so that only literals, such as an expression, can be judged. The pointers are
        into the inputs. It is what an author is told when a definition is stored, instead of a run that fails later.
        """
        return ()

    def output_schema(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the JSON Schema of what it gives, narrower than ``Outputs`` where these unfilled inputs say so."""
        return self.Outputs.model_json_schema()
