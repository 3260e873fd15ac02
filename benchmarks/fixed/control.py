"""kymatio's torch frontend in an environment of its own: for each line that comes it scatters once and says how long.

    python benchmarks/fixed/control.py BATCH CHANNELS SIDE SCALES

It is started by run.py, by turns with the package.
"""

import sys
import time

import torch
from kymatio.torch import Scattering2D


def main() -> None:
    """First the versions, then the seconds of one pass for each line."""
    torch.set_num_threads(1)
    batch, channels, side, scales = map(int, sys.argv[1:])
    scattering = Scattering2D(scales, (side, side), L=8)
    images = torch.rand(batch, channels, side, side)
    print("torch", torch.__version__, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        with torch.no_grad():
            scattering(images)
        print(time.perf_counter() - start, flush=True)


main()
