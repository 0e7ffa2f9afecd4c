"""Curves that others have published, to lay over ours where the pictures are the same: Kodak's."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from glissando.errors import BenchmarkError

from .results import PictureInfo, PublishedCurve

__all__ = ["is_kodak", "load_published"]

_KODAK_COUNT = 24
_KODAK_SIZE = (512, 768)


def load_published(path: Path | None = None) -> list[PublishedCurve]:
    """The curves of ``path``, or those that come with the package.

    The form: ``{"source": "…", "curves": [{"name": "…", "note": "…", "points": {"psnr": [[bpp, dB], …], …}}, …]}``
    with scores by our metrics' names. Raises BenchmarkError where it is something else, OSError where it cannot
    be read.
    """
    if path is None:
        text = resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    else:
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
        source = str(content["source"])
        return [_curve(values, source) for values in content["curves"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        name = path.name if path is not None else "published.json"
        raise BenchmarkError(f"{name}: not a file of published curves ({type(error).__name__}: {error})") from error


def is_kodak(pictures: Sequence[PictureInfo]) -> bool:
    """Whether these look like Kodak's 24 pictures: their number, and the size of each."""
    sizes = {tuple(sorted((picture.width, picture.height))) for picture in pictures}
    return len(pictures) == _KODAK_COUNT and sizes == {_KODAK_SIZE}


def _curve(values: dict[str, object], source: str) -> PublishedCurve:
    raw = values["points"]
    if not isinstance(raw, dict):
        raise TypeError("points are by metric")
    points = {}
    for metric, pairs in raw.items():
        points[str(metric)] = [[float(bpp), float(score)] for bpp, score in pairs]
        if not all(math.isfinite(number) for pair in points[metric] for number in pair):
            raise ValueError("a number that is not finite")
    note = str(values.get("note", ""))
    return PublishedCurve(str(values["name"]), points, f"{source}: {note}" if note else source)
