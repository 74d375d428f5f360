"""Each shipped workflow runs to its end in the harness, whatever it is told and wherever it is cut."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from appdb.models import RunStatus
from appserver.engine.definition.parsing import check_definition
from appserver.engine.definition.shipped import shipped_workflows
from appserver.modules.builtin import host_registry
from appserver.testing import Fails, Gives, Harness
from appserver.testing.stubs import Stub

SCRIPT = "The keeper woke.\n\nShe lit the lamp.\nIt was dark.\n\n\nA ship answered.\n"


PICTURE, NARRATION, VIDEO = (f"gc_{number:032x}" for number in range(3))
DRAWN = [f"gc_{number:032x}" for number in range(10, 13)]


def harness(name: str, **given: JsonValue) -> Harness:
    return Harness(shipped_workflows()[name], input=given)


def narrated_video(*films: Stub) -> Harness:
    script = harness("narrated_video").answer("script", {"title": "Light", "text": SCRIPT, "voice": "en"})
    script.gives("picture", {"content_ids": [PICTURE], "seed": 1})
    script.gives("narration", {"content_ids": [NARRATION], "duration_seconds": 2.5})
    script.stub("slideshow", *(films or [Gives(result={"content_ids": [VIDEO], "duration_seconds": 9.0})]))
    picked: list[JsonValue] = [{"content_ids": [PICTURE]}] * 3
    return script.answer("picture", *picked)


def written_text() -> Harness:
    script = harness("written_text", model="parrot").answer("topic", {"topic": "Tide pools", "tone": "plain"})
    usage: JsonValue = {"input_tokens": 1, "output_tokens": 2}
    told: dict[str, JsonValue] = {"model": "parrot", "finish_reason": "stop", "usage": usage}
    outline: dict[str, JsonValue] = {"text": "{}", "value": {"sections": ["Rocks", "Crabs", "Tides"]}, **told}
    script.gives("llm", outline, {"text": "It is wet.", "value": None, **told})
    return script.answer("choose", {"selected": [0, 2]}).answer("read", {"confirmed": True})


def picture_variations() -> Harness:
    drawn: list[dict[str, JsonValue]] = [{"content_ids": [one], "seed": 1} for one in DRAWN]
    script = harness("picture_variations").answer("form", {"prompt": "A crab", "keep": 2})
    script.gives("picture", *drawn)
    return script.answer("variations", {"content_ids": [DRAWN[0], DRAWN[2]]})


@pytest.mark.parametrize("name", shipped_workflows())
def test_shipped_definition_has_no_problem(name: str) -> None:
    assert check_definition(shipped_workflows()[name], host_registry()).problems == ()


def test_script_becomes_a_video_scene_by_scene() -> None:
    outcome = narrated_video().run()

    assert (outcome.status, outcome.output) == (
        RunStatus.COMPLETED,
        {"title": "Light", "video": VIDEO, "seconds": 9.0},
    )
    slide = {"picture_content_id": PICTURE, "audio_content_id": NARRATION}
    made = [(task.actor, task.payload) for task in outcome.tasks]
    assert ("slideshow", {"slides": [slide] * 3, "title": "Light"}) in made
    spoken = [payload["text"] for actor, payload in made if actor == "narration"]
    assert spoken == ["The keeper woke.", "She lit the lamp.\nIt was dark.", "A ship answered."]


def test_variations_are_picked_and_kept() -> None:
    outcome = picture_variations().run()

    assert outcome.output == {"pictures": [DRAWN[0], DRAWN[2]]}
    assert outcome.files["outputs", "kept.json"] == {"prompt": "A crab", "pictures": [DRAWN[0], DRAWN[2]]}


def test_text_is_outlined_written_and_kept() -> None:
    outcome = written_text().run()

    assert outcome.status is RunStatus.COMPLETED
    assert outcome.files["outputs", "text.md"] == "# Tide pools\n\n## Rocks\n\nIt is wet.\n\n## Tides\n\nIt is wet.\n"


@pytest.mark.parametrize("workflow", [narrated_video, picture_variations, written_text])
def test_crash_behind_any_commit_changes_nothing(workflow: Any) -> None:
    assert workflow().crash_everywhere() >= 4


def test_failed_encoding_is_tried_again_by_itself() -> None:
    made = Gives(result={"content_ids": [VIDEO], "duration_seconds": 9.0})
    outcome = narrated_video(Fails(message="the disk is full"), made).run()

    assert outcome.status is RunStatus.COMPLETED
    assert [task.state for task in outcome.tasks if task.actor == "slideshow"] == ["failed", "completed"]
