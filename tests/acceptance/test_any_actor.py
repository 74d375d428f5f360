"""The page of a task of any actor, in a real browser: its results, its errors, and the absence of workers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from appdemo.host import Host
from appsupport.hosts.installed_hosts import SCRIPT

Submit = Callable[..., str]

SHORT = 15_000
MINUTE = 60_000


def violations(page: Page) -> list[str]:
    """Return what is hard to use for people who see, hear or type differently, in light and in dark."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += Axe().run(page).response["violations"]
    return [f"{one['impact']}: {one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


def expect_everything(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("Done", timeout=SHORT)
    expect(page.locator("#result dd").nth(0)).to_have_text("Hello, <b>Ada</b>!")
    expect(page.locator("#result dd").nth(1)).to_contain_text('"two": null')
    expect(page.locator("#chunks")).to_have_text('Once upon a time {"tokens":3,"model":"<i>none</i>"}')
    expect(page.locator("#items img")).to_have_js_property("naturalWidth", 1)
    expect(page.locator("#items pre").nth(0)).to_have_text("Grüße & <b>more</b>")
    expect(page.locator("#items pre").nth(1)).to_have_text("<script>document.title = 'run'</script>")
    expect(page.locator("#items pre").nth(2)).to_have_text('{"a": [1, 2]}')
    expect(page.locator("#items li")).to_have_count(5)
    assert page.title() != "run"


@pytest.mark.usefixtures("own_worker")
def test_any_result_is_shown_live_and_after_reload(page: Page, submit: Submit) -> None:
    page.goto(submit("various"))
    expect_everything(page)
    page.reload()
    expect_everything(page)

    assert page.get_by_text("video", exact=False).count() == 1  # the name of the site
    assert violations(page) == []


@pytest.mark.usefixtures("own_worker")
def test_page_after_retry_survives_reload(page: Page, submit: Submit) -> None:
    page.goto(submit("endless", fails=True))

    for _ in range(2):
        expect(page.locator("#state")).to_have_text("Running, attempt 2", timeout=SHORT)
        expect(page.locator("#chunks")).to_have_text("attempt 2")
        expect(page.locator("#error")).to_be_hidden()
        assert "hunter2" not in page.content()
        page.reload()


@pytest.mark.usefixtures("own_worker")
def test_failed_cancel_is_repeated_without_stale_error(page: Page, submit: Submit) -> None:
    tries: list[str] = []

    def fail_twice(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            return  # it hangs
        if len(tries) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/cancel", fail_twice)
    page.goto(submit("endless"))
    expect(page.locator("#state")).to_have_text("Running", timeout=SHORT)
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Cancelled", timeout=MINUTE)

    assert len(tries) == 3
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#connection")).to_have_text("")
    expect(page.locator("#state")).to_be_focused()


def test_page_tells_workers_loss_and_return(page: Page, submit: Submit, start_own_worker: Callable[[], Host]) -> None:
    worker = start_own_worker()
    place = submit("endless")
    page.goto(place)
    expect(page.locator("#state")).to_have_text("Running", timeout=SHORT)
    expect(page.locator("#unattended")).to_be_hidden()
    worker.process.kill()

    expect(page.locator("#unattended")).to_contain_text(
        "no worker that can do it has given a sign of life since", timeout=MINUTE
    )
    page.goto("/")
    expect(page.get_by_role("link", name="endless")).to_contain_text("but nobody works on it")
    page.goto(place)
    expect(page.locator("#unattended")).to_be_visible()
    start_own_worker()
    expect(page.locator("#unattended")).to_be_hidden(timeout=MINUTE)
    expect(page.locator("#state")).to_have_text("Running, attempt 2", timeout=MINUTE)


def test_failed_file_is_loaded_again(page: Page) -> None:
    refused: list[str] = []

    def refuse_first(route: Route) -> None:
        if route.request.url in refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    page.route("**/api/contents/*/file/**", refuse_first)
    page.goto("/")
    page.get_by_label("Script").fill(SCRIPT)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)

    expect(page.locator("#scenes img")).to_have_count(5)
    for number in range(5):
        expect(page.locator("#scenes img").nth(number)).not_to_have_js_property("naturalWidth", 0, timeout=SHORT)
    expect(page.locator("#video")).to_have_js_property("videoWidth", 960, timeout=SHORT)
    assert len(refused) >= 6


def test_browser_back_online_loads_missing_files(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Script").fill(SCRIPT)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)
    page.route("**/api/contents/*/file/**", lambda route: route.abort())
    # Time stands still in the page, so that no pause before a next try ever ends.
    page.clock.install()
    page.clock.pause_at(time.time() + 3600)
    page.reload()
    expect(page.locator("#scenes img").first).to_have_js_property("naturalWidth", 0)
    page.unroute_all()
    page.evaluate("dispatchEvent(new Event('online'))")

    expect(page.locator("#scenes img").first).not_to_have_js_property("naturalWidth", 0)


def test_film_with_long_captions_is_accessible(page: Page) -> None:
    page.goto("/")
    assert violations(page) == []
    page.get_by_label("Script").fill("A very long caption, said again and again. " * 20)
    page.get_by_role("button", name="Generate").click()
    caption = page.locator("#scenes .caption").first
    expect(caption).to_be_visible(timeout=MINUTE)
    caption.focus()
    page.keyboard.press("End")
    page.wait_for_function("() => document.querySelector('.caption').scrollTop > 0")

    assert violations(page) == []
