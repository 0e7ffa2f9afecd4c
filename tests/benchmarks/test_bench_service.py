"""The study of the service: what it counts, and what it writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.service import main, markdown
from benchmarks.service_load import Reply, bad_requests, statuses

RESULTS = {
    "encode": {"direct": 3.0, "served": 2.85, "share": 0.95, "cpu_share": 0.98},
    "decode": {"direct": 4.0, "served": 3.6, "share": 0.9, "cpu_share": 0.97},
    "overload": {
        "sent": 600,
        "seconds": 25.0,
        "statuses": {"200": 70, "429": 530},
        "right": 70,
        "rate": 2.8,
        "slowest": 6.2,
        "refused_ms": 4.0,
        "before_mb": 400.0,
        "peak_mb": 450.0,
    },
    "clients": {
        "slow": 40,
        "gone": 100,
        "half": 100,
        "statuses": {"200": 20},
        "alone_s": 0.3,
        "beside_s": 0.31,
        "before_mb": 450.0,
        "peak_mb": 460.0,
    },
    "bad": {
        "sent": 10_000,
        "seconds": 60.0,
        "statuses": {"0": 1, "400": 9999},
        "before_mb": 460.0,
        "peak_mb": 461.0,
        "after_mb": 460.0,
    },
    "killed": {"status": 503, "next_status": 200, "next_s": 4.0},
    "stopped": {"statuses": {"200": 6}, "seconds": 2.0, "code": 0},
    "workers": 1,
    "threads": 1,
    "queue": 16,
    "pictures": 8,
    "rounds": 5,
    "machine": "a processor (AVX2)",
    "date": "2026-01-01",
}


def test_the_report_tells_everything() -> None:
    text = markdown(RESULTS)
    for expected in (
        "| encode | 3.00 | 2.85 | 95.0% | 98.0% |",
        "600 requests in 25 s | 70 × 200, 530 × 429 |",
        "1 × lost, 9,999 × 400",
        "400 → at most 450 MB",
        "503; the next request 200",
        "a processor (AVX2), 2026-01-01.",
    ):
        assert expected in text


def test_the_report_goes_into_a_document(tmp_path: Path) -> None:
    import json

    (tmp_path / "service.json").write_text(json.dumps(RESULTS))
    document = tmp_path / "service.md"
    document.write_text("before\n<!-- service:begin -->\n<!-- service:end -->\nafter\n")
    assert main(["report", str(tmp_path / "service.json"), str(document)]) == 0
    assert markdown(RESULTS) in document.read_text()


def test_bad_requests_are_the_same_each_time() -> None:
    picture, file = os.urandom(5000), os.urandom(500)
    one, other = (bad_requests(picture, file, 100) for _ in range(2))
    assert one == other
    assert len({request.path.split("?")[0] for request in one}) > 20
    assert all(picture != request.body for request in one)


def test_replies_are_counted_by_status() -> None:
    assert statuses([Reply(200), Reply(0), Reply(429), Reply(200)]) == {"0": 1, "200": 2, "429": 1}


def test_a_bad_request_is_refused_by_the_service(tmp_path: Path) -> None:
    """Each kind once, in a service of its own: no kind is one that could be answered."""
    for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client"):
        pytest.importorskip(package, reason=f"{package}, which the service needs, is not installed")
    import io

    import numpy as np
    from PIL import Image

    import glissando
    from benchmarks.service_load import ServiceProcess, in_turn, vanish

    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40, 3), np.uint8)).save(out, "PNG")
    file = glissando.encode(np.zeros((40, 40, 3), np.uint8), lossless=True)
    service = ServiceProcess("--workers", "1", "--threads", "1")
    try:
        requests = bad_requests(out.getvalue(), file, 33)
        assert set(statuses(in_turn(requests, service.port, 3))) <= {"400", "404", "406", "422"}
        vanish(requests[0], service.port, 0.5)
        assert service.resident() > 10
        assert len(service.processes()) >= 2
    finally:
        seconds, code = service.stop()
    assert seconds < 60
    assert code in (0, -15)
