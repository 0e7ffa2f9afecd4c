"""A comparison from beginning to end: pictures, points, BD-rates, speed, pictures side by side, results.

pictures ── pictures.load ──> sources ─┐
codecs ──── open_codec ─────> entrants ┴─ measure, in workers, beside the cache ──> points
                                                                                     │
    curves.bd_rows <─────────────────────────────────────────────────────────────────┤
    speed.measure_speed, one codec at a time, at the setting nearest 0.5 bpp <───────┤
    comparisons.compare, ours and a peer at the same file size <─────────────────────┘
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import glissando
from glissando.errors import BenchmarkError, CodecUnavailableError
from glissando.machine import Machine, default_threads

from . import bdrate, comparisons, published, speed
from .cache import Cache, entry_key, score_key
from .codecs import DEFAULTS, Codec, open_codec, registered
from .curves import MIN_OVERLAP, bd_rows, setting_at
from .measure import Measured, PointTask, measure_point, release
from .metrics import describe
from .pictures import Source, load
from .progress import Progress
from .results import (
    CodecInfo,
    Comparison,
    Failure,
    Metric,
    Missing,
    Point,
    PublishedCurve,
    Results,
)
from .workers import each, explain

__all__ = ["ANCHOR", "METRICS", "Options", "Outcome", "import_plugin", "run"]

ANCHOR = "avif"
METRICS = ("psnr", "ms-ssim")
_METHOD = (
    f"{bdrate.METHOD} interpolation of log-rate over the score, over the range that both curves cover, which must be "
    f"{100 * MIN_OVERLAP:.0f} % of the shorter one; points that a smaller file matches or beats are left out"
)
_TIMED_PIXELS = 100_000  # of the picture that is brought to all sizes, if there is one so large


@dataclass(frozen=True)
class Options:
    """What to compare, and how; ``None`` leaves the choice to the runner."""

    pictures: Sequence[Path]
    out: Path
    codecs: Sequence[str] | None = None
    metrics: Sequence[str] | None = None
    anchor: str | None = None
    peer: str | None = None  # beside which our pictures are shown; the anchor unless given
    quick: bool = False
    threads: int | None = None  # all cores
    cache: Path | None = None  # folder; nothing is kept without
    published: bool | None = None  # where the pictures are Kodak's
    published_file: Path | None = None
    speed: bool = True
    comparisons: int = 3  # pictures shown side by side
    sizes: Sequence[float] | None = None  # megapixels, of timing
    rounds: int | None = None
    plugins: Sequence[str] = ()  # modules that register codecs of their own
    command: str = ""


@dataclass(frozen=True)
class Outcome:
    """The results, what else is worth telling, and whether anything asked for failed."""

    results: Results
    notes: list[str]
    failed: bool


@dataclass(frozen=True)
class _Entrant:
    """A codec that takes part."""

    info: CodecInfo
    settings: tuple[float, ...]
    whole: bool


@dataclass
class _Run:
    """The state of a comparison while it runs."""

    options: Options
    threads: int
    progress: Progress
    missing: list[Missing] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.progress.say(text)

    def fail(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.failed = True

    def leave_out(self, name: str, reason: str, *, asked: bool) -> None:
        """Note that a codec or a metric does not take part; the run has failed if it was ``asked`` for by name."""
        self.missing.append(Missing(name, reason))
        self.failed |= asked


def run(options: Options, progress: Progress | None = None) -> Outcome:
    """Compare codecs. Pictures of the comparisons are written into ``options.out``, the report is not.

    Raises:
        BenchmarkError: an unknown codec or metric, or nothing to measure: no picture, no codec, no metric.
        OSError: the folder for the report cannot be made, or published curves cannot be read.
    """
    began = time.monotonic()
    for plugin in options.plugins:
        import_plugin(plugin)
    state = _Run(options, options.threads or default_threads(), progress or Progress())
    curves = _published(options)
    metrics = _metrics(state)
    entrants = _entrants(state)
    anchor, peer = _roles(state, entrants)
    found = _pictures(state)
    names = [source.info.name for source in found]
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        points = _points(state, found, entrants, metrics)
        if not points:
            reason = state.failures[-1].message if state.failures else "no codec has a setting"
            raise BenchmarkError(f"not one measurement succeeded; the last failure: {reason}")
        measured_speed = _speed(state, found, entrants, points) if options.speed else speed.Speed()
        shown = _comparisons(state, found, entrants, points, metrics, peer)
    finally:
        release()
    rates = bd_rows(points, [e.info.name for e in entrants], [m.name for m in metrics], names, anchor)
    overlay = options.published
    if overlay is None:
        overlay = options.published_file is not None or published.is_kodak([source.info for source in found])
    return Outcome(
        Results(
            version=glissando.__version__,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            command=options.command,
            machine=Machine.this(),
            threads=state.threads,
            anchor=anchor,
            bd_method=_METHOD,
            metrics=metrics,
            codecs=[entrant.info for entrant in entrants],
            missing=state.missing,
            pictures=[source.info for source in found],
            points=points,
            bd=rates,
            timings=measured_speed.timings,
            memory=measured_speed.memory,
            matrix_product_gmac_s=measured_speed.matrix_product_gmac_s,
            published=curves if overlay else [],
            comparisons=shown,
            failures=state.failures,
            seconds=time.monotonic() - began,
        ),
        state.notes,
        state.failed,
    )


def _published(options: Options) -> list[PublishedCurve]:
    """The published curves, read before anything is measured, so that a mistake in the file is told at once."""
    return [] if options.published is False else published.load_published(options.published_file)


def import_plugin(plugin: str) -> None:
    """Raises BenchmarkError where there is no such module."""
    try:
        importlib.import_module(plugin)
    except ImportError as error:
        raise BenchmarkError(f"the plugin {plugin} cannot be imported: {error}") from error


def _metrics(state: _Run) -> list[Metric]:
    asked = state.options.metrics is not None
    metrics = []
    for name in dict.fromkeys(state.options.metrics or METRICS):
        try:
            metrics.append(describe(name))
        except CodecUnavailableError as error:
            state.leave_out(name, explain(error), asked=asked)
    if not metrics:
        raise BenchmarkError(f"no metric to measure with: {'; '.join(m.reason for m in state.missing)}")
    return metrics


def _entrants(state: _Run) -> list[_Entrant]:
    """The codecs that can take part. Raises BenchmarkError for an unknown name, or where none can."""
    options = state.options
    asked = list(dict.fromkeys(options.codecs or DEFAULTS))
    for role in (options.anchor, options.peer):
        if role is not None and role not in asked:
            asked.append(role)
    entrants = []
    for name in asked:
        try:
            codec = open_codec(name, state.threads)
            if options.quick and codec.slow and options.codecs is None and name not in (options.anchor, options.peer):
                state.leave_out(name, "left out by --quick, as it is slow; name it in --codecs", asked=False)
                continue
            entrants.append(_entrant(name, codec, options.quick))
        except CodecUnavailableError as error:
            state.leave_out(name, explain(error), asked=options.codecs is not None)
        except BenchmarkError:
            raise
        except Exception as error:  # a library that is there, but broken
            state.leave_out(name, explain(error), asked=True)
    if options.codecs is None:
        for name, kind in registered().items():
            if kind.on_request and name not in asked:
                state.leave_out(name, "left out, as it takes a minute for a picture; name it in --codecs", asked=False)
    if not entrants:
        reasons = "; ".join(f"{m.name}: {m.reason}" for m in state.missing)
        raise BenchmarkError(f"none of the codecs is available ({reasons})")
    return entrants


def _entrant(name: str, codec: Codec, quick: bool) -> _Entrant:
    settings = tuple(float(setting) for setting in (codec.quick if quick else codec.settings))
    info = CodecInfo(name, codec.label, codec.version, codec.ours, codec.thread_note, codec.tuned_for, codec.model)
    return _Entrant(info, settings, codec.whole)


def _roles(state: _Run, entrants: Sequence[_Entrant]) -> tuple[str, str]:
    """Anchor and peer. Raises BenchmarkError where one was asked for that is not available."""
    names = [entrant.info.name for entrant in entrants]
    for role in (state.options.anchor, state.options.peer):
        if role is not None and role not in names:
            reason = next((m.reason for m in state.missing if m.name == role), "")
            raise BenchmarkError(f"{role}, against which the others are to be compared, is not available: {reason}")
    anchor = state.options.anchor or ANCHOR
    if anchor not in names:
        anchor = next((e.info.name for e in entrants if not e.info.ours), names[0])
        state.note(f"{ANCHOR} does not take part: {anchor} is the anchor")
    return anchor, state.options.peer or anchor


def _pictures(state: _Run) -> list[Source]:
    started = False

    def advance(total: int) -> None:
        nonlocal started
        if not started:
            state.progress.stage("reading pictures", total)
            started = True
        state.progress.advance()

    found = load(state.options.pictures, advance)
    for failure in found.failures:
        state.fail(failure)
    for text in found.notes:
        state.note(text)
    return found.sources


def _points(
    state: _Run, sources: Sequence[Source], entrants: Sequence[_Entrant], metrics: Sequence[Metric]
) -> list[Point]:
    """Every picture by every codec at every setting, from the cache where it is known."""
    by_name = {source.info.name: source.info for source in sources}
    codecs = {entrant.info.name: entrant.info for entrant in entrants}
    keys = {metric.name: score_key(metric) for metric in metrics}
    order: dict[tuple[str, str, float], int] = {}
    points: list[Point] = []
    tasks: list[PointTask] = []
    cache = Cache(state.options.cache)

    def keep(picture: str, codec: str, setting: float) -> tuple[str, ...]:
        """Make a point of what the cache knows; else the metrics that it lacks."""
        entry = cache.get(entry_key(by_name[picture], codecs[codec], setting))
        lacking = tuple(name for name, key in keys.items() if entry is None or key not in entry.scores)
        if entry is not None and not lacking:
            info = by_name[picture]
            scores = {name: score for name, key in keys.items() if (score := entry.scores[key]) is not None}
            bpp = 8.0 * entry.bytes / (info.width * info.height)
            points.append(Point(codec, picture, setting, entry.bytes, bpp, scores))
        return lacking

    with contextlib.closing(cache), contextlib.ExitStack() as stack:
        for source in sources:  # picture by picture, as a worker keeps the last one it read
            for entrant in entrants:
                for setting in entrant.settings:
                    picture, codec = source.info.name, entrant.info.name
                    order[codec, picture, setting] = len(order)
                    if lacking := keep(picture, codec, setting):
                        tasks.append(PointTask(source.path, picture, codec, setting, lacking))
        if points:
            state.note(f"{len(points)} of {len(order)} measurements are known from an earlier run")
        state.progress.stage("measuring", len(tasks))
        answers = each(measure_point, tasks, min(state.threads, len(tasks)), state.options.plugins)
        stack.enter_context(contextlib.closing(answers))  # Ctrl-C ends the workers
        for task, answer in answers:
            if isinstance(answer, Measured):
                key = entry_key(by_name[task.picture], codecs[task.codec], task.setting)
                known = cache.get(key)
                if known is not None and known.bytes == answer.bytes:
                    answer.scores.update({name: known.scores[keys[name]] for name in keys if name not in answer.scores})
                cache.put(key, answer.bytes, {keys[name]: score for name, score in answer.scores.items()})
                keep(task.picture, task.codec, task.setting)
            else:
                state.fail(Failure(task.picture, explain(answer), task.codec, task.setting))
            state.progress.advance()
    if cache.problem:
        state.note(cache.problem)
    return sorted(points, key=lambda p: order[p.codec, p.picture, p.setting])


def _speed(
    state: _Run, sources: Sequence[Source], entrants: Sequence[_Entrant], points: Sequence[Point]
) -> speed.Speed:
    options = state.options
    large = [s for s in sources if s.info.width * s.info.height >= _TIMED_PIXELS]
    source = large[0] if large else max(sources, key=lambda s: s.info.width * s.info.height)
    settings = {}
    for entrant in entrants:
        own = [p for p in points if p.codec == entrant.info.name]
        own = [p for p in own if p.picture == source.info.name] or own
        if own:
            settings[entrant.info.name] = setting_at(own, speed.RATE, whole=entrant.whole)
    state.note(f"speed: {source.info.name}, brought to each size, at the setting nearest {speed.RATE:g} bpp")
    result = speed.measure_speed(
        source.path,
        settings,
        state.threads,
        sizes=options.sizes or (speed.QUICK_SIZES if options.quick else speed.SIZES),
        rounds=options.rounds or (3 if options.quick else 7),
        plugins=options.plugins,
        progress=state.progress,
    )
    for failure in result.failures:
        state.fail(failure)
    for failure in result.skipped:  # belongs into the report, but nothing is wrong
        state.failures.append(failure)
    return result


def _comparisons(
    state: _Run,
    sources: Sequence[Source],
    entrants: Sequence[_Entrant],
    points: Sequence[Point],
    metrics: Sequence[Metric],
    peer: str,
) -> list[Comparison]:
    """Each of our models beside the peer, on some pictures that are large enough to be looked at."""
    sources = [s for s in sources if min(s.info.width, s.info.height) >= comparisons.SMALLEST]
    chosen = comparisons.choose(len(sources), state.options.comparisons)
    ours = [entrant for entrant in entrants if entrant.info.ours and entrant.info.name != peer]
    if not chosen or not ours:
        return []
    whole = next(entrant.whole for entrant in entrants if entrant.info.name == peer)
    tasks = []
    for index, stem in zip(chosen, comparisons.stems([sources[i].info.name for i in chosen]), strict=True):
        picture = sources[index].info.name
        theirs = [p for p in points if p.codec == peer and p.picture == picture]
        for entrant in ours:
            own = [p for p in points if p.codec == entrant.info.name and p.picture == picture]
            if not theirs or not own:
                continue  # told already, as a failure of each setting
            smallest = min(own, key=lambda p: p.bytes)
            # Somewhat above the rate where our own files are no smaller, as on tiny pictures.
            rate = max(comparisons.RATE, 1.05 * smallest.bpp)
            peer_setting = setting_at(theirs, rate, whole=whole)
            tasks.append(
                comparisons.CompareTask(
                    path=sources[index].path,
                    picture=picture,
                    ours=entrant.info.name,
                    peer=peer,
                    small=smallest.setting,
                    large=max(own, key=lambda p: p.bytes).setting,
                    whole=entrant.whole,
                    peer_setting=peer_setting,
                    metrics=tuple(metric.name for metric in metrics),
                    folder=state.options.out,
                    stem=stem,
                )
            )
    if len(chosen) < len(sources):
        state.note(f"side by side: {len(chosen)} of {len(sources)} pictures, spread evenly over the list")
    state.progress.stage("side by side", len(tasks))
    done: dict[tuple[str, str], Comparison] = {}
    for task, answer in each(comparisons.compare, tasks, min(state.threads, len(tasks)), state.options.plugins):
        if isinstance(answer, Comparison):
            done[task.picture, task.ours] = answer
        else:
            message = f"no comparison with {task.peer} at the same size: {explain(answer)}"
            state.fail(Failure(task.picture, message, task.ours))
        state.progress.advance()
    return [done[task.picture, task.ours] for task in tasks if (task.picture, task.ours) in done]
