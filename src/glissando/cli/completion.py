"""``glissando completion``: what makes a shell complete commands and options.

Typer writes the scripts and answers them: with the environment variable ``COMPLETE`` set, ``glissando`` prints the
words that may follow, and nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded
from glissando.cli.streams import tell

__all__ = ["COMPLETE", "EXAMPLES", "Shell", "completion", "script"]

EXAMPLES = examples(
    ('eval "$(glissando completion bash)"', "in ~/.bashrc, or once by hand"),
    ('eval "$(glissando completion zsh)"', "in ~/.zshrc, after compinit"),
    ("glissando completion fish | source", "in ~/.config/fish/config.fish"),
)

COMPLETE = "_GLISSANDO_COMPLETE"


class Shell(StrEnum):
    """Shells that a script is written for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@guarded
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", show_default=False, help="Which shell.")],
    debug: Debug = False,
) -> int:
    """Print the script that completes commands, options and files.

    It is printed and nothing more: no file of yours is changed. Where Glissando is installed below /usr or /usr/local,
    shells find their script there by themselves.
    """
    tell(script(shell))
    return 0


def script(shell: Shell) -> str:
    """The script for a shell."""
    from typer._completion_shared import get_completion_script

    text = get_completion_script(prog_name="glissando", complete_var=COMPLETE, shell=shell.value)
    if shell is not Shell.zsh:
        return text
    # Out of a folder of fpath the script runs at the first Tab, which it then has to answer.
    functions, _, registration = text.rpartition("\n")
    return f"""{functions}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _glissando_completion "$@"
else
  {registration}
fi"""
