"""Errors as problem details (RFC 9457), without a stack trace."""

from __future__ import annotations

from flask import Response, current_app, g, json
from werkzeug.exceptions import HTTPException, InternalServerError


def problem(error: Exception) -> Response:
    """The response to a request that failed."""
    if not isinstance(error, HTTPException):
        current_app.logger.exception("unhandled error")
        error = InternalServerError()
    response = Response(
        json.dumps(
            {
                "type": "about:blank",
                "title": error.name,
                "status": error.code,
                "detail": error.description,
                "request_id": g.get("request_id"),
            }
        ),
        status=error.code,
        mimetype="application/problem+json",
    )
    # A redirect or a "method not allowed" needs its headers.
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response
