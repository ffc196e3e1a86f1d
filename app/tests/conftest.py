import io

import pytest

from flask_app import create_app
from flask_app.settings import Settings


@pytest.fixture
def client():
    return create_app(Settings(version="7", commit="f00d")).test_client()


@pytest.fixture
def log(client):
    """The log of the application."""
    stream = io.StringIO()
    client.application.logger.handlers[0].setStream(stream)
    return stream
