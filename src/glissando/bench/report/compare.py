"""Pictures side by side at the same file size: a divide to drag, and enlarged details."""

from __future__ import annotations

from pathlib import Path

from ..results import Comparison, Crop, Results
from . import text
from .embed import ROLES, Gallery, Layer, Shown, Tile
from .text import safe

__all__ = ["comparisons"]

ZOOMED_THRICE = 144
"""Crops up to this width are shown three times as large, wider ones twice."""


def comparisons(results: Results, folder: Path) -> tuple[str, str]:
    """The section, and the style sheet that holds its pictures."""
    if not results.comparisons:
        return "", ""
    gallery = Gallery(folder, len(results.comparisons))
    parts = [
        "<h2 id=comparisons>Look for yourself</h2>",
        "<p>Each pair has the same file size, as nearly as the settings allow. Drag the divide, or move it with the "
        "arrow keys. The pictures are embedded without loss: these are the decoded pixels. A window narrower than "
        "the picture shrinks it; the details below it are enlarged pixel by pixel.</p>",
    ]
    parts += [_comparison(results, comparison, gallery.add(comparison)) for comparison in results.comparisons]
    return "\n".join(parts), gallery.css()


def _comparison(results: Results, comparison: Comparison, shown: Shown | str) -> str:
    labels = {codec.name: codec.label for codec in results.codecs}
    names = {
        "original": "Original",
        "ours": labels.get(comparison.ours, comparison.ours),
        "peer": labels.get(comparison.peer, comparison.peer),
    }
    title = f"{safe(comparison.picture)}: {safe(names['ours'])} and {safe(names['peer'])}"
    files = ", ".join(text.link_to_file(getattr(comparison, f"{role}_png")) for role in ROLES)
    if isinstance(shown, str):
        inside = f'<p class="note">Not shown here: {safe(shown)}.</p>'
    else:
        inside = _stage(comparison, names, shown) + _crops(comparison, names, shown)
    return (
        f'<section class="comparison"><h3>{title}</h3>\n{_figures(results, comparison, names)}\n{inside}'
        f'<p class="note">Files beside this page: {files}</p></section>'
    )


def _figures(results: Results, comparison: Comparison, names: dict[str, str]) -> str:
    """Bytes and scores of both, and how they differ."""
    ours, peer = comparison.ours_bytes, comparison.peer_bytes
    difference = text.percent(100.0 * (ours / peer - 1.0)) if peer else ""
    head = ["", safe(names["ours"]), safe(names["peer"]), "Ours less theirs"]
    rows = [["File, bytes", text.count(ours), text.count(peer), difference]]
    rows.append(["Setting", f"{comparison.ours_setting:g}", f"{comparison.peer_setting:g}", ""])
    for metric in results.metrics:
        a, b = comparison.ours_scores.get(metric.name), comparison.peer_scores.get(metric.name)
        row = [safe(metric.label)]
        row += [text.DASH if value is None else safe(text.score(value, metric)) for value in (a, b)]
        row.append("" if a is None or b is None else safe(text.score(a - b, metric, sign=True)))
        rows.append(row)
    return text.table(head, rows)


def _stage(comparison: Comparison, names: dict[str, str], shown: Shown) -> str:
    width, height = shown.width, shown.height
    layer = {role: _layer(role, shown.layers[role]) for role in ROLES}
    ours, peer = safe(names["ours"]), safe(names["peer"])
    note = ""
    if shown.scaled:
        small = shown.layers["original"]
        note = (
            f'<p class="note">Scaled down from {width} × {height} to {small.width} × {small.height} pixels to '
            "keep this page small; the details below are not scaled.</p>"
        )
    label = f"Divide between {ours}, to the left, and {peer}, to the right, on {safe(comparison.picture)}"
    # As wide as its pixels at most; never higher than is seen at once.
    wide = shown.layers["original"].width
    return (
        f'<div><div class="stage" data-ours="{ours}" style="max-width:{wide}px;aspect-ratio:{width}/{height}">'
        f"{layer['peer']}{layer['ours']}{layer['original']}"
        f'<input type="range" min="0" max="100" step="0.5" value="50" aria-label="{label}">'
        '<div class="handle"></div>'
        f'<span class="tag ours">{ours}</span><span class="tag peer">{peer}</span>'
        '<span class="tag original">Original</span></div>\n'
        f'<button type="button" class="original" aria-pressed="false" hidden>Show the original</button>{note}</div>'
    )


def _layer(role: str, layer: Layer) -> str:
    return f'<div class="layer {role} {layer.css_class}"></div>'


def _crops(comparison: Comparison, names: dict[str, str], shown: Shown) -> str:
    if not shown.crops:
        return ""
    rows = []
    for crop, tiles in shown.crops:
        zoom = 3 if crop.width <= ZOOMED_THRICE else 2
        row = "".join(
            f'<div class="zoom-{zoom}"><div class="name">{safe(names[role])}</div>'
            f"{_tile(crop, tiles[role], f'{names[role]}, detail of {comparison.picture}')}</div>"
            for role in ROLES
        )
        where = f"{crop.width} × {crop.height} pixels at ({crop.left}, {crop.top}), enlarged"
        rows.append(
            f'<div class="scroll" tabindex="0" role="group" aria-label="{where}"><div class="crops">{row}</div></div>'
            f'<p class="note">{where}.</p>'
        )
    dropped = len(comparison.crops) - len(shown.crops)
    note = f'<p class="note">{text.plural(dropped, "detail")} left out to keep this page small.</p>' if dropped else ""
    return "\n".join(rows) + note


def _tile(crop: Crop, tile: Tile, label: str) -> str:
    sizes = {
        "w": crop.width,
        "h": crop.height,
        "l": tile.left,
        "t": tile.top,
        "full-w": tile.layer.width,
        "full-h": tile.layer.height,
    }
    style = ";".join(f"--{name}:{value}" for name, value in sizes.items())
    return f'<div class="tile {tile.layer.css_class}" role="img" aria-label="{safe(label)}" style="{style}"></div>'
