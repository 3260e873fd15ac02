"""The server as a process of its own, under load: an orderly end, another model, slow clients, other programs."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from littoral.images.store import ImageStore

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="session")
def seven(mnist: ImageStore) -> bytes:
    written = io.BytesIO()
    Image.fromarray(mnist.images[60_000, :, :, 0]).save(written, "PNG")
    return written.getvalue()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable]:
    """Start `littoral serve` with these options; gives the process and its port."""
    with contextlib.ExitStack() as stack:
        yield lambda model, *options: stack.enter_context(started(model, tmp_path / "log", *options))


@pytest.fixture(scope="module")
def port(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server that several tests share."""
    with started(exported, tmp_path_factory.mktemp("shared") / "log") as (_, port):
        yield port


@contextlib.contextmanager
def started(model: Path, log: Path, *options: str) -> Iterator[tuple[subprocess.Popen, int]]:
    command = [sys.executable, "-m", "littoral", "serve", str(model), "--port", "0", "--threads", "1", *options]
    with log.open("w") as handle:
        process = subprocess.Popen(command, stderr=handle)
    try:
        _until(lambda: "http://127.0.0.1:" in log.read_text() or process.poll() is not None)
        yield process, int(log.read_text().split("http://127.0.0.1:")[1].split("/")[0])
    finally:
        process.kill()
        process.wait()


class Load:
    """Clients that ask one after the other, each on a connection that it keeps; what became of every request."""

    def __init__(self, port: int, image: bytes, clients: int) -> None:
        self.port, self.image = port, image
        self.outcomes: Counter[str] = Counter()
        self.models: set[tuple[str, str]] = set()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            self._ask_on(connection)

    def _ask_on(self, connection: http.client.HTTPConnection) -> None:
        while not self.stop.is_set():
            try:
                connection.request("POST", "/v1/predict", self.image, PNG)
                response = connection.getresponse()
                document = json.loads(response.read())
            except (http.client.RemoteDisconnected, ConnectionError):  # not a byte of an answer: it was never accepted
                self.outcomes["not accepted"] += 1
                connection.close()
                if self.stop.wait(0.01):
                    return
                continue
            except (http.client.HTTPException, ValueError):
                self.outcomes["cut short"] += 1
                continue
            self.outcomes[str(response.status)] += 1
            if response.status == 200:
                self.models.add((document["model"], document["predictions"][0]["label"]))

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_the_end_answers_all_that_was_accepted(start: Callable, exported: Path, seven: bytes, tmp_path: Path) -> None:
    process, port = start(exported)
    load = Load(port, seven, 16)
    _until(lambda: load.outcomes["200"] > 100)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    load.end()
    accepted = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    answered = Counter(str(line["status"]) for line in accepted if line["event"] == "request")
    assert set(load.outcomes) - {"not accepted"} == {"200"}
    assert answered == Counter({"200": load.outcomes["200"]})


def test_a_model_is_changed_under_load_and_each_answer_names_its_own(
    start: Callable, exported: Path, seven: bytes, tmp_path: Path
) -> None:
    from test_serve import renamed

    first, second = (exported / "model.onnx").read_bytes(), renamed(exported / "model.onnx")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(first)
    _, port = start(folder)
    load = Load(port, seven, 8)
    _until(lambda: load.outcomes["200"] > 50)
    temporary = folder / "next"
    temporary.write_bytes(second)
    os.replace(temporary, folder / "model.onnx")
    _until(lambda: len(load.models) == 2)
    before = load.outcomes["200"]
    _until(lambda: load.outcomes["200"] > before + 50)
    load.end()
    assert set(load.outcomes) == {"200"}
    assert sorted(label for _, label in load.models) == ["7", "Z"]
    assert len({model for model, _ in load.models}) == 2


def test_a_head_that_is_too_long_is_refused_and_one_that_never_ends_is_left(exported: Path, seven: bytes) -> None:
    import uvicorn

    from littoral.serve.api import Service, create_app
    from littoral.serve.server import listen, server_config
    from littoral.serve.settings import Limits

    opened = listen("127.0.0.1", 0)
    limits = Limits(slow=0.5, connections=2)
    server = uvicorn.Server(server_config(create_app(Service(exported, limits)), "", limits))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    place = opened.getsockname()
    try:
        with socket.create_connection(place) as long:
            long.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000)
            assert b" 400 " in long.recv(100)
        for begun in (b"", b"GET /healthz HTTP/1.1\r\nHo"):
            with socket.create_connection(place, timeout=10) as slow:
                slow.sendall(begun)
                assert slow.recv(10) == b""
        with socket.create_connection(place, timeout=10) as slow:
            slow.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nx"
            )
            assert b" 408 " in slow.recv(1000)
        early = b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"  # answered before its body has come
        with socket.create_connection(place, timeout=10) as slow:
            for body in (b"123456789", b"1"):
                slow.sendall(early)
                answer = b""
                while not answer.endswith(b'{"status":"ok"}'):
                    answer += slow.recv(1000)
                slow.sendall(body)
            assert slow.recv(10) == b""
        with contextlib.ExitStack() as stack:
            _, second, third = (stack.enter_context(socket.create_connection(place, timeout=10)) for _ in range(3))
            third.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            refused = b"".join(iter(lambda: third.recv(1000), b""))  # until it is closed
            assert b" 429 " in refused
            assert b"retry-after: 1" in refused
            second.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 200 " in second.recv(1000)
        with httpx2.Client() as client:  # two requests on one connection, with more than that time between
            for _ in range(2):
                assert client.get(f"http://127.0.0.1:{place[1]}/healthz").status_code == 200
                time.sleep(0.7)
    finally:
        server.should_exit = True
        thread.join()
        opened.close()


@pytest.mark.parametrize("name", ["m.safetensors", "m"])
def test_it_stops_in_one_line_while_a_model_is_exported(tmp_path: Path, name: str) -> None:
    from test_export import trained

    from littoral.model_file import save_model
    from littoral.training.presets import PRESETS, get_arm

    save_model(trained(get_arm(PRESETS["tiny"], "fused", (1, 28, 28), 4)), tmp_path / name)
    (tmp_path / "between").mkdir()
    command = [sys.executable, "-m", "littoral", "serve", str(tmp_path / name), "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path / "between")}
    ) as process:
        assert "exporting" in process.stderr.readline()
        _until(lambda: len(list((tmp_path / "between").glob("littoral-exported-*"))) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
        assert process.stderr.read() == "littoral: interrupted\n"
    assert list((tmp_path / "between").iterdir()) == []


def test_a_place_that_is_taken_and_a_weak_key_are_one_line(
    exported: Path, call: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = call("serve", exported, "--port", str(taken.getsockname()[1]))
    assert (code, err.count("\n")) == (2, 1)
    assert "choose another --host or --port" in err
    code, _, err = call("serve", exported, "--port", "99999")
    assert (code, err.endswith("; see `littoral serve --help`\n")) == (2, True)
    (tmp_path / "model").write_bytes(save({"w": np.zeros(2, np.float32)}))  # a model file by its content
    for name in ("m.safetensors", "model"):
        code, _, err = call("serve", tmp_path / name, "--split", "--port", "0")
        assert (code, err.count("\n")) == (2, 1)
        assert "`littoral export --split` wrote" in err
    (tmp_path / "key").write_text("short\n")
    code, _, err = call("serve", exported, "--api-key-file", tmp_path / "key")
    assert (code, "8 or more" in err) == (2, True)
    monkeypatch.setenv("LITTORAL_API_KEY", "two words")
    assert call("serve", exported)[0] == 2
    monkeypatch.delenv("LITTORAL_API_KEY")
    code, _, err = call("serve", exported, "--root-path", "digits")
    assert (code, "begins with /" in err) == (2, True)


def test_behind_a_proxy_and_with_a_key(start: Callable, exported: Path, seven: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-secret-key\n")
    _, port = start(exported, "--root-path", "/digits", "--api-key-file", str(tmp_path / "key"))
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/v1/model").status_code == 401
        assert client.get("/v1/model", headers={"Authorization": "Bearer a-secret-key"}).status_code == 200
        assert client.get("/page/main.js").status_code == 200
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/digits"}]


def test_a_client_made_of_the_document_predicts_an_image(port: int, seven: bytes) -> None:
    import base64

    import aiopenapi3

    api = aiopenapi3.OpenAPI.load_sync(f"http://127.0.0.1:{port}/openapi.json")
    body = {"images": [base64.b64encode(seven).decode()]}
    answer = api._.predict(data=body, parameters={"top": 2})
    assert answer.predictions[0].label == "7"


def test_it_is_as_its_document_says(port: int, tmp_path: Path) -> None:
    # that bytes are no image is nothing that a schema could foretell
    (tmp_path / "schemathesis.toml").write_text("[checks.positive_data_acceptance]\nexpected-statuses = ['2xx', 422]\n")
    tool = str(Path(sys.executable).with_name("schemathesis"))
    address = f"http://127.0.0.1:{port}/openapi.json"
    options = ["--max-examples", "20", "--seed", "0", "--request-timeout", "20", "--no-color"]
    done = subprocess.run([tool, "run", address, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def _until(done: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    for _ in range(1200):
        if done():
            return
        time.sleep(0.025)
    raise AssertionError("it did not come")
