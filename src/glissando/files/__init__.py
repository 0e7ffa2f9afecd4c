"""Files and folders that are written whole or not at all, and what killed processes left of them."""

from __future__ import annotations

from .folders import atomic_folder, replace_folder
from .partial import clear_litter
from .whole import atomic_file, atomic_write, write_all

__all__ = ["atomic_file", "atomic_folder", "atomic_write", "clear_litter", "replace_folder", "write_all"]
