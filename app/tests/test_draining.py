"""Who waits when a worker ends; under load, `cargo xtask bench app` stops it."""

import socket
from collections.abc import Iterator

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
