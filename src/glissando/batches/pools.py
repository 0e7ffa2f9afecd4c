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
    """A worker that died over a request.

    Attributes:
        how: it did, in words.
        first: whether this is the first of the requests that it died over; it may have had several.
    """

    how: str
    first: bool = True


class Pool(Protocol):
    """Workers behind numbered slots, each of which takes one request at a time.

    What a slot is asked after a ``Look`` goes to the worker that holds the picture. Workers are started when there is
    work for them, and again when they died.
    """

    size: int
    """The number of slots."""

    def send(self, slot: int, request: Request) -> None:
        """Give a request to a slot that has none."""

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        """The slots whose requests came to an end; at least one where it may ``block``.

        Raises BatchError where workers cannot be started.
        """

    def recall(self) -> list[int]:
        """Take back the requests that no worker has begun; the slots that have none now."""

    def close(self, *, kill: bool = False) -> None:
        """End the workers; those that are still at work come to their end first, unless they are killed."""
