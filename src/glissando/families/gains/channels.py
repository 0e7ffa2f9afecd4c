"""Which channels of a network of the gains family belong together, and the configuration of a network without some.

Latents and hyper-latents keep their number, as in the source of mask decay (EVC, arXiv 2302.05071): they are what a
file holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from glissando.networks.channels import FOLLOWS, READS, WRITES, Group, Place
from glissando.networks.layers import hidden_width

from .config import GainsConfig

__all__ = ["channel_groups", "is_decoders", "with_widths"]

_ANALYSIS = "analysis."


def is_decoders(group: str) -> bool:
    """Whether a decoder computes these channels; all others belong to an encoder alone."""
    return not group.startswith(("analysis.", "hyper_analysis."))


def _layer(layer: str, role: str, *, copies: int = 1, offset: int = 0) -> tuple[Place, ...]:
    """The outputs of a layer: rows of its weight and bias."""
    return (
        Place(f"{layer}.weight", 0, role, copies, offset),
        Place(f"{layer}.bias", 0, role, copies, offset),
    )


def _writes(layer: str, copies: int = 1) -> tuple[Place, ...]:
    return _layer(layer, WRITES, copies=copies)


def _reads(layer: str, copies: int = 1, offset: int = 0) -> tuple[Place, ...]:
    return (Place(f"{layer}.weight", 1, READS, copies, offset),)


def _mixed(enter: str, depthwise: str, leave: str) -> tuple[Place, ...]:
    """Channels behind a depthwise layer, where their mask is."""
    own = (Place(f"{depthwise}.weight", 0, WRITES), Place(f"{depthwise}.bias", 0, WRITES))
    return (*_layer(enter, FOLLOWS), *own, *_reads(leave))


def _in_stream(block: str) -> tuple[Place, ...]:
    """What a block does with the residual stream around it."""
    return (
        *_writes(f"{block}.leave"),
        *_writes(f"{block}.narrow"),
        *_reads(f"{block}.enter"),
        *_reads(f"{block}.widen"),
    )


def _block(block: str, inner: int, hidden: int, *, gated: bool) -> Iterator[Group]:
    """The channels inside a block. Of a gated pair a mask multiplies the values alone, not the gates."""
    yield Group(f"{block}.inner", inner, _mixed(f"{block}.enter", f"{block}.depthwise", f"{block}.leave"))
    gates = _layer(f"{block}.widen", FOLLOWS, offset=hidden) if gated else ()
    yield Group(f"{block}.hidden", hidden, (*_writes(f"{block}.widen"), *gates, *_reads(f"{block}.narrow")))


def _stacks(part: str, first: tuple[str, int], second: tuple[str, int]) -> list[str]:
    """The names of a transform's blocks, in their order."""
    return [f"{part}.{name}.{i}" for name, number in (first, second) for i in range(number)]


def _analysis_blocks(c: GainsConfig) -> list[str]:
    return _stacks("analysis", ("blocks", c.analysis_blocks), ("latent_blocks", c.analysis_latent_blocks))


def _synthesis_blocks(c: GainsConfig) -> list[str]:
    return _stacks("synthesis", ("latent_blocks", c.synthesis_latent_blocks), ("blocks", c.synthesis_blocks))


def _block_widths(c: GainsConfig, blocks: list[str], given: tuple[int, ...], width: int, ratio: int) -> list[int]:
    """Two widths for each block."""
    if given:
        return list(given)
    found = []
    for block in blocks:
        channels = c.latents if ".latent_blocks." in block else width
        found += [channels, hidden_width(channels, ratio, gated=c.gated)]
    return found


def _steps(c: GainsConfig) -> list[tuple[str, str]]:
    """The context of each step after the first, and what the names of its layers of the scale network end in."""
    if c.context_steps == 2:
        return [("context", "")]
    return [(f"context.{i}", f"_{i + 1}" if i else "") for i in range(c.context_steps - 1)]


def channel_groups(c: GainsConfig) -> list[Group]:
    """All groups of a network of this configuration."""

    def blocks(names: list[str], widths: list[int]) -> Iterator[Group]:
        for name, inner, hidden in zip(names, widths[::2], widths[1::2], strict=True):
            yield from _block(name, inner, hidden, gated=c.gated)

    analysis, synthesis = _analysis_blocks(c), _synthesis_blocks(c)
    analysis_width = c.analysis_width or c.width
    at_8 = [block for block in analysis if ".blocks." in block]
    groups = [
        Group(
            "analysis.stream",
            analysis_width,
            (*_writes("analysis.enter"), *_reads("analysis.down.1", 4), *_all(_in_stream, at_8)),
        )
    ]
    ratio = c.analysis_ratio or c.ratio
    groups += blocks(analysis, _block_widths(c, analysis, c.analysis_widths, analysis_width, ratio))

    first, stream, *inside = c.hyper_analysis_widths
    block = "hyper_analysis.block"
    groups += [
        Group("hyper_analysis.first", first, (*_writes("hyper_analysis.enter"), *_reads("hyper_analysis.to_32.1", 4))),
        Group(
            "hyper_analysis.stream",
            stream,
            (*_writes("hyper_analysis.to_32.1"), *_reads("hyper_analysis.to_64.1", 4), *_in_stream(block)),
        ),
    ]
    groups += blocks([block], inside)

    stream, *inside = c.hyper_synthesis_widths
    block = "hyper_synthesis.block"
    groups.append(
        Group(
            "hyper_synthesis.stream",
            stream,
            (*_writes("hyper_synthesis.to_32.0", 4), *_reads("hyper_synthesis.to_16.0"), *_in_stream(block)),
        )
    )
    groups += blocks([block], inside)

    means = [*_writes("hyper_synthesis.to_16.0", 4), Place("means_offset.table", 1, WRITES), *_reads("first_means")]
    contexts: list[Place] = []
    corrections: list[Place] = []
    for context, step in _steps(c):
        means += _reads(f"{context}.mix", offset=c.latents)
        contexts += _mixed(f"{context}.mix", f"{context}.depthwise", f"{context}.out")
        corrections += (*_writes(f"scales.second_mix{step}"), *_reads(f"scales.second_out{step}"))
    groups.append(Group("means", c.means_width, tuple(means)))
    if contexts:
        groups.append(Group("context", c.context_width, tuple(contexts)))
    groups += _scales(c, corrections)

    at_8 = [block for block in synthesis if ".blocks." in block]
    levels = (Place("synthesis_factor.table", 1, FOLLOWS), Place("synthesis_offset.table", 1, WRITES))
    groups.append(
        Group(
            "synthesis.stream",
            c.width,
            (*_writes("synthesis.up.0", 4), *levels, *_reads("synthesis.leave"), *_all(_in_stream, at_8)),
        )
    )
    groups += blocks(synthesis, _block_widths(c, synthesis, c.synthesis_widths, c.width, c.ratio))
    return [dataclasses.replace(group, places=(*group.places, *_in_later_stages(c, group))) for group in groups]


def _in_later_stages(c: GainsConfig, group: Group) -> Iterator[Place]:
    """The same places in every later stage of the analysis: all stages have one shape."""
    for stage in range(c.analysis_stages - 1):
        for place in group.places:
            if place.parameter.startswith(_ANALYSIS):
                inside = place.parameter.removeprefix(_ANALYSIS)
                yield dataclasses.replace(place, parameter=f"{_ANALYSIS}later.{stage}.{inside}")


def _all(places: Callable[[str], tuple[Place, ...]], blocks: list[str]) -> tuple[Place, ...]:
    return tuple(place for block in blocks for place in places(block))


def _scales(c: GainsConfig, corrections: list[Place]) -> Iterator[Group]:
    """The hidden layers of the scale network. Those of experiments that files cannot hold keep their width."""
    z_mix, z_up, mid_mix, mid_up = c.scale_first_widths
    yield Group("scales.z_mix", z_mix, (*_writes("scales.z_mix"), *_reads("scales.z_up")))
    yield Group("scales.z_up", z_up, (*_writes("scales.z_up", 4), *_reads("scales.mid_mix")))
    yield Group("scales.mid_mix", mid_mix, (*_writes("scales.mid_mix"), *_reads("scales.mid_up")))
    yield Group("scales.mid_up", mid_up, (*_writes("scales.mid_up", 4), *_reads("scales.first_out")))
    if corrections and c.scale_layers == 2 and c.scale_sees == "magnitudes":
        yield Group("scales.second_mix", c.scale_width, tuple(corrections))


def with_widths(c: GainsConfig, widths: Mapping[str, int]) -> GainsConfig:
    """The configuration of a network whose groups have these ``widths``, by their names.

    Keys of a side whose widths stay are left as they are: a decoder keeps its configuration where the encoder alone
    became smaller, and so its hash.
    """

    def of(blocks: list[str]) -> tuple[int, ...]:
        return tuple(widths[f"{block}.{kind}"] for block in blocks for kind in ("inner", "hidden"))

    def named(part: str, *names: str) -> tuple[int, ...]:
        return tuple(widths[f"{part}.{name}"] for name in names)

    changed = [group.name for group in channel_groups(c) if widths[group.name] != group.width]
    if any(is_decoders(name) for name in changed):
        c = dataclasses.replace(
            c,
            width=widths["synthesis.stream"],
            analysis_width=widths["analysis.stream"],  # which may have been that of the synthesis
            synthesis_widths=of(_synthesis_blocks(c)),
            hyper_widths=(*named("hyper_synthesis", "stream"), *of(["hyper_synthesis.block"])),
            means_width=widths["means"],
            context_width=widths.get("context", c.context_width),
            scale_width=widths.get("scales.second_mix", c.scale_width),
            scale_widths=named("scales", "z_mix", "z_up", "mid_mix", "mid_up"),
        )
    if not all(is_decoders(name) for name in changed):
        c = dataclasses.replace(
            c,
            analysis_width=widths["analysis.stream"],
            analysis_widths=of(_analysis_blocks(c)),
            analysis_hyper_widths=(*named("hyper_analysis", "first", "stream"), *of(["hyper_analysis.block"])),
        )
    return c
