"""The harness: a workflow runs without a database, with scripted answers and stubbed tasks, in no time.

It decides by the same core as an API host, and keeps to the same contract suite. What is called time skipping elsewhere
(https://docs.temporal.io/develop/python/testing-suite) is a virtual clock here: it jumps to the next timer when nothing
else can happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import JsonValue

from appserver.engine.definition.model import Definition
from appserver.engine.definition.parsing import parse_definition
from appserver.modules.builtin import BUILTIN, builtin_modules
from appserver.modules.registry import AnyModule, ModuleRegistry
from appserver.testing.harness_run import HarnessRun, HarnessScript
from appserver.testing.outcome import Outcome
from appserver.testing.stubs import Does, Fails, Gives, Payload, StaysSilent, Stub


@dataclass(slots=True)
class Harness:
    """
    A test of one workflow.

    Example::

        harness = Harness(definition, input={"topic": "tides"})
        harness.answer("form", {"tone": "calm"})
        harness.gives("picture", {"content_ids": ["gc_1"], "seed": 1})
        outcome = harness.run()
        assert outcome.output == {"picture": "gc_1"}

    Args:
        definition: The workflow, as JSON or parsed.
        input: What the run begins with.
        modules: Modules of your own, beside those that are shipped.

    Raises:
        DefinitionError: The definition has problems.
    """

    definition: Definition | Mapping[str, Any] | bytes
    input: Mapping[str, JsonValue] = field(default_factory=dict)
    modules: Iterable[AnyModule] = ()
    _script: HarnessScript = field(default_factory=HarnessScript)
    _registry: ModuleRegistry = field(init=False)
    _parsed: Definition = field(init=False)

    def __post_init__(self) -> None:
        own = list(self.modules)
        inline = [*BUILTIN, *(module.type for module in own)]
        self._registry = ModuleRegistry([*builtin_modules(), *own], inline=inline)
        given = self.definition
        self._parsed = given if isinstance(given, Definition) else parse_definition(given, self._registry)

    def answer(self, module: str, *responses: JsonValue) -> Self:
        """Answer the questions of a module, the first with the first response and so on."""
        self._script.answers.setdefault(module, []).extend(responses)
        return self

    def gives(
        self,
        actor: str,
        *results: Mapping[str, JsonValue],
        chunks: Sequence[Mapping[str, JsonValue]] = (),
    ) -> Self:
        """Let the tasks of an actor complete with these results, in order; the last one repeats."""
        return self.stub(actor, *(Gives(result=result, chunks=tuple(chunks)) for result in results))

    def does(
        self, actor: str, work: Callable[[Payload], Mapping[str, JsonValue] | Gives | Fails | StaysSilent]
    ) -> Self:
        """Let the tasks of an actor end as *work* says for their payload: with its result, or otherwise."""
        return self.stub(actor, Does(work=work))

    def fails(self, actor: str, *errors: Fails) -> Self:
        """Let the next tasks of an actor fail so."""
        return self.stub(actor, *errors)

    def stays_silent(self, actor: str) -> Self:
        """Let the tasks of an actor never end."""
        return self.stub(actor, StaysSilent())

    def file(self, name: str, content: JsonValue, category: str = "outputs") -> Self:
        """Put a file into the run before it begins."""
        self._script.files[category, name] = content
        return self

    def content(self, content_id: str, *, kind: str, media_type: str, size: int, filename: str) -> Self:
        """Put a content item into the hands of the run's owner."""
        told: dict[str, JsonValue] = {
            "content_id": content_id,
            "kind": kind,
            "media_type": media_type,
            "bytes": size,
            "filename": filename,
        }
        self._script.contents[content_id] = told
        return self

    def query(self, name: str, rows: JsonValue) -> Self:
        """Let a named query return these rows."""
        self._script.queries[name] = rows
        return self

    def stub(self, actor: str, *stubs: Stub) -> Self:
        """Let the tasks of an actor end so, in order; the last stub repeats."""
        self._script.stubs.setdefault(actor, []).extend(stubs)
        return self

    def begin(self) -> HarnessRun:
        """Return a run that has begun and gone on to its first wait, for tests that go on step by step."""
        return HarnessRun(self._parsed, self._registry, self._script.copy(), dict(self.input))

    def run(self) -> Outcome:
        """Run by the script until the run has ended, or waits for what the script does not say."""
        return self.begin().run()

    def crash_everywhere(self) -> int:
        """Check that a crash loses and doubles nothing: run again with a crash after each commit.

        After a crash everything that was delivered is delivered again: tasks of the engine, timers, answers.

        Returns:
            How many places were tried.

        Raises:
            AssertionError: With a crash the run ends otherwise; the message says after which commit.
        """
        whole = self.run()
        for place in range(1, whole.commits + 1):
            crashed = self.begin_with_crash(place)
            differences = whole.differences(crashed)
            if differences:
                raise AssertionError(f"after a crash behind commit {place}: {'; '.join(differences)}")
        return whole.commits

    def begin_with_crash(self, place: int) -> Outcome:
        """Run by the script, with a crash behind the commit with this number."""
        run = HarnessRun(self._parsed, self._registry, self._script.copy(), dict(self.input), crash_behind=place)
        return run.run()
