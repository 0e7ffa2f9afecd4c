"""The command ``glissando``: one module per command, none of which loads more than its work needs.

``common`` holds what commands share (options, messages, exit codes), ``streams`` what is peculiar to standard streams,
``planning`` pairs inputs with outputs, and ``loop`` works through them; ``batch`` leaves both to ``glissando.batches``.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of ``glissando`` and of ``python -m glissando``."""
    import os

    from glissando.cli.app import app
    from glissando.cli.common import STANDARD, drop_output, show_error
    from glissando.cli.completion import COMPLETE
    from glissando.cli.streams import open_missing_streams

    open_missing_streams()
    if COMPLETE in os.environ:  # a shell asks which words may follow
        from typer._completion_classes import completion_init

        completion_init()
    try:
        app(prog_name="glissando")
    except OSError as error:  # of the version, or of a help page, which no command is there to write
        error.filename = STANDARD
        drop_output()
        show_error(error)
        sys.exit(1)
