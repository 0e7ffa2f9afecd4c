"""Pictures that a worker has looked at lately, so that another quality of one costs only its coding."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glissando.codec import Analysed
    from glissando.codec.scores import Ssimulacra2
    from glissando.picture import Picture, Pixels

__all__ = ["KeptPicture", "KeptPictures"]

MOST_PIXELS = 2**24
"""Pixels of the kept pictures together; with its latents, one takes seven bytes."""
MOST_PICTURES = 16
"""How many pictures are kept, however small they are, for each may bring megabytes of metadata."""
MOST_SCORED = 2**24
"""Pixels of the largest picture whose SSIMULACRA 2 is computed, which takes some hundred bytes for each."""
MOST_SCORERS = 2**21
"""Pixels of the largest picture whose half of SSIMULACRA 2 is kept, twenty bytes for each."""
MOST_ANALYSES = 2
"""How many analyses of a picture are kept, such as those of two models."""


@dataclass
class KeptPicture:
    """A picture file that was read, and what was found out about it.

    Attributes:
        picture: what is in the file.
        sizes: the bytes of its files in other formats, by a codec's name and setting.
    """

    picture: Picture
    sizes: dict[tuple[str, int], int] = field(default_factory=dict)
    _analyses: OrderedDict[object, Analysed] = field(default_factory=OrderedDict)
    _scorers: dict[int, Ssimulacra2] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.picture.width * self.picture.height

    def analysis(self, key: object) -> Analysed | None:
        """What was kept under a key: all that an analysis depends on besides the picture."""
        found = self._analyses.get(key)
        if found is not None:
            self._analyses.move_to_end(key)
        return found

    def keep_analysis(self, key: object, analysed: Analysed) -> None:
        """Keep an analysis; the one that was not used for longest makes room."""
        self._analyses[key] = analysed
        while len(self._analyses) > MOST_ANALYSES:
            self._analyses.popitem(last=False)

    def scores(self, shown: Pixels, depth: int) -> dict[str, float | None]:
        """How near colours come to the picture's, as "psnr" in dB and "ssimulacra2" in points.

        ``shown``: (height, width) or (height, width, 3), of ``depth`` bits, 8 or the picture's own. What the picture's
        opacity hides altogether does not count. None stands for no error at all, and for what is not computed of a
        picture so small or so large.
        """
        import numpy as np

        from glissando.codec.scores import SMALLEST_SIDE, Ssimulacra2, psnr
        from glissando.picture import scaled

        source, own = self.picture.colour, self.picture.format.depth
        if own != depth:
            source = scaled(source, own, depth)
        if source.ndim < shown.ndim:  # the other format has no grey
            source = np.repeat(source[:, :, None], 3, axis=2)
        hidden = None if self.picture.alpha is None else self.picture.alpha == 0
        found: dict[str, float | None] = {"psnr": None, "ssimulacra2": None}
        error = psnr(source, shown, depth, hidden)
        if np.isfinite(error):
            found["psnr"] = round(error, 3)
        if min(self.picture.width, self.picture.height) >= SMALLEST_SIDE and self.pixels <= MOST_SCORED:
            scorer = self._scorers.get(depth)
            if scorer is None:
                scorer = Ssimulacra2(source, depth, hidden)
                if self.pixels <= MOST_SCORERS:
                    self._scorers[depth] = scorer
            found["ssimulacra2"] = round(scorer(shown), 3)
        return found


class KeptPictures:
    """The pictures of one worker, by the hash of their files; those that were not used for longest make room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, KeptPicture] = OrderedDict()

    def of(self, file: bytes, *, convert: bool, max_pixels: int) -> KeptPicture:
        """The picture in a file, read unless it is kept. One that is too large is not kept.

        ``convert`` and ``max_pixels``: as for ``read_picture``. Raises PictureError.
        """
        key = hashlib.sha256(file).digest(), convert
        found = self._kept.get(key)
        if found is None:
            from glissando.picture import read_picture

            options: dict[str, Any] = {"convert": convert, "max_pixels": max_pixels}
            found = KeptPicture(read_picture(io.BytesIO(file), name="picture", **options))
            if found.pixels > MOST_PIXELS:
                return found
            self._kept[key] = found
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_PICTURES or sum(kept.pixels for kept in self._kept.values()) > MOST_PIXELS:
            self._kept.popitem(last=False)
        return found
