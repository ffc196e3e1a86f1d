"""The facts of the deployment: typed settings, read once from the environment."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

UNKNOWN = "unknown"
SEVERITIES = ("critical", "high", "medium", "low", "unknown")
# The stages of the pipeline in order, and what each one does.
PURPOSES = {
    "Code": "a commit names the version",
    "Build": "its image is built and tested",
    "Scan": "known vulnerabilities are counted",
    "Patch": "security updates are installed",
    "Push": "the registry has the image",
    "Deploy": "the cluster has the image",
    "Serve": "this page responds",
}

Counts = dict[str, int]


class SettingsError(ValueError):
    """An environment variable has an invalid value; the message names it."""


@dataclass(frozen=True)
class Settings:
    """What is running, and how it was delivered. `None` is a fact that is not set."""

    version: str = "dev"
    commit: str = UNKNOWN
    digest: str | None = None
    built: datetime | None = None
    deployed: datetime | None = None
    before: Counts | None = None
    after: Counts | None = None
    patched: bool | None = None
    pod: str = UNKNOWN
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def stages(self) -> dict[str, bool]:
        """The stages of `PURPOSES`, and whether a fact shows each one."""
        return {
            "Code": self.commit != UNKNOWN,
            "Build": self.built is not None,
            "Scan": self.before is not None,
            # An image without anything to fix went through the stage as well.
            "Patch": self.patched is not None and self.after is not None,
            "Push": self.digest is not None,
            "Deploy": self.deployed is not None,
            # This response is the fact.
            "Serve": True,
        }


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty variable counts as not set.

    Raises `SettingsError` for an invalid value.
    """

    def text(name: str, default: str) -> str:
        return environment.get(name, "").strip() or default

    return Settings(
        version=text("APP_VERSION", "dev"),
        commit=text("APP_COMMIT", UNKNOWN),
        digest=_digest("IMAGE_DIGEST", text("IMAGE_DIGEST", "")),
        built=_time("APP_BUILT", text("APP_BUILT", "")),
        deployed=_time("DEPLOYED_AT", text("DEPLOYED_AT", "")),
        before=_counts("SCAN_BEFORE", text("SCAN_BEFORE", "")),
        after=_counts("SCAN_AFTER", text("SCAN_AFTER", "")),
        patched=_flag("PATCHED", text("PATCHED", "")),
        pod=text("POD_NAME", socket.gethostname()),
        # Of the server, which has several processes.
        started=_time("STARTED_AT", text("STARTED_AT", "")) or datetime.now(UTC),
    )


def _is_set(value: str) -> bool:
    return value not in ("", UNKNOWN)


# OCI image specification, section "Digests".
def _digest(name: str, value: str) -> str | None:
    if not _is_set(value):
        return None
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise SettingsError(
            f"invalid {name} `{value}`; expected `sha256:` and 64 hexadecimal digits"
        )
    return value


def _time(name: str, value: str) -> datetime | None:
    if not _is_set(value):
        return None
    invalid = f"invalid {name} `{value}`; use a time with its zone, such as 2026-01-31T12:00:00Z"
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise SettingsError(invalid) from error
    if time.tzinfo is None:
        raise SettingsError(invalid)
    return time.astimezone(UTC)


def _flag(name: str, value: str) -> bool | None:
    if not _is_set(value):
        return None
    if value not in ("true", "false"):
        raise SettingsError(f"invalid {name} `{value}`; expected one of `true`, `false`")
    return value == "true"


def _counts(name: str, value: str) -> Counts | None:
    if not _is_set(value):
        return None
    counts: Counts = {}
    for part in value.split(","):
        severity, _, number = part.strip().partition("=")
        if severity not in SEVERITIES or severity in counts or not re.fullmatch("[0-9]+", number):
            raise SettingsError(
                f"invalid {name} `{part.strip()}`; use each of {', '.join(SEVERITIES)} at most "
                "once, such as critical=0,high=3"
            )
        counts[severity] = int(number)
    return counts
