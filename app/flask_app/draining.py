"""A gunicorn worker that serves the connections in its queue before it exits.

Closing a listening socket resets the connections in its queue: those that the kernel has accepted
and no worker has. In a cluster the Service stops routing to a pod before the pod gets SIGTERM; this
is for every other environment, and for clients that connect late.
"""

import time
from types import FrameType

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# Seconds in which a handshake that the kernel has started completes.
HANDSHAKE = 0.25
PAUSE = 0.005

_stopping = False


def is_stopping() -> bool:
    """Whether this process got SIGTERM, and serves only what it has."""
    return _stopping


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """A threaded worker whose exit loses no connection."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note SIGTERM, so that `/ready` responds with 503."""
        global _stopping
        _stopping = True
        super().handle_exit(sig, frame)

    def set_accept_enabled(self, enabled: bool) -> None:
        """When the worker stops, accept what is queued; close the listeners when nothing is."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            # The queue holds one connection from now on; the kernel queues no others.
            listener.listen(0)
        deadline = time.monotonic() + HANDSHAKE
        while time.monotonic() < deadline:
            for listener in self.sockets:
                self.drain(listener)
            self.wait_for_and_dispatch_events(PAUSE)
        for listener in self.sockets:
            self.drain(listener)
            listener.close()

    def drain(self, listener: object) -> None:
        """Accept every connection that is in the queue."""
        accepted = -1
        while accepted != self.nr_conns:
            accepted = self.nr_conns
            self.accept(listener)
