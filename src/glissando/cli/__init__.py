"""The command ``glissando``: one module per command, none of which loads more than its work needs.

``common`` holds what commands share (options, messages, exit codes), ``batch`` pairs inputs with outputs and
works through them.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of ``glissando`` and of ``python -m glissando``."""
    from glissando.cli.app import app

    app(prog_name="glissando")
