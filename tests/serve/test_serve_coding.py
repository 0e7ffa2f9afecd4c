"""/encode, /decode, /info and the rest of what a request brings and takes, over a real connection."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glissando

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(package, reason=f"{package}, which the service or its tests need, is not installed")

from served import pixels_of, png  # noqa: E402


def problem(answer: Any, status: int, error: str | None = None) -> str:
    """The sentence of a problem document, whose status and exception are checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert found.get("error") == error
    assert found["title"]
    return str(found["detail"])


# What goes well ------------------------------------------------------------------------------------------


def test_encode_is_what_the_codec_makes(coded: bytes, photo: np.ndarray) -> None:
    assert coded == glissando.encode(photo, 60, threads=1)


def test_encode_takes_parameters(service: Any, photo: np.ndarray) -> None:
    def post(query: str) -> Any:
        answer = service.client.post(f"/encode?{query}", content=png(photo))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/vnd.glissando"
        assert float(answer.headers["server-timing"].removeprefix("codec;dur=")) > 0
        return answer

    assert glissando.probe(post("quality=20.5").content).quality == 20.5
    assert glissando.probe(post("tune=psnr").content).model == "medium-psnr"
    assert 950 < len(post("target_size=1kB").content) <= 1000
    assert len(post("quality=90&max_size=1000").content) <= 1000
    assert glissando.probe(post("importance=auto&strength=20").content).importance is not None
    lossless = post("lossless=true").content
    np.testing.assert_array_equal(glissando.decode(lossless), photo)


def test_a_form_has_parameters_and_a_map(service: Any, photo: np.ndarray) -> None:
    mask = np.zeros((30, 45), np.uint8)
    mask[:, :20] = 255
    answer = service.client.post(
        "/encode?effort=2",
        files={"picture": ("a.png", png(photo)), "importance": ("b.png", png(mask))},
        data={"quality": "30", "strength": "30"},
    )
    assert answer.status_code == 200, answer.text
    info = glissando.probe(answer.content)
    assert info.quality == 30
    assert info.importance is not None
    assert (min(info.importance), max(info.importance)) == (-30, 30)


@pytest.mark.parametrize(
    ("accept", "media_type", "format"),
    [
        (None, "image/png", "PNG"),
        ("*/*", "image/png", "PNG"),
        ("image/webp", "image/webp", "WEBP"),
        ("image/jpeg, image/png;q=0.5", "image/jpeg", "JPEG"),
        ("image/avif", "image/avif", "AVIF"),
        ("text/html, image/*;q=0.2, image/png;q=0.1", "image/webp", "WEBP"),
    ],
)
def test_decode_sends_what_is_accepted(service: Any, coded: bytes, accept: Any, media_type: str, format: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = service.client.post("/decode", content=coded, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.headers["vary"] == "Accept"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == (format, (90, 60))


def test_decode_gives_the_codecs_pixels(service: Any, coded: bytes) -> None:
    def post(query: str = "") -> np.ndarray:
        answer = service.client.post(f"/decode{query}", content=coded)
        assert answer.status_code == 200, answer.text
        return pixels_of(answer.content)

    np.testing.assert_array_equal(post(), glissando.decode(coded, threads=1))
    np.testing.assert_array_equal(
        post("?region=10,20,30,25"), glissando.decode(coded, region=(10, 20, 30, 25), threads=1)
    )
    assert post("?max_size=45").shape == (30, 45, 3)
    assert post("?max_size=90x15").shape == (15, 22, 3)


def test_decode_has_a_quality(service: Any, coded: bytes) -> None:
    sizes = [
        len(service.client.post(f"/decode?quality={quality}", content=coded, headers={"Accept": "image/jpeg"}).content)
        for quality in (20, 90)
    ]
    assert sizes[0] < sizes[1] / 2


def test_notes_come_in_a_header(service: Any) -> None:
    cmyk = io.BytesIO()
    Image.new("CMYK", (20, 10), (200, 10, 10, 10)).save(cmyk, "JPEG")
    detail = problem(service.client.post("/encode", content=cmyk.getvalue()), 422, "PictureError")
    assert "CMYK" in detail
    answer = service.client.post("/encode?convert=1", content=cmyk.getvalue())
    assert answer.status_code == 200
    assert "CMYK" in json.loads(answer.headers["glissando-notes"])[0]


def test_info(service: Any, coded: bytes, folder: Any) -> None:
    (folder / "info.gliss").write_bytes(coded)
    for answer in (
        service.client.post("/info", content=coded),
        service.client.get("/info?file=info.gliss"),
        service.client.get("/info?file=info"),
    ):
        found = answer.json()
        assert (found["width"], found["height"], found["quality"], found["model"]) == (90, 60, 60, "medium")
        assert found["file_bytes"] == len(coded)
    problem(service.client.get("/info?file=../info"), 404)


def test_models(service: Any) -> None:
    found = {card["name"]: card for card in service.client.get("/models").json()}
    assert set(found) == {card.name for card in glissando.list_models()}
    assert found["medium"]["default"]
    assert found["medium-psnr"]["tunes"] == ["psnr"]
    assert "source" not in found["medium"]  # which may be a path of the server's


def test_health_and_metrics(service: Any, coded: bytes) -> None:
    assert service.client.get("/healthz").json() == {"status": "ok", "workers": 1, "running": 0, "waiting": 0}
    text = service.client.get("/metrics").text
    assert 'glissando_requests_total{method="POST",route="/encode",status="200"}' in text
    assert 'glissando_job_seconds_count{job="EncodeJob"}' in text
    assert "glissando_jobs_waiting 0.0" in text
    assert "glissando_held_bytes 0.0" in text  # every request's bytes were given back


def test_the_page_asks_nobody_else(service: Any) -> None:
    answer = service.client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert 'type="range"' in answer.text
    assert "://" not in answer.text


# What goes wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("qualty=50", 400, "InputError"),
        ("quality=101", 400, "InputError"),
        ("quality=nan", 400, "InputError"),
        ("quality=1e3", 400, "InputError"),
        ("quality=50&quality=60", 400, "InputError"),
        ("quality=50&target_size=1kB", 400, "InputError"),
        ("effort=11", 400, "InputError"),
        ("effort=1.5", 400, "InputError"),
        ("lossless=perhaps", 400, "InputError"),
        ("tune=ear", 400, "InputError"),
        ("tune=eye&model=medium", 400, "InputError"),
        ("importance=mask.png", 400, "InputError"),
        ("target_size=4%20parsecs", 400, "InputError"),
        ("target_psnr=900", 422, "TargetError"),
        ("model=nothing", 422, "UnknownModelError"),
        ("model=/etc", 422, "UnknownModelError"),
        ("encoder=nothing", 422, "UnknownModelError"),
    ],
)
def test_encode_refuses(service: Any, photo: np.ndarray, query: str, status: int, error: str) -> None:
    problem(service.client.post(f"/encode?{query}", content=png(photo)), status, error)


def test_a_folder_of_the_servers_is_no_model(service: Any, photo: np.ndarray) -> None:
    """``open_model`` takes the path of a model's folder; a client must not."""
    from glissando import zoo

    path = zoo.find("medium").folder
    assert (path / "card.json").is_file()
    problem(service.client.post("/encode", params={"model": str(path)}, content=png(photo)), 422, "UnknownModelError")


@pytest.mark.parametrize(
    ("path", "content", "status", "error"),
    [
        ("/encode", b"", 400, "InputError"),
        ("/encode", b"no picture", 422, "PictureError"),
        ("/decode", b"\x89GLS", 422, "TruncatedError"),
        ("/decode", b"no file", 422, "SignatureError"),
        ("/info", b"no file", 422, "SignatureError"),
        ("/decode?region=80,50,20,20", None, 400, "InputError"),
        ("/decode?region=1,2,3", None, 400, "InputError"),
        ("/decode?max_size=0", None, 400, "InputError"),
        ("/decode?quality=50", None, 422, "PictureError"),
    ],
)
def test_bodies_that_cannot_be_used(
    service: Any, coded: bytes, path: str, content: bytes | None, status: int, error: str
) -> None:
    problem(service.client.post(path, content=coded if content is None else content), status, error)


def test_half_a_file(service: Any, coded: bytes) -> None:
    problem(service.client.post("/decode", content=coded[: len(coded) // 2]), 422, "TruncatedError")
    broken = bytearray(coded)
    broken[-20] ^= 1
    problem(service.client.post("/decode", content=bytes(broken)), 422, "CorruptError")


def test_forms_that_cannot_be_used(service: Any, photo: np.ndarray) -> None:
    picture = png(photo)
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(service.client.post("/encode", content=b"--x--", headers=form), 400, "InputError")
    problem(service.client.post("/encode", files={"other": picture}), 400, "InputError")
    problem(service.client.post("/encode", files=[("picture", picture)] * 2), 400, "InputError")
    problem(
        service.client.post("/encode?importance=auto", files={"picture": picture, "importance": picture}),
        400,
        "InputError",
    )
    problem(service.client.post("/encode", content=picture, headers={"Content-Type": "multipart/form-data"}), 400)


def test_accept_that_cannot_be_met(service: Any, coded: bytes) -> None:
    for accept in ("text/html", "image/png;q=0", "image/heic, image/*;q=0"):
        problem(service.client.post("/decode", content=coded, headers={"Accept": accept}), 406)


def test_paths_and_methods_that_are_not_there(service: Any) -> None:
    problem(service.client.get("/nothing"), 404)
    problem(service.client.get("/../pyproject.toml"), 404)
    for answer in (service.client.delete("/encode"), service.client.get("/encode")):
        problem(answer, 405)
        assert answer.headers["allow"] == "POST"


def test_pages_of_other_sites_get_no_work_done(service: Any) -> None:
    """A form that a page of another site sends needs nobody's leave; browsers say where it comes from."""
    body = png(np.zeros((8, 8), np.uint8))
    problem(service.client.post("/encode", content=body, headers={"Sec-Fetch-Site": "cross-site"}), 403)
    assert service.client.post("/encode", content=body, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_bodies_are_read_as_far_as_the_limit(service: Any) -> None:
    assert "300,000 bytes" in problem(service.client.post("/encode", content=bytes(300_001)), 413, "LimitError")
    chunks = (bytes(10_000) for _ in range(100))  # whose length nobody declares
    problem(service.client.post("/encode", content=chunks), 413, "LimitError")
    assert service.client.get("/healthz").status_code == 200


def test_pixels_are_counted_before_they_are_decoded(service: Any) -> None:
    bomb = png(np.zeros((1000, 1000), np.uint8))
    assert len(bomb) < 10_000
    assert "more than the limit of 100,000 pixels" in problem(
        service.client.post("/encode", content=bomb), 422, "PictureError"
    )
    large = glissando.encode(np.zeros((400, 400), np.uint8), lossless=True)
    problem(service.client.post("/decode", content=large), 413, "LimitError")


# How it is described -------------------------------------------------------------------------------------


def test_the_description_has_every_route_and_parameter(service: Any) -> None:
    from starlette.routing import Route

    from glissando.serve.app import ENDPOINTS

    described = service.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    routes = [route for route in service.app.routes if isinstance(route, Route)]
    served = {(route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}}
    assert served == {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert len(ENDPOINTS) == len(served)
    ids = set()
    for endpoint in ENDPOINTS:
        operation = described["paths"][endpoint.path][endpoint.method.lower()]
        ids.add(operation["operationId"])
        shown = {(entry["name"], entry["in"]): entry["schema"] for entry in operation.get("parameters", [])}
        assert shown == {(p.name, p.place): p.schema for p in endpoint.parameters}
        in_path = {name for name, place in shown if place == "path"}
        assert in_path == {part.split("}")[0] for part in endpoint.path.split("{")[1:]}
        assert ("requestBody" in operation) == bool(endpoint.parts)
        if endpoint.parts:
            form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
            assert set(form) == {p.name for p in endpoint.parameters} | set(endpoint.parts)
        assert set(operation["responses"]["200"]["content"]) == set(endpoint.gives)
    assert len(ids) == len(ENDPOINTS)


def test_parameters_are_those_of_the_codec() -> None:
    """What ``glissando.encode`` takes, the service takes too, but for what only makes sense in Python."""
    import inspect

    from glissando.serve.coding import DECODING, ENCODING

    of_encode = set(inspect.signature(glissando.encode).parameters)
    assert of_encode - {p.name for p in ENCODING} == {"picture", "depth", "progress", "notes", "threads"}
    assert {p.name for p in ENCODING} <= of_encode
    of_decode = set(inspect.signature(glissando.decode).parameters)
    assert of_decode - {p.name for p in DECODING} == {"source", "threads", "max_pixels"}


def test_what_encodes_is_not_loaded_where_requests_are_answered() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import glissando.serve.app; "
        "print([name for name in ('torch', 'openvino', 'onnxruntime', 'onnx', 'constriction') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
