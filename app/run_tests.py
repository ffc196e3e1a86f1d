"""Runs every check of the application, and fails if one of them does."""

import subprocess  # nosec B404
import sys

CHECKS = (
    ("ruff", "check", "--no-cache", "."),
    ("mypy", "--strict", "--cache-dir=/dev/null", "flask_app", "wsgi.py", "gunicorn.conf.py"),
    ("bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", "."),
    (
        "pytest",
        "--cov",
        "--cov-report=term",
        "--cov-fail-under=95",
        "--junit-xml=/results/junit.xml",
    ),
)


def main() -> int:
    """Run all of them, so that one report has everything, and return the worst exit code."""
    worst = 0
    for check in CHECKS:
        print("+", " ".join(check), flush=True)
        worst = max(worst, subprocess.run((sys.executable, "-m", *check), check=False).returncode)  # noqa: S603 # nosec B603
    return worst


if __name__ == "__main__":
    sys.exit(main())
