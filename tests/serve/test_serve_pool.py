"""Worker processes and their queue: what dies comes back, what waits is bounded, what has begun is finished."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client"):
    pytest.importorskip(package, reason=f"{package}, which the service needs, is not installed")

from slow_jobs import Die, Refine, Sleep  # noqa: E402

from glissando.errors import OverloadedError, TimeLimitError, WorkerError  # noqa: E402
from glissando.serve import Settings  # noqa: E402
from glissando.serve.pool import Pool  # noqa: E402


def with_pool(work: Callable[[Pool], Coroutine[Any, Any, Any]], **settings: Any) -> list[str]:
    """Do some work with a pool, which has one worker unless the settings say otherwise; why workers were lost."""
    lost: list[str] = []

    async def run() -> None:
        async with Pool(Settings(**{"workers": 1, "threads": 1, **settings}), died=lost.append) as pool:
            await work(pool)
        assert pool.workers == []

    asyncio.run(run())
    return lost


async def begun(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.01)


def test_answers_come_to_those_who_asked() -> None:
    async def work(pool: Pool) -> None:
        most = 0

        async def one(number: int) -> None:
            nonlocal most
            answer = await pool.do(Sleep(0.02, b"%d" % number))
            most = max(most, pool.running)
            assert answer.value == b"%d" % number
            assert answer.seconds >= 0.02

        await asyncio.gather(*map(one, range(12)))
        assert 1 <= most <= 2
        assert (pool.running, pool.waiting) == (0, 0)

    assert with_pool(work, workers=2) == []


def test_the_queue_is_bounded() -> None:
    async def work(pool: Pool) -> None:
        tasks = [asyncio.create_task(pool.do(Sleep(0.3))) for _ in range(8)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [result for result in done if isinstance(result, OverloadedError)]
        assert len(refused) == 5  # one was at work, two waited
        assert pool.retry_after >= 1
        assert (await pool.do(Sleep(0))).value == b"slept"

    with_pool(work, max_queue=2)


def test_a_worker_that_crashes_costs_its_job_alone() -> None:
    async def work(pool: Pool) -> None:
        results = await asyncio.gather(
            pool.do(Sleep(0)), pool.do(Die()), pool.do(Sleep(0)), pool.do(Die()), return_exceptions=True
        )
        assert [isinstance(result, WorkerError) for result in results] == [False, True, False, True]
        assert "SIGKILL" in str(results[1])
        assert (await pool.do(Sleep(0))).value == b"slept"

    assert with_pool(work) == ["crash", "crash"]


def test_a_worker_that_is_killed_while_idle_costs_nothing() -> None:
    async def work(pool: Pool) -> None:
        await pool.do(Sleep(0))
        (worker,) = pool.workers
        os.kill(worker.pid, signal.SIGKILL)
        while worker.alive:
            await asyncio.sleep(0.01)
        assert (await pool.do(Sleep(0))).value == b"slept"

    assert with_pool(work) == ["crash"]


def test_an_error_that_is_not_ours_leaves_the_worker_alive() -> None:
    async def work(pool: Pool) -> None:
        before = [worker.pid for worker in pool.workers]
        with pytest.raises(WorkerError, match="unexpected") as caught:
            await pool.do(Die(crash=False))
        assert "ZeroDivisionError: of the test" in str(caught.value.__cause__)
        assert "ZeroDivision" not in str(caught.value)
        assert [worker.pid for worker in pool.workers] == before

    assert with_pool(work) == []


def test_a_job_that_takes_too_long_is_ended() -> None:
    async def work(pool: Pool) -> None:
        await pool.do(Sleep(0))
        start = time.monotonic()
        with pytest.raises(TimeLimitError):
            await pool.do(Sleep(60))
        assert time.monotonic() - start < 10
        with pytest.raises(TimeLimitError):
            await pool.do(Sleep(60))  # of the worker that took its place too

    assert with_pool(work, max_seconds=1.5) == ["timeout", "timeout"]


def test_who_leaves_the_queue_is_forgotten(tmp_path: Path) -> None:
    async def work(pool: Pool) -> None:
        first = asyncio.create_task(pool.do(Sleep(0.3, begun=str(tmp_path / "first"))))
        second = asyncio.create_task(pool.do(Sleep(0, begun=str(tmp_path / "second"))))
        third = asyncio.create_task(pool.do(Sleep(0, begun=str(tmp_path / "third"))))
        await begun(tmp_path / "first")
        assert pool.waiting == 2
        second.cancel()
        await asyncio.wait([first, second, third])
        assert (first.cancelled(), second.cancelled(), third.cancelled()) == (False, True, False)
        assert (tmp_path / "third").exists()
        assert not (tmp_path / "second").exists()
        assert pool.waiting == 0

    with_pool(work)


def test_who_leaves_a_running_job_gives_its_worker_back(tmp_path: Path) -> None:
    async def work(pool: Pool) -> None:
        task = asyncio.create_task(pool.do(Sleep(0.3, begun=str(tmp_path / "begun"))))
        await begun(tmp_path / "begun")
        task.cancel()
        await asyncio.wait([task])
        assert pool.running == 1
        assert (await pool.do(Sleep(0))).value == b"slept"  # once the other one is done
        assert pool.running == 0

    assert with_pool(work) == []


def test_a_job_that_nobody_waits_for_may_end(tmp_path: Path) -> None:
    async def work(pool: Pool) -> None:
        for number in range(2):  # the second is not told what was told of the first
            names = [str(tmp_path / f"{name}{number}") for name in ("begun", "ended")]
            task = asyncio.create_task(pool.do(Refine(*names)))
            await begun(Path(names[0]))
            await asyncio.sleep(0.1)
            assert not Path(names[1]).exists()
            task.cancel()
            await begun(Path(names[1]))
        assert (await pool.do(Sleep(0))).value == b"slept"

    assert with_pool(work, max_seconds=30) == []


def test_warming_up_is_none_of_the_jobs_time() -> None:
    async def run() -> None:
        lost: list[str] = []
        async with Pool(Settings(workers=1, max_seconds=1), Sleep(2.5), lost.append) as pool:
            assert (await pool.do(Sleep(0))).value == b"slept"
            with pytest.raises(TimeLimitError):
                await pool.do(Sleep(60))
            assert (await pool.do(Sleep(0))).value == b"slept"
        assert lost == ["timeout"]

    asyncio.run(run())


def test_a_worker_that_cannot_warm_up_says_so_and_works(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("glissando.serve"), "propagate", True)  # a server before may have ended that

    async def run() -> None:
        async with Pool(Settings(workers=1), Die(crash=False)) as pool:
            assert (await pool.do(Sleep(0))).value == b"slept"

    asyncio.run(run())
    traces = {record.__dict__["trace"] for record in caplog.records if record.name == "glissando.serve"}
    assert len(traces) == 1
    assert "ZeroDivisionError: of the test" in traces.pop()


def test_without_workers_nothing_is_waited_for() -> None:
    with pytest.raises(WorkerError, match="lifespan"):
        asyncio.run(Pool(Settings(workers=1)).do(Sleep(0)))


def test_closing_finishes_what_has_begun(tmp_path: Path) -> None:
    async def work(pool: Pool) -> None:
        task = asyncio.create_task(pool.do(Sleep(0.5, begun=str(tmp_path / "begun"))))
        await begun(tmp_path / "begun")
        left.append(task)

    left: list[asyncio.Task[Any]] = []
    assert with_pool(work) == []
    assert left[0].result().value == b"slept"


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", -1), ("max_bytes", 0), ("max_seconds", float("nan")), ("max_effort", 11), ("folder", "/nowhere")],
)
def test_settings_that_cannot_be(name: str, value: Any) -> None:
    from glissando.errors import InputError

    with pytest.raises(InputError, match=str(value)):
        Settings(**{name: value})
