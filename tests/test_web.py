"""`littoral export --web`: a folder that any server of files can give, in a browser that then does all by itself."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browsing import CHROMIUM, THREE, Watched, chromium, digit_files, draw, drop, faults
from PIL import Image
from playwright.sync_api import Page, expect

from littoral.deploy.runtime import Model, load
from littoral.images.store import ImageStore
from littoral.serve.alone import write_page
from littoral.studies.occlusion import occlusion

ORT = Path(__file__).parents[1] / "web/node_modules/onnxruntime-web/dist"

runs = pytest.mark.skipif(
    CHROMIUM is None or not ORT.is_dir(), reason="needs Chromium and onnxruntime-web, which .ci/run installs"
)


class Quiet(SimpleHTTPRequestHandler):
    """Python's own server of files, as `python -m http.server` has it, without its log."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def folder(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    shutil.copy(exported / "model.onnx", folder)
    write_page(folder, ORT)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def opened(browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """The page, cut off from its server once it was loaded; and all that it said to the console or asked others for."""
    watched = Watched(browser)
    page, told = watched.open(address)
    expect(page.locator("#about")).to_contain_text("10 classes", timeout=60_000)
    page.context.set_offline(True)
    yield page, told
    watched.close()


@pytest.fixture(scope="module")
def files(mnist: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return digit_files(mnist, tmp_path_factory.mktemp("files"))


def asked(page, path: Path, explain: bool = False) -> dict:
    """What the page's engine says of a file."""
    return page.evaluate(
        """async ([bytes, explain]) =>
          (await import("./page/engine.js")).predict(new Blob([new Uint8Array(bytes)]), 10, explain)""",
        [list(path.read_bytes()), explain],
    )


@runs
def test_answers_are_the_runners_and_none_is_asked_for(
    opened: tuple[Page, list[str]], model: Model, mnist: ImageStore, files: list[Path], tmp_path: Path
) -> None:
    page, told = opened
    colour = np.stack([mnist.images[60_000, :, :, 0], *np.zeros((2, 28, 28), np.uint8)], axis=2)
    Image.fromarray(colour).resize((90, 61)).save(tmp_path / "red.png")
    Image.fromarray(mnist.images[60_001, :, :, 0]).resize((300, 200)).save(tmp_path / "large.png")
    for path in [*files[:4], tmp_path / "red.png", tmp_path / "large.png"]:
        (expected,), found = model.predict([path]), asked(page, path)
        assert (found["label"], found["accepted"]) == (expected.label, expected.accepted)
        probabilities = {row["label"]: row["probability"] for row in found["top"]}
        assert probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert found["novelty"] == pytest.approx(expected.novelty, rel=1e-3)
        for side in ("shallow", "deep"):
            assert found[side]["label"] == getattr(expected, side).label
    drop(page, files)
    labels = [row.split("\t")[2] for row in page.locator("#rows tr").all_inner_texts()]
    assert labels[:4] == [answer.label for answer in model.predict(files[:4])]
    assert "not an image file that this browser can read" in labels[4]
    draw(page, THREE)
    expect(page.locator("#answer .label")).to_have_text("3")
    page.click("#clear")
    assert told == []


@runs
def test_where_it_looks_is_what_a_server_says(
    opened: tuple[Page, list[str]], model: Model, mnist: ImageStore, files: list[Path]
) -> None:
    page, told = opened
    found = asked(page, files[0], explain=True)["explanation"]
    outputs = {"fused": "probabilities", "shallow": "shallow_probabilities", "deep": "deep_probabilities"}

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        given = model.run(images)
        return {name: given[output] for name, output in outputs.items()}

    image = mnist.images[60_000:60_001]
    expected = occlusion(answer, image, model.run(image)["label"])
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name][0], atol=0.05)
    assert told == []


@runs
def test_the_page_fits_and_has_no_serious_fault(opened: tuple[Page, list[str]], files: list[Path]) -> None:
    page, told = opened
    drop(page, files[:3])
    page.click("text=Where does it look?")
    page.wait_for_selector(".maps canvas")
    assert "never leave" in page.inner_text("#note")
    assert "checked" in page.inner_text("#sum")
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            assert faults(page) == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert told == []


@runs
def test_a_model_that_is_not_the_exported_one_is_not_run(browser, address: str, folder: Path) -> None:
    place, watched = folder / "model.onnx", Watched(browser)
    whole = place.read_bytes()
    place.write_bytes(whole[:-1])
    try:
        page, _ = watched.open(address)
        expect(page.locator("#answer .error")).to_contain_text("not the one that was exported")
    finally:
        place.write_bytes(whole)
        watched.close()


def test_without_the_runtime_one_line_says_what_to_do(call: Callable, tmp_path: Path) -> None:
    code, _, err = call("export", tmp_path / "m.safetensors", "--web", "--ort-dist", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "npm ci --prefix web" in err


def test_what_npm_installs_is_pinned_by_its_sum_and_by_no_address() -> None:
    packages = json.loads((Path(__file__).parents[1] / "web/package-lock.json").read_text())["packages"]
    del packages[""]
    assert "node_modules/onnxruntime-web" in packages
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
