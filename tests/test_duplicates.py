"""Images that are (nearly) equal: all found, none by chance, never in chains, and not where all images are alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from littoral.images import duplicates
from littoral.images.duplicates import SIDE, find_duplicates
from littoral.images.splits import tied_images, train_test
from littoral.images.store import ImageStore
from littoral.rows import ImageRows


def correlations(images: np.ndarray) -> np.ndarray:
    """NumPy's own correlation of each image with each, at 32×32."""
    small = [
        np.stack(
            [np.asarray(Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for plane in image]
        )
        for image in images.transpose(0, 3, 1, 2)
    ]
    return np.corrcoef(np.reshape(list(map(np.asarray, small)), (len(images), -1)).astype(float))


def clusters(ties: np.ndarray) -> list[list[int]]:
    return sorted(np.flatnonzero(ties == tie).tolist() for tie in np.unique(ties) if (ties == tie).sum() > 1)


def smooth(rng: np.random.Generator, count: int, channels: int) -> np.ndarray:
    """Pictures with something large in them, as photographs have."""
    coarse = rng.integers(0, 256, (count, 5, 6, channels), np.uint8)
    return np.stack([resized(image, (30, 24)) for image in coarse])


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC)).reshape(size[1], size[0], -1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.floats(0.0, 14.0))
def test_every_pair_of_nearly_equal_images_is_proposed_and_no_other_confirmed(
    seed: int, channels: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    images = smooth(rng, 12, channels).repeat(3, 0)
    images = (images + rng.normal(0, noise, images.shape)).clip(0, 255).astype(np.uint8)
    index = np.arange(len(images))
    proposed = duplicates._proposals(images, index, lambda done, total: None)
    assert proposed is not None
    pairs, _ = duplicates._confirmed(images, proposed)
    likeness = np.triu(correlations(images), 1)
    surely, maybe = np.argwhere(likeness > 0.9901), np.argwhere(likeness > 0.9899)
    found = {tuple(sorted(pair)) for pair in pairs.tolist()}
    assert {tuple(pair) for pair in surely.tolist()} <= found <= {tuple(pair) for pair in maybe.tolist()}


def test_brighter_noisier_and_re_encoded_copies_are_tied_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    images = smooth(rng, 200, 3)
    brighter = (images[0] * 0.8 + 40).astype(np.uint8)
    noisy = (images[1] + rng.normal(0, 3, images[1].shape)).clip(0, 255).astype(np.uint8)
    found = find_duplicates(np.concatenate([images, [brighter, noisy, images[2]]]))
    assert clusters(found.ties) == [[0, 200], [1, 201], [2, 202]]
    assert (found.exact, found.near, found.largest, found.declined) == (1, 4, 2, "")
    assert found.remark() == (
        "1 image equals another one and 4 images are nearly equal to another, in clusters of up to 2; "
        "these stay on one side of a split"
    )


def test_the_same_drawing_in_another_colour_is_another_image() -> None:
    drawing = np.zeros((2, 20, 20, 3), np.uint8)
    drawing[0, 5:15, 5:15, 0] = 255  # a red square
    drawing[1, 5:15, 5:15, 1] = 255  # a green one
    assert find_duplicates(drawing).near == 0


def test_blank_images_are_tied_only_where_they_are_equal() -> None:
    blank = np.full((4, 9, 9, 1), 7, np.uint8)
    blank[3] = 8
    assert clusters(find_duplicates(blank).ties) == [[0, 1, 2]]


def test_clusters_are_no_chains() -> None:
    """Each image is nearly equal to the next and not to the one after: a film that pans."""
    rng = np.random.default_rng(1)
    base = smooth(rng, 300, 1).astype(float)
    steps = np.linspace(0, 1, 40)[:, None, None, None]
    film = (base[:1] * (1 - steps) + base[1:2] * steps).astype(np.uint8)
    likeness = correlations(film)
    assert (np.diag(likeness, 1) > 0.99).all()
    assert likeness[0, -1] < 0.5
    images = np.concatenate([film, base.astype(np.uint8)])  # few of all images, so that they are tied
    found = find_duplicates(np.concatenate([images, smooth(rng, 700, 1)]))
    together = clusters(found.ties)
    assert found.declined == ""
    assert max(map(len, together)) < 20
    for cluster in together:
        assert correlations(np.concatenate([images, images])[cluster]).min() >= 0.9899


def test_where_images_shade_into_each_other_only_equal_ones_are_tied() -> None:
    rng = np.random.default_rng(1)
    one, other = smooth(rng, 2, 1).astype(float)
    steps = np.linspace(0, 1, 200)[:, None, None, None]
    film = np.concatenate([(one * (1 - steps) + other * steps).astype(np.uint8)] * 2)
    found = find_duplicates(film)
    assert (found.near, found.largest) == (0, 2)
    assert "which shade into further ones" in found.declined
    assert found.remark().startswith("200 images equal another one; these stay on one side of a split; nearly equal")


def test_a_cluster_over_fifty_is_not_tied() -> None:
    rng = np.random.default_rng(2)
    images = smooth(rng, 3000, 1)
    many = (images[:1] + rng.normal(0, 2, (51, *images[0].shape))).clip(0, 255).astype(np.uint8)
    found = find_duplicates(np.concatenate([images, many]))
    assert found.near == 0
    assert found.declined == "52 are nearly equal to each other"
    assert find_duplicates(np.concatenate([images, many[:49]])).near == 50


def test_a_set_where_all_is_alike_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    images = (smooth(rng, 1, 1) + rng.normal(0, 2, (1500, 24, 30, 1))).clip(0, 255).astype(np.uint8)
    monkeypatch.setattr(duplicates, "_confirmed", None)
    assert find_duplicates(images).declined == "most images are much alike"


def test_a_set_too_large_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "LARGEST_SET", 5)
    found = find_duplicates(smooth(np.random.default_rng(0), 6, 1))
    assert found.declined == "6 images are too many to compare each with each"


def test_on_mnist_no_cluster_is_large(mnist: ImageStore) -> None:
    found = find_duplicates(mnist.images[:60_000])
    sizes = np.bincount(found.ties)
    assert found.declined == ""
    assert sizes.max() <= 50
    assert sizes.max() <= 600
    assert found.near < 600


def test_rows_in_a_file_give_the_same(mnist: ImageStore) -> None:
    images = mnist.images[:3000].copy()
    images[1] = images[0]
    order = np.random.default_rng(0).permutation(3000)
    there = find_duplicates(ImageRows(images, order))
    assert there.exact == 1
    assert clusters(there.ties) == clusters(find_duplicates(images[order]).ties)


def test_a_split_parts_no_cluster_and_chains_of_groups_and_clusters_hold() -> None:
    rng = np.random.default_rng(4)
    things = smooth(rng, 50, 3).repeat(4, 0)
    images = (things + rng.normal(0, 3, things.shape)).clip(0, 255).astype(np.uint8)
    store = ImageStore(images, np.arange(200) % 2, ("a", "b"))
    parts = train_test(replace(store, class_names=("a", "b")), 0)
    assert sum(map(len, parts)) == 200
    numbered = replace(store, groups=np.arange(200))
    assert len(np.unique(tied_images(numbered))) == 50
    chained = replace(store, groups=np.arange(200) // 6)  # groups of six tie clusters of four to each other
    assert len(np.unique(tied_images(chained))) == 17
