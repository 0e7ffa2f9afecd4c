"""Clients that are too many, too slow, or gone; and the whole service as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(package, reason=f"{package}, which the service or its tests need, is not installed")

import httpx  # noqa: E402
from slow_jobs import Sleep  # noqa: E402


@pytest.fixture
def sleeping(running: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A service whose workers sleep instead of encoding; ``job``: what they do."""

    def make(job: Any, **settings: Any) -> Any:
        monkeypatch.setattr("glissando.serve.app.WarmJob", lambda: None)
        monkeypatch.setattr("glissando.serve.coding.EncodeJob", lambda *arguments, **options: job)
        return running(**settings)

    return make


def head(length: int, path: str = "/encode") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def connected(service: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def held(service: Any) -> int:
    return int(service.app.state.service.held.now)


def test_at_ten_times_the_load_the_rest_is_told_to_come_back(sleeping: Any) -> None:
    with sleeping(Sleep(0.5), max_queue=3) as service:
        service.client.post("/encode", content=b"x")

        def post(number: int) -> httpx.Response:
            return httpx.post(f"http://127.0.0.1:{service.port}/encode", content=bytes(1000), timeout=60)

        with ThreadPoolExecutor(40) as threads:
            answers = list(threads.map(post, range(40)))
        done = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(done) + len(refused) == 40
        assert 4 <= len(done) <= 12  # one at work, three waiting; more where some came late
        for answer in refused:
            assert answer.json()["error"] == "OverloadedError"
            assert int(answer.headers["retry-after"]) >= 1
        assert service.client.post("/encode", content=b"x").status_code == 200
        service.wait_until(lambda: held(service) == 0)


def test_a_worker_that_is_killed_is_a_problem_of_one_request(sleeping: Any, tmp_path: Path) -> None:
    with sleeping(Sleep(30, begun=str(tmp_path / "begun"))) as service, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(service.client.post, "/encode", content=b"x")
        service.wait_until((tmp_path / "begun").exists)
        os.kill(service.pool.workers[0].pid, signal.SIGKILL)
        found = answer.result()
        assert found.status_code == 503
        assert found.json()["error"] == "WorkerError"
        assert service.client.get("/models").status_code == 200
        assert 'glissando_workers_lost_total{reason="crash"} 1.0' in service.client.get("/metrics").text


def test_time_is_limited(sleeping: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with sleeping(Sleep(60), max_seconds=1) as service:
        answer = service.client.post("/encode", content=b"x")
        assert (answer.status_code, answer.json()["error"]) == (503, "TimeLimitError")
        assert 'glissando_workers_lost_total{reason="timeout"} 1.0' in service.client.get("/metrics").text
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["reason"] for line in lines if line["event"] == "worker lost"] == ["timeout"]


def test_slow_bodies_are_not_waited_for(sleeping: Any) -> None:
    with sleeping(Sleep(0), transfer_seconds=0.5) as service, connected(service) as slow:
        slow.sendall(head(1000) + bytes(500))
        assert service.client.post("/encode", content=b"x").status_code == 200  # meanwhile
        answer = slow.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"application/problem+json" in answer
        service.wait_until(lambda: held(service) == 0)


def test_requests_that_never_come_are_not_waited_for(sleeping: Any) -> None:
    with sleeping(Sleep(1), transfer_seconds=0.5) as service:
        silent, begun, later = (connected(service) for _ in range(3))
        begun.sendall(head(10)[:30])
        later.sendall(head(1) + b"x")  # which takes longer to answer than a head may take to come
        answer = later.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200")
        later.sendall(head(10)[:30])
        start = time.monotonic()
        for connection in (silent, begun, later):
            while connection.recv(10_000):  # the answer's last part; then the service closes
                pass
            connection.close()
        assert time.monotonic() - start < 10


def test_answers_that_nobody_takes_are_dropped(sleeping: Any) -> None:
    with sleeping(Sleep(0, bytes(30_000_000)), transfer_seconds=0.5) as service, connected(service) as slow:
        slow.sendall(head(1) + b"x")
        service.wait_until(lambda: held(service) > 1_000_000)
        service.wait_until(lambda: held(service) == 0)
        assert len(service.client.post("/encode", content=b"x").content) == 30_000_000


def test_half_a_body_and_gone(sleeping: Any) -> None:
    with sleeping(Sleep(0)) as service:
        for _ in range(20):
            with connected(service) as half:
                half.sendall(head(1000) + bytes(500))
        with connected(service) as half:
            half.sendall(head(1000)[:20])
        service.wait_until(lambda: held(service) == 0)
        assert service.client.post("/encode", content=b"x").status_code == 200
        assert 'status="499"} 20.0' in service.client.get("/metrics").text


def test_who_goes_away_leaves_the_queue(sleeping: Any, tmp_path: Path) -> None:
    with sleeping(Sleep(1, begun=str(tmp_path / "begun"))) as service:
        gone = [connected(service) for _ in range(6)]
        for connection in gone:
            connection.sendall(head(1) + b"x")
        service.wait_until(lambda: service.pool.waiting == 5)
        for connection in gone:
            connection.close()
        service.wait_until(lambda: service.pool.waiting == 0)
        start = time.monotonic()
        assert service.client.post("/encode", content=b"x").status_code == 200
        assert time.monotonic() - start < 4  # after the one that had begun, not after all six


def test_bytes_in_memory_are_limited(sleeping: Any) -> None:
    with sleeping(Sleep(0), max_bytes=100_000) as service:
        slow = [connected(service) for _ in range(5)]
        for connection in slow[:4]:
            connection.sendall(head(100_000) + bytes(99_000))
        service.wait_until(lambda: held(service) == 4 * 99_000)
        answer = service.client.post("/encode", content=bytes(50_000))
        assert (answer.status_code, answer.json()["error"]) == (429, "OverloadedError")
        for connection in slow:
            connection.close()
        service.wait_until(lambda: held(service) == 0)
        assert service.client.post("/encode", content=bytes(50_000)).status_code == 200


def test_many_bad_requests(service: Any, coded: bytes) -> None:
    bad = (
        lambda: service.client.post("/encode", content=os.urandom(100)),
        lambda: service.client.post("/decode", content=coded[:50]),
        lambda: service.client.post("/encode?quality=x", content=b"x"),
        lambda: service.client.get("/img/..%2F..%2Fetc%2Fpasswd"),
        lambda: service.client.post("/encode", content=b"x", headers={"Content-Type": "multipart/form-data"}),
    )
    for number in range(200):
        answer = bad[number % len(bad)]()
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"
    with connected(service) as raw:
        raw.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert service.client.get("/healthz").json()["workers"] == 1
    service.wait_until(lambda: held(service) == 0)


def test_stopping_finishes_what_has_begun(sleeping: Any, tmp_path: Path) -> None:
    with sleeping(Sleep(1, begun=str(tmp_path / "begun"))) as service, ThreadPoolExecutor(2) as threads:
        answers = [
            threads.submit(httpx.post, f"http://127.0.0.1:{service.port}/encode", content=b"x", timeout=60)
            for _ in range(2)
        ]
        service.wait_until(lambda: (tmp_path / "begun").exists() and service.pool.waiting == 1)
        service.server.should_exit = True
        assert [answer.result().status_code for answer in answers] == [200, 200]


# The command -----------------------------------------------------------------------------------------------


def test_the_command_serves_and_ends(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        [sys.executable, "-m", "glissando", "serve", str(tmp_path), "--port", "0", "--workers", "1", "--threads", "1"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stderr is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        lines = []
        port = None
        while port is None:
            lines.append(process.stderr.readline())
            found = re.search(r"http://127\.0\.0\.1:(\d+)", lines[-1])
            port = found and found[1]
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").json()["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        lines += process.stderr.readlines()
        assert process.wait() in (0, -signal.SIGTERM)
    finally:
        watchdog.cancel()
        process.kill()
    events = [json.loads(line) for line in lines]  # every line is JSON
    (request,) = [event for event in events if event["event"] == "request"]
    assert (request["path"], request["status"], request["method"]) == ("/healthz", 200, "GET")
    assert all({"time", "level", "logger", "event"} <= set(event) for event in events)


def test_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from glissando.cli.app import app

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 1
    assert 'pip install "glissando[serve]"' in result.stderr


def test_the_command_refuses_what_cannot_be(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from glissando.cli.app import app

    result = CliRunner().invoke(app, ["serve", str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "no such folder" in result.stderr
    assert CliRunner().invoke(app, ["serve", "--max-bytes", "much"]).exit_code == 1
