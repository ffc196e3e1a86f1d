"""A gunicorn worker that answers who waits for it before it ends.

A listening socket that is closed resets what is in its queue: connections that the kernel has taken
and no worker has seen yet. In a cluster the Service has moved on before a pod is told to end; this
is for everywhere else, and for whoever was late.
"""

import time

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# Seconds in which a connection that was promised comes about.
HANDSHAKE = 0.25
PAUSE = 0.005


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """Threads, and an end that loses nobody."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Once the worker is to end, take in who waits, and leave at a moment when nobody does."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            # The queue has room for one from now on, whoever asks more is not promised anything.
            listener.listen(0)
        end = time.monotonic() + HANDSHAKE
        while time.monotonic() < end:
            for listener in self.sockets:
                self.take_in(listener)
            self.wait_for_and_dispatch_events(PAUSE)
        for listener in self.sockets:
            self.take_in(listener)
            listener.close()

    def take_in(self, listener: object) -> None:
        """Accept every connection that is in the queue."""
        taken = -1
        while taken != self.nr_conns:
            taken = self.nr_conns
            self.accept(listener)
