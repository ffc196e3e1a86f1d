import re

import pytest

from flask_app import create_app
from flask_app.settings import SettingsError, read

DIGEST = "sha256:" + "a" * 64
DEPLOYMENT = {
    "APP_VERSION": "7",
    "APP_COMMIT": "f00d",
    "IMAGE_DIGEST": DIGEST,
    "APP_BUILT": "2026-01-31T12:00:00Z",
    "DEPLOYED_AT": "2026-01-31T14:05:00+02:00",
    "SCAN_BEFORE": "critical=1, high=31",
    "SCAN_AFTER": "critical=0,high=3",
    "PATCHED": "true",
    "POD_NAME": "flask-app-1",
}


def test_the_page_shows_the_release():
    page = create_app(read(DEPLOYMENT)).test_client().get("/").get_data(as_text=True)
    facts = ("f00d", DIGEST, "12:05:00 UTC", "<td>31</td>", "<td>3</td>", "flask-app-1")
    assert [fact for fact in facts if fact not in page] == []


def test_a_fact_that_is_not_set_is_unknown():
    page = create_app(read({})).test_client().get("/").get_data(as_text=True)
    assert "<dt>Image digest</dt><dd>unknown</dd>" in page
    assert "<dt>Deployed</dt><dd>unknown</dd>" in page


def test_version_has_every_fact():
    version = create_app(read(DEPLOYMENT)).test_client().get("/version").json
    assert version["digest"] == DIGEST
    assert version["deployed"] == "2026-01-31T12:05:00+00:00"
    assert version["scan"]["after"] == {"critical": 0, "high": 3}
    assert (version["patched"], version["stages"]["Push"]) == (True, True)


@pytest.mark.parametrize(
    ("value", "text"),
    [("", "unknown"), ("true", "yes"), ("false", "no, nothing to fix")],
)
def test_the_page_shows_whether_the_image_was_patched(value, text):
    page = create_app(read({"PATCHED": value})).test_client().get("/").get_data(as_text=True)
    assert f"<dt>Patched</dt><dd>{text}</dd>" in page


@pytest.mark.parametrize(
    ("environment", "stages"),
    [
        ({}, "Serve"),
        ({"APP_COMMIT": "f00d"}, "Code Serve"),
        ({"SCAN_BEFORE": "high=1", "PATCHED": "true"}, "Scan Serve"),
        ({"SCAN_BEFORE": "high=1", "SCAN_AFTER": "high=1", "PATCHED": "false"}, "Scan Patch Serve"),
        (DEPLOYMENT, "Code Build Scan Patch Push Deploy Serve"),
    ],
)
def test_a_stage_has_its_tick_only_with_its_fact(environment, stages):
    page = create_app(read(environment)).test_client().get("/").get_data(as_text=True)
    shown = r'<li class="shown">\s*<strong>(\w+)</strong> <span role="img" aria-label="done">✓'
    ticked = re.findall(shown, page)
    assert " ".join(ticked) == stages
    assert page.count("</li>") == page.count("<small>") == 7


def test_processes_have_the_time_of_the_server():
    environment = {"STARTED_AT": "2026-01-31T12:00:00+00:00"}
    health = create_app(read(environment)).test_client().get("/health").json
    assert health["started"] == "2026-01-31T12:00:00+00:00"


def test_a_severity_that_is_not_rated_is_not_a_count_that_is_unknown():
    page = create_app(read({"SCAN_BEFORE": "unknown=2"})).test_client().get("/")
    row = r'<th scope="row">Not rated</th>\s*<td>2</td>\s*<td>unknown</td>'
    assert re.search(row, page.get_data(as_text=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGE_DIGEST", "sha256:12"),
        ("APP_BUILT", "yesterday"),
        ("DEPLOYED_AT", "2026-01-31T12:00:00"),
        ("SCAN_BEFORE", "high=many"),
        ("SCAN_AFTER", "grave=1"),
        ("SCAN_AFTER", "high=1,high=2"),
        ("PATCHED", "yes"),
    ],
)
def test_an_invalid_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=name):
        read({name: value})
