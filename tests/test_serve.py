"""The HTTP API in this process: answers, limits, errors, the key, batching, and a model that changes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo
from starlette.testclient import TestClient

from littoral.deploy.runtime import load, seal
from littoral.errors import ImageError, InputError
from littoral.images.store import ImageStore
from littoral.serve import decoding, watching
from littoral.serve.api import Service, create_app
from littoral.serve.decoding import SMALL_FILE, Decoder
from littoral.serve.guard import HEADERS
from littoral.serve.served import Images, Outputs, Served
from littoral.serve.settings import Limits
from littoral.specs import ImageSpec

PNG = {"Content-Type": "image/png"}
TINY = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"


def png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels).save(written, "PNG")
    return written.getvalue()


@pytest.fixture(scope="session")
def digits(mnist: ImageStore) -> list[bytes]:
    return [png(image) for image in mnist.images[60_000:60_016]]


@pytest.fixture
def client(exported: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Service(exported, Limits()))) as client:
        yield client


def problem(response) -> str:
    """The detail of a problem document, which the response has to be."""
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert set(document) == {"type", "title", "status", "detail"}
    assert document["status"] == response.status_code
    return document["detail"]


# --- answers ---


def test_an_image_is_answered_alike_in_every_form(client: TestClient, exported: Path, digits: list[bytes]) -> None:
    model = load(exported)
    (expected,) = model.predict([np.asarray(Image.open(io.BytesIO(digits[0])))])
    encoded = {"images": [base64.b64encode(digits[0]).decode()]}
    answers = [
        client.post("/v1/predict?top=3", content=digits[0], headers=PNG),
        client.post("/v1/predict?top=3", content=digits[0], headers={"Content-Type": "application/octet-stream"}),
        client.post("/v1/predict?top=3", files={"image": ("seven.png", digits[0])}),
        client.post("/v1/predict?top=3", json=encoded),
    ]
    for response, name in zip(answers, [None, None, "seven.png", None], strict=True):
        assert response.status_code == 200
        document = response.json()
        assert document["model"] == model.metadata["sha256"][:12]
        (told,) = document["predictions"]
        assert (told["name"], told["label"], told["accepted"]) == (name, expected.label, expected.accepted)
        assert told["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert told["shallow"]["label"] == expected.shallow.label
        assert told["deep"]["confidence"] == pytest.approx(expected.deep.confidence, abs=1e-5)
        best = sorted(expected.probabilities, key=expected.probabilities.__getitem__, reverse=True)[:3]
        assert [row["label"] for row in told["top"]] == best
        assert (told["explanation"], told["error"]) == (None, None)


def test_many_images_are_answered_in_order_and_a_broken_one_says_why(client: TestClient, digits: list[bytes]) -> None:
    alone = [client.post("/v1/predict", content=image, headers=PNG).json()["predictions"][0] for image in digits[:4]]
    given = [*digits[:2], b"no image", *digits[2:4]]
    response = client.post("/v1/predict", files=[("image", (f"{n}.png", image)) for n, image in enumerate(given)])
    told = response.json()["predictions"]
    assert [row["name"] for row in told] == [f"{number}.png" for number in range(5)]
    assert "is not a readable" in told[2]["error"]
    assert told[2]["label"] is None
    assert [row["label"] for row in told if row["error"] is None] == [row["label"] for row in alone]
    (broken,) = client.post("/v1/predict", files={"image": ("a.png", b"no image")}).json()["predictions"]
    assert (broken["name"], broken["label"], broken["top"]) == ("a.png", None, [])


def test_a_large_photo_is_brought_to_the_models_form(client: TestClient, mnist: ImageStore) -> None:
    large = Image.fromarray(mnist.images[60_000, :, :, 0]).resize((900, 900)).convert("RGB")
    written = io.BytesIO()
    large.save(written, "JPEG")
    response = client.post("/v1/predict", content=written.getvalue(), headers={"Content-Type": "image/jpeg"})
    assert response.json()["predictions"][0]["label"] == "7"


def test_an_explanation_says_what_speaks_for_the_label(client: TestClient, digits: list[bytes]) -> None:
    (told,) = client.post("/v1/predict?explain=true", content=digits[0], headers=PNG).json()["predictions"]
    found = told["explanation"]
    maps = {name: np.array(found[name]) for name in ("fused", "shallow", "deep")}
    assert {values.shape for values in maps.values()} == {(found["rows"], found["columns"])} == {(10, 10)}
    assert maps["fused"].max() > 1
    two = [("image", ("a.png", digits[0])), ("image", ("b.png", digits[1]))]
    first, second = client.post("/v1/predict?explain=true", files=two).json()["predictions"]
    assert (first["explanation"], second["explanation"]) == (found, None)
    assert np.abs(maps["fused"][0]).max() < np.abs(maps["fused"]).max()  # nothing is drawn in the topmost row
    kept = base64.b64decode(found["image"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(kept)).size == (28, 28)


def test_the_model_tells_of_itself(client: TestClient, exported: Path) -> None:
    told = client.get("/v1/model").json()
    metadata = load(exported).metadata
    assert told["version"] == metadata["sha256"][:12]
    assert told["class_names"] == [str(number) for number in range(10)]
    assert told["image"] == json.loads(metadata["image"])
    assert told["test"] == {name: told["record"]["test"][name] for name in ("accuracy", "n", "ci95")}
    assert told["limits"]["images"] == 64


def test_state_and_figures(client: TestClient, digits: list[bytes]) -> None:
    version = client.get("/readyz").json()["model"]
    assert client.get("/healthz").json() == {"status": "ok"}
    client.post("/v1/predict", content=digits[0], headers=PNG)
    client.get("/some/other/path")
    text = client.get("/metrics").text
    assert 'littoral_requests_total{path="/v1/predict",status="200"} 1.0' in text
    assert 'littoral_requests_total{path="other",status="404"} 1.0' in text
    assert "littoral_batch_images_sum 1.0" in text
    assert f'littoral_model{{version="{version}"}} 1.0' in text
    assert 'littoral_request_seconds_bucket{le="0.1",path="/v1/predict"}' in text
    assert 'littoral_opinions_total{agree="' in text


def test_images_of_a_model_without_a_threshold_are_counted_apart(
    client: TestClient, digits: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Served.answer
    monkeypatch.setattr(
        Served, "answer", lambda self, images: {**whole(self, images), "accepted": np.zeros(len(images), bool)}
    )
    client.post("/v1/predict", content=digits[0], headers=PNG)
    monkeypatch.setattr(
        Served, "answer", lambda self, images: {k: v for k, v in whole(self, images).items() if k != "accepted"}
    )
    for _ in range(2):
        client.post("/v1/predict", content=digits[0], headers=PNG)
    text = client.get("/metrics").text
    assert 'littoral_images_total{outcome="not sure"} 1.0' in text
    assert 'littoral_images_total{outcome="no threshold"} 2.0' in text


# --- what is refused ---

PART = b'--b\r\nContent-Disposition: form-data; name="i"; filename="i.png"\r\n\r\nx\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("query", "content", "kind", "status", "word"),
    [
        ("", b"", "image/png", 422, "is empty"),
        ("", b"\x89PNG\r\n\x1a\n cut", "image/png", 422, "not a readable"),
        ("", b"x", "text/plain", 415, "got text/plain"),
        ("", b"x", "", 415, "no content type"),
        ("", b"{", "application/json", 422, "base64"),
        ("", b'{"images": []}', "application/json", 422, "images"),
        ("", b'{"images": ["AA=="], "more": 1}', "application/json", 422, "more"),
        (
            "",
            json.dumps({"images": ["data:image/png;base64,AA=="] * 99}).encode(),
            "application/json",
            422,
            "plain base64",
        ),
        ("", b"--b\r\n", "multipart/form-data", 400, "boundary"),
        ("", PART, "multipart/form-data; boundary=b; charset=undefined", 400, "charset"),
        ("", b"--b--\r\n", "multipart/form-data; boundary=b", 422, "no image"),
        ("?top=0", TINY, "image/gif", 422, "top"),
        ("?top=1001", TINY, "image/gif", 422, "top"),
        ("?top=x", TINY, "image/gif", 422, "top"),
        ("?explain=perhaps", TINY, "image/gif", 422, "explain"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(
    client: TestClient, query: str, content: bytes, kind: str, status: int, word: str
) -> None:
    response = client.post(f"/v1/predict{query}", content=content, headers={"Content-Type": kind} if kind else {})
    assert response.status_code == status
    assert word in problem(response)


def test_parts_without_files_are_refused_and_strings_that_are_not_base64_are_told_of(client: TestClient) -> None:
    assert "has to be a file" in problem(client.post("/v1/predict", files={"image": (None, "text")}))
    (told,) = client.post("/v1/predict", json={"images": ["%"]}).json()["predictions"]
    assert told["error"] == "is not base64"


def test_limits_of_bytes_images_and_pixels(exported: Path, digits: list[bytes]) -> None:
    limits = Limits(request_bytes=3000, images=3, pixels=10_000)
    with TestClient(create_app(Service(exported, limits))) as client:
        assert client.post("/v1/predict", content=b"x" * 3001, headers=PNG).status_code == 413

        def slowly() -> Iterator[bytes]:
            for _ in range(4):
                yield b"x" * 1000

        response = client.post("/v1/predict", content=slowly(), headers=PNG)
        assert (response.status_code, "3,000 bytes" in problem(response)) == (413, True)
        four = {"images": [base64.b64encode(TINY).decode()] * 4}
        assert "3 images, got 4" in problem(client.post("/v1/predict", json=four))
        files = [("image", ("a.gif", TINY))] * 4
        assert client.post("/v1/predict", files=files[1:]).status_code == 200
        assert "may have 3 images" in problem(client.post("/v1/predict", files=files))
        wide = png(np.zeros((101, 100, 1), np.uint8))
        assert "has 100×101 pixels" in problem(client.post("/v1/predict", content=wide, headers=PNG))
        assert client.post("/v1/predict", content=digits[0], headers=PNG).status_code == 200


def test_other_paths_and_methods_are_problems_too(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
    problem(client.get("/nothing"))
    response = client.get("/v1/predict")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    problem(response)


def test_a_key_is_asked_for_where_there_is_one(exported: Path, digits: list[bytes]) -> None:
    with TestClient(create_app(Service(exported, Limits()), "a secret key")) as client:
        for path in ("/healthz", "/readyz", "/", "/page/main.js", "/openapi.json"):
            assert client.get(path).status_code == 200
        for path in ("/v1/model", "/metrics"):
            response = client.get(path)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            problem(response)
            assert client.get(path, headers={"Authorization": "Bearer a secret ke"}).status_code == 401
            assert client.get(path, headers={"Authorization": "Bearer a secret key"}).status_code == 200
        assert client.post("/v1/predict", content=digits[0], headers=PNG).status_code == 401
        document = client.get("/openapi.json").json()
        assert document["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
        assert document["paths"]["/v1/predict"]["post"]["security"] == [{"key": []}]


def test_every_answer_has_the_headers_of_safety_and_none_of_sharing(client: TestClient) -> None:
    for response in (client.get("/"), client.get("/healthz"), client.get("/nothing"), client.options("/v1/predict")):
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_fault_of_ours_shows_nothing_of_itself(
    client: TestClient, digits: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Served, images: Images) -> Outputs:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Served, "answer", broken)
    with caplog.at_level(logging.INFO, "littoral.serve"):
        response = client.post("/v1/predict", content=digits[0], headers=PNG)
    assert response.status_code == 500
    assert "secret" not in problem(response)
    fault, request = caplog.records
    assert (fault.message, fault.told["error"]) == ("fault", "RuntimeError")
    assert request.told["status"] == 500
    assert "secret" not in str(fault.told)


# --- many at once ---


class Gate(Served):
    """A model that answers when it is let."""

    open = threading.Event()
    calls: list[int] = []

    def answer(self, images: Images) -> Outputs:
        """Wait, then answer."""
        self.calls.append(len(images))
        self.open.wait(20)
        return super().answer(images)


@pytest.fixture
def gated(exported: Path) -> Iterator[Callable[[Limits], tuple[TestClient, type[Gate]]]]:
    """A client of a server whose model waits until the gate is opened."""
    opened: list[TestClient] = []
    Gate.open.clear()
    Gate.calls.clear()

    def gated(limits: Limits) -> tuple[TestClient, type[Gate]]:
        service = Service(exported, limits)
        served = service.current.served
        service.current.served = Gate(served.model, served.version, served.spec)
        opened.append(TestClient(create_app(service)))
        opened[-1].__enter__()
        return opened[-1], Gate

    yield gated
    Gate.open.set()
    for client in opened:
        client.__exit__(None, None, None)


def test_requests_that_come_together_are_answered_by_one_call(gated: Callable, digits: list[bytes]) -> None:
    client, gate = gated(Limits())

    def ask(image: bytes) -> str:
        return client.post("/v1/predict", content=image, headers=PNG).json()["predictions"][0]["label"]

    with ThreadPoolExecutor(13) as threads:
        first = threads.submit(ask, digits[0])
        _until(lambda: gate.calls == [1])
        others = [threads.submit(ask, image) for image in digits[1:13]]
        _until(lambda: "littoral_images_held 13.0" in client.get("/metrics").text)
        gate.open.set()
        labels = [future.result() for future in [first, *others]]
    assert sum(gate.calls) == 13
    assert len(gate.calls) <= 3
    assert labels == [ask(image) for image in digits[:13]]


def test_many_images_go_through_the_model_in_calls_of_so_many(gated: Callable, digits: list[bytes]) -> None:
    client, gate = gated(Limits(at_once=4))
    gate.open.set()
    files = [("image", ("a.png", image)) for image in digits[:10]]
    told = client.post("/v1/predict", files=files).json()["predictions"]
    assert gate.calls == [4, 4, 2]
    alone = [client.post("/v1/predict", content=image, headers=PNG).json()["predictions"][0] for image in digits[:10]]
    assert [row["label"] for row in told] == [row["label"] for row in alone]


def test_more_than_may_wait_is_refused_at_once_and_none_is_left(gated: Callable, digits: list[bytes]) -> None:
    client, gate = gated(Limits(images=2, waiting=2))
    two = [("image", ("a.png", digits[0])), ("image", ("b.png", digits[1]))]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.post, "/v1/predict", files=two)
        _until(lambda: "littoral_images_held 2.0" in client.get("/metrics").text)
        start = time.perf_counter()
        refused = client.post("/v1/predict", content=digits[0], headers=PNG)
        assert time.perf_counter() - start < 1
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        problem(refused)
        gate.open.set()
        assert waiting.result().status_code == 200
    assert client.post("/v1/predict", content=digits[0], headers=PNG).status_code == 200
    assert "littoral_images_held 0.0" in client.get("/metrics").text


def test_bodies_that_would_fill_the_memory_are_refused(exported: Path, digits: list[bytes]) -> None:
    with TestClient(create_app(Service(exported, Limits(held_bytes=200)))) as client:
        response = client.post("/v1/predict", content=digits[0], headers=PNG)
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")


def test_past_the_deadline_there_is_no_answer_and_no_work(gated: Callable, digits: list[bytes]) -> None:
    client, gate = gated(Limits(deadline=0.3))
    late = [client.post("/v1/predict", content=image, headers=PNG) for image in digits[:3]]
    assert {response.status_code for response in late} == {504}
    assert "within 0.3 seconds" in problem(late[0])
    gate.open.set()
    time.sleep(0.1)
    assert gate.calls == [1]  # the two behind it were given up before their turn
    assert "littoral_images_held 0.0" in client.get("/metrics").text


def test_limits_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="64 images have to find room"):
        Limits(waiting=10)
    for deadline in (0, -1, float("inf"), float("nan")):
        with pytest.raises(InputError, match=f"a finite number of seconds above 0, got {deadline}"):
            Limits(deadline=deadline)


# --- another model ---


def test_a_changed_file_is_taken_and_a_broken_one_is_not(
    exported: Path, tmp_path: Path, digits: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "model.onnx"
    shutil.copy(exported / "model.onnx", place)
    service = Service(tmp_path, Limits(), every=0.05)
    with TestClient(create_app(service)) as client:
        before = client.get("/readyz").json()["model"]
        place.write_bytes(place.read_bytes()[:-50])
        _until(lambda: 'littoral_model_changes_total{outcome="refused"} 1.0' in client.get("/metrics").text)
        answer = client.post("/v1/predict", content=digits[0], headers=PNG).json()
        assert (answer["model"], answer["predictions"][0]["label"]) == (before, "7")
        place.write_bytes(renamed(exported / "model.onnx"))
        _until(lambda: client.get("/readyz").json()["model"] != before)
        answer = client.post("/v1/predict", content=digits[0], headers=PNG).json()
        assert (answer["model"], answer["predictions"][0]["label"]) == (client.get("/readyz").json()["model"], "Z")
        place.unlink()
        _until(lambda: 'littoral_model_changes_total{outcome="refused"} 2.0' in client.get("/metrics").text)
        assert f"{place} is gone" in caplog.records[-1].told["reason"]
        assert client.post("/v1/predict", content=digits[0], headers=PNG).status_code == 200


def test_a_split_is_taken_once_all_its_files_are_there(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("model.onnx", "shallow.onnx", "deep.onnx")]
    for file in files:
        shutil.copy(exported / "model.onnx", file)
    served = watching.load_served(tmp_path, 1)
    taken = []

    def loaded(place: Path, *rest: object) -> Served:
        taken.append([file.stat().st_size for file in files])
        return served

    monkeypatch.setattr(watching, "load_served", loaded)
    outcomes: list[bool] = []

    async def watched() -> None:
        current = watching.Current(tmp_path, 1, True, outcomes.append, every=0.02)
        task = asyncio.create_task(current.watch())
        for file in files:  # a slow copy
            file.write_bytes(b"x")
            await asyncio.sleep(0.3)
        task.cancel()

    asyncio.run(watched())
    assert taken[-1] == [1, 1, 1]


def test_the_end_waits_for_no_export(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, begun = tmp_path / "model.onnx", []
    shutil.copy(exported / "model.onnx", place)
    service = Service(tmp_path, Limits(), every=0.05)

    def exports(place: Path, threads: int, split: bool, exporting: Callable[[subprocess.Popen], None]) -> Served:
        with subprocess.Popen(["sleep", "100"]) as process:
            exporting(process)
            begun.append(process)
        raise InputError("it was ended")

    monkeypatch.setattr(watching, "load_served", exports)
    with TestClient(create_app(service)):
        place.touch()
        _until(lambda: len(begun) == 1)
    begun[0].wait(5)


def renamed(path: Path) -> bytes:
    """The same model, whole and sealed, with another name for the class 7."""
    content = path.read_bytes()
    (written,) = re.findall(rb"sha256\x12@([0-9a-f]{64})", content)[-1:]
    content = content.replace(b'"6", "7", "8"', b'"6", "Z", "8"')
    return content.replace(written, seal(content, written.decode()).encode())


def test_what_is_no_exported_model_is_refused_at_the_start(tmp_path: Path, call: Callable) -> None:
    code, _, err = call("serve", tmp_path, "--port", "0")
    assert code == 2
    assert "cannot be read" in err
    (tmp_path / "m.safetensors").write_bytes(b"nothing")
    code, _, err = call("serve", tmp_path / "m.safetensors", "--port", "0")
    assert (code, "m.safetensors" in err) == (2, True)


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_name_that_no_host_can_have_is_refused(exported: Path, call: Callable, host: str) -> None:
    code, _, err = call("serve", exported, "--host", host)
    assert (code, err.count("\n"), "choose another --host or --port" in err) == (2, 1, True)


# --- uploads that mean harm ---


def test_no_upload_is_a_fault_of_ours(client: TestClient, digits: list[bytes]) -> None:
    seeds = random.Random(0)
    kinds = [
        "image/png",
        "image/jpeg",
        "application/octet-stream",
        "application/json",
        "multipart/form-data; boundary=b",
    ]
    for _ in range(300):
        content = bytearray(
            seeds.choice(
                [
                    *digits,
                    TINY,
                    b'{"images": ["R0lGOD"]}',
                    b'--b\r\nContent-Disposition: form-data; name="i"; filename="x"\r\n\r\n' + TINY + b"\r\n--b--\r\n",
                ]
            )
        )
        for _ in range(seeds.randrange(6)):
            content[seeds.randrange(len(content))] = seeds.randrange(256)
        sent = bytes(content[: seeds.randrange(len(content) + 1)]) if seeds.random() < 0.4 else bytes(content)
        response = client.post("/v1/predict", content=sent, headers={"Content-Type": seeds.choice(kinds)})
        assert response.status_code in (200, 400, 413, 415, 422), (response.status_code, sent)
        if response.status_code != 200:
            problem(response)
    assert client.post("/v1/predict", content=digits[0], headers=PNG).status_code == 200


@pytest.mark.parametrize("side", [8_000, 15_000])
@pytest.mark.parametrize("exif", [None, b"Exif\0\0damaged"])
def test_a_bomb_is_refused_before_it_is_unpacked(
    client: TestClient, side: int, exif: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    Image.new("1", (side, side)).save(written, "PNG", exif=exif)
    with monkeypatch.context() as without:
        without.setattr(PngImageFile, "load_prepare", lambda self: pytest.fail("it was unpacked"))
        start = time.perf_counter()
        response = client.post("/v1/predict", content=written.getvalue(), headers=PNG)
        assert (response.status_code, "limit" in problem(response)) == (422, True)
        assert time.perf_counter() - start < 1


def test_a_long_file_of_few_pixels_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[str] = []

    def noting(function: Callable) -> Callable:
        def noted(*arguments: object) -> object:
            where.append(threading.current_thread().name)
            return function(*arguments)

        return noted

    for name in ("size_of", "open_upright"):
        monkeypatch.setattr(decoding, name, noting(getattr(decoding, name)))
    more = PngInfo()
    more.add_text("a", "x" * SMALL_FILE)
    decoder, spec = Decoder(100), ImageSpec.unit(8, 8, 1)
    for info, thread in ((None, "MainThread"), (more, "decode")):
        small, large = (io.BytesIO(), io.BytesIO())
        Image.new("L", (8, 8)).save(small, "PNG", pnginfo=info)
        Image.new("L", (20, 20)).save(large, "PNG", pnginfo=info)
        where.clear()
        assert asyncio.run(decoder.decode(small.getvalue(), spec)).shape == (8, 8, 1)
        with pytest.raises(ImageError, match="has 20×20 pixels, more than the limit of 100"):
            asyncio.run(decoder.decode(large.getvalue(), spec))
        assert [name.split("_")[0] for name in where] == [thread] * 3
    decoder.close()


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b'{"images": [' + b",".join([b'""'] * 1_000_000) + b"]}", 413, "1,000,000"),
        (b'{"images": [' + b",".join([b"1"] * 1_000_000) + b"]}", 413, "1,000,000"),
        (b"{" + b",".join(b'"%x": 1' % number for number in range(200_000)) + b"}", 422, "images"),
        (b"[" * 1_000_000, 422, "no other lists"),
        (b'{"a": [' + b",".join([b"[]"] * 1_000_000) + b"]}", 422, "no other lists"),
    ],
)
def test_json_of_a_million_parts_holds_nobody_up(client: TestClient, body: bytes, status: int, word: str) -> None:
    start = time.perf_counter()
    response = client.post("/v1/predict", content=body, headers={"Content-Type": "application/json"})
    assert time.perf_counter() - start < 1
    assert (response.status_code, word in problem(response)) == (status, True)


# --- the document ---


def test_the_document_is_openapi_3_1_with_examples(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics"}
    predict = document["paths"]["/v1/predict"]["post"]
    example = predict["requestBody"]["content"]["application/json"]["examples"]["one grey pixel"]["value"]
    assert client.post("/v1/predict", json=example).status_code == 200
    assert {"200", "400", "408", "413", "415", "422", "429", "504"} <= set(predict["responses"])
    assert "application/problem+json" in predict["responses"]["422"]["content"]


def test_the_docs_have_every_option_route_and_field(client: TestClient, call: Callable) -> None:
    text = (Path(__file__).parents[1] / "docs/serve.md").read_text()
    options = set(re.findall(r"--[a-z-]+", call("serve", "--help")[1])) - {"--help", "--debug"}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", text, re.M)) == options
    document = client.get("/openapi.json").json()
    assert set(re.findall(r"`(?:GET|POST) (/[\w/]+)`", text)) == set(document["paths"])
    fields = text.split("`predictions`, one an image:")[1].split("##")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", fields, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert named == set(document["components"]["schemas"]["Prediction"]["properties"])


def _until(done: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    for _ in range(400):
        if done():
            return
        time.sleep(0.025)
    raise AssertionError("it did not come")
