"""Makes scattering.npz: wavelet scattering coefficients of two made images by kymatio 0.3.0 (BSD 3-Clause).

Its NumPy frontend, order 2, J scales and L directions as the names say. It does not import with today's SciPy, so the
values are kept here. Nothing of the package is used.

    python make_scattering.py    # in an environment with kymatio==0.3.0 and scipy<1.15
"""

import pathlib

import numpy as np
from kymatio.numpy import Scattering2D

images = np.random.default_rng(0).random((2, 29, 20)).astype(np.float32)
values = {
    f"J{scales}_L{angles}": Scattering2D(scales, images.shape[1:], L=angles)(images)
    for scales, angles in ((1, 5), (2, 8), (3, 6))
}
np.savez_compressed(pathlib.Path(__file__).with_name("scattering.npz"), images=images, **values)
