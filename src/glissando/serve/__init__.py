"""The service: pictures coded, decoded and shown over HTTP, for ``glissando serve`` and for any ASGI server.

    from glissando.serve import Settings, create_app
    app = create_app(Settings(folder=Path("pictures")))

::

    request ── app ── endpoints: which routes there are, and what each takes
                │         │
                │         parameters: names, types and ranges, which openapi describes as well
                │         bodies: read as far as the limits allow
                │         accept: what the client wants to have
                ├── coding: /encode, /decode, /info, /models
                ├── images: /img, after iiif (regions and sizes) and folder (names to files)
                ├── trying: what the page asks for while its settings change
                ├── page_files: the page itself, the folder page/
                ├── health: /healthz, /metrics, /openapi.json
                └── pool ── worker processes ── jobs: what they do with the codec
                                                previews: the same of pictures that are kept for other settings
                                                comparisons: other formats of the same size

The process that answers requests holds no codec: whatever looks at bytes of a client runs in a worker, which may take
too long, or die, without harm to any other request. ``problems`` says what errors become, ``logs`` and ``metrics`` what
is told, ``observed`` surrounds every request, and ``server`` puts it all on a port, with connections that are
``punctual``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import create_app
    from .settings import Settings

_HOMES = {"Settings": "settings", "create_app": "app"}

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
