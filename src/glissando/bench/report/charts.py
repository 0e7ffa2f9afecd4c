"""The charts, drawn with matplotlib: for wide and narrow windows as SVG, and as PNG for use elsewhere."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from ..results import Metric, Results
from ..summary import summarise
from .digest import cost_curves, curve
from .style import Style, published_styles, styles

__all__ = ["Chart", "cost", "rate_distortion", "speed"]


@dataclass(frozen=True)
class Look:
    """Where a chart will stand: size in inches, type in points, and whether it carries its own legend."""

    width: float
    height: float
    font: float
    line: float = 1.0
    narrow: bool = False
    legend: bool = False


WIDE = Look(10.6, 5.3, 11.5)
NARROW = Look(4.2, 3.9, 10.0, line=0.75, narrow=True)
PRINT = Look(10.6, 6.4, 11.5, legend=True)


@dataclass(frozen=True)
class Chart:
    """One chart, drawn three times."""

    wide_svg: bytes
    narrow_svg: bytes
    png: bytes


def rate_distortion(results: Results, metric: Metric) -> Chart | None:
    """Score against bits per pixel, means over pictures, published curves thin; None where there is no point."""
    look_of, published = styles(results), published_styles(results)
    curves = {codec.name: curve(results, codec.name, metric.name) for codec in results.codecs}
    curves = {name: points for name, points in curves.items() if points}
    theirs = {
        other.name: [(bpp, score) for bpp, score in other.points.get(metric.name, [])] for other in results.published
    }
    if not curves:
        return None

    def draw(look: Look) -> Figure:
        figure, (axes,) = _figure(look, 1)
        labels = {codec.name: codec.label for codec in results.codecs}
        for name, points in curves.items():
            _line(axes, points, look_of[name], labels[name], look)
        measured = axes.dataLim.frozen()
        for name, points in theirs.items():
            if points:
                _line(axes, points, published[name], f"{name} (published)", look)
        # Someone else's curve may go on far beyond ours, and would press them into a corner.
        axes.set_xscale("log")
        axes.set_xlim(measured.x0 / 1.12, measured.x1 * 1.12)
        margin = 0.05 * (measured.height or abs(measured.y0) or 1.0)
        axes.set_ylim(measured.y0 - margin, measured.y1 + margin)
        _plain_log(axes.xaxis, measured.x0 / 1.12, measured.x1 * 1.12)
        axes.set_xlabel("file size, bits per pixel (log)")
        axes.set_ylabel(f"{metric.label}, {metric.unit}" if metric.unit else metric.label)
        _finish(figure, [axes], look)
        return figure

    return _render(draw)


def speed(results: Results, metric: Metric) -> Chart | None:
    """BD-rate against seconds per megapixel, to encode and to decode; None where nobody has both."""
    look_of = styles(results)
    rates = {row.codec.name: row.bd[metric.name].percent for row in summarise(results) if metric.name in row.bd}
    percents = {name: percent for name, percent in rates.items() if percent is not None}
    percents.setdefault(results.anchor, 0.0)
    shown = [row for row in summarise(results) if row.codec.name in percents and row.encode_mpx_s and row.decode_mpx_s]
    if not shown:
        return None

    def draw(look: Look) -> Figure:
        figure, panels = _figure(look, 2)
        for axes, what in zip(panels, ("encode", "decode"), strict=True):
            seconds = [1.0 / getattr(row, f"{what}_mpx_s") for row in shown]
            for row, taken in zip(shown, seconds, strict=True):
                name = row.codec.name
                _line(axes, [(taken, percents[name])], look_of[name], row.codec.label, look, size=1.5)
            axes.axhline(0.0, color="#777777", linewidth=0.8, zorder=1)
            _log_axis(axes.xaxis, seconds)
            axes.margins(y=0.12)
            axes.set_xlabel(f"{what}, seconds per megapixel (log)")
            axes.set_ylabel(_rate_label(metric, look))
        _finish(figure, panels, look)
        return figure

    return _render(draw)


def cost(results: Results) -> Chart | None:
    """Seconds against megapixels; None unless a codec was timed on several sizes."""
    look_of = styles(results)
    curves = {what: cost_curves(results, what) for what in ("encode", "decode")}
    if not any(len(points) > 1 for by_codec in curves.values() for points in by_codec.values()):
        return None

    def draw(look: Look) -> Figure:
        figure, panels = _figure(look, 2)
        for axes, (what, by_codec) in zip(panels, curves.items(), strict=True):
            for codec in results.codecs:
                if codec.name in by_codec:
                    _line(axes, by_codec[codec.name], look_of[codec.name], codec.label, look)
            _log_axis(axes.xaxis, [size for points in by_codec.values() for size, _ in points], room=1.3)
            _log_axis(axes.yaxis, [taken for points in by_codec.values() for _, taken in points])
            axes.set_xlabel("picture, megapixels (log)")
            axes.set_ylabel(f"{what}, seconds (log)")
        _finish(figure, panels, look)
        return figure

    return _render(draw)


def _rate_label(metric: Metric, look: Look) -> str:
    gap = "\n" if look.narrow or len(metric.label) > 14 else " "
    return f"BD-rate, %, by{gap}{metric.label}"


def _figure(look: Look, panels: int) -> tuple[Figure, list[Axes]]:
    rows = panels if look.narrow else 1
    height = look.height * (0.8 * rows if rows > 1 else 1.0)
    figure = Figure(figsize=(look.width, height), layout="constrained")
    grid = figure.subplots(rows, panels if not look.narrow else 1, squeeze=False)
    return figure, list(grid.flat)


def _line(
    axes: Axes, points: Iterable[tuple[float, float]], style: Style, label: str, look: Look, size: float = 1.0
) -> None:
    ordered = list(points)
    axes.plot(
        [x for x, _ in ordered],
        [y for _, y in ordered],
        label=label,
        color=style.colour,
        linewidth=style.width * look.line,
        linestyle=(0, style.dashes) if style.dashes else "-",
        marker=None if style.marker is None else list(style.marker),
        markersize=size * look.line * (8.0 if style.width > 2.0 else 6.5),
        markeredgewidth=0.0,
        zorder=3 if style.width > 2.0 else 2,
    )


def _finish(figure: Figure, panels: list[Axes], look: Look) -> None:
    for axes in panels:
        axes.grid(True, color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    if look.legend and handles:
        columns = min(len(handles), 3 if max(map(len, labels)) < 40 else 1)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=3.5)


def _log_axis(axis: Axis, values: list[float], room: float = 1.4) -> None:
    """A logarithmic axis about ``values``, with plain numbers on it."""
    axes = axis.axes
    if axes is None or not values:
        return
    low, high = min(values) / room, max(values) * room
    if axis is axes.xaxis:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    _plain_log(axis, low, high)


def _plain_log(axis: Axis, low: float, high: float) -> None:
    """Ticks at 1, 2, 5 of each decade, or fewer, or more, so that there are some six, as plain numbers."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    choices: list[list[float]] = []
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)):
        choices.append([s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high])
    ticks = next((choice for choice in reversed(choices) if len(choice) <= 8), choices[0])
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _render(draw: Callable[[Look], Figure]) -> Chart:
    return Chart(_svg(draw, WIDE), _svg(draw, NARROW), _png(draw, PRINT))


def _settings(look: Look) -> dict[Any, Any]:
    return {
        "font.family": ["DejaVu Sans"],  # comes with matplotlib, so every machine draws the same
        "font.size": look.font,
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "svg.fonttype": "path",
        "svg.hashsalt": "glissando",
        "axes.unicode_minus": True,
    }


def _svg(draw: Callable[[Look], Figure], look: Look) -> bytes:
    text = _saved(draw, look, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return text[text.index(b"<svg") :]  # without the doctype, which names an address


def _png(draw: Callable[[Look], Figure], look: Look) -> bytes:
    return _saved(draw, look, format="png", dpi=150, metadata={"Software": None})


def _saved(draw: Callable[[Look], Figure], look: Look, **options: Any) -> bytes:
    with rc_context(_settings(look)), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes here; the page's own legend has it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        stream = io.BytesIO()
        draw(look).savefig(stream, **options)
        return stream.getvalue()
