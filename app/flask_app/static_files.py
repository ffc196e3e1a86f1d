"""Static files, with their version in the URL: a browser keeps a file until its content changes.

The time of a file in the image is always the same, so it says nothing about the content.
"""

from __future__ import annotations

from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path

from flask import Flask, Response, abort, request, url_for

FOREVER = "public, max-age=31536000, immutable"


def install_static_files(app: Flask) -> None:
    """Serve the files of the directory `static`; templates link to them by `static_url`."""
    files = {file.name: file.read_bytes() for file in Path(app.root_path, "static").iterdir()}
    versions = {name: sha256(content).hexdigest()[:16] for name, content in files.items()}

    @app.get("/static/<name>")
    def static_file(name: str) -> Response:
        if name not in files:
            abort(404)
        response = Response(files[name], mimetype=guess_type(name)[0])
        response.set_etag(versions[name])
        # While a deployment runs, the page of one version may request the file of the other one:
        # that must not be kept under its name.
        is_current = request.args.get("v") == versions[name]
        response.headers["Cache-Control"] = FOREVER if is_current else "no-cache"
        response.make_conditional(request)
        return response

    @app.template_global()
    def static_url(name: str) -> str:
        return url_for("static_file", name=name, v=versions[name])
