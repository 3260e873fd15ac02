"""A comparison, read into pandas and plotted: every run a row, every difference with its interval.

The comparison is made here, small, in about a quarter of a minute; `results.json` of any other is read the same way.
"""

# %% A comparison, kept in a folder
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import littoral as lt

folder = Path("results")
arms = ["fused", "shallow", "deep"]
lt.compare(lt.load_mnist(), preset="tiny", arms=arms, seeds=3, steps=100, labels_per_class=20, out=folder)

# %% Every run a row
document = json.loads((folder / "results.json").read_text())
runs = pd.json_normalize(document["arms"], "runs", ["name", "params", "macs"])
print(runs.groupby("name")["accuracy"].agg(["mean", "std", "count"]))

# %% The same seed saw the same images, so runs are compared in pairs
wide = runs.pivot(index="seed", columns="name", values="accuracy")
print((wide["fused"] - wide["deep"]).describe()[["mean", "min", "max"]])

# %% Differences with the intervals that littoral gives: for new seeds and new images at once
pairs = pd.DataFrame(document["pairs"])
low, high = pairs["ci95"].str[0], pairs["ci95"].str[1]
figure, axes = plt.subplots(figsize=(6, 2), layout="constrained")
axes.errorbar(
    100 * pairs["difference"],
    pairs["b"],
    xerr=100 * pd.concat([pairs["difference"] - low, high - pairs["difference"]], axis=1).T.to_numpy(),
    fmt="o",
    capsize=3,
)
axes.axvline(0, color="grey", linewidth=1)
axes.set(xlabel="points by which fused is ahead", ylabel="beside", ylim=(-0.5, len(pairs) - 0.5))
figure.savefig("differences.svg")
