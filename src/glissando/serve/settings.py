"""What whoever starts the service decides: its folder and its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

from glissando.errors import InputError
from glissando.machine import default_threads

__all__ = ["Settings"]

MOST_EFFORT = 10


@dataclass(frozen=True)
class Settings:
    """The service's folder and limits.

    Attributes:
        folder: whose .gliss files ``/img`` serves; None for none.
        workers: processes that encode and decode, each one request at a time; 0 for one on each core, up to 4.
        threads: processor cores that each worker uses; 0 for an even share of all.
        max_bytes: of a request's body.
        max_pixels: of a picture that is encoded or decoded, and of one that is sent.
        max_seconds: that a worker may take for a request before it is ended.
        max_queue: requests that wait for a worker; the next one is refused.
        max_effort: the highest effort that a request may ask for, 0 to 10.
        max_connections: that are open at once.
        transfer_seconds: that a client may take to send a request's head, to send its body, and to take each piece of
            an answer.
        max_age: seconds for which caches may keep what ``/img`` serves.

    Raises:
        InputError: a number that is none of these, or a folder that is not there.
    """

    folder: Path | None = None
    workers: int = 0
    threads: int = 0
    max_bytes: int = 64_000_000
    max_pixels: int = 2**26
    max_seconds: float = 60.0
    max_queue: int = 16
    max_effort: int = MOST_EFFORT
    max_connections: int = 256
    transfer_seconds: float = 30.0
    max_age: int = 3600

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "folder":
                continue
            least = 0 if field.name in ("workers", "threads", "max_queue", "max_effort", "max_age") else 1e-3
            if not math.isfinite(value) or value < least:
                raise InputError(f"{field.name} must be {'0 or more' if least == 0 else 'above 0'}, not {value}")
        if self.max_effort > MOST_EFFORT:
            raise InputError(f"max_effort is {MOST_EFFORT} at most, not {self.max_effort}")
        if self.folder is not None and not Path(self.folder).is_dir():
            raise InputError(f"{self.folder}: no such folder")
        cores = default_threads()
        object.__setattr__(self, "workers", self.workers or min(cores, 4))
        object.__setattr__(self, "threads", self.threads or max(1, cores // self.workers))

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies and answers that are in memory at once before further bodies are refused."""
        return 4 * self.max_bytes
