"""Each command and Python block of README, CONTRIBUTING and docs runs, and so does each example.

Blocks of a page run one after the other in one folder, as a reader would type them; there, `photos/` holds images of
two classes. So that they take seconds, each training is cut off after a few steps, and on the command line `mnist` is a
part of MNIST. Run by `make docs-test`.
"""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from doc_blocks import PAGES, ROOT, RUN, Block, blocks, commands
from PIL import Image

from littoral.cli.main import run
from littoral.images.store import ImageStore
from littoral.nn import registry
from littoral.training.recipe import Recipe

pytestmark = [pytest.mark.docs, pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(900)]

STEPS = 2
"""What each training is cut off after."""

PEOPLE, EACH = 27, 5
"""Of each class there are photographs of so many people, so many of each: enough for budgets of 100 labels."""


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos/CLASS/PERSON_NUMBER.png, colour, 32 × 32: bright on the left or on the right."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, side in (("left", 0), ("right", 16)):
        (folder / name).mkdir()
        for number in range(PEOPLE * EACH):
            pixels = rng.integers(0, 160, (32, 32, 3), np.uint8)
            pixels[:, side : side + 16] += 95
            Image.fromarray(pixels).save(folder / name / f"p{number // EACH:02}_{number % EACH}.png")
    return folder


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each training ends after a few steps."""
    whole = Recipe.total_steps
    monkeypatch.setattr(Recipe, "total_steps", lambda self, images: min(STEPS, whole(self, images)))


@pytest.fixture
def folder(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, short: None) -> Path:
    """Where the blocks of a page run: what a reader has there."""
    for name in ("photos", "more", "more-photos"):
        (tmp_path / name).symlink_to(photos if name == "photos" else photos / "left")
    (tmp_path / "drawing.png").write_bytes((photos / "left" / "p00_0.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert run(["fit", "photos", "--quiet", "--out", "model.safetensors"]) == 0
    monkeypatch.setattr(registry, "BRANCHES", dict(registry.BRANCHES))
    monkeypatch.setattr(registry, "FUSIONS", dict(registry.FUSIONS))
    return tmp_path


@pytest.fixture(scope="session")
def part_of_mnist(mnist: ImageStore) -> ImageStore:
    return mnist.subset(np.concatenate([np.arange(1500), np.arange(60_000, 60_100)]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, folder: Path, part_of_mnist: ImageStore) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.reason is None and block.language in RUN:
            where = f"{page.relative_to(ROOT)}:{block.line}"
            if block.language == "python":
                exec(compile("\n" * block.line + block.code, str(page), "exec", dont_inherit=True), names)
            else:
                run_shell(block, where, part_of_mnist)


def run_shell(block: Block, where: str, part_of_mnist: ImageStore) -> None:
    """Commands of `littoral` in this process, which has it loaded; others in a shell; what pip would bring is there."""
    for command in commands(block.code):
        words = shlex.split(command, comments=True)
        if words[:2] == ["pip", "install"]:
            continue
        if words[0] != "littoral":
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], check=True, env=os.environ | {"PATH": path})
            continue
        if words[1] == "tune":
            words += ["--candidates", "2"]  # else until its time is up
        if words[1] == "curve" and "--seeds" not in words:
            words += ["--seeds", "1"]  # in place of three: 24 trainings are enough for a page
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("littoral.images.builtin.load_mnist", lambda: part_of_mnist)
            threads = torch.get_num_threads()
            code = run([word for word in words[1:] if word != "--debug"], debug=True)
            torch.set_num_threads(threads)
        assert code == 0, f"{where}: {command} ended with {code}"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda script: script.name)
@pytest.mark.usefixtures("short")
def test_an_example_runs(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "BRANCHES", dict(registry.BRANCHES))
    monkeypatch.setattr(registry, "FUSIONS", dict(registry.FUSIONS))
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out
