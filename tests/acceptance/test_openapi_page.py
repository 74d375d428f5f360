"""The page of the API's description, in a browser that reaches nothing but the host."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from appsupport.hosts.installed_hosts import Stack


def test_openapi_page_asks_nobody_else(page: Page, stack: Stack) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs")

    expect(page.get_by_text("/api/tasks/{task_id}/stream")).to_be_visible()
    assert page.locator(".opblock").count() >= 14
    assert [url for url in asked if not url.startswith((stack.address, "data:"))] == []


def test_unknown_address_page_leads_back(page: Page) -> None:
    answer = page.goto("/nope")

    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("There is no page at this address.")).to_be_visible()
    page.get_by_role("link", name="Go to the start page").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
