"""Jobs that take as long as a test wants, or end their process; in a module of its own, since workers import it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glissando.serve.jobs import Answer


@dataclass(frozen=True)
class Sleep:
    """Sleep for some seconds; the value is ``value``. ``begun``: a file that tells that it has begun."""

    seconds: float
    value: bytes = b"slept"
    begun: str = ""

    def run(self, codecs: Any) -> Answer:
        if self.begun:
            Path(self.begun).touch()
        time.sleep(self.seconds)
        return Answer(self.value)


@dataclass(frozen=True)
class Refine:
    """Go on until nobody waits any more, as refinement does, and tell it by making a file."""

    begun: str
    ended: str

    def run(self, codecs: Any) -> Answer:
        Path(self.begun).touch()
        while not codecs.unwanted():
            time.sleep(0.01)
        Path(self.ended).touch()
        return Answer(b"")


@dataclass(frozen=True)
class Die:
    """End the process as a crash does, or raise what is no error of ours."""

    crash: bool = True

    def run(self, codecs: Any) -> Answer:
        if self.crash:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError("of the test")
