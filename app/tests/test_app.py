import json


def test_health_reports_the_running_version(client):
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json["status"] == "ok"
    assert (response.json["version"], response.json["commit"]) == ("7", "f00d")
    assert response.headers["Cache-Control"] == "no-store"


def test_ready(client):
    assert client.get("/ready").json == {"status": "ready"}


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
