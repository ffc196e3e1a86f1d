"""Stopping under load."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_app.draining import DrainingWorker


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


class Worker(DrainingWorker):
    """One that keeps what it takes."""

    def __init__(self, listener: socket.socket, alive: bool) -> None:
        """Neither a process nor an application is needed to accept."""
        listener.setblocking(False)
        self.sockets, self.alive, self._accepting = [listener], alive, False
        self.nr_conns = 0

    def accept(self, listener: socket.socket) -> None:
        """As gunicorn's does, but for what follows."""
        try:
            taken, _ = listener.accept()
        except BlockingIOError:
            return
        taken.close()
        self.nr_conns += 1

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """There is nothing to answer."""


@pytest.mark.parametrize(("alive", "taken"), [(True, 0), (False, 3)])
def test_a_worker_takes_in_who_waits_only_at_its_end(
    listener: socket.socket, alive: bool, taken: int
) -> None:
    waiting = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    worker = Worker(listener, alive)
    worker.set_accept_enabled(False)
    assert worker.nr_conns == taken
    assert (listener.fileno() == -1) is not alive
    for caller in waiting:
        caller.close()


def test_a_server_that_is_stopped_under_load_answers_what_it_took() -> None:
    app = Path(__file__).parents[1]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"]
    command += ["--bind", f"127.0.0.1:{port}", "wsgi:app"]
    server = subprocess.Popen(command, cwd=app)  # noqa: S603
    answered: list[int] = []
    lost: list[Exception] = []
    busy, stopped = threading.Event(), threading.Event()

    def call() -> None:
        while not stopped.is_set():
            caller = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                caller.connect()
            except OSError:
                continue  # It was not taken.
            try:
                caller.request("GET", "/health", headers={"Connection": "close"})
                answered.append(caller.getresponse().status)
                if len(answered) == 100:
                    busy.set()
            except (OSError, http.client.HTTPException) as error:
                lost.append(error)
            finally:
                caller.close()

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    try:
        assert busy.wait(timeout=20)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    finally:
        stopped.set()
        server.kill()
        for caller in callers:
            caller.join()
    assert lost == []
    assert set(answered) == {200}
