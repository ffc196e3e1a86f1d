"""A gunicorn that is stopped with connections in its queue; `cargo xtask bench app` adds load."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


class Server:
    """A running gunicorn with one worker."""

    def __init__(self, worker_class: str) -> None:
        """Start it, with the metrics at a port that was free."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            metrics_port = free.getsockname()[1]
        binds = ("--bind=127.0.0.1:0", f"--bind=127.0.0.1:{metrics_port}")
        options = ("--config=gunicorn.conf.py", f"--worker-class={worker_class}", *binds)
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "gunicorn", *options, "wsgi:app"],
            cwd=ROOT,
            env={
                **os.environ,
                "WEB_CONCURRENCY": "1",
                "WEB_LOG_LEVEL": "info",
                "WEB_METRICS_PORT": str(metrics_port),
            },
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.metrics_port = metrics_port
        self.port = int(self.logged(r"Listening at: http://127\.0\.0\.1:(\d+)"))
        self.worker = int(self.logged(r"Booting worker with pid: (\d+)"))

    def logged(self, pattern: str) -> str:
        """The group of `pattern` in the next line of the log that has it."""
        for line in self.process.stderr:
            if match := re.search(pattern, line):
                return match[1]
        raise AssertionError(f"gunicorn exited with code {self.process.wait()}")

    def connect(self, path: str, port: int | None = None) -> socket.socket:
        """A connection with a request; the kernel accepts it, whatever the worker does."""
        connection = socket.create_connection(("127.0.0.1", port or self.port), timeout=60)
        request = f"GET {path} HTTP/1.1\r\nHost: localhost:{self.metrics_port}\r\n"
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
        return connection

    def wait_for(self, pattern: str) -> None:
        """Wait until the kernel reports the worker as `pattern` (proc(5), `status`)."""
        status = Path(f"/proc/{self.worker}/status")
        while not re.search(pattern, status.read_text()):
            os.sched_yield()


def response(connection: socket.socket) -> str:
    """The first line, and the end; empty if the connection is lost."""
    with connection, connection.makefile("rb") as stream:
        try:
            text = stream.read().decode()
        except ConnectionResetError:
            return ""
    return f"{text[:12]} … {text[-8:].strip()}" if text else ""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server, with the class of worker that the test names."""
    server = Server(request.param)
    yield server
    server.process.kill()
    server.process.stderr.close()
    server.process.wait()


def stopped_with(server: Server, paths: list[str]) -> list[str]:
    """The responses to `paths`, in the queue when the worker gets SIGTERM."""
    assert response(server.connect("/health")).startswith("HTTP/1.1 200")
    os.kill(server.worker, signal.SIGSTOP)
    server.wait_for(r"State:\s+T")
    queued = [server.connect(path) for path in paths]
    server.process.terminate()
    # Bit 15 of the signals that wait: SIGTERM.
    server.wait_for(r"ShdPnd:\s+[0-9a-f]{12}[4567cdef]\w{3}")
    os.kill(server.worker, signal.SIGCONT)
    return [response(connection) for connection in queued]


@pytest.mark.parametrize("server", ["flask_app.draining.DrainingWorker"], indirect=True)
def test_who_is_in_the_queue_of_a_worker_that_stops_gets_a_response(server: Server) -> None:
    responses = stopped_with(server, ["/"] * 20 + ["/ready"])
    assert responses[:-1] == ["HTTP/1.1 200 … </html>"] * 20
    assert responses[-1].startswith("HTTP/1.1 503")
    assert server.process.wait() == 0


@pytest.mark.parametrize("server", ["gthread"], indirect=True)
def test_gunicorns_own_worker_would_lose_them(server: Server) -> None:
    assert "" in stopped_with(server, ["/"] * 20)


@pytest.mark.parametrize("server", ["flask_app.draining.DrainingWorker"], indirect=True)
def test_the_port_decides_whether_metrics_are_served(server: Server) -> None:
    # Its own Host header decides nothing.
    assert response(server.connect("/metrics")).startswith("HTTP/1.1 404")
    metrics = response(server.connect("/metrics", server.metrics_port))
    assert metrics.startswith("HTTP/1.1 200")
    # The application is not at that port.
    assert not response(server.connect("/", server.metrics_port)).endswith("</html>")
