"""The options of ``glissando encode`` that say what is wanted instead of a quality, and one size for a whole batch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glissando.cli.common import STANDARD, say

if TYPE_CHECKING:
    from glissando.cli.planning import Job
    from glissando.codec import Codec
    from glissando.picture import Picture

__all__ = ["MaxSize", "Shares", "TargetBpp", "TargetPsnr", "TargetSize", "TargetSsimulacra2", "TotalSize", "Wanted"]

TargetSize = Annotated[
    str | None,
    typer.Option(
        "--target-size",
        metavar="BYTES",
        help="The largest file that is not above this, within 0.5 %: 40000, 40kB, 40KiB, 1.5MB. Each of several files.",
    ),
]
TargetBpp = Annotated[
    float | None, typer.Option("--target-bpp", metavar="BITS", help="The same in bits for each pixel of the picture.")
]
TargetPsnr = Annotated[float | None, typer.Option("--target-psnr", metavar="DB", help="This PSNR, within 0.05 dB.")]
TargetSsimulacra2 = Annotated[
    float | None,
    typer.Option("--target-ssimulacra2", metavar="POINTS", help="This SSIMULACRA 2, within 0.5 points."),
]
MaxSize = Annotated[
    str | None,
    typer.Option("--max-size", metavar="BYTES", help="No more bytes than this, whatever the quality or the score."),
]
TotalSize = Annotated[
    str | None,
    typer.Option(
        "--total-size",
        metavar="BYTES",
        help="All files together, shared so that a byte does as much good in each. Pictures are read twice.",
    ),
]

OPTIONS = {
    "target_size": "--target-size",
    "target_bpp": "--target-bpp",
    "target_psnr": "--target-psnr",
    "target_ssimulacra2": "--target-ssimulacra2",
    "max_size": "--max-size",
}


@dataclass(frozen=True)
class Wanted:
    """What a user wants of the files.

    Attributes:
        arguments: those of ``Codec.encode`` that say so.
        chooses: whether that, and no given quality, chooses the quality.
        total: bytes of all files together; None for any.
    """

    arguments: Mapping[str, Any]
    chooses: bool
    total: int | None

    @classmethod
    def of(
        cls, given: Mapping[str, Any], total_size: str | None, *, quality: str | None, lossless: bool, keep_size: bool
    ) -> Wanted:
        """From the options: ``given`` by the names of ``OPTIONS``, None where one is not given.

        Raises typer.BadParameter for options that exclude each other, or that are no such number.
        """
        from glissando.codec.targets import Targets, bytes_in
        from glissando.errors import InputError

        arguments = {name: value for name, value in given.items() if value is not None}
        options = [OPTIONS[name] for name in arguments]
        if total_size is not None:
            options.append("--total-size")
        hint = options[0] if options else None
        if total_size is not None and arguments:
            raise typer.BadParameter(
                f"it excludes {options[0]}: the total says what each file has", param_hint=options[-1]
            )
        try:
            targets = Targets(**{name.removeprefix("target_"): value for name, value in arguments.items()})
            total = None if total_size is None else bytes_in(total_size, "total_size")
        except InputError as error:
            text = str(error)
            for name, option in {**OPTIONS, "total_size": "--total-size"}.items():
                text = text.replace(name, option)
            raise typer.BadParameter(text, param_hint=hint) from None
        chooses = bool(targets.chosen) or total is not None
        if options and lossless:
            raise typer.BadParameter("lossless files have one size, and lose nothing", param_hint=hint)
        if options and keep_size:
            raise typer.BadParameter("it excludes --keep-size: either says how large files are", param_hint=hint)
        if chooses and quality is not None:
            raise typer.BadParameter("it chooses the quality; leave --quality out", param_hint=hint)
        return cls(arguments, chooses, total)


class Shares:
    """The bytes that each file of a batch may have."""

    def __init__(
        self, codec: Codec, jobs: Sequence[Job], read: Callable[[Job], Picture], total: int, **options: Any
    ) -> None:
        """Measure all pictures, one at a time. One that cannot be read has no share, and fails when its turn comes.

        ``options``: those of ``Codec.rates``. Raises TargetError where no qualities make files of that size together.
        """
        from glissando.codec.sharing import Budget

        for job in jobs:
            if job.source == STANDARD or (os.path.exists(job.source) and not os.path.isfile(job.source)):
                name = "standard input" if job.source == STANDARD else job.source
                raise typer.BadParameter(f"{name} cannot be read twice", param_hint="--total-size")
        rates = {}
        for job in jobs:
            try:
                rates[job] = codec.rates(read(job), **options)
            except Exception:  # whatever it is, it will happen again in its turn, and be told then
                continue
        self._numbers = {job: number for number, job in enumerate(rates)}
        self._budget, self._lock = Budget(list(rates.values()), total), threading.Lock()

    def encode(self, job: Job, encode: Callable[..., bytes]) -> bytes:
        """The file of a job; ``encode`` makes one of a ``target_size``."""
        from glissando.errors import PictureError

        if job not in self._numbers:
            raise PictureError("it could not be read when the total was shared")
        number, size = self._numbers[job], 0
        with self._lock:
            share = self._budget.share(number)
        try:
            data = encode(target_size=share)
            size = len(data)
        finally:
            with self._lock:
                self._budget.used(number, size)
        return data


def tell(notes: Sequence[str], name: str) -> None:
    """Notes about a picture, one a line."""
    for note in notes:
        say(f"glissando: {name}: note: {note}")
