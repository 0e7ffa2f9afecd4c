"""Pictures per second: settings of the same size, speeds alone and together, and the table."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from benchmarks.real_time import at_once, markdown, measured, nearest_setting


class Fake:
    """A file of ``setting`` times ten bytes; a clock that tells how long coding took is not needed here."""

    version = "fake 1"

    def encode(self, pixels: Any, setting: float) -> bytes:
        return bytes(round(setting) * 10)

    def decode(self, data: bytes) -> Any:
        return np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(("size", "expected"), [(0, 1), (304, 30), (306, 31), (5000, 100)])
def test_the_setting_of_a_size(size: int, expected: int) -> None:
    assert nearest_setting(Fake(), np.zeros((4, 4, 3), np.uint8), size) == expected  # type: ignore[arg-type]


def test_each_codec_codes_each_picture() -> None:
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 3
    rows = measured({"a": Fake(), "b": Fake()}, {"a": 7, "b": 9}, pictures, 2)  # type: ignore[dict-item]
    assert (rows["a"]["bytes"], rows["b"]["bytes"]) == (70, 90)
    assert all(row[key] > 0 for row in rows.values() for key in ("encode", "decode"))


def test_what_waits_is_faster_together() -> None:
    """Waiting takes no processor: four waits at once take as long as one."""
    threads = set()

    def wait(item: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.02)

    assert at_once(wait, range(4), 2) > 2
    assert len(threads) >= 4


def test_the_table_has_ratios_to_avif() -> None:
    rows = {
        "ours": {"encode": 0.05, "decode": 0.04, "bytes": 20_000.0},
        "avif": {"encode": 0.1, "decode": 0.01, "bytes": 21_000.0},
    }
    results = {
        "sizes": {"768×512": rows},
        "at once": {"encode": 1.5, "decode": 1.25},
        "versions": {"ours": "1", "avif": "2"},
        "machine": "some processor",
        "threads": 2,
        "rounds": 3,
        "pictures": 8,
        "quality": 45.0,
        "date": "2026-01-02",
    }
    lines = markdown(results).splitlines()
    assert lines[2] == "| 768×512, ours | 20.0 | 2.00 | 25.0 | 0.25 | 20.0 |"
    assert "encoded 1.50 times as fast, decoded 1.25 times" in lines[5]
    assert "some processor" in lines[-1]
