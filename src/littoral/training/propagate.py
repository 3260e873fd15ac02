"""Label propagation: the labels of a few images spread over a graph of all, along images that are alike.

NumPy and SciPy in and out; what is alike is for the caller to say, by the features.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.sparse import coo_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import cg
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 20
"""Images that each is joined to, the nearest ones."""

ALPHA = 0.99
"""How far labels spread: the share of an image's label that comes from its neighbours and not from itself."""


def similarity_graph(features: Float32[np.ndarray, "n size"], neighbours: int = NEIGHBOURS) -> csr_array:
    """A symmetric sparse matrix (n, n): the cosine between an image and its nearest ones, to the third power.

    The power tells near from less near where all are alike (Iscen, Tolias, Avrithis and Chum, Label propagation for
    deep semi-supervised learning, CVPR 2019).
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    count = min(neighbours, len(unit) - 1)
    # of unit vectors, the nearest by distance are those of the largest cosine: cos = 1 - distance² / 2
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(unit)
    distance, nearest = search.kneighbors()  # no image is its own neighbour
    weight = np.maximum(1 - distance.astype(np.float64) ** 2 / 2, 0) ** 3
    rows = np.repeat(np.arange(len(unit)), count)
    graph = coo_array((weight.ravel(), (rows, nearest.ravel())), shape=(len(unit),) * 2).tocsr()
    both_ways: csr_array = graph + graph.T
    return both_ways


def propagate(
    graph: csr_array, labelled: Int64[np.ndarray, " m"], labels: Int64[np.ndarray, " m"], classes: int
) -> Float64[np.ndarray, "n classes"]:
    """The share of each class in each image, rows adding up to 1, from the `labels` of the images `labelled`.

    Solves (I - ALPHA S) Z = Y, S being the graph over the roots of its degrees and Y one-hot (Zhou, Bousquet, Lal,
    Weston and Schölkopf, Learning with local and global consistency, NIPS 2003). The columns of Z are then brought to
    the sum that the class has among the labels, so that no class floods the others. Images that no label reaches get
    these sums too.
    """
    degree = np.asarray(graph.sum(1)).ravel()
    root = diags_array(1 / np.sqrt(np.maximum(degree, 1e-12)))
    system = eye_array(graph.shape[0]) - ALPHA * (root @ graph @ root)
    share = np.bincount(labels, minlength=classes) / len(labels)
    spread = np.zeros((graph.shape[0], classes))
    for number in np.unique(labels):
        start = np.zeros(graph.shape[0])
        start[labelled[labels == number]] = 1
        spread[:, number] = np.maximum(cg(system, start, rtol=1e-6, maxiter=200)[0], 0)
    total = spread.sum(0)
    spread *= share / np.where(total > 0, total, 1)
    reached = spread.sum(1, keepdims=True)
    return np.where(reached > 0, spread / np.where(reached > 0, reached, 1), share)
