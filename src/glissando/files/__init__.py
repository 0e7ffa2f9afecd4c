"""Files and folders that are written whole or not at all, what killed processes left of them, and pipes."""

from __future__ import annotations

from .folders import atomic_folder, replace_folder
from .partial import clear_litter
from .pipes import read_pipe
from .whole import atomic_file, atomic_write, write_all

__all__ = ["atomic_file", "atomic_folder", "atomic_write", "clear_litter", "read_pipe", "replace_folder", "write_all"]
