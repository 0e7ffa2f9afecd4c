"""What a batch asks of the places where its inputs and outputs lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from glissando.errors import InputError
from glissando.files.pipes import MOST

__all__ = ["Entry", "Store", "check_size"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as a listing tells of it.

    Attributes:
        name: below the store's root, with ``/`` between folders.
        size: in bytes; None where the listing does not tell.
        stamp: a text that is another once the file's content has changed: size and time, or the store's own checksum.
            It is empty where the listing has nothing of that kind.
    """

    name: str
    size: int | None
    stamp: str


class Store(Protocol):
    """Files by their names, in folders of any depth."""

    where: str
    """The folder or URL, for messages and for opening it again elsewhere."""

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[Entry | OSError]:
        """The files whose name without folders is ``wanted``, one after the other; and folders that cannot be listed.

        Raises OSError where there is no such store at all.
        """

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def has(self, name: str, size: int) -> bool:
        """Whether an output that was written is still there with so many bytes; True where it would take a request."""

    def read(self, name: str, size: int | None = None) -> bytes:
        """All bytes of a file. ``size``: what a listing told of it. Raises OSError; InputError for more than 4 GiB."""

    def write(self, name: str, data: bytes, *, sync: bool = False) -> None:
        """Make a file of these bytes, whole or not at all, and the folders that it lies in. Raises OSError.

        ``sync``: come back once it would outlast a power cut.
        """


def check_size(size: int) -> None:
    """Raises InputError where a file is larger than any that can be decoded."""
    if size > MOST:
        raise InputError(f"it has {size:,} bytes; more than {MOST:,} are not read")
