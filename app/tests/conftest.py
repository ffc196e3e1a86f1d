import io

import pytest

from flask_app import create_app


@pytest.fixture
def client():
    return create_app({"VERSION": "7", "COMMIT": "f00d"}).test_client()


@pytest.fixture
def log(client):
    """What the application logs."""
    stream = io.StringIO()
    client.application.logger.handlers[0].setStream(stream)
    return stream
