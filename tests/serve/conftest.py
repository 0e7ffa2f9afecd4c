"""Services on the loopback address, each with its own server in a thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natural_pictures import natural_picture


@pytest.fixture(scope="session")
def running() -> Callable[..., Any]:
    """A service with these settings, as a context; one worker with one core unless they say otherwise."""
    from served import Running

    from glissando.serve import Settings  # the tests are skipped where its packages are not installed

    @contextlib.contextmanager
    def run(**settings: Any) -> Iterator[Any]:
        service = Running(Settings(**{"workers": 1, "threads": 1, **settings}))
        try:
            yield service
        finally:
            service.stop()

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the service of most tests shows."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="session")
def service(running: Any, folder: Path) -> Iterator[Any]:
    """The service of most tests."""
    with running(folder=folder, max_bytes=300_000, max_pixels=100_000) as found:
        yield found


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """60 rows of 90 pixels."""
    return natural_picture(60, 90, seed=3)


@pytest.fixture(scope="session")
def coded(service: Any, photo: np.ndarray) -> bytes:
    """The .gliss file of the photo, as the service makes it."""
    from served import png

    answer = service.client.post("/encode", content=png(photo))
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)
