"""Features in the cache: those that a branch computes, once for the same images, branch and weights, and not others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from littoral.cache import FEATURES
from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.inference import batch_size
from littoral.nn.inputs import to_input
from littoral.nn.layers import flatten
from littoral.rows import ImageRows
from littoral.specs import ImageSpec
from littoral.training import features
from littoral.training.features import feature_groups

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (520, 32, 36, 1), np.uint8)
SPEC = ImageStore(PIXELS, np.zeros(520, np.int64), ("a",)).spec()
BRANCHES: dict[str, BranchConfig] = {
    "fixed": HogConfig(),
    "deep": BackboneConfig(taps=("stem", "stage2"), pools=("mean", "std")),
}


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def test_groups_are_the_taps_of_the_branches() -> None:
    told: list[tuple[int, int]] = []
    groups = feature_groups(BRANCHES, PIXELS, SPEC, "mine", CPU, lambda done, total: told.append((done, total)))
    assert list(groups) == ["fixed.fine", "fixed.coarse", "deep.stem", "deep.stage2"]
    assert told == [(250, 1040), (500, 1040), (520, 1040), (770, 1040), (1020, 1040), (1040, 1040)]
    x = to_input(torch.tensor(PIXELS[240:260]), SPEC)
    for name, branch in BRANCHES.items():
        for tap, value in branch.build(SPEC.shape)(x).items():
            group = groups[f"{name}.{tap}"]
            assert isinstance(group, np.memmap)
            assert not group.flags.writeable
            np.testing.assert_allclose(group[240:260], flatten(value), atol=1e-4)


def test_they_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = feature_groups(BRANCHES, PIXELS, SPEC, "mine", CPU)
    monkeypatch.setattr(features, "to_input", None)  # nothing is computed again
    in_file = ImageRows(PIXELS[::-1].copy(), np.arange(520)[::-1])
    for images in (PIXELS, in_file):
        again = feature_groups(BRANCHES, images, SPEC, "by another name", CPU)
        assert all(np.array_equal(values, again[name]) for name, values in first.items())


def test_other_images_branches_weights_and_code_are_other_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(branch: BranchConfig = BRANCHES["fixed"], images: np.ndarray = PIXELS[:9], spec: ImageSpec = SPEC) -> int:
        feature_groups({"one": branch}, images, spec, "mine", CPU)
        return len(FEATURES.entries())

    backbone = BackboneConfig(taps=("stem",))
    assert [count(), count()] == [1, 1]
    assert count(HogConfig(bins=6)) == 2
    assert count(images=PIXELS[:9] ^ 1) == 3
    assert count(spec=replace(SPEC, std=(0.5,))) == 4
    assert count(backbone) == 5
    real = BackboneConfig.build

    def other_weights(self: BackboneConfig, image_shape: tuple[int, int, int]) -> torch.nn.Module:
        built = real(self, image_shape)
        built.network.stem.bias.data += 1e-3
        return built

    monkeypatch.setattr(BackboneConfig, "build", other_weights)
    assert count(backbone) == 6
    monkeypatch.setattr(features, "_code", lambda: "later")
    assert count() == 7


def test_what_is_half_done_damaged_or_learned_is_not_used(
    folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_groups(BRANCHES, PIXELS, SPEC, "mine", CPU, stop)
    assert list(folder_of_its_own.iterdir()) == []
    whole = feature_groups(BRANCHES, PIXELS, SPEC, "mine", CPU)["deep.stem"].copy()
    for entry in FEATURES.entries():
        (entry.folder / "0.npy").write_bytes(b"cut")
    assert FEATURES.entries() == []
    assert np.array_equal(feature_groups(BRANCHES, PIXELS, SPEC, "mine", CPU)["deep.stem"], whole)
    with pytest.raises(InputError, match="features of a conv branch that learns are not kept"):
        feature_groups({"a": ConvConfig((4,), ())}, PIXELS, SPEC, "mine", CPU)
    with pytest.raises(InputError, match="mine has no images"):
        feature_groups(BRANCHES, PIXELS[:0], SPEC, "mine", CPU)


def test_the_command_shows_and_clears_them(call: Callable) -> None:
    feature_groups(BRANCHES, PIXELS, SPEC, "mine", CPU)
    shown = json.loads(call("cache", "--json")[1])
    size = 2 * (32 + 24)
    assert {"kind": "features", "source": "mine", "shape": [520, size]}.items() <= shown["entries"][1].items()
    assert shown["bytes"] == sum(entry["bytes"] for entry in shown["entries"]) > 520 * 4 * size
    assert "features" in call("cache")[1]
    assert json.loads(call("cache", "--clear", "--json")[1])["freed_bytes"] > shown["bytes"]
    assert FEATURES.entries() == []


def test_large_images_are_looked_at_few_at_a_time() -> None:
    sizes = {side: batch_size(ImageSpec.unit(side, side, 3)) for side in (28, 160, 224, 1024, 4000)}
    assert sizes == {28: 250, 160: 250, 224: 132, 1024: 6, 4000: 1}
