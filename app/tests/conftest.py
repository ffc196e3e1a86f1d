import pytest

from flask_app import create_app


@pytest.fixture
def client(capsys):  # the log goes to the captured output
    return create_app({"TESTING": False, "VERSION": "7", "COMMIT": "f00d"}).test_client()
