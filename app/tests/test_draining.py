"""The queue of a worker that stops; `cargo xtask bench app` stops it under load."""

import socket
from collections.abc import Iterator

import pytest

from flask_app.draining import DrainingWorker


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


class Worker(DrainingWorker):
    """A worker that counts the connections that it accepts."""

    def __init__(self, listener: socket.socket, alive: bool) -> None:
        """Accepting needs neither a process nor an application."""
        listener.setblocking(False)
        self.sockets, self.alive, self._accepting = [listener], alive, False
        self.nr_conns = 0

    def accept(self, listener: socket.socket) -> None:
        """As in gunicorn, without serving the connection."""
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.close()
        self.nr_conns += 1

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """There is no request to serve."""


@pytest.mark.parametrize(("alive", "accepted"), [(True, 0), (False, 3)])
def test_a_worker_drains_its_queue_only_when_it_stops(
    listener: socket.socket, alive: bool, accepted: int
) -> None:
    queued = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    worker = Worker(listener, alive)
    worker.set_accept_enabled(False)
    assert worker.nr_conns == accepted
    assert (listener.fileno() == -1) is not alive
    for client in queued:
        client.close()
