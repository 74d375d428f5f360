"""The page of a run in a real browser: it asks, follows, survives, and goes back."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from appsupport.hosts.installed_hosts import Stack

MINUTE = 60_000
SOON = 4_000
REST = {"id": "later", "type": "flow.wait@1", "in": {"seconds": 6}}
START = """definition => fetch("/api/runs", {
    method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({definition}),
}).then(answer => answer.json()).then(run => run.id)"""


def start_variations(page: Page) -> None:
    page.goto("/runs")
    page.get_by_role("button", name="Start Variations of a picture").click()
    page.wait_for_url("**/runs/wf_*")


def ask_for_pictures(page: Page) -> None:
    page.get_by_label("Picture").fill("A lighthouse at night")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#question .made img")).to_have_count(3, timeout=MINUTE)


def keep_first(page: Page) -> None:
    page.locator("input[name=content_ids]").first.check()
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)


def test_run_asks_draws_and_keeps_what_is_picked(page: Page) -> None:
    start_variations(page)
    ask_for_pictures(page)
    page.get_by_role("button", name="Make another: Wide").click()
    expect(page.locator("#question .made img")).to_have_count(4, timeout=MINUTE)
    keep_first(page)

    expect(page.get_by_role("group", name="Output", exact=True)).to_contain_text("gc_")
    assert page.locator("#question").count() == 0


def test_wrong_answer_comes_back_with_its_reason(page: Page) -> None:
    start_variations(page)
    page.locator("#field-keep").evaluate("field => { field.type = 'text'; field.value = '70'; }")
    page.get_by_role("button", name="Answer").click()

    expect(page.get_by_role("alert")).to_contain_text("keep")
    expect(page.locator("#state")).to_have_text("Waits for you")


def test_other_tab_follows_and_reload_loses_nothing(page: Page, browser: Browser, stack: Stack) -> None:
    start_variations(page)
    other = browser.new_context(base_url=stack.address, storage_state=page.context.storage_state()).new_page()
    other.goto(page.url)
    ask_for_pictures(page)
    expect(other.locator("#question .made img")).to_have_count(3, timeout=MINUTE)
    page.reload()
    expect(page.locator("#question .made img")).to_have_count(3)
    keep_first(other)

    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)
    other.context.close()


def test_jump_shows_its_plan_and_makes_a_branch(page: Page) -> None:
    start_variations(page)
    ask_for_pictures(page)
    keep_first(page)

    page.get_by_role("button", name="New branch from here at variations").click()
    expect(page.locator("#plan")).to_contain_text("Runs again: variations, list")
    page.locator("#confirm button[value=yes]").click()

    expect(page.locator("#question .made img").nth(5)).to_be_visible(timeout=MINUTE)
    expect(page.get_by_role("heading", name="Branches")).to_be_visible()


def test_hosts_may_die_while_a_run_goes_on(page: Page, stack: Stack) -> None:
    start_variations(page)
    stack.workers[0].process.kill()
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#state")).to_have_text("Running", timeout=MINUTE)
    stack.server.process.kill()
    stack.server.process.wait()
    stack.start_server()
    stack.start_worker()

    expect(page.locator("#question .made img")).to_have_count(3, timeout=MINUTE)
    keep_first(page)


def test_question_of_part_comes_and_goes_on_page_of_whole(page: Page, browser: Browser, stack: Stack) -> None:
    start_variations(page)
    ask = {"id": "mood", "type": "user.text_input@1", "in": {"title": "How is it?"}}
    parts = {"id": "parts", "type": "flow.map@1", "in": {"items": [1], "run": [{**REST, "id": "rest"}, ask, REST]}}
    definition = {"name": "parts", "steps": [{"id": "only", "modules": [parts]}]}
    run_id = page.evaluate(START, definition)
    page.goto(f"/runs/{run_id}")
    asked = page.get_by_role("link", name="How is it?")
    expect(asked).to_be_visible(timeout=MINUTE)
    other = browser.new_context(base_url=stack.address, storage_state=page.context.storage_state()).new_page()
    other.goto(str(asked.get_attribute("href")))
    other.get_by_role("textbox").first.fill("Fine")
    other.get_by_role("button", name="Answer").click()
    # Nothing of the whole itself happens before the part ends, which is later.
    expect(asked).to_have_count(0, timeout=SOON)
    expect(page.locator("#state")).to_have_text("Running")
    other.context.close()


@pytest.mark.parametrize("width", [320, 1280])
def test_run_page_is_accessible_at_every_width(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    start_variations(page)
    ask_for_pictures(page)

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
