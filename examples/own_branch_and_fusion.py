"""A branch and a fusion of your own, made known to littoral and compared with the single branches.

The branch is a mean of each square of pixels, the fusion takes the larger of two numbers: the comparison judges them.
"""

# %% A branch: what describes it, and the module
from dataclasses import dataclass
from typing import Literal

import torch

import littoral as lt
from littoral.evaluation.paired import verdict
from littoral.nn.branch import Branch, BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.fusion.base import Fusion, FusionConfig
from littoral.nn.fusion.concat import ConcatConfig
from littoral.nn.model import FusionNetConfig
from littoral.specs import FeatureSpec
from littoral.training.arms import arms_of
from littoral.training.presets import Preset
from littoral.training.recipe import Recipe


class Means(Branch):
    def forward(self, x):
        return {"means": torch.nn.functional.avg_pool2d(x, 4)}


@lt.register_branch
@dataclass(frozen=True)
class MeansConfig(BranchConfig):
    type: Literal["means"] = "means"
    onward = "means"

    def features(self, image_shape):
        channels, height, width = image_shape
        return [FeatureSpec("means", channels, height // 4, width // 4, macs=0)]

    def build(self, image_shape):
        return Means()


# %% A fusion, likewise
class Larger(Fusion):
    def __init__(self, specs):
        super().__init__(specs)
        self.out_features, self.macs = specs[0].size, 0

    def forward(self, features):
        return torch.maximum(*(feature.flatten(1) for feature in features))


@lt.register_fusion
@dataclass(frozen=True)
class LargerConfig(FusionConfig):
    type: Literal["larger"] = "larger"

    def refusal(self, specs):
        return None if len({spec.size for spec in specs}) == 1 else "takes features of one size"

    def build(self, specs):
        return Larger(specs)


# %% A preset made of both, and the comparison
def network(*names):
    branches = {"shallow": MeansConfig(), "deep": ConvConfig((8, 16), (1, 2), dense=49)}
    fusion = LargerConfig() if len(names) == 2 else ConcatConfig()
    chosen = {name: branches[name] for name in names}
    return lambda image_shape, classes: FusionNetConfig(image_shape, classes, chosen, fusion)


deep = network("deep")
arms = arms_of(fused=network("shallow", "deep"), shallow=network("shallow"), deep=deep, single=deep)
preset = Preset("larger", "means and a small CNN", Recipe(steps=150, batch_size=64), arms, "not known", "seconds")
result = lt.compare(lt.load_mnist(), preset=preset, seeds=2, labels_per_class=50)
for pair in result.pairs:
    print(f"{pair.a} and {pair.b}: {verdict(pair)}")
