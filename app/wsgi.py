"""The entry point for gunicorn."""

from flask_app import create_app

app = create_app()
