"""How gunicorn serves the application. Every number can be set by the environment."""

import os

# Inside a container every interface is the container's own.
bind = "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = int(os.environ.get("WEB_TIMEOUT", "30"))
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_TIMEOUT", "10"))
keepalive = 5

# The root file system is read-only: heartbeat files live in memory, and there is no control socket.
worker_tmp_dir = "/dev/shm"  # nosec B108
control_socket_disable = True

# One line a request is the application's to write.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("WEB_LOG_LEVEL", "warning")
