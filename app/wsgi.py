"""The entry point for gunicorn."""

import os
import sys

from flask_app import create_app
from flask_app.draining import is_stopping
from flask_app.metrics import with_metrics
from flask_app.settings import SettingsError

try:
    app = create_app(is_stopping=is_stopping)
    # The place for middleware in Flask (flask.palletsprojects.com, "Hooking in WSGI Middleware").
    served = with_metrics(app.wsgi_app, os.environ["WEB_METRICS_PORT"])
    app.wsgi_app = served  # type: ignore[method-assign, assignment]
except SettingsError as error:
    # 4 is gunicorn's exit code for an application that cannot be loaded.
    print(f"error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(4) from None
