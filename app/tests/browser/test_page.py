"""The page of a running application in Debian's Chromium.

`RELEASE_BOARD_URL` is its address. `RELEASE_BOARD_SCREENSHOT`, if it is set, is the path of a
screenshot to write.
"""

import json
import os
from urllib.request import urlopen

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

URL = os.environ["RELEASE_BOARD_URL"].rstrip("/")
WIDTHS = {"phone": 360, "phone of 390": 390, "desktop": 1280}
GROUND = {"light": "rgb(246, 248, 250)", "dark": "rgb(14, 23, 32)"}


@pytest.fixture(scope="module")
def facts():
    """The facts of the application, from `/version`."""
    with urlopen(f"{URL}/version") as response:  # noqa: S310
        return json.load(response)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        # Chromium's sandbox needs user namespaces, which a container does not have.
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def width(request):
    return WIDTHS[request.param]


@pytest.fixture(params=GROUND)
def scheme(request):
    return request.param


def test_the_page_shows_the_release_without_javascript(chromium, facts, width, scheme):
    page = chromium.new_page(
        java_script_enabled=False,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    page.goto(URL)
    assert page.get_by_role("heading", level=1).inner_text() == "flask-app is serving"
    shown = page.locator("dl").inner_text()
    known = (facts["commit"], facts["digest"] or "unknown")
    assert [fact for fact in known if fact not in shown] == []
    for severity in ("critical", "high", "medium", "low", "unknown"):
        scans = [facts["scan"][when] or {} for when in ("before", "after")]
        name = "Not rated" if severity == "unknown" else severity.capitalize()
        row = page.get_by_role("rowheader", name=name, exact=True).locator("..")
        assert row.locator("td").all_inner_texts() == [
            str(counts.get(severity, "unknown")) for counts in scans
        ]
    page.close()


def test_the_stages_that_a_fact_shows_have_a_tick(chromium, facts):
    page = chromium.new_page(java_script_enabled=False)
    page.goto(URL)
    items = page.get_by_role("listitem").all()
    ticked = {i.inner_text().split()[0]: i.get_by_label("done").count() == 1 for i in items}
    assert ticked == facts["stages"]
    page.close()


@pytest.mark.parametrize(("width", "axis"), [(1280, "x"), (390, "y")])
def test_the_stages_are_in_their_order(chromium, facts, width, axis):
    page = chromium.new_page(java_script_enabled=False, viewport={"width": width, "height": 900})
    page.goto(URL)
    items = [item.bounding_box() for item in page.get_by_role("listitem").all()]
    starts = [box[axis] for box in items]
    other = {box["y" if axis == "x" else "x"] for box in items}
    assert (starts, len(other)) == (sorted(set(starts)), 1)
    page.close()


def test_the_page_is_accessible_and_fits_the_screen(chromium, width, scheme):
    # The page's policy forbids scripts, and the accessibility checker is one.
    context = chromium.new_context(
        color_scheme=scheme, bypass_csp=True, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(URL)
    assert [v["id"] for v in Axe().run(page)["violations"]] == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUND[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    context.close()


@pytest.mark.skipif(
    "RELEASE_BOARD_SCREENSHOT" not in os.environ, reason="RELEASE_BOARD_SCREENSHOT is not set"
)
def test_screenshot(chromium):
    page = chromium.new_page(java_script_enabled=False, viewport={"width": 900, "height": 1100})
    page.goto(URL)
    page.screenshot(path=os.environ["RELEASE_BOARD_SCREENSHOT"], full_page=True)
    page.close()
