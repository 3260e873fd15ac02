"""What all tests share. Shapes and types of the code under test are checked as it runs (jaxtyping and beartype)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
from jaxtyping import install_import_hook

hook = install_import_hook(["littoral.nn", "littoral.training"], "beartype.beartype")

os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # as `littoral.scale.cluster` has it: Ray reads it once, when imported

from littoral.cli.main import run
from littoral.images.builtin import load_mnist
from littoral.images.store import ImageStore

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """Until the module ends, without the checks of types and shapes: they double the time that an export takes, and
    go before errors of ours."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def mnist() -> ImageStore:
    return load_mnist()


@pytest.fixture(scope="session")
def small(mnist: ImageStore) -> ImageStore:
    """640 training and 200 test images of MNIST, with their split: enough to learn something in a second."""
    import numpy as np

    return mnist.subset(np.concatenate([np.arange(640), np.arange(60_000, 60_200)]))


@pytest.fixture(scope="session")
def few_images(small: ImageStore) -> ImageStore:
    """100 training and 60 test images of MNIST, for what is to be over at once."""
    import numpy as np

    return small.subset(np.concatenate([np.arange(100), np.arange(640, 700)]))


@pytest.fixture
def tiny_in_six_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever `tune` looks for presets, tiny is trained for six steps."""
    from dataclasses import replace

    from littoral.training.presets import PRESETS

    brief = dict(PRESETS) | {"tiny": replace(PRESETS["tiny"], recipe=PRESETS["tiny"].recipe.lasting(steps=6))}
    for place in ("littoral.training.presets", "littoral.training.variant", "littoral.studies.tune"):
        monkeypatch.setattr(f"{place}.PRESETS", brief)


@pytest.fixture(scope="session")
def exported(mnist: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with swift after some seconds on 6,000 digits, calibrated; the gate of an export is tested elsewhere."""
    import numpy as np
    import torch

    from littoral.deploy.network import network_graph
    from littoral.deploy.onnx_file import onnx_file
    from littoral.fit_file import fit_file
    from littoral.training.loop import Silent
    from littoral.training.presets import get_preset
    from littoral.training.run import calibrated

    folder = tmp_path_factory.mktemp("exported")
    data = mnist.subset(np.concatenate([np.arange(6000), np.arange(60_000, 60_500)]))
    preset, device = get_preset("swift"), torch.device("cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = preset.recipe.lasting(epochs=2)
    target = folder / "digits.safetensors"
    trained = fit_file(data, preset, "fused", recipe, target, 0, None, device, Silent(), False, calibrate="holdout")
    (folder / "model.onnx").write_bytes(onnx_file(trained, network_graph(calibrated(trained), trained.image)))
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for torch: small networks gain nothing by more, and threads that wait for a busy core lose much."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A command line run in this process: exit code, standard output, standard error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was skipped fails the run, unless its id is listed with the reason in allowed_skips.txt."""
    if hasattr(session.config, "workerinput"):
        return  # a worker of pytest-xdist: the process that shares out the tests has all reports
    allowed = {line.split(" ")[0] for line in ALLOWED_SKIPS.read_text().splitlines() if not line.startswith("#")}
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = {report.nodeid for report in reporter.stats.get("skipped", [])} - allowed
    if skipped:
        reporter.write_line(f"skipped and not in {ALLOWED_SKIPS.name}: {', '.join(sorted(skipped))}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
