"""The command ``glissando``: one module per command, none of which loads more than its work needs.

``common`` holds what commands share (options, messages, exit codes), ``batch`` pairs inputs with outputs and
works through them.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of ``glissando`` and of ``python -m glissando``."""
    import os

    from glissando.cli.app import app
    from glissando.cli.completion import COMPLETE

    if COMPLETE in os.environ:  # a shell asks which words may follow
        from typer._completion_classes import completion_init

        completion_init()
    app(prog_name="glissando")
