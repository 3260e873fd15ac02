"""Any network of timm as a backbone, called `timm:NAME`: its stages as timm's `features_only` gives them.

timm is the extra [timm]. It needs torchvision, which does not import beside every build of torch, so both are imported
when such a network is asked for and not before. Weights come from a file here or from timm's cache, never from afar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.network import Network, Tapped, as_features, counted, on_meta, spec_of
from littoral.nn.weights import read_tensors, weights_folder
from littoral.specs import FeatureSpec, ImageShape

PREFIX = "timm:"
ENDINGS = (".safetensors", ".pth", ".bin")


class TimmNetwork(Network):
    """`name`: timm's name after `timm:`. Raises InputError where timm is missing or has no such network."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = name.removeprefix(PREFIX)
        timm = _timm(name)
        if not timm.is_model(self.model):
            raise InputError(f"timm has no network {self.model!r}; python -c 'import timm; print(timm.list_models())'")
        facts = timm.get_pretrained_cfg(self.model)
        self.mean, self.std = tuple(facts.mean), tuple(facts.std)
        self.hub = (facts.hf_hub_id, facts.hf_hub_filename)
        self.known: dict[ImageShape, list[FeatureSpec]] = {}

    def stages(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec a stage, each counted in a network that ends there."""
        if image_shape not in self.known:
            specs = []
            for number, name in enumerate(self._names()):
                with counted(self.name, image_shape) as (x, macs):
                    value = Stages(self._made(number, None), (name,))(x)[name]
                    specs.append(spec_of(name, value, macs()))
            self.known[image_shape] = specs
        return self.known[image_shape]

    def build(self, taps: Sequence[str]) -> Stages:
        """The network, cut after the deepest tap, with the weights of the file found."""
        state = None if on_meta() else read_tensors(self._file())
        names = self._names()
        return Stages(self._made(max(names.index(tap) for tap in taps), state), tuple(taps))

    def _names(self) -> list[str]:
        """All stages, by the modules that give them."""
        with torch.device("meta"):
            return [stage["module"] for stage in self._made(0, None).feature_info.info]

    def _made(self, deepest: int, state: Mapping[str, Tensor] | None) -> Any:
        """The network with the stages 0 to `deepest` as its outputs, with these weights."""
        timm = _timm(self.name)
        try:
            return timm.create_model(
                self.model,
                pretrained=state is not None,
                pretrained_cfg_overlay=None if state is None else {"state_dict": dict(state)},
                features_only=True,
                out_indices=list(range(deepest + 1)),
            )
        except (RuntimeError, AttributeError, KeyError) as error:
            raise InputError(
                f"{self.name} cannot be built with these weights and stages: {str(error).splitlines()[0]}"
            ) from error

    def _file(self) -> Path:
        """The file with the weights: NAME.safetensors, .pth or .bin of one's own, else what timm has in its cache."""
        for ending in ENDINGS:
            if (path := weights_folder() / f"{self.model}{ending}").is_file():
                return path
        from huggingface_hub import try_to_load_from_cache

        repository, named = self.hub
        for file in (named,) if named else ("model.safetensors", "pytorch_model.bin"):
            found = try_to_load_from_cache(repository, file) if repository else None
            if isinstance(found, str):
                return Path(found)
        raise InputError(
            f"{self.name} has no weights here, and none are downloaded: put {self.model}.safetensors or .pth into "
            f"{weights_folder()}, or let timm fetch them once: "
            f"python -c \"import timm; timm.create_model('{self.model}', pretrained=True)\""
        )


class Stages(Tapped):
    """timm's list of maps by the names of the modules that gave them."""

    def __init__(self, network: Any, taps: tuple[str, ...]) -> None:
        super().__init__()
        self.taps = taps
        self.network = network
        self.names = tuple(network.feature_info.module_name())
        self.channels = tuple(network.feature_info.channels())

    def forward(self, x: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """The maps of the taps, in order of depth."""
        given = {}
        for name, channels, value in zip(self.names, self.channels, self.network(x), strict=True):
            if name in self.taps:
                # some of timm's networks keep the channels last
                last = value.ndim == 4 and value.shape[1] != channels and value.shape[3] == channels
                given[name] = as_features(name, value.permute(0, 3, 1, 2) if last else value)
        return given


def _timm(name: str) -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision raises the latter beside another build of torch
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name} needs timm and a torchvision that fits torch: pip install 'littoral[timm]' into a fresh "
            f"environment ({reason})"
        ) from error
    return timm
