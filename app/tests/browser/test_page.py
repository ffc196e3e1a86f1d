"""The page in Debian's Chromium: `pytest tests/browser`."""

import threading
from pathlib import Path

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from flask_app import create_app
from flask_app.settings import read

SCREENSHOT = Path(__file__).parents[3] / "docs" / "release-board.png"
FACTS = {
    "APP_VERSION": "7",
    "APP_COMMIT": "1f2e3d4c5b6a79880716253443526170f1e2d3c4",
    "IMAGE_DIGEST": "sha256:" + "5a" * 32,
    "APP_BUILT": "2026-01-31T12:00:00Z",
    "DEPLOYED_AT": "2026-01-31T12:05:00Z",
    "SCAN_BEFORE": "critical=1,high=31,medium=40,low=12,unknown=0",
    "SCAN_AFTER": "critical=0,high=3,medium=9,low=12,unknown=0",
    "POD_NAME": "flask-app-6d4cf56db6-x7k2p",
}


@pytest.fixture(scope="module")
def url():
    server = make_server("127.0.0.1", 0, create_app(read(FACTS)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        # A container has no user namespaces to make Chromium's sandbox of.
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def test_it_reads_without_javascript_and_is_photographed(chromium, url):
    page = chromium.new_page(java_script_enabled=False, viewport={"width": 900, "height": 1100})
    page.goto(url)
    assert page.get_by_role("heading", level=1).inner_text() == "flask-app is serving"
    assert page.get_by_role("row", name="High").inner_text().split() == ["High", "31", "3"]
    page.screenshot(path=SCREENSHOT, full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_in_both_schemes_without_a_console_error(chromium, url, scheme):
    # The policy of the page forbids scripts; the checker is one.
    context = chromium.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    assert [v["id"] for v in Axe().run(page)["violations"]] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 248, 250)", "dark": "rgb(14, 23, 32)"}[scheme]
    assert errors == []


def test_a_phone_need_not_scroll_sideways(chromium, url):
    page = chromium.new_page(viewport={"width": 360, "height": 740})
    page.goto(url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
