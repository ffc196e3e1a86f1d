import json
import os
import re
import shutil

from flask import Flask
from jinja2 import DictLoader

from flask_app import create_app
from flask_app.static_files import install_static_files


def test_health_reports_the_running_version(client):
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json["status"] == "ok"
    assert (response.json["version"], response.json["commit"]) == ("7", "f00d")
    assert response.headers["Cache-Control"] == "no-store"


def test_an_application_that_serves_its_page_is_ready(client):
    assert client.get("/ready").json == {"status": "ready"}
    client.application.jinja_env.loader = DictLoader({"index.html": "{{ missing() }}"})
    assert client.get("/ready").status_code == 500
    # It is alive all the same: a restart would not help.
    assert client.get("/health").status_code == 200


def test_a_process_that_stops_is_not_ready():
    client = create_app(is_stopping=lambda: True).test_client()
    response = client.get("/ready")
    assert response.status_code == 503
    assert response.json["detail"] == "The process is stopping."
    assert client.get("/").status_code == 200


def test_a_static_file_is_kept_until_its_content_changes(client, tmp_path):
    links = re.findall(r'(?:href)="(/static/[^"]+)"', client.get("/").get_data(as_text=True))
    assert [link.split("?")[0] for link in links] == ["/static/icon.svg", "/static/style.css"]
    for link in links:
        response = client.get(link)
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        etag = response.headers["ETag"]
        assert client.get(link, headers={"If-None-Match": etag}).status_code == 304
        # The link of another version: this content must not be kept under it.
        assert client.get(link[:-1]).headers["Cache-Control"] == "no-cache"
    assert client.get(links[1]).mimetype == "text/css"
    assert client.get("/static/none.css").status_code == 404

    # The next release has another style sheet of the same size, with the same time.
    shutil.copytree(client.application.root_path, tmp_path / "flask_app")
    style = tmp_path / "flask_app/static/style.css"
    times = (style.stat().st_atime, style.stat().st_mtime)
    style.write_text(style.read_text().replace("3rem", "4rem"))
    os.utime(style, times)
    following = Flask("following", root_path=str(tmp_path / "flask_app"), static_folder=None)
    install_static_files(following)
    changed = following.test_client().get(links[1], headers={"If-None-Match": etag})
    assert (changed.status_code, "4rem" in changed.get_data(as_text=True)) == (200, True)
    with following.test_request_context():
        assert following.jinja_env.globals["static_url"]("style.css") != links[1]


def test_the_page_shows_the_pipeline_and_the_commit(client):
    page = client.get("/").get_data(as_text=True)
    assert "f00d" in page
    assert page.index("Code") < page.index("Build") < page.index("Serve")


def test_every_response_has_the_security_headers(client):
    for path in ("/", "/health", "/missing"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_an_unknown_page_is_a_problem_document(client):
    response = client.get("/missing", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 404
    assert response.mimetype == "application/problem+json"
    assert json.loads(response.data)["request_id"] == "abc-1"


def test_a_wrong_method_names_the_allowed_ones(client):
    response = client.post("/health")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_an_error_shows_no_stack_trace(client, log):
    @client.application.get("/broken")
    def broken():
        raise RuntimeError("secret detail")

    response = client.get("/broken")
    assert response.status_code == 500
    assert "secret detail" not in response.get_data(as_text=True)
    assert "secret detail" in log.getvalue()


def test_a_request_id_is_kept_only_if_it_is_valid(client):
    assert client.get("/", headers={"X-Request-ID": "a-1"}).headers["X-Request-ID"] == "a-1"
    forged = client.get("/", headers={"X-Request-ID": 'x" , "level":"'})
    assert forged.headers["X-Request-ID"] != 'x" , "level":"'


def test_a_request_is_logged_as_json(client, log):
    client.get("/?q=1")
    line = json.loads(log.getvalue().splitlines()[-1])
    assert (line["method"], line["path"], line["status"]) == ("GET", "/", 200)


def test_probes_are_not_logged(client, log):
    client.get("/health")
    assert log.getvalue() == ""
