"""What the driver of a batch asks of whatever runs its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .messages import Reply, Request

__all__ = ["STARTS", "Died", "Pool"]

STARTS = 3
"""Workers in a row that may die before they are ready; then the batch ends."""


@dataclass(frozen=True, slots=True)
class Died:
    """A worker that died over a request; ``how`` it did, in words."""

    how: str


class Pool(Protocol):
    """Workers in numbered slots, each with one request at a time.

    A worker is started when its slot gets its first request, and again after the one before it died.
    """

    size: int
    """The number of slots."""

    def send(self, slot: int, request: Request) -> None:
        """Give a request to a slot that has none."""

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        """The slots whose requests came to an end; at least one where it may ``block``.

        Raises BatchError where workers cannot be started.
        """

    def close(self, *, kill: bool = False) -> None:
        """End the workers; those that are still at work come to their end first, unless they are killed."""
