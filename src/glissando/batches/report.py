"""What became of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .messages import Done

__all__ = ["MOST_LISTED", "Event", "Failure", "Kind", "Report", "Tell"]

MOST_LISTED = 1000
"""Failures that a report names; of more it tells the number."""


Kind = Literal["made", "copied", "kept", "known", "failed", "failed before"]


@dataclass(frozen=True, slots=True)
class Event:
    """What became of one input, told as soon as it is known.

    Attributes:
        name: of the input; or, of a folder that cannot be listed, its path or URL.
        kind: "made", "copied" and "kept" as in ``Done``; "known": it was done before and is unchanged; "failed";
            "failed before": it, or an equal one, failed before, and is not tried again.
        output: name of the output; empty where there is none.
        bytes_in, bytes_out: of the two; 0 where nothing is known.
        error: why there is no output.
        done: what the worker told, where one did it.
    """

    name: str
    kind: Kind
    output: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    error: str = ""
    done: Done | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An input without an output."""

    name: str
    error: str
    before: bool
    """Whether it, or an equal one, had failed before, and was not tried again."""


@dataclass
class Report:
    """The sum over all events.

    Attributes:
        made, copied, kept, known, failed, failed_before: how many events there were of each kind.
        passed_over: files whose names are not those of pictures.
        deaths: workers that died.
        retries: pictures that were tried once more.
        bytes_in, bytes_out, pixels: of what was made, copied or kept in this run.
        seconds: of the whole run.
        worker_seconds: of all workers together, with their pictures.
        workers: pictures of each, by machine and process.
        interrupted: whether it was stopped before its end.
        failures: the first ``MOST_LISTED``.
    """

    made: int = 0
    copied: int = 0
    kept: int = 0
    known: int = 0
    failed: int = 0
    failed_before: int = 0
    passed_over: int = 0
    deaths: int = 0
    retries: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    pixels: int = 0
    seconds: float = 0.0
    worker_seconds: float = 0.0
    workers: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False
    failures: list[Failure] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every picture has its output."""
        return not (self.failed or self.failed_before or self.interrupted)

    def add(self, event: Event) -> None:
        """Count an event."""
        name = event.kind.replace(" ", "_")
        setattr(self, name, getattr(self, name) + 1)
        if event.error and len(self.failures) < MOST_LISTED:
            self.failures.append(Failure(event.name, event.error, event.kind == "failed before"))
        if event.done is not None:
            self.bytes_in += event.bytes_in
            self.bytes_out += event.bytes_out
            self.pixels += event.done.pixels
            self.worker_seconds += event.done.seconds
            self.workers[event.done.worker] = self.workers.get(event.done.worker, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """It in words."""
        done = self.made + self.copied + self.kept
        counts = [
            (self.made, "made"),
            (self.copied, "copied from equal ones"),
            (self.kept, "compared and kept"),
            (self.known, "done before"),
            (self.failed, "failed"),
            (self.failed_before, "failed before (--retry tries them again)"),
            (self.passed_over, "other files passed over"),
        ]
        told = [f"{number:,} {what}" for number, what in counts if number]
        found = [", ".join(told) if told else "no pictures"]
        if done:
            rate = done / self.seconds if self.seconds else 0.0
            found.append(f"{self.bytes_in:,} bytes -> {self.bytes_out:,} bytes, {rate:,.1f} pictures/s")
        if self.deaths:
            found.append(f"workers that died: {self.deaths:,}")
        return found


Tell = Callable[[Event], None]
"""What is called with each event."""
