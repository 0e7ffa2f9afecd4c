"""What the driver of a batch and its workers tell each other, all of it small and picklable.

A picture takes two questions. ``Look`` makes a worker read it and say what its content is; the worker keeps the bytes.
The driver, which alone knows what is done already, answers with ``Make``, ``Reuse`` or ``Drop``, and gets ``Done``.
Each may be answered with ``Failed``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Done", "Drop", "Failed", "How", "Look", "Looked", "Make", "Reply", "Request", "Reuse"]

How = Literal["made", "copied", "kept"]
"""Where an output came from: it was made anew, copied from an equal one, or there already."""


@dataclass(frozen=True, slots=True)
class Look:
    """Read an input.

    Attributes:
        name: of the input, below the source.
        size: its bytes; None where the listing did not tell.
        alone: whether no other picture should suffer if this one kills its worker, as it did before.
    """

    name: str
    size: int | None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """An input that has been read.

    Attributes:
        content: SHA-256 of its bytes.
        size: of them.
    """

    content: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Make:
    """Convert an input that has been read.

    Attributes:
        name: of the input.
        output: name of the output, below the destination.
    """

    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Reuse:
    """Make the output from one that is there already, of an equal input; where that is not whole, as with ``Make``.

    Attributes:
        name: of the input.
        output: name of the output, below the destination.
        known: name of the one that is there; it may be the same, which is then only compared.
        check: SHA-256 of its bytes.
    """

    name: str
    output: str
    known: str
    check: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget an input that has been read and failed before; the answer is a ``Failed`` that says so.

    Attributes:
        name: of the input.
        error: why it failed.
    """

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Done:
    """An output that is there, whole.

    Attributes:
        how: where it came from.
        size: its bytes.
        check: SHA-256 of them.
        pixels: of the picture; 0 unless it was made anew.
        seconds: of the worker, to read, convert and write.
        notes: what is left out or changed of the picture.
        worker: machine and process that did it.
    """

    how: How
    size: int
    check: bytes
    pixels: int
    seconds: float
    notes: tuple[str, ...]
    worker: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no output.

    Attributes:
        message: one line for the user, without the input's name.
        final: whether the picture itself is the reason, so that to try again is of no use.
        before: whether that was known, and it was not tried again.
    """

    message: str
    final: bool
    before: bool = False


Request = Look | Make | Reuse | Drop
Reply = Looked | Done | Failed
