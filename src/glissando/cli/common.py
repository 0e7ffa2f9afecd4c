"""What the commands share: options, messages, exit codes, standard input and output."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, BinaryIO, ParamSpec, TextIO

import typer

from glissando import errors
from glissando.errors import GlissandoError

__all__ = [
    "EXIT_CODES",
    "STANDARD",
    "Convert",
    "Debug",
    "Keep",
    "MaxPixels",
    "Overwrite",
    "Quiet",
    "Strip",
    "Threads",
    "Verbose",
    "drop_output",
    "examples",
    "explain",
    "guarded",
    "is_ours",
    "kept_kinds",
    "need_training",
    "open_bytes",
    "read_bytes",
    "refuse_terminal",
    "say",
    "show_error",
]

P = ParamSpec("P")

STANDARD = "-"
"""The name of standard input or output."""

EXIT_CODES = "Exit codes: 0 done, 1 a file failed, 2 wrong usage, 130 interrupted."


def examples(*pairs: tuple[str, str]) -> str:
    """The end of a help page: commands and what they do, in two columns."""
    width = max(len(command) for command, _ in pairs)
    return "\b\nExamples:\n" + "\n".join(f"  {command:<{width}}  # {what}" for command, what in pairs)


# --------------------------------------------------------------------------------------------- options


_DEBUG: ContextVar[bool] = ContextVar("_DEBUG", default=False)
"""Whether --debug was given to the command that is running."""


def _set_debug(wanted: bool) -> bool:
    if wanted:
        _DEBUG.set(True)
    return wanted


def _debugging() -> bool:
    return _DEBUG.get() or os.environ.get("GLISSANDO_DEBUG", "0") not in ("", "0")


Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Processor cores to use; all unless given."),
]
Convert = Annotated[
    bool,
    typer.Option(
        "--convert",
        help="Convert what cannot be carried yet, and say so: CMYK to RGB, the first frame of several. "
        "Without it such a picture is an error.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite/--no-overwrite",
        help="Replace existing files, as cp does; with --no-overwrite each of them counts as a failure.",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="KINDS",
        help="Keep these metadata alone, commas between: exif, icc, xmp, iptc, dpi, text.  [default: all]",
    ),
]
Strip = Annotated[bool, typer.Option("--strip", help="Keep no metadata; the picture stays upright.")]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, metavar="N", help="Refuse pictures with more pixels than this.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line per file, however many there are.")]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        callback=_set_debug,
        is_eager=True,
        help="Print the traceback of errors (or set GLISSANDO_DEBUG=1).",
    ),
]


# -------------------------------------------------------------------------------------------- messages


def say(text: str) -> None:
    """One line of news on standard error; it is dropped where that is full or closed, which spoils no result."""
    try:
        typer.echo(text, err=True)
    except BrokenPipeError:
        raise
    except OSError:
        return


def explain(error: BaseException) -> str:
    """An error as one line that a user can act on."""
    return errors.explain(error, hint="see --debug; please report it")


def show_error(error: BaseException, name: str | None = None) -> None:
    """``glissando: NAME: message`` on standard error, after the traceback when debugging.

    ``name``: the file that the error is about, unless the error itself names one.
    """
    if _debugging():
        say("".join(traceback.format_exception(error)).rstrip())
    message = explain(error)
    if isinstance(error, OSError) and isinstance(error.filename, str):
        name = "standard output" if error.filename == STANDARD else error.filename
    if name is not None and not message.startswith(f"{name}: "):
        message = f"{name}: {message}"
    say(f"glissando: {message}")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line on standard error, in place of ``warnings.showwarning``."""
    say(f"glissando: warning: {' '.join(str(message).split())}")


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command whose errors are one line each, and whose result is its exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        import warnings

        try:
            with warnings.catch_warnings():
                if not _debugging():
                    warnings.filterwarnings("ignore", module=r"PIL\.")  # oddities in files, of no use to their owner
                warnings.showwarning = _show_warning
                code = command(*args, **kwargs)
        except KeyboardInterrupt:
            say("glissando: interrupted")
            code = 130
        except BrokenPipeError:
            drop_output()  # who reads it has gone, as `| head` does
            code = 1
        except (GlissandoError, OSError, MemoryError) as error:
            show_error(error)
            code = 1
        finally:
            _DEBUG.set(False)
        if code:
            raise typer.Exit(code)

    return run


# ------------------------------------------------------------------------------------ standard streams


def kept_kinds(keep: str | None, strip: bool) -> tuple[str, ...] | None:
    """The kinds of metadata that --keep and --strip name; None for all."""
    from glissando.picture import KINDS

    if strip and keep is not None:
        raise typer.BadParameter("--strip keeps nothing; give one of the two", param_hint="--keep")
    if keep is None:
        return () if strip else None
    kinds = tuple(kind.strip() for kind in keep.split(",") if kind.strip())
    for kind in kinds:
        if kind not in KINDS:
            raise typer.BadParameter(f"no kind of metadata {kind!r}; known: {', '.join(KINDS)}", param_hint="--keep")
    return kinds


def drop_output() -> None:
    """Forget what standard output could not be given, so that the interpreter does not try again at its end."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def refuse_terminal() -> None:
    """Pictures are not written to terminals."""
    if sys.stdout.isatty():
        raise typer.BadParameter(
            "standard output is a terminal; name a file, or send the output to a file or another command",
            param_hint="OUT",
        )


def open_bytes(path: str, wanted: Callable[[bytes], bool]) -> BinaryIO:
    """A file, or standard input for ``-``, opened for reading at any place; what cannot seek is read to its end.

    ``wanted``: whether it is read at all if it begins like this. Raises OSError, and InputError for a pipe without end.
    """
    from glissando.files import read_pipe

    if path == STANDARD:
        return io.BytesIO(read_pipe(_standard_input(), wanted, name="standard input"))
    stream = open(path, "rb")  # noqa: SIM115  (the caller closes it)
    if stream.seekable():
        return stream
    with stream:
        return io.BytesIO(read_pipe(stream, wanted, name=path))


def _standard_input() -> BinaryIO:
    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal; name a file", param_hint="IN")
    return sys.stdin.buffer


def is_ours(head: bytes) -> bool:
    """Whether a file that begins like this is one of ours, with a picture or with arrays."""
    return head.startswith((b"\x89GLS", b"\x89GLA"))


def read_bytes(path: str) -> bytes:
    """The content of a file, or of standard input for ``-``."""
    if path != STANDARD:
        return Path(path).read_bytes()
    return _standard_input().read()


def need_training() -> None:
    """Training needs PyTorch, which the codec itself does not."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        say('glissando: training and export need PyTorch: pip install "glissando[train]"')
        raise typer.Exit(1)
