"""The log of a training: lines in the terminal for people, ``log.jsonl`` for programs, and TensorBoard."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Log", "Logging", "clock", "no_log"]

Logging = Callable[[int, dict[str, float], str], None]
"""Logs a step: its number, named figures, and a line for people."""


class Log:
    """One line in the terminal, one record in ``log.jsonl``, and TensorBoard where it is installed."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file = (out / "log.jsonl").open("a", encoding="utf-8")
        self.board: Any = None
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out))

    def __call__(self, step: int, record: dict[str, float], text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        self.file.write(json.dumps({"step": step, **record}) + "\n")
        self.file.flush()
        if self.board is not None:
            for key, value in record.items():
                self.board.add_scalar(key, value, step)


def no_log(step: int, record: dict[str, float], text: str) -> None:
    """A log that writes nothing, for all processes but the first, which logs for all of them."""


def clock(seconds: float) -> str:
    """Seconds for people: 3m07, 1h02."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}" if minutes >= 60 else f"{minutes}m{rest:02d}"
