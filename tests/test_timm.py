"""timm's networks as backbones. They need a torchvision that fits torch: `make test-timm` has an environment for it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from littoral.errors import InputError
from littoral.nn.backbone import BackboneConfig

with_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed; make test-timm")


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LITTORAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_one_line_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"^timm:resnet18 needs timm .*: pip install 'littoral\[timm\]'[^\n]*$"):
        BackboneConfig("timm:resnet18", taps=("layer1",)).features((3, 64, 64))


@with_timm
@pytest.mark.parametrize(
    ("name", "side", "taps"),
    [
        ("resnet18", 64, ("layer1", "layer4")),
        ("swin_tiny_patch4_window7_224", 224, ("layers.1", "layers.2")),  # keeps its channels last
        ("vit_tiny_patch16_224", 224, ("blocks.0", "blocks.5")),
    ],
)
def test_stages_are_timms_own(nothing_here: Path, name: str, side: int, taps: tuple[str, ...]) -> None:
    import timm

    config, shape = BackboneConfig(f"timm:{name}", taps, pools=()), (3, side, side)
    declared = config.features(shape)
    with pytest.raises(InputError, match=rf"none are downloaded: put {name}.safetensors or .pth into {nothing_here}"):
        config.build(shape)
    whole = timm.create_model(name, pretrained=False)
    torch.save(whole.state_dict(), nothing_here / f"{name}.pth")
    branch, x = config.build(shape), torch.rand(2, *shape)
    with FlopCounterMode(display=False) as counter:
        given = branch(x)
    assert [(spec.name, spec.shape) for spec in declared] == [(tap, tuple(v.shape[1:])) for tap, v in given.items()]
    if "vit" not in name:  # on a CPU the counter does not see fused attention
        assert counter.get_total_flops() == 4 * declared[-1].macs
    seen = {}
    for tap in taps:
        whole.get_submodule(tap).register_forward_hook(lambda _, __, value, tap=tap: seen.update({tap: value}))
    with torch.no_grad():
        whole.eval()((x - branch.mean) / branch.std)
    for tap, value in seen.items():
        expected = value[:, -given[tap].flatten(2).shape[2] :] if value.ndim == 3 else value.flatten(1, 2)
        if value.shape[1] == given[tap].shape[1]:
            expected = value.flatten(2).mT
        torch.testing.assert_close(given[tap].flatten(2).mT, expected)


@with_timm
def test_an_unknown_name_or_tap_is_named() -> None:
    with pytest.raises(InputError, match="timm has no network 'resnet0'"):
        BackboneConfig("timm:resnet0").features((3, 64, 64))
    with pytest.raises(InputError, match=r"no tap 'top': expected some of act1, layer1, layer2, layer3, layer4"):
        BackboneConfig("timm:resnet18").features((3, 64, 64))
