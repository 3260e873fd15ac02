"""Images that are equal or nearly so -> a number for each that ties them, so that no split parts them.

Nearly equal: a correlation of 0.99 or more at 32×32 pixels, all channels together, whatever brightness and contrast.
A perceptual signature proposes pairs (the low frequencies that a perceptual hash would round to bits, kept as numbers),
pixels confirm, and clusters are cliques: every image in one is nearly equal to every other, so none is a chain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

from littoral.images.store import pixel_hashes
from littoral.rows import ImageRows, in_chunks
from littoral.words import count

SIDE, ALIKE = 32, 0.99
"""Images are compared at SIDE × SIDE pixels, and nearly equal from a correlation of ALIKE on."""

FREQUENCIES, COARSE = 8, 4
"""Lowest frequencies along each axis that make the signature, by the cosine transform, and those looked at first."""

LARGEST_CLUSTER, LARGEST_SHARE, LARGEST_CUT = 50, 0.05, 0.1
"""Beyond these, nearly equal images are a trait of the data and no accident: see `find_duplicates`."""

PROPOSALS, LARGEST_SET = 30, 250_000
"""Pairs proposed for each image on average, and images, up to which near-duplicates are looked for at all."""

ROWS = 1024


@dataclass(frozen=True)
class Duplicates:
    """`ties`: a number for each image (n); images with the same number are to stay on one side of a split.

    `exact`: images with the pixels of an earlier one. `near`: images tied to others that they do not equal. `largest`:
    images in the largest cluster. `declined`: why nearly equal images were not tied, a phrase; empty where they were.
    """

    ties: NDArray[np.int64]
    exact: int
    near: int
    largest: int
    declined: str = ""

    def remark(self) -> str:
        """What a person should know of it, in a sentence; empty when there is nothing."""
        parts = []
        if self.exact:
            parts.append(f"{count(self.exact, 'image equals', 'images equal')} another one")
        if self.near:
            parts.append(f"{self.near:,} images are nearly equal to another, in clusters of up to {self.largest}")
        together = f"{' and '.join(parts)}; these stay on one side of a split" if parts else ""
        if not self.declined:
            return together
        apart = f"nearly equal images are not kept together, since {self.declined}: name groups if some belong together"
        return f"{together}; {apart}" if together else apart


def find_duplicates(
    images: NDArray[np.uint8] | ImageRows, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Duplicates:
    """Tie images (n × height × width × channels) that are equal or nearly equal.

    Only equal images are tied where a cluster would hold more than 50 images, or where more than 5 % of all would be in
    clusters that are not clean: those that leave out more than a tenth of the nearly equal pairs. So ten photographs of
    each thing are kept together, be they all of the data; but where each image shades into the next (films, digits
    written alike, X-rays), no cluster means anything, and it is said.
    """
    ties = np.unique(pixel_hashes(images), return_inverse=True)[1].astype(np.int64)
    firsts = np.unique(ties, return_index=True)[1]
    exact = len(ties) - len(firsts)
    alone = Duplicates(ties, exact, 0, int(np.bincount(ties).max()))
    if len(firsts) > LARGEST_SET:
        return _declined(alone, f"{len(firsts):,} images are too many to compare each with each")
    proposed = _proposals(images, firsts, on_progress)
    if proposed is None:
        return _declined(alone, "most images are much alike")
    pairs, alike = _confirmed(images, proposed)
    clusters = _cliques(pairs, alike)
    if not clusters:
        return alone
    largest = max(map(len, clusters))
    near = sum(map(len, clusters))
    if largest > LARGEST_CLUSTER:
        return _declined(alone, f"{largest:,} are nearly equal to each other")
    inside = sum(len(cluster) * (len(cluster) - 1) // 2 for cluster in clusters)
    if near > LARGEST_SHARE * len(firsts) and len(pairs) - inside > LARGEST_CUT * len(pairs):
        return _declined(alone, f"{near:,} are nearly equal to others, which shade into further ones")
    joined = np.arange(len(firsts))
    for cluster in clusters:
        joined[ties[cluster]] = ties[cluster[0]]
    return Duplicates(joined[ties], exact, near, largest)


def _declined(alone: Duplicates, reason: str) -> Duplicates:
    return Duplicates(alone.ties, alone.exact, 0, alone.largest, reason)


def _proposals(
    images: NDArray[np.uint8] | ImageRows, chosen: NDArray[np.int64], on_progress: Callable[[int, int], None]
) -> NDArray[np.int64] | None:
    """Pairs of images (m × 2), among those chosen: all that are nearly equal, and some more; None: too many.

    For vectors u and v of length 1, each parted into what a few frequencies see of it (Pu) and the rest (Qu),
    u·v = Pu·Pv + Qu·Qv ≤ Pu·Pv + |Qu| |Qv|. So signatures (Pu, |Qu|) whose product is below ALIKE rule a pair out.
    """
    parts = []
    for start in range(0, len(chosen), ROWS):
        parts.append(_signatures(_vectors(images, chosen[start : start + ROWS]), images.shape[3]))
        on_progress(min(start + ROWS, len(chosen)), 2 * len(chosen))
    signatures = np.concatenate(parts)
    # |u - v|² = 2 - 2 u·v, so no coordinate of a pair differs by more than `reach`: sorted by the one that tells most,
    # a block need be compared with few that follow it
    reach = np.sqrt(2 - 2 * ALIKE) + 1e-3
    axis = int(signatures.var(0).argmax())
    order = np.argsort(signatures[:, axis], kind="stable")
    signatures = signatures[order]
    # the same bound once more, for a first look at fewer numbers
    few = COARSE**2 * images.shape[3]
    rest = np.linalg.norm(signatures[:, few:], axis=1, keepdims=True)
    coarse = np.concatenate([signatures[:, :few], rest], axis=1)
    enough = ALIKE - 1e-4  # a little less: these are sums of float32
    found: list[NDArray[np.int64]] = []
    count, most = 0, PROPOSALS * max(len(order), ROWS)
    for start in range(0, len(order), ROWS):
        rows = slice(start, min(start + ROWS, len(order)))
        end = int(np.searchsorted(signatures[:, axis], signatures[rows.stop - 1, axis] + reach, side="right"))
        for other in range(start, end, 4 * ROWS):
            columns = slice(other, min(other + 4 * ROWS, end))
            likely = coarse[rows] @ coarse[columns].T >= enough
            many = likely.mean() > 0.02  # of so many, one by one would take longer than all at once, and much memory
            if many:
                likely = signatures[rows] @ signatures[columns].T >= enough
                if count + (np.count_nonzero(likely) - ROWS) // 2 > most:  # each pair twice at most, and the diagonal
                    return None
            pairs = np.add(np.argwhere(likely), (start, other))
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            if not many:
                pairs = pairs[np.einsum("nd,nd->n", signatures[pairs[:, 0]], signatures[pairs[:, 1]]) >= enough]
            found.append(order[pairs])
            count += len(found[-1])
            if count > most:
                return None
        on_progress(len(order) + min(start + ROWS, len(order)), 2 * len(order))
    return chosen[np.concatenate(found)]


def _confirmed(
    images: NDArray[np.uint8] | ImageRows, pairs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pairs whose correlation is ALIKE or more, and it."""
    alike = np.zeros(len(pairs))
    for start in range(0, len(pairs), 8 * ROWS):
        some, places = np.unique(pairs[start : start + 8 * ROWS], return_inverse=True)
        vectors = _vectors(images, some)
        one, two = places.reshape(-1, 2).T
        alike[start : start + 8 * ROWS] = np.einsum("nd,nd->n", vectors[one], vectors[two])
    kept = alike >= ALIKE
    return pairs[kept], alike[kept]


def _cliques(pairs: NDArray[np.int64], alike: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Clusters in which every two images are a pair (complete linkage), the most alike joined first."""
    known: dict[int, set[int]] = defaultdict(set)
    for one, two in pairs.tolist():
        known[one].add(two)
        known[two].add(one)
    cluster_of = {image: [image] for image in known}
    for one, two in pairs[np.argsort(-alike, kind="stable")].tolist():
        first, second = cluster_of[one], cluster_of[two]
        if first is not second and all(known[image].issuperset(second) for image in first):
            first += second
            cluster_of.update(dict.fromkeys(second, first))
    distinct = {id(members): members for members in cluster_of.values() if len(members) > 1}
    return [np.array(sorted(members), np.int64) for members in distinct.values()]


def _vectors(images: NDArray[np.uint8] | ImageRows, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Images at SIDE × SIDE, each as one vector of mean 0 and length 1; images of one colour are 0."""
    chosen = images.take(index) if isinstance(images, ImageRows) else images[index]
    shrunk = [_shrunk(rows) for _, rows in in_chunks(chosen)]
    vectors: NDArray[np.float32] = np.concatenate(shrunk).reshape(len(index), -1)
    vectors -= vectors.mean(1, keepdims=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-3)
    return vectors


def _shrunk(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, channels, SIDE, SIDE)"""
    if rows.shape[1:3] != (SIDE, SIDE):
        pictures = [Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image) for image in rows]
        small = [picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR) for picture in pictures]
        rows = np.array(list(map(np.asarray, small)), np.uint8).reshape(len(rows), SIDE, SIDE, -1)
    return rows.transpose(0, 3, 1, 2).astype(np.float32)


def _signatures(vectors: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """What the low frequencies see of each vector, the lowest COARSE² × channels first, and the length of the rest."""
    basis = dct(np.eye(SIDE), norm="ortho", axis=0)[:FREQUENCIES].astype(np.float32)
    maps = vectors.reshape(len(vectors), channels, SIDE, SIDE)
    low = (basis @ maps @ basis.T).reshape(len(vectors), channels, -1)
    rest = np.sqrt(np.maximum((vectors**2).sum(1) - (low**2).sum((1, 2)), 0))
    lowest = (np.arange(FREQUENCIES)[:, None] < COARSE) & (np.arange(FREQUENCIES) < COARSE)
    parts = [low[:, :, lowest.ravel()], low[:, :, ~lowest.ravel()], rest[:, None, None]]
    return np.concatenate([part.reshape(len(vectors), -1) for part in parts], axis=1)
