"""``glissando array``: arrays with deviations to .glissa files, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glissando.cli.common import (
    EXIT_CODES,
    STANDARD,
    Debug,
    Overwrite,
    Quiet,
    examples,
    guarded,
    read_bytes,
    refuse_terminal,
    say,
    show_error,
)
from glissando.cli.loop import show_name
from glissando.cli.streams import write_output
from glissando.errors import GlissandoError

if TYPE_CHECKING:
    from glissando.bayes.files import Arrays

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Compress arrays of which it is known how precise each value has to be: network weights, embeddings, "
    "anything with a posterior or an ensemble.",
    epilog=examples(
        ("glissando array encode means.npy --std stds.npy out.glissa", "one array"),
        ("glissando array decode out.glissa array.npy", "and back"),
        ("glissando info out.glissa", "what a file holds"),
    )
    + "\n\n"
    + EXIT_CODES,
)

_ENCODE_EXAMPLES = examples(
    ("glissando array encode m.npy m.glissa --std s.npy --rate-weight 0.1", "precise"),
    ("glissando array encode m.npy m.glissa --std s.npy --bits-per-value 2", "header and all"),
    ("glissando array encode net.npz net.glissa --bytes 100000", "array w with w.std beside it, ..."),
    ("glissando array encode net.safetensors net.glissa --keep-raw", "others losslessly"),
    ("glissando array encode m.npy m.glissa --std s.npy --groups-axis -1", "channels apart"),
    ("glissando array encode net.npz net.glissa --suffix _sd --prior gaussian", "array w with w_sd beside it"),
    ("glissando array encode m.npy m.glissa --std s.npy --max-bits 12", "finer values"),
    ("glissando array encode net.npz net.glissa --no-overwrite --quiet --debug", "unless it is there; no news"),
)
_DECODE_EXAMPLES = examples(
    ("glissando array decode m.glissa m.npy", "one array"),
    ("glissando array decode net.glissa net.npz", "several, by name; or net.safetensors"),
    ("glissando array decode huge.glissa huge.npz --max-values 1000000000", "beyond the limit of 268 million"),
    ("glissando array decode m.glissa m.npy --no-overwrite --quiet --debug", "unless it is there; no news"),
    ("glissando array decode m.glissa - > m.npy", "to standard output, as .npy or, if several, .npz"),
)


def _load(path: str) -> Arrays:
    from glissando.bayes.files import load_arrays

    return load_arrays(read_bytes(path) if path == STANDARD else path)


def _refuse(out: str, inputs: list[str], *, overwrite: bool) -> None:
    """Raise BadParameter or an error for an output that cannot be meant, such as one of the inputs."""
    if out == STANDARD:
        refuse_terminal()
        return
    if any(os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path) for path in inputs):
        raise typer.BadParameter(f"{out} is an input as well as an output", param_hint="OUT")
    if not overwrite and os.path.lexists(out):
        raise FileExistsError(17, "exists already; nothing was written", out)


@app.command("encode", epilog=_ENCODE_EXAMPLES)
@guarded
def encode(
    source: Annotated[
        str,
        typer.Argument(metavar="MEANS", show_default=False, help="A .npy, .npz or .safetensors file; - is stdin."),
    ],
    out: Annotated[
        str, typer.Argument(metavar="OUT", show_default=False, help="The .glissa file; - is standard output.")
    ],
    std: Annotated[
        str | None,
        typer.Option("--std", metavar="FILE", help="The standard deviations, in a file like that of the means."),
    ] = None,
    suffix: Annotated[
        str, typer.Option("--suffix", help="Without --std: array w has its deviations beside it, as w and this.")
    ] = ".std",
    rate_weight: Annotated[
        float | None,
        typer.Option("--rate-weight", min=0, metavar="L", help="Nats that a bit may cost; 1 unless a size is given."),
    ] = None,
    bits_per_value: Annotated[
        float | None, typer.Option("--bits-per-value", min=0, metavar="X", help="Bits of the whole file per value.")
    ] = None,
    bytes_: Annotated[
        int | None, typer.Option("--bytes", min=1, metavar="N", help="Bytes of the file, at most.")
    ] = None,
    max_bits: Annotated[
        int, typer.Option("--max-bits", min=1, max=15, metavar="1..15", help="Bits of the finest values.")
    ] = 10,
    prior: Annotated[
        str,
        typer.Option("--prior", metavar="NAME", help="Where values are dense: empirical, gaussian or zero-gaussian."),
    ] = "empirical",
    groups_axis: Annotated[
        int | None,
        typer.Option("--groups-axis", metavar="AXIS", help="Each index along it has statistics of its own."),
    ] = None,
    keep_raw: Annotated[
        bool, typer.Option("--keep-raw", help="Carry arrays without deviations losslessly, instead of failing.")
    ] = False,
    overwrite: Overwrite = True,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compress arrays: each value gets the bits that its standard deviation asks for.

    Where the deviation is 0 the value is kept as precisely as --max-bits allows; where it is large, few bits do.
    """
    if sum(x is not None for x in (rate_weight, bits_per_value, bytes_)) > 1:
        raise typer.BadParameter("give one of --rate-weight, --bits-per-value and --bytes", param_hint="--rate-weight")
    if prior not in ("empirical", "gaussian", "zero-gaussian"):
        raise typer.BadParameter(f"no prior {prior!r}; known: empirical, gaussian, zero-gaussian", param_hint="--prior")
    if source == STANDARD and std == STANDARD:
        raise typer.BadParameter("standard input can be read only once", param_hint="--std")
    if out != STANDARD and Path(out).suffix in (".npy", ".npz", ".safetensors"):
        raise typer.BadParameter(f"{out} is named like an input; was the output forgotten?", param_hint="OUT")
    _refuse(out, [path for path in (source, std) if path not in (None, STANDARD)], overwrite=overwrite)

    from glissando import bayes
    from glissando.bayes.files import pair, pair_files

    if rate_weight is None and bits_per_value is None and bytes_ is None:
        rate_weight = 1.0
    name = source
    try:
        means = _load(source)
        if std is not None:
            name = std
            deviations = _load(std)
            name = source
            named = pair_files(means, deviations)
        else:
            named = pair(means, suffix)
            if "" in named and not isinstance(named[""], bayes.Posterior) and not keep_raw:
                raise typer.BadParameter("a .npy file holds no deviations; name their file", param_hint="--std")
        data = bayes.compress_arrays(
            named,
            rate_weight=rate_weight,
            target_bits_per_value=bits_per_value,
            target_bytes=bytes_,
            prior=prior,
            max_bits=max_bits,
            groups=groups_axis,
            raw=keep_raw,
        )
    except (GlissandoError, OSError) as error:
        show_error(error, show_name(name))
        return 1
    write_output(out, data)
    if not quiet:
        values = sum(item[0].size if isinstance(item, tuple) else item.size for item in named.values())
        count = "1 array" if len(named) == 1 else f"{len(named)} arrays"
        say(
            f"{show_name(source)} -> {show_name(out, output=True)}: {count}, {values:,} values, {len(data):,} bytes, "
            f"{8 * len(data) / max(values, 1):.3f} bits per value"
        )
    return 0


@app.command("decode", epilog=_DECODE_EXAMPLES)
@guarded
def decode(
    source: Annotated[
        str, typer.Argument(metavar="IN", show_default=False, help="A .glissa file; - is standard input.")
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT", show_default=False, help="A .npy, .npz or .safetensors file; - is standard output."
        ),
    ],
    max_values: Annotated[
        int, typer.Option("--max-values", min=1, metavar="N", help="Refuse files with more values than this.")
    ] = 2**28,
    overwrite: Overwrite = True,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Decompress a .glissa file: the same arrays, to the last bit, on every machine."""
    suffix = Path(out).suffix.lower()
    if out != STANDARD and suffix not in (".npy", ".npz", ".safetensors"):
        raise typer.BadParameter(f"{out} must end in .npy, .npz or .safetensors", param_hint="OUT")
    _refuse(out, [source] if source != STANDARD else [], overwrite=overwrite)

    from glissando import bayes
    from glissando.bayes.files import dump_arrays

    try:
        found = bayes.decompress_arrays(read_bytes(source), max_values=max_values)
        data = dump_arrays(found, (".npy" if len(found) == 1 else ".npz") if out == STANDARD else suffix)
    except (GlissandoError, OSError) as error:
        show_error(error, show_name(source))
        return 1
    write_output(out, data)
    if not quiet:
        for name, array in found.items():
            shape = "x".join(map(str, array.shape)) or "scalar"
            say(f"{show_name(source)} -> {show_name(out, output=True)}: {name or 'array'}: {shape} {array.dtype}")
    return 0
