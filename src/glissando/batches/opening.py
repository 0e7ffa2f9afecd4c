"""Stores by what users call them: a folder's name, or a URL."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from .folder import Folder
from .stores import Store

__all__ = ["is_url", "open_store"]


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a folder's name: it begins with a protocol of two letters at least."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+::?//|[A-Za-z][A-Za-z0-9+.-]+::", text) is not None


def open_store(where: str) -> Store:
    """The store at a folder's name or a URL. Raises InputError where nothing can open it."""
    if not is_url(where):
        return Folder(where)
    if where.startswith("file://"):
        return Folder(unquote(urlsplit(where).path))
    from .remote import Remote

    return Remote(where)
