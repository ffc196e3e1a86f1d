"""Gunicorn's settings. The environment can set every number."""

import os
import tempfile
from datetime import UTC, datetime
from typing import Any

# The application reads both: the port of the metrics, and when the first process started.
metrics_port = os.environ.setdefault("WEB_METRICS_PORT", "9090")
os.environ.setdefault("STARTED_AT", datetime.now(UTC).isoformat())

# In a container, every interface is the container's own.
bind = ["0.0.0.0:8000", f"0.0.0.0:{metrics_port}"]
worker_class = "flask_app.draining.DrainingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = int(os.environ.get("WEB_TIMEOUT", "30"))
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_TIMEOUT", "10"))
keepalive = 5

# The root file system is read-only: heartbeat files are in memory, and there is no control socket.
worker_tmp_dir = "/dev/shm"  # nosec B108
control_socket_disable = True

# The application writes one line per request.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("WEB_LOG_LEVEL", "warning")

# The workers share their metrics in files in memory. The variable is read on import.
os.environ.setdefault(
    "PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="metrics-", dir=worker_tmp_dir)
)


def child_exit(_server: Any, worker: Any) -> None:
    """Drop the gauges of a worker that exited; its counters are kept."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
