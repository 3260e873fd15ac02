"""Frozen pretrained networks in ONNX Runtime: torch's maps, made ready once, and not there it is not told apart."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import littoral as lt
from littoral.cache import FEATURES
from littoral.fusion_features import FusionFeatures
from littoral.images.store import ImageStore
from littoral.nn import networks, onnx_session
from littoral.nn.backbone import BackboneConfig
from littoral.nn.efficientnet_lite import TAPS
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.onnx_session import Session, in_sessions, runtime_for
from littoral.training.features import feature_groups

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (270, 32, 36, 3), np.uint8)
SPEC = ImageStore(PIXELS, np.zeros(270, np.int64), ("a",)).spec()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Those that are made."""
    made: list[Session] = []

    class Noted(Session):
        def __init__(self, content: bytes, taps: tuple[str, ...]) -> None:
            super().__init__(content, taps)
            made.append(self)

    monkeypatch.setattr(onnx_session, "Session", Noted)
    return made


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(onnx_session, "version", missing)


@pytest.mark.parametrize("shape", [(3, 33, 70), (1, 96, 64), (3, 160, 160)])
def test_maps_are_those_of_torch(shape: tuple[int, int, int]) -> None:
    branch = BackboneConfig(taps=TAPS, pools=()).build(shape).eval()
    weights = dict(branch.state_dict())
    with in_sessions(branch):
        for count in (1, 3):  # one session takes any number
            x = torch.rand(count, *shape, generator=torch.Generator().manual_seed(count))
            fast = branch(x)
            assert list(branch.state_dict()) == list(weights)
            session, branch.session = branch.session, None
            for (tap, value), plain in zip(fast.items(), branch(x).values(), strict=True):
                torch.testing.assert_close(value, plain, atol=1e-4, rtol=0, msg=tap)
            branch.session = session
    assert branch.session is None


def test_it_is_made_ready_once_with_the_threads_of_torch(sessions: list[Session]) -> None:
    groups = feature_groups({"deep": BackboneConfig(taps=("stem",))}, PIXELS, SPEC, "mine", CPU)
    (made,) = sessions  # more images than there are in a batch
    assert made.session.get_session_options().intra_op_num_threads == torch.get_num_threads() == 1
    assert FEATURES.entries()[0].notes["onnxruntime"] == onnxruntime.__version__
    features = FusionFeatures({"deep": BackboneConfig(taps=("stem",))}, standardise=False)
    np.testing.assert_allclose(features.fit_transform(PIXELS), groups["deep.stem"], atol=1e-5)
    assert len(sessions) == 2
    np.testing.assert_allclose(features.transform(PIXELS[:2]), groups["deep.stem"][:2], atol=1e-4)
    assert len(sessions) == 2  # so few are not worth it


def test_what_torch_computed_is_kept_apart(sessions: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    branches = {"deep": BackboneConfig(taps=("stage1", "top"), pools=("mean", "std"), least=64), "hog": HogConfig()}
    fast = feature_groups(branches, PIXELS[:9], SPEC, "mine", CPU)
    assert (len(FEATURES.entries()), len(sessions)) == (2, 1)
    without(monkeypatch)
    plain = feature_groups(branches, PIXELS[:9], SPEC, "mine", CPU)
    assert (len(FEATURES.entries()), len(sessions)) == (3, 1)  # gradients are torch's in any case, and were there
    assert [entry.notes["onnxruntime"] for entry in FEATURES.entries()].count(None) == 2
    for name, values in plain.items():
        np.testing.assert_allclose(fast[name], values, atol=1e-4)


def test_what_cannot_be_written_down_learns_or_lies_elsewhere_is_left_to_torch(
    sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "OWN", {})
    lt.register_network("mine", nn.Sequential(nn.Conv2d(3, 4, 3)), (0.0,) * 3, (1.0,) * 3)
    assert runtime_for([HogConfig(), BackboneConfig()]) == onnxruntime.__version__
    assert runtime_for([BackboneConfig()], torch.device("cuda")) is None
    branch = BackboneConfig("mine", taps=("0",))
    for other in (branch, BackboneConfig(tuned=True), HogConfig()):
        assert runtime_for([other]) is None
    assert feature_groups({"deep": branch}, PIXELS[:2], SPEC, "mine", CPU)["deep.0"].shape == (2, 4)
    with in_sessions(BackboneConfig(tuned=True).build(SPEC.shape)):
        assert sessions == []
    without(monkeypatch)
    assert runtime_for([BackboneConfig()]) is None


def test_a_model_predicts_alike_in_either(sessions: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(270) % 2
    few = PIXELS.copy()
    few[labels == 1, :, :18] //= 2
    classifier = lt.FusionClassifier("transfer", arm="only-stage1", calibrate="none").fit(few[:20], labels[:20])
    assert classifier.model_.record["onnxruntime"] == onnxruntime.__version__
    assert len(sessions) == 1
    given = classifier.predict_proba(few[20:140])
    assert len(sessions) == 2
    np.testing.assert_allclose(classifier.predict_proba(few[20:30]), given[:10], atol=1e-4)
    assert len(sessions) == 2  # so few are not worth it
