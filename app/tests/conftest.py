import io

import pytest

from flask_app import create_app
from flask_app.settings import Settings


@pytest.fixture
def client():
    return create_app(Settings(version="7", commit="f00d")).test_client()


@pytest.fixture
def log(client):
    """What the application logs."""
    stream = io.StringIO()
    client.application.logger.handlers[0].setStream(stream)
    return stream
