"""Split: two files that answer as the whole model does, exits that keep their bound, and where a model's time goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from test_export import NAMES, trained
from test_serve import png

from littoral.deploy import runtime
from littoral.deploy.halves import half_files
from littoral.deploy.network import network_graph
from littoral.deploy.onnx_file import onnx_file
from littoral.deploy.parity import odd_images, torch_outputs
from littoral.deploy.split import require_split_parity
from littoral.errors import ExportError, InputError
from littoral.evaluation.abstention import images_needed, most_errors
from littoral.evaluation.exits import ExitBound, exit_bound
from littoral.fit_file import fit_file
from littoral.held_out import parted_again
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.nn.calibrated import Novelty
from littoral.nn.early import ExitHead, ExitRule, FirstHalf, SecondHalf, cuts, exit_sizes
from littoral.nn.inputs import to_input
from littoral.serve.api import Service, create_app
from littoral.serve.settings import Limits
from littoral.training.loop import Silent
from littoral.training.presets import PRESETS, get_arm, get_preset
from littoral.training.run import TrainedModel, calibrated

pytestmark = pytest.mark.usefixtures("one_thread", "unchecked")


def halves(made: TrainedModel, before: tuple[str, ...]) -> tuple[FirstHalf, list[bytes]]:
    """A first half of random opinions by which about half of the images exit, and both files."""
    net, config = calibrated(made), made.model.config
    sizes = exit_sizes(config, before)
    torch.manual_seed(0)
    novelty = Novelty(sum(sizes), config.classes, 3)
    novelty.directions.copy_(torch.linalg.qr(torch.randn(sum(sizes), 3))[0].T)
    head = ExitHead(sum(sizes), config.classes).requires_grad_(False)
    pixels = np.stack([image.pixels for image in same_size(made)])
    half = FirstHalf(made.model, before, head, novelty, ExitRule(0.0, 1e9, 0.3)).eval()
    with torch.no_grad():
        margins = half(to_input(torch.from_numpy(pixels), made.image)).margin
    half.rule = replace(half.rule, least_margin=float(margins.median()))
    return half, half_files(made, half, SecondHalf(net, before), {"before": before})


def same_size(made: TrainedModel) -> list:
    rng = np.random.default_rng(0)
    form = (made.image.height, made.image.width, made.image.channels)
    images = [rng.integers(0, 256, form, dtype=np.uint8) // (1 + number % 7) for number in range(30)]
    return [replace(odd_images(made.image, 4)[3], pixels=image) for image in images]


def opened(contents: list[bytes], folder: Path) -> runtime.SplitModel:
    for name, content in zip((runtime.SHALLOW_FILE, runtime.DEEP_FILE), contents, strict=True):
        (folder / name).write_bytes(content)
    return runtime.load_split(folder, threads=1)


FULL = [pytest.param("few", 2, marks=pytest.mark.full), pytest.param("swift", 1, marks=pytest.mark.full)]


@pytest.mark.parametrize(("preset", "before"), [("few", 1), ("tiny", 1), *FULL])
def test_two_files_answer_as_the_model_does(preset: str, before: int, tmp_path: Path) -> None:
    """A cascade cut after each branch, one whose first is not fused, and a parallel network."""
    made = trained(get_arm(PRESETS[preset], "fused", (1, 12, 14), 4), with_calibration=True)
    branches = list(made.model.config.branches)
    assert cuts(made.model.config) == [tuple(branches[:count]) for count in range(1, len(branches))]
    half, contents = halves(made, tuple(branches[:before]))
    model = opened(contents, tmp_path)
    images = [*same_size(made), *odd_images(made.image, 20)]
    parity = require_split_parity(model, half, calibrated(made), made.image, images)
    assert parity.images == 50
    pixels = np.stack([image.pixels for image in same_size(made)])
    found = model.run(pixels)
    assert 0 < found["exit"].sum() < 30
    onward = ~found["exit"]
    expected = torch_outputs(calibrated(made), pixels, made.image)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][onward], values[onward], atol=1e-4)
    assert np.isnan(found["deep_probabilities"][~onward]).all()
    answers = model.predict(list(pixels))
    assert [answer.exited for answer in answers] == found["exit"].tolist()
    assert all((answer.deep is None) == answer.exited for answer in answers)
    assert [answer.label for answer in answers] == [NAMES[number] for number in found["label"]]


def test_a_server_says_which_images_exit(tmp_path: Path, call: Callable) -> None:
    made = trained(get_arm(PRESETS["tiny"], "fused", (1, 12, 14), 4), with_calibration=True)
    graph = network_graph(calibrated(made), made.image)
    (tmp_path / "model.onnx").write_bytes(onnx_file(made, graph))
    assert "cannot be read" in call("serve", tmp_path, "--split", "--port", "0")[2]
    split = opened(halves(made, ("shallow",))[1], tmp_path)
    pixels = np.stack([image.pixels for image in same_size(made)])
    exits = split.run(pixels)["exit"].tolist()
    with TestClient(create_app(Service(tmp_path, Limits(), split=True))) as client:
        files = [("image", ("a.png", png(image))) for image in pixels]
        told = client.post("/v1/predict?explain=true", files=files).json()["predictions"]
        assert [row["exited"] for row in told] == exits
        assert [row["shallow"] is None for row in told] == [row["deep"] is None for row in told] == exits
        assert np.isfinite(told[0]["explanation"]["shallow"]).all()
        text = client.get("/metrics").text
    assert f'littoral_exits_total{{exited="yes"}} {sum(exits)}.0' in text
    assert f'littoral_exits_total{{exited="no"}} {30 - sum(exits)}.0' in text
    (tmp_path / "model.onnx").write_bytes(onnx_file(replace(made, record={**made.record, "seed": 5}), graph))
    code, _, err = call("serve", tmp_path, "--split", "--port", "0")
    assert (code, "of another model" in err) == (2, True)


def test_the_deep_file_is_not_run_where_all_exit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trained(get_arm(PRESETS["tiny"], "fused", (1, 12, 14), 4), with_calibration=True)
    half, contents = halves(made, ("shallow",))
    model = opened(contents, tmp_path)
    pixels = np.stack([image.pixels for image in same_size(made)])
    leaving = pixels[model.run(pixels)["exit"]]
    monkeypatch.setattr(model, "deep", None)
    assert model.run(leaving)["exit"].all()
    with pytest.raises(AttributeError):
        model.run(pixels)
    monkeypatch.undo()
    half.rule = replace(half.rule, least_margin=half.rule.least_margin * 3)
    with pytest.raises(ExportError, match="the split files disagree with the model"):
        require_split_parity(model, half, calibrated(made), made.image, same_size(made))
    with pytest.raises(runtime.RuntimeFileError, match="is one half of a split model"):
        runtime.load(tmp_path / runtime.DEEP_FILE)
    other = half_files(made, half, SecondHalf(calibrated(made), ("shallow",)), {"before": ["other"]})
    with pytest.raises(runtime.RuntimeFileError, match="are not of one export"):
        opened([contents[0], other[1]], tmp_path)


# --- the bound ---


def test_a_threshold_lets_as_many_exit_as_its_bound_holds_for() -> None:
    rng = np.random.default_rng(0)
    margin = rng.permutation(10_000).astype(np.float64)
    usual, right = np.ones(10_000, bool), np.ones(10_000, bool)
    early = margin >= 1000  # the thousand least clear are wrong
    found = exit_bound(margin, usual, early, right, 0.0005)
    assert (found.harmful, found.least_margin) == (1, 998.5)
    assert found.bound <= 0.0005
    of_two = exit_bound(margin, usual, early, right, 0.0005, tries=2)
    assert (of_two.harmful, of_two.bound) == (0, most_errors(0, 10_000, 0.975))
    assert exit_bound(margin, usual, early, right, most_errors(2, 10_000)).harmful == 2  # a bound just reached holds
    # what the whole network gets wrong too does no harm, and what is unusual never exits
    assert exit_bound(margin, usual, early, early, 0.0005).exits == 1.0
    assert exit_bound(margin, early, early, right, 0.0005).exits == pytest.approx(0.9)
    few = exit_bound(margin[:5989], usual[:5989], early[:5989], right[:5989], 0.0005)
    assert few == ExitBound(None, 0.0, 0, 1.0, 0.95, 5989, 5990)
    enough = exit_bound(margin[:5990], usual[:5990], usual[:5990], right[:5990], 0.0005)
    assert (enough.least_margin, enough.exits, enough.needed) == (0.0, 1.0, None)
    twice = exit_bound(margin[:5990], usual[:5990], usual[:5990], right[:5990], 0.0005, tries=2)
    assert (twice.level, twice.needed) == (0.975, images_needed(0.0005, 0.975))
    assert exit_bound(margin, usual, ~usual, right, 0.0005).least_margin == 9998.5
    assert found == ExitBound(998.5, 0.9001, 1, most_errors(1, 10_000, 0.95), 0.95, 10_000)
    # as many as are allowed are harmed, and all exit; where the clearest are harmed, nothing does
    assert exit_bound(margin, usual, margin > 0, right, 0.0005).exits == 1.0
    clearest = exit_bound(np.ones(10_000), usual, margin > 1, right, 0.0005, tries=2)
    assert clearest == ExitBound(None, 0.0, 0, most_errors(0, 10_000, 0.975), 0.975, 10_000)


def test_the_bound_holds_as_often_as_it_says() -> None:
    """The clearer the rarer wrong: in how many draws are more images harmed than allowed, beyond the draw itself?"""
    rng, allowed, broken = np.random.default_rng(1), 0.01, 0
    for _ in range(400):
        margin = rng.uniform(0, 1, 1000)
        early = rng.uniform(0, 1, 1000) > 0.2 * (1 - margin) ** 2
        found = exit_bound(margin, np.ones(1000, bool), early, np.ones(1000, bool), allowed)
        if found.least_margin is not None:
            harm = 0.2 * (1 - found.least_margin) ** 3 / 3  # of all images, exactly
            broken += harm > allowed
    assert broken / 400 <= 0.07


# --- the images held out, and the commands ---


@pytest.fixture(scope="module")
def fitted(small: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model that was calibrated on a sixth of its training images, and its data."""
    folder = tmp_path_factory.mktemp("fitted")
    np.savez(folder / "d.npz", images=small.images[:, :, :, 0], labels=small.labels)
    from littoral.images.load import load_data

    data = load_data(str(folder / "d.npz")).store
    preset, cpu = get_preset("tiny"), torch.device("cpu")
    recipe = preset.recipe.lasting(steps=60)
    path = folder / "m.safetensors"
    fit_file(data, preset, "fused", recipe, path, 3, None, cpu, Silent(), resume=False, calibrate="holdout")
    return path, folder / "d.npz"


def test_held_out_images_are_found_again_or_refused(fitted: tuple[Path, Path], small: ImageStore) -> None:
    from littoral.images.load import load_data

    path, place = fitted
    made, data = load_model(path), load_data(str(place)).store
    parted = parted_again(made, data)
    assert made.calibration is not None
    assert len(parted.held) == made.calibration.images
    assert len(parted.trained) == made.record["images"]
    with pytest.raises(InputError, match="are not found again"):
        parted_again(made, small)
    with pytest.raises(InputError, match="littoral fit --calibrate holdout"):
        parted_again(replace(made, calibration=None, calibration_tensors={}), data)


def test_the_commands_split_and_profile(fitted: tuple[Path, Path], call: Callable, tmp_path: Path) -> None:
    path, data = fitted
    page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    out = tmp_path / "out"
    arguments = ("export", path, data, "--out", out, "--threads", "1", "--json", "--split")
    code, printed, err = call(*arguments, "--exit-max-drop", "0.5")
    assert code == 0, err
    split = json.loads(printed)["split"]
    assert split["kept"]
    assert {row["batch"] for row in split["times"]} == {1, 32}
    assert split["accuracy"]["n"] == json.loads(printed)["accuracy"]["n"]
    row = next(line for line in page.splitlines() if line.startswith("| `export` |"))
    assert all(f"`{name}`" in row for name in split)
    assert sorted(file.name for file in out.iterdir()) == ["deep.onnx", "model.onnx", "shallow.onnx"]

    code, printed, err = call("profile", path, "--with", out, "--threads", "1", "--json")
    assert code == 0, err
    document = json.loads(printed)
    row = next(line for line in page.splitlines() if line.startswith("| `profile` |"))
    assert all(f"`{name}`" in row for name in document)
    assert sum(layer["macs"] for layer in document["layers"]) == document["macs"]
    assert [form["form"] for form in document["forms"]] == ["torch", "onnx", "split, all exit", "split, none exits"]
    assert sum(part["share"] for part in document["parts"]) == pytest.approx(1, abs=0.2)
    code, _, err = call("profile", path, "--with", tmp_path)
    assert (code, "has no exported model" in err) == (2, True)


def test_without_enough_images_it_says_how_many_it_takes(fitted: tuple[Path, Path], call: Callable) -> None:
    path, data = fitted
    code, printed, err = call("export", path, data, "--out", path.parent / "few", "--split", "--json", "--quiet")
    assert code == 0, err
    split = json.loads(printed)["split"]
    assert not split["kept"]
    assert "takes 5,990" in split["reason"]
    assert [file.name for file in (path.parent / "few").iterdir()] == ["model.onnx"]
    assert call("export", path, "--split", "--quiet")[0] == 2
