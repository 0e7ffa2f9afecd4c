"""``glissando doctor``: what is installed, and whether it works."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from glissando.cli.common import Debug, examples, guarded
from glissando.cli.streams import tell

if TYPE_CHECKING:
    from glissando.diagnosis import Diagnosis

EXAMPLES = examples(
    ("glissando doctor", "processor, engines, models, optional packages, and a self-test"),
    ("glissando doctor --json", "the same for programs, and for reports of bugs"),
)


@guarded
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Debug = False,
) -> int:
    """Say what is installed, and test that it works.

    The self-test codes a small picture and compares checksums, in one to two seconds. The exit code is 1 where it
    fails, or where a model's files are damaged.
    """
    from glissando.diagnosis import diagnose

    found = diagnose()
    if as_json:
        tell(json.dumps({"ok": found.ok, **dataclasses.asdict(found)}, indent=2))
    else:
        for line in _lines(found):
            tell(line)
    return 0 if found.ok else 1


def _lines(found: Diagnosis) -> Iterator[str]:
    from glissando.diagnosis import OPTIONAL

    machine = found.machine
    extensions = machine["extensions"]
    assert isinstance(extensions, tuple)
    yield f"glissando {found.glissando}, Python {machine['python']}, {machine['system']}"
    yield f"processor   {machine['processor']} ({', '.join(extensions) or 'no extension that is known'})"
    yield f"threads     {machine['cores']} of {found.cores} cores"
    yield f"engines     {_listed(found.engines)}; {found.engine or 'none'} is used"
    yield f"precision   {_precision(found)}"
    yield f"libraries   {_listed(found.libraries)}"
    for name, value in found.variables.items():
        yield f"variable    {name}={value}"
    yield f"own models  {found.user_folder}"
    yield "models"
    for model in found.models:
        yield f"  {model.name}  {model.hash}  {model.source}{f'  DAMAGED: {model.problem}' if model.problem else ''}"
    yield "optional packages"
    width = max(map(len, OPTIONAL))
    for name, version in found.optional.items():
        yield f"  {name:<{width}}  {version or 'not installed'}: {OPTIONAL[name]}"
    yield "self-test"
    for check in found.checks:
        yield f"  {'ok' if check.ok else 'FAILED'}  {check.name}: {check.found} ({check.seconds:.2f} s)"
    yield "All is well." if found.ok else "Something is wrong."


def _listed(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'not installed'}" for name, version in versions.items())


def _precision(found: Diagnosis) -> str:
    if found.precision == "bf16":
        limits = ", ".join(f"{model.name} {model.bf16_quality:g}" for model in found.models if model.bf16_quality >= 0)
        return f"bf16 up to the quality at which it would be seen ({limits}), f32 above" if limits else "f32"
    return found.precision or "unknown"
