"""Sections of the page that are words and tables."""

from __future__ import annotations

from collections import defaultdict

from ..results import BDRow, CodecInfo, Memory, Metric, Point, Results
from ..summary import SummaryRow, against, summarise
from . import text
from .digest import headline_memory, headline_sizes
from .style import styles, swatch
from .text import DASH, safe

__all__ = ["absent", "codecs", "failures", "header", "method", "per_picture", "summary"]

MAX_POINT_ROWS = 5000
"""Points that are listed in the page; all of them are in the JSON."""


def header(results: Results) -> str:
    machine = results.machine
    pictures = text.plural(len(results.pictures), "picture")
    measured = f"{pictures}, {text.plural(len(results.points), 'measured file')}"
    facts = {
        "Date": safe(results.date.replace("T", " ").replace("+00:00", " UTC")),
        "Glissando": safe(results.version),
        "Processor": f"{safe(machine.processor)}; {text.plural(machine.cores, 'core')}",
        "Vector extensions": safe(", ".join(machine.extensions) or "none that we know of"),
        "System": f"{safe(machine.system)}, Python {safe(machine.python)}",
        "Threads": safe(results.threads),
        "Anchor": safe(_label(results, results.anchor)),
        "Measured": measured + (f", in {_duration(results.seconds)}" if results.seconds > 0 else ""),
        "Command": f"<code>{safe(results.command)}</code>",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    return f'<h1>Image codecs compared</h1>\n<dl class="facts">{listed}</dl>'


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _label(results: Results, name: str) -> str:
    return next((codec.label for codec in results.codecs if codec.name == name), name)


def summary(results: Results) -> str:
    """For each of our models, what it needs against each of the others, in words and as a table."""
    ours = [codec for codec in results.codecs if codec.ours]
    first = results.metrics[0] if results.metrics else None
    ranked = [row.codec for row in summarise(results)]
    lines, tables = [], []
    if not results.points:
        lines.append("<p>Nothing was measured; see what went wrong below.</p>")
    elif not ours:
        lines.append("<p>None of our own models took part.</p>")
    for codec in ours:
        if not results.points or first is None:
            break
        peers = [peer for peer in ranked if peer.name != codec.name]
        if not peers:
            lines.append(f"<p><b>{safe(codec.label)}</b> was the only codec: there is nothing to compare it with.</p>")
            continue
        rows = {peer.name: {m.name: against(results, codec.name, peer.name, m.name) for m in results.metrics}
                for peer in peers}  # fmt: skip
        said = [_said(peer, rows[peer.name][first.name]) for peer in peers if not peer.ours]
        if said:
            items = "".join(f"<li>{item}</li>" for item in said)
            lines.append(f"<p>At equal {safe(first.label)}, <b>{safe(codec.label)}</b> needs</p><ul>{items}</ul>")
        head = [f"{safe(codec.label)} against", *(safe(metric.label) for metric in results.metrics)]
        body = [
            [safe(peer.label), *(_rate(rows[peer.name][metric.name]) for metric in results.metrics)] for peer in peers
        ]
        tables.append(text.table(head, body, caption="BD-rate; negative means fewer bits."))
    said_all = f'<section class="summary"><h2>In short</h2>{"".join(lines)}</section>'
    return f'{said_all}\n<div class="beside">{"".join(tables)}</div>' if tables else said_all


def _said(peer: CodecInfo, row: BDRow) -> str:
    name = safe(peer.label)
    if row.percent is None:
        return f"no saying how many bits against {name}: {safe(row.reason)}"
    if abs(row.percent) < 0.5:
        return f"as many bits as {name}"
    return f"<b>{abs(row.percent):.1f} % {'fewer' if row.percent < 0 else 'more'}</b> bits than {name}"


def _rate(row: BDRow | None, metric: Metric | None = None, note: str = "") -> str:
    """A cell: the BD-rate, with a metric also its range of scores, or a dash that tells why there is none."""
    if row is None:
        return f'<abbr title="not calculated">{DASH}</abbr>'
    if row.percent is None:
        return f'<abbr title="{safe(row.reason)}">{DASH}</abbr>{note}'
    between = "" if metric is None else text.overlap(row, metric)
    return text.percent(row.percent) + (f"<small>{safe(between)}</small>" if between else "")


def codecs(results: Results) -> str:
    """The table of codecs, by BD-rate of the first metric, and the notes to it."""
    ranked, sizes, memory = summarise(results), headline_sizes(results), headline_memory(results)
    if not ranked:
        return "<h2 id=codecs>Codecs</h2><p>No codec took part.</p>"
    look_of = styles(results)
    reasons: list[str] = []
    head = ["Codec", *(f"BD-rate<small>{safe(metric.label)}</small>" for metric in results.metrics)]
    if sizes:
        at = _at(set(sizes.values())) + "<small>× anchor</small>"
        head += [f"Encode, Mpixel/s{at}", f"Decode, Mpixel/s{at}"]
    if memory:
        at = _at({item.megapixels for item in memory.values()})
        head.append(f"Memory, MB<small>to encode</small><small>to decode</small>{at}")
    head.append("Threads")
    body = []
    for row in ranked:
        name = row.codec.name
        about = safe(name) + (" (anchor)" if name == results.anchor else "")
        cells = [f"{swatch(look_of[name])} {safe(row.codec.label)}<small>{about}</small>"]
        cells += [_noted_rate(row, metric, results.anchor, reasons) for metric in results.metrics]
        if sizes:
            at = _at({sizes[name]}) if name in sizes and len(set(sizes.values())) > 1 else ""
            cells += [_speed(row.encode_mpx_s, row.encode_ratio, at), _speed(row.decode_mpx_s, row.decode_ratio, at)]
        if memory:
            cells.append(_memory(memory.get(name), {item.megapixels for item in memory.values()}))
        body.append([*cells, safe(row.codec.threads)])
    by = f" of {safe(results.metrics[0].label)}" if results.metrics else ""
    told = f"Best first: by BD-rate{by} against {safe(_label(results, results.anchor))}; negative means fewer bits. "
    told += "Below each, the range of scores that it is taken over."
    if sizes:
        told += " More Mpixel/s, and more × anchor, is faster."
    table = text.table(head, body, classes=["ours" if row.codec.ours else "" for row in ranked])
    parts = [f"<h2 id=codecs>Codecs</h2><p>{told}</p>", table]
    if reasons:
        items = "".join(f'<li id="why-{k}">{safe(reason)}</li>' for k, reason in enumerate(reasons, 1))
        parts.append(f'<p class="note">Where there is a dash, there is no BD-rate:</p><ol class="note">{items}</ol>')
    for what, measured in (("Speed", sizes), ("Memory", memory)):
        if not measured:
            parts.append(f'<p class="note">{what} was not measured.</p>')
    return "\n".join(parts)


def _at(sizes: set[float]) -> str:
    """The size of picture that a figure holds for, where there is but one."""
    return f"<small>at {text.decimal(next(iter(sizes)))} Mpixel</small>" if len(sizes) == 1 else ""


def _noted_rate(row: SummaryRow, metric: Metric, anchor: str, reasons: list[str]) -> str:
    """The cell of a BD-rate; a reason that was not told yet is added to the notes."""
    if row.codec.name == anchor:
        return "0 %"
    rate = row.bd.get(metric.name)
    if rate is None or rate.percent is not None:
        return _rate(rate, metric)
    if rate.reason not in reasons:
        reasons.append(rate.reason)
    number = reasons.index(rate.reason) + 1
    return _rate(rate, metric, f'<sup><a href="#why-{number}">{number}</a></sup>')


def _speed(mpx_s: float | None, ratio: float | None, at: str) -> str:
    if mpx_s is None:
        return f'<abbr title="not timed">{DASH}</abbr>'
    return text.decimal(mpx_s) + (f"<small>{text.decimal(ratio, 2)} ×</small>" if ratio is not None else "") + at


def _memory(used: Memory | None, sizes: set[float]) -> str:
    if used is None:
        return f'<abbr title="not measured">{DASH}</abbr>'
    at = _at({used.megapixels}) if len(sizes) > 1 else ""
    return f"{text.decimal(used.encode_mb)}<small>{text.decimal(used.decode_mb)}</small>{at}"


def absent(results: Results) -> str:
    if not results.missing:
        return ""
    items = "".join(f"<li><b>{safe(item.name)}</b>: {safe(item.reason)}</li>" for item in results.missing)
    return f"<h2 id=missing>Not here</h2><p>These codecs and metrics could not take part:</p><ul>{items}</ul>"


def failures(results: Results) -> str:
    if not results.failures:
        return ""
    items = []
    for failure in results.failures:
        codec = f" by {safe(_label(results, failure.codec))}" if failure.codec else ""
        setting = f" at {failure.setting:g}" if failure.setting is not None else ""
        items.append(f"<li><b>{safe(failure.picture)}</b>{codec}{setting}: {safe(failure.message)}</li>")
    return (
        "<h2 id=failures>What failed</h2><p>The rest went on without these; "
        f"a setting that did not finish every picture is in no curve.</p><ul>{''.join(items)}</ul>"
    )


def per_picture(results: Results) -> str:
    """BD-rates of each picture, one metric at a time, and all measured points."""
    if not results.pictures:
        return ""
    parts = ["<h2 id=pictures>Each picture</h2>", _rates_per_picture(results)]
    if len(results.points) > MAX_POINT_ROWS:
        number = text.count(len(results.points))
        parts.append(f'<p class="note">All {number} measured files are too many for a page; results.json has them.</p>')
        return "\n".join(parts)
    points: dict[str, list[Point]] = defaultdict(list)
    for point in results.points:
        points[point.picture].append(point)
    lists = [_points(results, picture.name, points[picture.name]) for picture in results.pictures]
    sizes = [f"{picture.width} × {picture.height}" for picture in results.pictures]
    for picture, size, listed in zip(results.pictures, sizes, lists, strict=True):
        about = f"<p class=note>{size} pixels; SHA-256 of the pixels begins <code>{safe(picture.sha256)}</code></p>"
        parts.append(f"<details><summary>{safe(picture.name)}</summary>{about}{listed}</details>")
    return "\n".join(parts)


def _rates_per_picture(results: Results) -> str:
    others = [row.codec for row in summarise(results) if row.codec.name != results.anchor]
    rows = {(row.codec, row.metric, row.picture): row for row in results.bd if row.picture}
    if not rows or not others:
        return '<p class="note">There are no BD-rates of single pictures.</p>'
    blocks = []
    for metric in results.metrics:
        body = [
            [safe(picture.name), *(_rate(rows.get((c.name, metric.name, picture.name)), metric) for c in others)]
            for picture in results.pictures
        ]
        caption = f"BD-rate by {safe(metric.label)} against {safe(_label(results, results.anchor))}"
        listed = text.table(["Picture", *(safe(codec.label) for codec in others)], body, caption=caption)
        blocks.append(f'<div data-choice="{safe(metric.label)}">{listed}</div>')
    return (
        "<details><summary>BD-rate of each picture</summary>"
        f'<div class="choose" data-label="By">{"".join(blocks)}</div></details>'
    )


def _points(results: Results, picture: str, points: list[Point]) -> str:
    if not points:
        return '<p class="note">Nothing was measured of this picture.</p>'
    head = ["Codec", "Setting", "Bytes", "Bits per pixel", *(safe(metric.label) for metric in results.metrics)]
    body = []
    for point in points:
        scores = (
            text.score(point.scores[metric.name], metric) if metric.name in point.scores else DASH
            for metric in results.metrics
        )
        body.append(
            [
                safe(_label(results, point.codec)),
                f"{point.setting:g}",
                text.count(point.bytes),
                f"{point.bpp:.4f}",
                *map(safe, scores),
            ]
        )
    return text.table(head, body)


def method(results: Results) -> str:
    """How the figures came about: the BD-rate, the metrics, the versions."""
    parts = [
        "<h2 id=method>How to read this</h2>",
        "<p>The <b>BD-rate</b> (Bjøntegaard delta rate) says how many percent more bits a codec needs than the "
        f"anchor, {safe(_label(results, results.anchor))}, for the same score, on average over the scores that both "
        "reach. −20 % means files a fifth smaller at equal quality. It tells nothing of scores outside that "
        "range, and where the curves hardly share any, it is refused. It is only as good as its metric: look at the "
        "pictures as well.</p>",
        f"<p>How it is calculated here: {safe(results.bd_method)}.</p>",
        "<p>Sizes are those of whole files, headers included; scores are of the decoded 8-bit pixels. "
        "The charts show means over all pictures that a metric can be had of.</p>",
    ]
    if results.metrics:
        rows = [[safe(m.label), safe(m.name), safe(m.unit or "none"), safe(m.source)] for m in results.metrics]
        parts.append(text.table(["Metric", "Name", "Unit", "Source"], rows))
    if results.codecs:
        rows = [
            [safe(c.label), safe(c.name), safe(c.tuned_for or DASH), safe(c.version), safe(c.threads)]
            for c in results.codecs
        ]
        parts.append(text.table(["Codec", "Name", "Tuned for", "Version", "Threads"], rows))
    if results.published:
        items = "".join(f"<li><b>{safe(c.name)}</b>: {safe(c.source)}</li>" for c in results.published)
        parts.append(f"<h3>Published curves</h3><p>Measured by others, not here:</p><ul>{items}</ul>")
    return "\n".join(parts)
