"""The manual page, written from the help of all commands.

python -m glissando.cli.manual > share/man/man1/glissando.1
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from glissando.cli.common import EXIT_CODES

__all__ = ["manual"]

_EXAMPLE = re.compile(r"  (?P<command>.*?)  +# (?P<what>.*)")

_END = r"""
.SH FILES
.TP
.I *.gliss
A picture; see docs/format.md in the sources.
.TP
.I *.glissa
Arrays with their uncertainty; see docs/array\-format.md.
.SH ENVIRONMENT
.TP
.B GLISSANDO_BACKEND
The engine that runs networks: openvino or onnxruntime; the first that is installed unless it is set.
.TP
.B GLISSANDO_MODELS
Folders with models, separated as in PATH.
.TP
.B GLISSANDO_DEBUG
Set to 1, errors come with their traceback.
.SH SEE ALSO
.BR avifenc (1),
.BR cjxl (1),
.BR cwebp (1)
"""


def manual() -> str:
    """The page, in the macros of man(7)."""
    from glissando.cli.app import app

    root: Any = typer.main.get_command(app)
    lines = [
        ".TH GLISSANDO 1",
        ".SH NAME",
        r"glissando \- compress pictures with a neural codec",
        ".SH SYNOPSIS",
        ".B glissando",
        ".I COMMAND",
        "[options] ...",
        ".SH DESCRIPTION",
        *_text(root.help),
        ".SH COMMANDS",
    ]
    for name, command in root.commands.items():
        if not command.hidden:
            lines += _command(f"glissando {name}", command)
    lines += [".SH EXIT STATUS", *_text(EXIT_CODES.removeprefix("Exit codes: "))]
    return "\n".join(lines) + _END


def _command(name: str, command: Any) -> Iterator[str]:
    """A command's usage, help, options and examples; of a group of commands, those of each."""
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from _command(f"{name} {word}", inner)
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [
        each for each in command.params if each.param_type_name == "option" and each.name not in ("help", "debug")
    ]
    yield f".SS {_escaped(' '.join([name, '[options]', *map(_usage, arguments)]))}"
    yield from _text(command.help)
    for parameter in [*arguments, *options]:
        yield from (".TP", rf".B {_escaped(_title(parameter))}", _escaped(_help(parameter)))
    for example in map(_EXAMPLE.fullmatch, (command.epilog or "").splitlines()):
        if example is not None:
            yield from (".PP", f"{_escaped(_capital(example['what']))}:", ".PP", ".nf", ".RS 4")
            yield from (_escaped(example["command"]), ".RE", ".fi")


def _usage(argument: Any) -> str:
    """An argument as usage shows it: in brackets where it may be missing, with dots where there may be several."""
    text = f"{_metavar(argument)}{'...' if argument.nargs == -1 else ''}"
    return text if argument.required else f"[{text}]"


def _title(parameter: Any) -> str:
    """An option by all its names, with what it takes; an argument by its name."""
    if parameter.param_type_name == "argument":
        return _metavar(parameter)
    names = " / ".join(", ".join(reversed(each)) for each in (parameter.opts, parameter.secondary_opts) if each)
    return names if parameter.is_flag else f"{names} {_metavar(parameter)}"


def _metavar(parameter: Any) -> str:
    named = parameter.name.upper() if parameter.param_type_name == "argument" else "VALUE"
    return str(parameter.metavar or named)


def _help(parameter: Any) -> str:
    """The help of an option or an argument, with its default unless that is nothing, or told there."""
    text = " ".join((parameter.help or "").split())
    default = parameter.default
    if default in (None, False, ()) or "[default" in text or getattr(parameter, "is_flag", False):
        return text
    return f"{text} [default: {default}]"


def _text(text: str | None) -> Iterator[str]:
    """Paragraphs, one a line."""
    for number, paragraph in enumerate((text or "").replace("\b", "").split("\n\n")):
        if number:
            yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _escaped(text: str) -> str:
    """Text in which roff finds no commands: backslashes, hyphens, and what begins a line."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("^", r"\(ha").replace("~", r"\(ti")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    print(manual(), end="")
