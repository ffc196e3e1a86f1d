"""The entry point for gunicorn."""

import sys

from flask_app import create_app
from flask_app.settings import SettingsError

try:
    app = create_app()
except SettingsError as error:
    # 4 is gunicorn's exit code for an application that cannot be loaded.
    print(f"error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(4) from None
