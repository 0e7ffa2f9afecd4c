"""What the routes of one service share: its settings, its workers, what it counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .bodies import Held, unless_gone
from .folder import Folder, ServedFile
from .jobs import Answer, InfoJob, Job
from .metrics import Metrics
from .pool import Pool
from .remembered import Remembered
from .settings import Settings

__all__ = ["Service", "answer_response"]

NOTES_BYTES = 4000
"""How long the header with notes may become; many clients take no more than 8 kB of headers together."""


@dataclass(frozen=True)
class Service:
    """One service, as its routes know it.

    ``headers``: what ``InfoJob`` found in files of the folder, by their digests.
    """

    settings: Settings
    pool: Pool
    held: Held
    metrics: Metrics
    folder: Folder | None
    headers: Remembered[str, dict[str, Any]]

    async def answer(self, request: Request, job: Job) -> Answer:
        """Have a job done for a request; one that waits is forgotten where its client goes away.

        Raises as ``Pool.do``, and ClientDisconnect.
        """
        answer = await unless_gone(request, self.pool.do(job))
        self.metrics.job_seconds.labels(type(job).__name__).observe(answer.seconds)
        return answer

    async def info(self, request: Request, file: ServedFile) -> dict[str, Any]:
        """What a file of the folder says of itself; its header is read once. Raises as ``answer``."""
        found = self.headers.get(file.digest)
        if found is None:
            found = (await self.answer(request, InfoJob(str(file.path)))).value
            assert found is not None  # an InfoJob gives a dictionary
            self.headers.put(file.digest, found)
        return found


def answer_response(answer: Answer, media_type: str, **headers: str) -> Response:
    """The bytes of a job's answer, with its notes and its time in headers."""
    headers["Server-Timing"] = f"codec;dur={1000 * answer.seconds:.1f}"
    notes = list(answer.notes)
    while len(text := json.dumps(notes)) > NOTES_BYTES:
        notes.pop()
    if notes:
        headers["Glissando-Notes"] = text
    return Response(answer.value, headers=headers, media_type=media_type)
