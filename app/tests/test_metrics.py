from werkzeug.test import Client

from flask_app import create_app
from flask_app.metrics import with_metrics


def test_metrics_have_a_port_of_their_own():
    client = Client(with_metrics(create_app(), "9090"))
    client.get("/missing/1", base_url="http://localhost:8000")
    assert client.get("/metrics", base_url="http://localhost:8000").status_code == 404
    metrics = client.get("/metrics", base_url="http://localhost:9090").get_data(as_text=True)
    # A series is that of a route, not that of a path.
    assert 'http_requests_total{method="GET",route="unmatched",status="404"}' in metrics
    assert "/missing/1" not in metrics
