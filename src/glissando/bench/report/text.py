"""Words and numbers for the page. Whatever comes from outside passes through ``safe``."""

from __future__ import annotations

import html
import os
from urllib.parse import quote

from ..results import BDRow, Metric

__all__ = [
    "count",
    "decimal",
    "link_to_file",
    "overlap",
    "percent",
    "plural",
    "safe",
    "score",
    "table",
]

DASH = "—"


def safe(text: object) -> str:
    return html.escape(str(text), quote=True)


def decimal(value: float, digits: int = 3) -> str:
    """So many significant digits, never with an exponent for what turns up here."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return count(round(value))
    return f"{value:#.{digits}g}".replace("-", "−") if abs(value) >= 1e-4 else f"{value:.1e}"


def count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f").replace("-", "−")  # narrow spaces that do not break


def plural(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def percent(value: float) -> str:
    rounded = f"{value:+.1f}".replace("-", "−")
    return f"{rounded.lstrip('+−') if float(f'{value:.1f}') == 0 else rounded} %"


def score(value: float, metric: Metric | None, *, sign: bool = False) -> str:
    """A score with its unit."""
    plus = "+" if sign and value > 0 else ""
    if metric is not None and metric.unit:
        return f"{plus}{value:.2f} {metric.unit}".replace("-", "−")
    return plus + f"{value:#.4g}".replace("-", "−")


def overlap(row: BDRow, metric: Metric) -> str:
    """The range of scores that a BD-rate is taken over."""
    if row.low is None or row.high is None:
        return ""
    return f"{score(row.low, None)}–{score(row.high, metric)}"


def link_to_file(name: str) -> str:
    """A link to a file that lies beside the page."""
    return f'<a href="./{safe(quote(os.fsencode(name)))}">{safe(name)}</a>'


def table(head: list[str], rows: list[list[str]], *, caption: str = "", classes: list[str] | None = None) -> str:
    """A table that scrolls inside its own box; the first cell of a row is its header. All cells are HTML already."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for row, css_class in zip(rows, classes or [""] * len(rows), strict=True):
        cells = f'<th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:])
        lines.append(f'<tr class="{css_class}">{cells}</tr>' if css_class else f"<tr>{cells}</tr>")
    title = f"<caption>{caption}</caption>" if caption else ""
    body = "\n".join(lines)
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="table">'
        f"<table>{title}<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
