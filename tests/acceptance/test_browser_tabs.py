"""Many tabs of one browser: one stream for all of them, and none that is out of sight where none is shared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

Submit = Callable[..., str]

TABS = 9
SHORT = 10_000
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.mark.usefixtures("own_worker")
def test_nine_tabs_stay_live(page: Page, submit: Submit) -> None:
    tabs = []
    for _ in range(TABS):
        tab = page.context.new_page()
        tab.set_default_timeout(SHORT)
        tab.goto(submit("endless"))
        expect(tab.locator("#state")).to_have_text("Running", timeout=SHORT)
        tabs.append(tab)
    for tab in tabs:
        tab.get_by_role("button", name="Cancel").click()
    for tab in tabs:
        expect(tab.locator("#state")).to_have_text("Cancelled", timeout=SHORT)
    tabs[0].goto("/")
    expect(tabs[0].get_by_role("link", name="endless").first).to_be_visible(timeout=SHORT)


@pytest.mark.usefixtures("own_worker")
def test_two_tabs_of_task_agree(page: Page, submit: Submit) -> None:
    place = submit("endless")
    page.goto(place)
    expect(page.locator("#chunks")).to_have_text("attempt 1")
    late = page.context.new_page()
    late.goto(place)
    expect(late.locator("#chunks")).to_have_text("attempt 1")
    late.close()
    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#state")).to_have_text("Cancelled", timeout=SHORT)
    expect(page.locator("#chunks")).to_have_text("attempt 1")


@pytest.mark.usefixtures("own_worker")
def test_separate_browser_streams_only_to_visible_tab(page: Page, submit: Submit) -> None:
    page.add_init_script("window.SharedWorker = class { constructor() { throw new DOMException('no'); } }")
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/api/stream" in request.url else None)
    page.goto(submit("endless"))
    expect(page.locator("#chunks")).to_have_text("attempt 1", timeout=SHORT)
    with page.expect_event("requestfailed", lambda request: "/api/stream" in request.url, timeout=SHORT):
        page.evaluate(HIDE, arg=True)
    opened = len(streams)
    with page.expect_request(lambda request: "/api/stream" in request.url, timeout=SHORT):
        page.evaluate(HIDE, arg=False)

    assert (opened, len(streams)) == (1, 2)
    assert streams[0].endswith("%3A-1")
    assert not streams[1].endswith("%3A-1")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_have_text("Cancelled", timeout=SHORT)


@pytest.mark.usefixtures("own_worker")
def test_redirected_stream_resumes(page: Page, submit: Submit) -> None:
    # Left to itself, Chromium's EventSource asks the redirect's target for ever.
    page.add_init_script("delete window.SharedWorker")
    asked: list[str] = []

    def redirect_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=307, headers={"Location": "/api/elsewhere", "Cache-Control": "no-store"})
        else:
            route.continue_()

    page.route("**/api/stream?**", redirect_once)
    page.route("**/api/elsewhere", lambda route: route.fulfill(content_type="text/event-stream", body=": silent\n\n"))
    page.goto(submit("endless"))

    expect(page.locator("#chunks")).to_have_text("attempt 1", timeout=SHORT)
    assert len(asked) == 2
