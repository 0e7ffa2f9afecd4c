"""The report of a comparison: one HTML page that needs nothing else, its charts as PNG, and the results as JSON."""

from __future__ import annotations

from .write import write_report

__all__ = ["write_report"]
