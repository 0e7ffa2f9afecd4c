"""What workers do, called here without any process: their codecs, and refinement that ends in time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glissando
from glissando.errors import UnknownModelError
from glissando.serve.accept import chosen, names
from glissando.serve.jobs import OPEN_CODECS, Codecs, EncodeJob


def test_refinement_ends_in_time(photo: np.ndarray) -> None:
    import io

    out = io.BytesIO()
    Image.fromarray(photo).save(out, "PNG")
    job = EncodeJob(
        out.getvalue(),
        None,
        {"effort": 10, "quality": 50},
        model=None,
        tune=None,
        encoder=None,
        convert=False,
        max_pixels=10_000,
        seconds=0.01,
    )
    answer = job.run(Codecs(1))
    assert any("limit of time" in note for note in answer.notes)
    assert glissando.probe(answer.value).quality == 50


def test_few_codecs_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    opened: list[str] = []

    def open_model(name: str, **options: Any) -> Any:
        opened.append(name)
        return SimpleNamespace(name=name, close=lambda: closed.append(name))

    monkeypatch.setattr("glissando.api.open_model", open_model)
    cards = [SimpleNamespace(name=f"model{number}", hash=f"{number:016x}") for number in range(OPEN_CODECS + 1)]
    monkeypatch.setattr("glissando.api.list_models", lambda: cards)
    codecs = Codecs(1)
    first, *others = (card.name for card in cards)
    codecs.named(first)
    for name in others[:-1]:
        codecs.named(name)
    codecs.named(first)  # used again, so that the second is the next to go
    codecs.named(others[-1])
    assert closed == [others[0]]
    assert opened == [card.name for card in cards]
    with pytest.raises(UnknownModelError, match="installed: model0, model1"):
        codecs.named("other")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "a/x"),
        ("*/*", "a/x"),
        ("a/y", "a/y"),
        ("A/Y ; q=0.5 , b/*", "b/z"),
        ("a/x;q=0.1, a/*;q=0.9", "a/y"),
        ("a/x;q=0, */*", "a/y"),
        ("c/c", None),
        ("*/*;q=0", None),
        ("a/x;q=much", None),
        (",;,", "a/x"),
        ("a/x;q=nan", None),
        ("a/y;level=1;q=0.3, a/x;q=0.2", "a/y"),
    ],
)
def test_accept(header: str, expected: str | None) -> None:
    assert chosen(header, ["a/x", "a/y", "b/z"]) == expected


def test_naming_is_more_than_a_range() -> None:
    assert names("text/html, a/x;q=0.3", "a/x")
    assert not names("a/*, */*", "a/x")
    assert not names("a/x;q=0", "a/x")
