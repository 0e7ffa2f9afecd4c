"""Cut-outs beside AVIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import cutouts
from benchmarks.documents import begin_marker, end_marker


def test_masks_are_soft_where_they_say_so() -> None:
    pixels = np.full((512, 768, 3), 9, np.uint8)
    shares = {}
    for name in cutouts.MASKS:
        cut = cutouts.cut_out(pixels, name)
        assert np.array_equal(cut[..., :3], pixels)
        assert (cut[..., 3] == 0).any()
        shares[name] = float(((cut[..., 3] > 0) & (cut[..., 3] < 255)).mean())
    assert shares["a disc, hard edge"] == 0
    assert list(shares.values()) == sorted(shares.values())


def test_composited_psnr_is_that_of_the_worst_ground() -> None:
    one = np.zeros((4, 4, 4), np.uint8)
    other = one.copy()
    other[..., :3] = 200
    assert cutouts.composited_psnr(one, other) > 100  # nobody sees it
    other[..., 3] = 51  # a fifth of 200 over black is 40; over white 255 becomes 244
    assert cutouts.composited_psnr(one, other) == pytest.approx(20 * np.log10(255 / 40), abs=1.5)


def test_bytes_between_files() -> None:
    assert cutouts.bytes_at(35.0, [100, 400], [30.0, 40.0]) == pytest.approx(200)
    assert cutouts.bytes_at(20.0, [100, 400], [30.0, 40.0]) == pytest.approx(100)


def test_the_page(data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutouts, "MASKS", {name: cutouts.MASKS[name] for name in list(cutouts.MASKS)[:2]})
    monkeypatch.setattr(cutouts, "SETTINGS", ((60.0, 100.0), (60.0, 50.0)))
    page = tmp_path / "page.md"
    page.write_text(f"{begin_marker('cutouts')}\n{end_marker('cutouts')}")
    assert cutouts.main([str(page), "--data", str(data_set), "--pictures", "1"]) == 0
    assert page.read_text().count("×") == 4
