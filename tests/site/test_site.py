"""The documentation site in Debian's Chromium, opened as files, as who keeps a copy of it reads it.

`SITE` is its directory.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

SITE = Path(os.environ["SITE"])
# Of mdBook itself: no page of the contents.
EXTRA = {"404.html", "print.html", "toc.html"}


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        # Chromium's sandbox needs user namespaces, which a container does not have.
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    # Nothing is loaded from elsewhere.
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    yield page
    assert [url for url in requested if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


def pages():
    found = {path for path in SITE.rglob("*.html") if path.name not in EXTRA}
    assert len(found) > 20
    return sorted(found)


def test_every_link_leads_to_a_page_and_to_its_heading(page):
    ids, links = {}, []
    for path in pages():
        page.goto(path.as_uri())
        ids[path] = set(page.eval_on_selector_all("[id]", "all => all.map(e => e.id)"))
        targets = page.eval_on_selector_all(
            "a[href], img[src]", "all => all.map(e => e.href || e.src)"
        )
        links += [(path, target) for target in targets]
    broken = []
    for path, target in links:
        url = urlsplit(target)
        if url.scheme != "file":
            continue
        leads_to = Path(unquote(url.path))
        known = ids.get(leads_to)
        has_heading = not url.fragment or known is None or unquote(url.fragment) in known
        if not leads_to.is_file() or not has_heading:
            broken.append(f"{path.relative_to(SITE)}: {target}")
    assert sorted(set(broken)) == []
    assert len(links) > 500


def test_the_search_finds_an_input(page):
    page.goto((SITE / "index.html").as_uri())
    page.keyboard.press("s")
    page.keyboard.type("severity")
    results = page.locator("#mdbook-searchresults li a")
    results.first.wait_for()
    found = results.evaluate_all("all => all.map(a => a.href)")
    assert [url for url in found if "/actions/trivy-scan/index.html" in url] != []


def test_the_diagram_of_the_first_page_is_drawn(page):
    page.goto((SITE / "index.html").as_uri())
    drawing = page.locator(".mermaid svg")
    drawing.wait_for()
    assert "trivy-scan" in drawing.text_content()
    assert page.locator("code.language-mermaid").count() == 0


def test_a_page_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    too_wide = []
    for path in pages():
        page.goto(path.as_uri())
        # A table or a line of code scrolls by itself.
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            too_wide.append(str(path.relative_to(SITE)))
    assert too_wide == []
