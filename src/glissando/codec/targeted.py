"""A file for what a caller wants of it: the order of the steps from an analysed picture to a size or a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from glissando.errors import InputError, TargetError
from glissando.picture import Picture, Pixels

from . import typical
from .analysed import Analysed
from .effort import schedule_of
from .encoder import Decisions, Encoder
from .quality import LocalQuality, Quality, QualityField
from .refinement import Progress
from .scores import SMALLEST_SIDE, Ssimulacra2, psnr, squared_error
from .seeking import Made, seek_score, seek_size
from .sharing import KNOTS, Rates
from .targets import PSNR_TOLERANCE, SSIMULACRA2_TOLERANCE, Targets

__all__ = ["Targeted", "likely_quality", "rates_of"]

HEADER_BYTES, TILE_BYTES = 36, 14
"""About how many bytes a file has beside its symbols: in all, and for each tile."""

NO_CORRECTION = 128
"""Levels of 255: hardly any sample is farther off."""

MARGIN = 4
"""Steps of the quality by which a guess is seldom too low."""

ScoreOf = Callable[[Analysed], Callable[[Pixels], float]]
"""From an analysed picture to what measures a picture that is shown of it."""


class Targeted:
    """Makes the file of one analysed picture that meets some targets.

    With an effort that refines, the quality is looked for first. The latents are refined for it, and the search goes on
    with the refined ones, so that what was wanted holds for the file.
    """

    def __init__(
        self,
        encoder: Encoder,
        analysed: Analysed,
        field: QualityField | None,
        *,
        effort: int,
        progress: Progress | None = None,
    ) -> None:
        """``field``, ``effort`` and ``progress``: as for ``Encoder.encode``."""
        self._encoder, self._plain, self._analysed, self._field = encoder, analysed, analysed, field
        self._effort, self._progress = effort, progress
        self._score: Callable[[Pixels], float] | None = None
        self.notes: list[str] = []

    def file(self, targets: Targets, quality: Quality) -> bytes:
        """The file. ``quality``: that it has where the targets do not choose another.

        ``notes`` then says where it is not quite what was wanted. Raises TargetError where no quality meets a target,
        InputError where a score cannot be computed.
        """
        grid = self._plain.grid
        size, most = targets.bytes_of(grid.width * grid.height), targets.most_bytes
        if size is not None:
            return self._of_size(size).data
        if targets.psnr is not None:
            curve = typical.psnr_of(self._plain.source.pixels, self._plain.format.depth)
            made = self._of_score(targets.psnr, PSNR_TOLERANCE, _psnr_of, curve, "{} dB of PSNR")
        elif targets.ssimulacra2 is not None:
            made = self._of_score(
                targets.ssimulacra2,
                SSIMULACRA2_TOLERANCE,
                _ssimulacra2_of,
                typical.ssimulacra2(),
                "{} of SSIMULACRA 2",
            )
        else:
            self._refine(quality)
            made = Made(self._make(quality), quality)
        if most is None:
            return made.data
        if len(made.data) > most:
            self.notes = [
                f"with {'that score' if targets.chosen else f'quality {quality.number:g}'} it would have "
                f"{len(made.data):,} bytes; it has as many as it may have"
            ]
            self._score = None
            return self._of_size(most, made.quality).data
        if not targets.chosen:
            self.notes.append(f"it has no more than {most:,} bytes at quality {quality.number:g} already")
        return made.data

    # Making files -------------------------------------------------------------------------------------

    def _local(self, quality: Quality) -> LocalQuality:
        return LocalQuality(quality, self._field)

    def _make(self, quality: Quality, decided: Decisions | None = None) -> bytes:
        return self._encoder.file(self._analysed, self._local(quality), decided)

    def _measured(self, quality: Quality, decided: Decisions | None = None) -> Made:
        """A file and, if a score is wanted, its score."""
        data = self._make(quality, decided)
        if self._score is None:
            return Made(data, quality)
        return Made(data, quality, self._score(self._encoder.shown(data, self._analysed)))

    def _refine(self, quality: Quality) -> None:
        """Let files be made of latents that are refined for a quality, if the effort asks for it."""
        self._analysed = self._encoder.refine(self._plain, self._local(quality), self._effort, self._progress)

    @property
    def _refines(self) -> bool:
        return schedule_of(self._effort) is not None

    # A size -------------------------------------------------------------------------------------------

    def _of_size(self, size: int, highest: Quality | None = None) -> Made:
        """The file of a size, which is below that of the quality ``highest`` if one is given."""
        grid, source = self._plain.grid, self._plain.source
        curve = typical.log_bpp_of(source.pixels, source.format.depth)
        fixed = self._fixed_bytes()
        start = curve.quality(math.log(8 * max(size - fixed, 1) / (grid.width * grid.height)))
        start = start if highest is None else min(start, highest)
        if self._refines:
            self._analysed = self._plain
            between = seek_size(self._make, size, fixed, curve, start)
            near = between.found or between.below or between.above
            assert near is not None  # as at least one file was made
            self._refine(start := near.quality)
        between = seek_size(self._make, size, fixed, curve, start)
        if between.found is not None:
            return between.found
        below, above = between.below, between.above
        if below is None:
            assert above is not None  # as at least one file was made
            raise TargetError(
                f"no file of this picture has at most {size:,} bytes: at quality {above.quality.number:g} it has "
                f"{len(above.data):,} already"
            )
        if above is None:
            raise TargetError(
                f"no file of this picture has {size:,} bytes: at quality {below.quality.number:g}, the highest, it has "
                f"{len(below.data):,}; as a size that it may have at most (max_size), {size:,} is met"
            )
        best = below
        for decided, lowest in self._fillings(below, above, lambda made: len(made.data) <= size):
            filled = seek_size(partial(self._make, decided=decided), size, fixed, curve, lowest, lowest)
            best = max(best, filled.below or best, key=lambda made: len(made.data))
            if filled.found is not None:
                return best
        self.notes.append(
            f"no file comes nearer to {size:,} bytes from below than this one of {len(best.data):,}; the next larger "
            f"one has {len(above.data):,}"
        )
        return best

    def _fillings(self, below: Made, above: Made, fits: Callable[[Made], bool]) -> Iterator[tuple[Decisions, Quality]]:
        """What may fill the gap between two files where bytes and scores jump, since the encoder decides otherwise.

        First higher qualities with what it decided before the jump; then, if it corrects samples after the jump, those
        with corrections of larger errors, the least with which the file still ``fits``. Yields decisions, and the
        quality from which on they fill the gap.
        """
        yield self._encoder.decisions(below.data, self._local(below.quality)), below.quality
        decided = self._encoder.decisions(above.data, self._local(above.quality))
        if decided.error is None:
            return
        too_small, error = decided.error, NO_CORRECTION
        while error - too_small > 1:
            middle = (too_small + error) // 2
            made = self._measured(above.quality, replace(decided, error=middle))
            too_small, error = (too_small, middle) if fits(made) else (middle, error)
        yield replace(decided, error=error), above.quality

    def _fixed_bytes(self) -> int:
        """About how many bytes are the same at all qualities."""
        opacity = 0 if self._plain.opacity is None else sum(map(len, self._plain.opacity.planes))
        tiles = len(self._plain.grid.tiles)
        return sum(map(len, self._plain.boxes.values())) + opacity + HEADER_BYTES + TILE_BYTES * tiles

    # A score ------------------------------------------------------------------------------------------

    def _of_score(self, target: float, tolerance: float, score_of: ScoreOf, curve: typical.Curve, name: str) -> Made:
        self._score = score_of(self._plain)
        make = self._measured
        between = seek_score(make, target, tolerance, curve)
        if self._refines:
            near = between.found or between.above or between.below
            assert near is not None  # as at least one file was made
            self._refine(near.quality)
            between = seek_score(make, target, tolerance, curve, near.quality)
        if between.found is not None:
            return between.found
        below, above = between.below, between.above
        if below is None or above is None:
            end = above or below
            assert end is not None  # as at least one file was made
            raise TargetError(
                f"no file of this picture has {name.format(f'{target:g}')}: at quality {end.quality.number:g} it has "
                f"{name.format(f'{end.score:.2f}')}{' already' if above else ''}"
            )
        for decided, lowest in self._fillings(below, above, lambda made: made.score < target):
            filled = seek_score(partial(make, decided=decided), target, tolerance, curve, lowest, lowest).found
            if filled is not None:
                return filled
        self.notes.append(
            f"it has {name.format(f'{above.score:.2f}')}: no file comes nearer to {target:g} from above, the next "
            f"below has {below.score:.2f}"
        )
        return above


def likely_quality(targets: Targets, source: Picture) -> Quality:
    """The quality that a target probably leads to, rather too high; the highest for targets that choose none."""
    pixels, depth = source.colour, source.format.depth
    size = targets.bytes_of(source.width * source.height)
    if size is not None:
        guess = typical.log_bpp_of(pixels, depth).quality(math.log(8 * size / (source.width * source.height)))
    elif targets.psnr is not None:
        guess = typical.psnr_of(pixels, depth).quality(targets.psnr)
    elif targets.ssimulacra2 is not None:
        guess = typical.ssimulacra2().quality(targets.ssimulacra2)
    else:
        return Quality.highest()
    return guess.moved(256 * MARGIN)


def _psnr_of(analysed: Analysed) -> Callable[[Pixels], float]:
    source, hidden = analysed.source, None if analysed.opacity is None else analysed.opacity.hidden
    return lambda shown: psnr(source.pixels, shown, source.format.depth, hidden)


def _ssimulacra2_of(analysed: Analysed) -> Callable[[Pixels], float]:
    source, hidden = analysed.source, None if analysed.opacity is None else analysed.opacity.hidden
    if min(source.width, source.height) < SMALLEST_SIDE:
        raise InputError(
            f"SSIMULACRA 2 compares pictures with sides of {SMALLEST_SIDE} pixels at least; this one has "
            f"{source.width}x{source.height}"
        )
    return Ssimulacra2(source.pixels, source.format.depth, hidden)


def rates_of(encoder: Encoder, analysed: Analysed, field: QualityField | None, *, by_eye: bool) -> Rates:
    """The bytes of a picture's files, and how far they are from the picture, at ``sharing.KNOTS``.

    ``by_eye``: by SSIMULACRA 2 rather than by squared errors. Pictures that are too small for it are near whatever they
    look like.
    """
    source, opacity = analysed.source, analysed.opacity
    large = min(source.width, source.height) >= SMALLEST_SIDE
    score = _ssimulacra2_of(analysed) if by_eye and large else None

    def far(shown: Pixels) -> float:
        if score is not None:
            return (100 - score(shown)) * source.width * source.height
        if by_eye:
            return 0.0
        hidden = None if opacity is None else opacity.hidden
        return squared_error(source.pixels, shown, source.format.depth, hidden)[0]

    files = [encoder.file(analysed, LocalQuality(Quality.of(number), field)) for number in KNOTS]
    return Rates(tuple(float(len(data)) for data in files), tuple(far(encoder.shown(data, analysed)) for data in files))
