"""The page in a real browser: write, watch, reload, come back, and the video plays."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from appsupport.hosts.installed_hosts import SCRIPT, Stack

LONG = "\n\n".join([SCRIPT.replace("a little", "quite a lot, really, and then some more")] * 4)
MINUTE = 60_000
PLAY = """async video => {
  video.muted = true;
  await video.play();
  await new Promise(resolve => { video.ontimeupdate = () => { if (video.currentTime > 0.2) resolve(); }; });
  return [video.paused, video.videoWidth, video.videoHeight];
}"""


def start(page: Page, script: str) -> None:
    page.goto("/")
    page.get_by_label("Script").fill(script)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url("**/tasks/*")


def expect_playing_video(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)
    video = page.locator("video")
    expect(video).to_be_visible()
    assert video.evaluate(PLAY) == [False, 960, 540]


def test_reload_ends_with_finished_video_playing(page: Page) -> None:
    start(page, LONG)
    expect(page.locator(".scenes li img[src]").nth(1)).to_be_visible(timeout=MINUTE)
    assert page.locator("#task").get_attribute("data-state") == "processing"
    page.reload()
    assert page.locator("#task").get_attribute("data-state") == "processing"
    expect(page.locator(".scenes li")).to_have_count(20, timeout=MINUTE)
    expect_playing_video(page)

    captions = page.locator(".scenes .caption").all_inner_texts()
    assert len(captions) == 20
    assert captions[0].startswith("This is scene number 1")


def test_home_page_leads_to_running_task(page: Page) -> None:
    start(page, LONG)
    page.goto("/")
    page.get_by_role("link", name="This is scene number 1").click()
    expect_playing_video(page)


def test_server_restart_is_shown_and_survived(page: Page, stack: Stack) -> None:
    start(page, LONG)
    expect(page.locator(".scenes li img[src]").first).to_be_visible(timeout=MINUTE)
    stack.server.process.kill()
    stack.server.process.wait()
    expect(page.locator("#connection")).to_contain_text("econnecting", timeout=MINUTE)
    stack.start_server()
    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)
    expect(page.locator(".scenes li")).to_have_count(20)


def test_keyboard_reaches_everything(page: Page) -> None:
    page.goto("/")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "script":
            break
    page.keyboard.insert_text(LONG)
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "submit":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/*")
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Cancelled", timeout=MINUTE)
    expect(page.locator("#state")).to_be_focused()
    page.reload()
    expect(page.locator("#state")).to_have_text("Cancelled")


def test_too_long_script_is_kept_and_refused(page: Page) -> None:
    page.goto("/")
    script = page.get_by_label("Script")
    longest = int(script.get_attribute("data-max") or 0)
    text = "word " * (longest // 5 + 2)
    script.fill(text)

    assert script.input_value() == text
    expect(page.locator("#script-count")).to_have_text(
        f"{len(text):,} of {longest:,} characters: {len(text) - longest} too many"
    )
    page.get_by_role("button", name="Generate").click()
    assert page.url.endswith("/")
    script.evaluate("area => { area.form.noValidate = true; }")
    with page.expect_response(lambda answer: answer.url.endswith("/generate")) as answered:
        page.get_by_role("button", name="Generate").click()

    assert answered.value.status == 422
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#script-error")).to_contain_text(f"it has {len(text):,} characters; at most {longest:,}")
    assert page.get_by_label("Script").input_value() == text


def test_page_works_without_scripts(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(base_url=stack.address, java_script_enabled=False)
    page = context.new_page()
    start(page, SCRIPT)
    expect(page.locator("#state")).to_have_text("Done", timeout=MINUTE)
    assert page.locator("video").get_attribute("src")
    context.close()


def test_visitor_cannot_see_anothers_task(page: Page, browser: Browser, stack: Stack) -> None:
    start(page, SCRIPT)
    other = browser.new_context(base_url=stack.address)
    stranger = other.new_page()
    answer = stranger.goto(page.url)

    assert answer is not None
    assert answer.status in (401, 404)
    other.close()
