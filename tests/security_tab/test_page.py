"""The Security tab of the local GitHub in Debian's Chromium.

`SECURITY_TAB_URL` is its page, and `SECURITY_TAB_CATEGORY` and `SECURITY_TAB_REF` name the alerts on it. `SECURITY_TAB_ALERTS`
is what is expected, in JSON: the state of each alert, and texts in its row. `SECURITY_TAB_SCREENSHOT` is the path of the
picture to write.
"""

import json
import os

import pytest
from playwright.sync_api import sync_playwright

URL = os.environ["SECURITY_TAB_URL"]
CATEGORY = os.environ["SECURITY_TAB_CATEGORY"]
REF = os.environ["SECURITY_TAB_REF"]
ALERTS = json.loads(os.environ["SECURITY_TAB_ALERTS"])

# Heading and tables of a category on a ref are siblings of all the others.
GROUP = """([category, ref]) => {
    const isOf = (heading) => {
        const place = heading.querySelector("small");
        return place !== null && heading.firstChild.textContent.trim() === category
            && place.textContent.startsWith(`${ref} `);
    };
    const heading = [...document.querySelectorAll("h2")].find(isOf);
    if (heading === undefined) {
        return false;
    }
    const group = document.createElement("section");
    heading.before(group);
    let next = heading;
    do {
        group.append(next);
        next = group.nextElementSibling;
    } while (next !== null && next.tagName !== "H2");
    return true;
}"""


@pytest.fixture(scope="module")
def page():
    with sync_playwright() as playwright:
        # Chromium's sandbox needs user namespaces, which a container does not have.
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(URL)
        assert page.evaluate(GROUP, [CATEGORY, REF]), f"{CATEGORY} has no alerts on {REF}"
        yield page
        browser.close()


def rows(tables):
    """The text of each alert's row, as it is seen: a space of no width keeps `@` from being a mention."""
    return [
        row.inner_text().replace("\u200b", "") for row in tables.locator("tr[id]").all()
    ]


def test_the_alerts_and_who_decided_about_them(page):
    group = page.locator("section")
    shown = [("open", text) for text in rows(group.locator(":scope > .scroll"))]
    for details in group.locator("details").all():
        summary = details.locator("summary")
        count, state = summary.inner_text().split()
        summary.click()
        closed = rows(details)
        assert len(closed) == int(count)
        shown += [(state, text) for text in closed]
    assert [state for state, _ in shown] == [state for state, _ in ALERTS]
    for (_, text), (_, expected) in zip(shown, ALERTS, strict=True):
        assert [part for part in expected if part not in text] == [], text
    has_open = any(state == "open" for state, _ in ALERTS)
    assert group.get_by_text("No open alerts.").count() == (0 if has_open else 1)


def test_screenshot(page):
    page.locator("section").screenshot(path=os.environ["SECURITY_TAB_SCREENSHOT"])
