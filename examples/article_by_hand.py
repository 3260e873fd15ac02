"""The published two-branch network, put together by hand from two branches and a fusion.

A shallow and a deep convolutional network look at the same image; what both find is joined, and one dense layer
decides. Preset `article` is this network. Takes a few seconds: it learns from 2,000 digits, in two passes.
"""

# %% Two branches, described
import torch

import littoral as lt
from littoral.evaluation.metrics import evaluate
from littoral.nn.conv import ConvConfig
from littoral.nn.cost import config_cost
from littoral.nn.fusion.concat import ConcatConfig
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.training.loop import train
from littoral.training.presets import get_arm, get_preset
from littoral.training.recipe import Recipe

deep = ConvConfig(widths=(32, 64, 128), pool_after=(1, 2, 3), dense=256)
shallow = ConvConfig(widths=(32, 64), pool_after=(1, 2), dense=128)
for name, branch in (("deep", deep), ("shallow", shallow)):
    for feature in branch.features((1, 28, 28)):  # declared; nothing is built yet
        print(f"{name:8}{feature.name:8}{feature.shape!s:14}{feature.macs:>12,} multiply-accumulates so far")

# %% Joined by a fusion, and a head over it
config = FusionNetConfig((1, 28, 28), 10, {"shallow": shallow, "deep": deep}, ConcatConfig())
cost = config_cost(config)
print(f"{cost.params:,} parameters, {cost.macs:,} multiply-accumulates an image")
assert config == get_arm(get_preset("article"), "fused", (1, 28, 28), 10)  # so the preset is no more than this

# %% Trained on a few digits
data = lt.load_mnist()
images, labels = data.images[:2000], data.labels[:2000]
model = seeded_model(config, seed=0)


class Printer(lt.Observer):
    """What is told of the training is printed."""

    def on_epoch(self, record):
        """One line an epoch."""
        print(f"epoch {record.epoch}: loss {record.loss:.3f}, accuracy {100 * record.accuracy:.1f} %")


train(model, images, labels, data.spec(), Recipe(epochs=2), 0, torch.device("cpu"), Printer())

# %% Tested on others, with an interval
held_out = slice(60_000, 62_000)
probabilities = predict_probabilities(model, data.images[held_out], data.spec())
found = evaluate(probabilities, data.labels[held_out], data.class_names)
low, high = found.ci95
print(f"test accuracy {100 * found.accuracy:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})")
