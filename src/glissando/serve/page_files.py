"""The files of the page, with headers that let a browser ask nobody but this service."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

__all__ = ["DECODER", "PAGE", "PageFiles"]

PAGE = Path(__file__).parent / "page"
"""The files of the page that / shows."""

DECODER = PAGE / "glissando-web" / "glissando-web.js"
"""The decoder for browsers, with what it needs beside it; where it is not installed, the service decodes."""

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",  # the decoder is WebAssembly
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    # Threads of WebAssembly share memory, which browsers allow to pages that let no other origin in.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The page: its files as they are, with our headers."""

    def __init__(self) -> None:
        super().__init__(directory=PAGE, html=True)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
