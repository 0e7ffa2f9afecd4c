"""Tables in Markdown, and documents of which what stands between two markers is written by a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from glissando.errors import BenchmarkError
from glissando.files import atomic_write

__all__ = ["begin_marker", "end_marker", "replace_between", "table", "update", "update_blocks"]


def begin_marker(block: str) -> str:
    """The line above a block that is called ``block``."""
    return f"<!-- {block}:begin -->"


def end_marker(block: str) -> str:
    """The line below a block that is called ``block``."""
    return f"<!-- {block}:end -->"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table of which the first column is aligned to the left, and all others to the right."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), "|---|" + "---:|" * (len(head) - 1), *map(line, body)])


def replace_between(text: str, begin: str, end: str, new: str) -> str:
    """``text`` with what stands between two markers replaced. Raises BenchmarkError unless each is there once."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise BenchmarkError(f"the file needs the line {begin} and, below it, the line {end}, once each")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{new}\n{end}{rest.split(end)[1]}"


def update(document: Path, begin: str, end: str, new: str) -> None:
    """Replace what stands between two markers of a file. Raises as ``replace_between``; OSError."""
    atomic_write(document, replace_between(document.read_text(encoding="utf-8"), begin, end, new).encode())


def update_blocks(documents: Sequence[Path], blocks: Mapping[str, str]) -> None:
    """Write every block into each document that has its markers; all documents, or none where one cannot be written.

    ``blocks``: text by the name of the block. Raises BenchmarkError where a document has the markers of no block, or
    only one marker of a pair; OSError.
    """
    written: dict[Path, str] = {}
    for document in documents:
        text = document.read_text(encoding="utf-8")
        present = [name for name in blocks if begin_marker(name) in text or end_marker(name) in text]
        if not present:
            wanted = ", ".join(begin_marker(name) for name in blocks)
            raise BenchmarkError(f"{document}: none of the lines {wanted} is there")
        for name in present:
            text = replace_between(text, begin_marker(name), end_marker(name), blocks[name])
        written[document] = text
    for document, text in written.items():
        atomic_write(document, text.encode())
