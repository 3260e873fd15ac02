"""Makes aff.npz: attentional feature fusion of two maps, computed in NumPy from the paper's equations.

Dai, Gieseke, Oehmcke, Wu and Barnard, Attentional feature fusion, WACV 2021, equations 1 to 3. Nothing of the package
is used. `x` has fewer channels and more places than `y`: it is averaged to y's rows and columns, and a 1×1 convolution
gives it y's channels. Batch normalisation is given once with its running figures ("evaluation") and once with those of
the batch ("training").

    python make_aff.py
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
EPSILON = 1e-5
CHANNELS, INNER = 8, 2

rng = np.random.default_rng(20210105)
x, y = rng.normal(size=(3, 4, 6, 9)), rng.normal(size=(3, CHANNELS, 3, 3))
widen = rng.normal(size=(CHANNELS, 4)) / 2
weights = {
    f"{context}.{name}": value
    for context in ("local", "overall")
    for name, value in {
        "squeeze": rng.normal(size=(INNER, CHANNELS)) / 2,
        "expand": rng.normal(size=(CHANNELS, INNER)),
        **{
            f"{norm}.{part}": rng.uniform(0.5, 1.5, size) if part in ("weight", "var") else rng.normal(size=size) / 3
            for norm, size in (("inner_norm", INNER), ("norm", CHANNELS))
            for part in ("weight", "bias", "mean", "var")
        },
    }.items()
}


def pointwise(maps, weight):
    return np.einsum("bchw,oc->bohw", maps, weight)


def normalised(maps, name, training):
    mean, var = weights[f"{name}.mean"], weights[f"{name}.var"]
    if training:
        mean, var = maps.mean((0, 2, 3)), maps.var((0, 2, 3))
    scale = weights[f"{name}.weight"] / np.sqrt(var + EPSILON)
    return (maps - mean[:, None, None]) * scale[:, None, None] + weights[f"{name}.bias"][:, None, None]


def context(maps, name, training):
    inside = normalised(pointwise(maps, weights[f"{name}.squeeze"]), f"{name}.inner_norm", training)
    return normalised(pointwise(np.maximum(inside, 0), weights[f"{name}.expand"]), f"{name}.norm", training)


small = x.reshape(3, 4, 3, 2, 3, 3).mean((3, 5))  # 6 × 9 places to 3 × 3: windows of 2 × 3
both = [pointwise(small, widen), y]
made = {"x": x, "y": y, "widen": widen, **weights}
for mode in ("evaluation", "training"):
    total = both[0] + both[1]
    overall = total.mean((2, 3), keepdims=True)
    training = mode == "training"
    share = 1 / (1 + np.exp(-(context(total, "local", training) + context(overall, "overall", training))))
    made[mode] = share * both[0] + (1 - share) * both[1]
np.savez_compressed(HERE / "aff.npz", **{name: value.astype(np.float32) for name, value in made.items()})
