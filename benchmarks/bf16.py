"""Up to which qualities bfloat16 changes a model's pictures by no more than a bound, and that into the cards of both.

    python -m benchmarks.bf16 MODEL_FOLDER [--encoder NAME] [--data DIR]

Each Kodak picture is coded in float32 and in bfloat16, at one quality after the other, until the bound is exceeded.
With an encoder's name only that encoder's card is written. Needs a processor with bfloat16, or patience.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import glissando
from glissando import zoo
from glissando.bench.metrics import psnr
from glissando.errors import GlissandoError
from glissando.files import atomic_write

from .data import Picture, data_folder, load_pictures

__all__ = ["BOUND", "main", "trusted_qualities"]

BOUND = 0.02  # dB
STEP = 5.0  # of quality


def changes(exact: Any, rounded: Any, pictures: Sequence[Picture], quality: float) -> tuple[float, float]:
    """What bfloat16 does to PSNR, in dB: in the decoder, the largest |change| over files of either encoder; in the
    encoder, the |mean change| of what the exact decoder makes of them.
    """
    decoder, encoder = [0.0], []
    for picture in pictures:
        reference = []
        for codec in (exact, rounded):
            data = codec.encode(picture.pixels, quality)
            reference.append(psnr(picture.pixels, exact.decode(data)))
            decoder.append(abs(psnr(picture.pixels, rounded.decode(data)) - reference[-1]))
        encoder.append(reference[1] - reference[0])
    return max(decoder), abs(sum(encoder) / len(encoder))


def trusted_qualities(
    exact: Any, rounded: Any, pictures: Sequence[Picture], bound: float = BOUND
) -> tuple[float, float]:
    """The largest qualities, in steps of 5, up to which decoder and encoder stay within ``bound``; −1 where none."""
    trusted = [-1.0, -1.0]
    going = [True, True]
    for quality in np.arange(0.0, 100.0 + STEP, STEP).tolist():
        found = changes(exact, rounded, pictures, quality)
        print(f"quality {quality:g}: decoder {found[0]:.4f} dB, encoder {found[1]:.4f} dB", file=sys.stderr, flush=True)
        for which, change in enumerate(found):
            going[which] &= change <= bound
            if going[which]:
                trusted[which] = quality
        if not any(going):
            break
    return trusted[0], trusted[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the cards were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bf16", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("--encoder", help="one of its encoders, and only that")
    parser.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
    given = parser.parse_args(arguments)
    try:
        pictures = load_pictures(data_folder(given.data))
        # By its name, so that no effort chooses another.
        encoder = given.encoder or zoo.find(given.model).card.encoder
        exact, rounded = (glissando.open_model(given.model, encoder=encoder, precision=p) for p in ("f32", "bf16"))
        name = exact.card.name
        trusted = trusted_qualities(exact, rounded, pictures)
        qualities = {given.model / "encoders" / encoder / "card.json": trusted[1]}
        if given.encoder is None:
            qualities[given.model / "card.json"] = trusted[0]
        cards = {
            path: {**json.loads(path.read_text(encoding="utf-8")), "bf16_quality": quality}
            for path, quality in qualities.items()
        }
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    for path, card in cards.items():
        atomic_write(path, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    print(f"{name}: bfloat16 up to quality {trusted[0]:g} in the decoder, {trusted[1]:g} in the encoder")
    return 0


if __name__ == "__main__":
    sys.exit(main())
