"""The page: its sections in order, with style, script and pictures inside."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from string import Template

from ..curves import valued
from ..results import Metric, Results
from ..summary import summarise
from . import compare, tables
from .charts import Chart
from .digest import curve
from .embed import data_uri
from .style import published_styles, styles, swatch
from .text import plural, safe

__all__ = ["render_page"]


def render_page(
    results: Results, folder: Path, curves: dict[str, Chart | None], speed: Chart | None, cost: Chart | None
) -> str:
    """HTML that refers to nothing outside itself but, by relative links, to the pictures beside it."""
    compared, pictures = compare.comparisons(results, folder)
    sections = [
        tables.header(results),
        tables.summary(results),
        tables.codecs(results),
        tables.absent(results),
        tables.failures(results),
        _rate_distortion(results, curves),
        _speed(results, speed),
        _cost(results, cost),
        compared,
        tables.per_picture(results),
        tables.method(results),
    ]
    return Template(_resource("page.html")).substitute(
        title=safe(f"Image codecs compared, {results.date}"),
        css=_resource("page.css"),
        js=_resource("page.js"),
        pictures=pictures,
        body="\n".join(section for section in sections if section),
    )


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _rate_distortion(results: Results, curves: dict[str, Chart | None]) -> str:
    parts = ["<h2 id=curves>Quality against file size</h2>"]
    if any(curves.values()):
        parts.append(
            "<p>Further up and further left is better. File size is on a logarithmic scale, so that the distance "
            "between two curves, from left to right, is the same everywhere for the same saving.</p>"
        )
    for metric in results.metrics:
        parts.append(f"<h3>{safe(metric.label)}</h3>")
        chart = curves.get(metric.name)
        if chart is None:
            parts.append(f'<p class="note">No picture was scored by {safe(metric.label)}.</p>')
            continue
        shown = [codec for codec in results.codecs if curve(results, codec.name, metric.name)]
        left_out = [codec.label for codec in results.codecs if codec not in shown]
        caption = f"Means over {plural(len(valued(results.points, metric.name)), 'picture')}."
        if left_out:
            caption += f" Not drawn, without a setting that finished all of them: {safe(', '.join(left_out))}."
        description = f"{metric.label} against bits per pixel of {', '.join(codec.label for codec in shown)}"
        parts.append(_figure(chart, description, caption))
        parts.append(_legend(results, [codec.name for codec in shown], metric))
    if not results.metrics:
        parts.append('<p class="note">No metric was measured.</p>')
    return "\n".join(parts)


def _speed(results: Results, chart: Chart | None) -> str:
    if chart is None:
        return ""
    metric = results.metrics[0].name
    shown = [
        row.codec.name
        for row in summarise(results)
        if row.encode_mpx_s
        and (row.codec.name == results.anchor or (metric in row.bd and row.bd[metric].percent is not None))
    ]
    left_out = [codec.label for codec in results.codecs if codec.name not in shown]
    note = f"Not drawn, without a speed or a BD-rate: {', '.join(left_out)}." if left_out else ""
    return (
        "<h2 id=speed>Speed against file size</h2><p>Further down is smaller files, further left is faster; "
        f"the line at 0 % is the anchor.</p>{_figure(chart, 'BD-rate against seconds per megapixel', safe(note))}"
        f"{_legend(results, shown)}"
    )


def _cost(results: Results, chart: Chart | None) -> str:
    if chart is None:
        return ""
    timed = {timing.codec for timing in results.timings}
    shown = [codec.name for codec in results.codecs if codec.name in timed]
    return (
        "<h2 id=cost>Cost as pictures grow</h2><p>Seconds per picture, the median over the settings.</p>"
        f"{_figure(chart, 'Seconds against megapixels', '')}{_legend(results, shown)}"
    )


def _figure(chart: Chart, description: str, caption: str) -> str:
    """The browser takes the drawing that suits its window; what the caption says is HTML already."""
    wide, narrow = (data_uri("image/svg+xml", svg) for svg in (chart.wide_svg, chart.narrow_svg))
    below = f'<figcaption class="note">{caption}</figcaption>' if caption else ""
    return (
        f'<figure class="chart"><picture><source media="(max-width: 640px)" srcset="{narrow}">'
        f'<img src="{wide}" alt="{safe(description)}"></picture>{below}</figure>'
    )


def _legend(results: Results, names: list[str], metric: Metric | None = None) -> str:
    """The codecs of a chart, ours in bold, and the published curves of its metric."""
    look_of, published = styles(results), published_styles(results)
    items = [
        f"<li{' class=ours' if codec.ours else ''}>{swatch(look_of[codec.name])}<span>{safe(codec.label)}</span></li>"
        for codec in results.codecs
        if codec.name in names
    ]
    if metric is not None:
        items += [
            f"<li>{swatch(published[curve.name])}<span>{safe(curve.name)} (published)</span></li>"
            for curve in results.published
            if curve.points.get(metric.name)
        ]
    return f'<ul class="legend">{"".join(items)}</ul>'
