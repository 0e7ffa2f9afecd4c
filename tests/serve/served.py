"""A service that runs on the loopback address in a thread of the tests' process, and pictures for it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from PIL import Image

from glissando.serve import Settings
from glissando.serve.app import create_app
from glissando.serve.server import server_for


class Running:
    """A service that runs: its address, its pool, and a client."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self.server = server_for(self.app, settings, "127.0.0.1", 0, "warning")
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    @property
    def pool(self) -> Any:
        return self.app.state.service.pool

    def wait_until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()


def png(pixels: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)
