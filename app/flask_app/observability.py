"""Logs: one JSON object per line, each with the id of its request."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid

from flask import Flask, Response, g, has_request_context, request

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if has_request_context():
            entry["request_id"] = g.get("request_id")
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def install_logging(app: Flask) -> None:
    """Send the application's log to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    app.logger.handlers = [handler]
    app.logger.setLevel(logging.INFO)
    app.logger.propagate = False


def install_request_log(app: Flask) -> None:
    """Give each request an id, the client's if that is valid, and log its status."""

    @app.before_request
    def begin() -> None:
        client_id = request.headers.get("X-Request-ID", "")
        g.request_id = client_id if REQUEST_ID.fullmatch(client_id) else uuid.uuid4().hex
        g.started = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        # Probes come every few seconds: they are logged only when they fail.
        if request.path not in ("/health", "/ready") or response.status_code >= 400:
            fields = {
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "milliseconds": round((time.monotonic() - g.started) * 1000, 1),
            }
            app.logger.info("request", extra={"fields": fields})
        return response
