"""Putting a report into a folder."""

from __future__ import annotations

import re
from pathlib import Path

from glissando.files import atomic_write

from ..results import Results
from . import charts
from .page import render_page

__all__ = ["write_report"]


def write_report(results: Results, folder: Path) -> Path:
    """Write ``index.html``, the charts as PNG and ``results.json`` into ``folder``; the path of the page.

    The pictures of ``results.comparisons`` are looked for in ``folder``; the page embeds them.

    Raises:
        OSError: ``folder`` does not exist or cannot be written.
        ValueError: the results hold a number that JSON cannot say (infinite, or none).
    """
    text = results.to_json()
    curves = {metric.name: charts.rate_distortion(results, metric) for metric in results.metrics}
    speed = charts.speed(results, results.metrics[0]) if results.metrics else None
    cost = charts.cost(results)
    page = render_page(results, folder, curves, speed, cost)
    named = {f"rate-distortion-{_file_part(name)}.png": chart for name, chart in curves.items()}
    for name, chart in {**named, "speed.png": speed, "cost.png": cost}.items():
        if chart is not None:
            atomic_write(folder / name, chart.png)
    atomic_write(folder / "results.json", text.encode("utf-8"))
    index = folder / "index.html"
    # A file name that is not UTF-8 holds characters that no page can: they become question marks.
    atomic_write(index, page.encode("utf-8", "replace"))
    return index


def _file_part(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
