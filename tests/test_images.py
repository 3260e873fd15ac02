"""MNIST as published, splits that are stratified and nested, and decoding of every kind of image file."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from littoral.errors import ImageError, InputError
from littoral.images import builtin
from littoral.images.batch import decode_batch
from littoral.images.decode import MAX_SCANS, decode_bytes, decode_file, open_upright, quiet_pillow, size_of
from littoral.images.labels import index_labels
from littoral.images.named import load_named
from littoral.images.sources import image_files
from littoral.images.splits import (
    each_class_in_turn,
    grouped_split,
    held_out,
    label_budget,
    straddling,
    tied_images,
    train_test,
    train_test_rows,
)
from littoral.images.store import ImageStore, as_images
from littoral.specs import ImageSpec, Resize

GREY, COLOUR = ImageSpec.unit(8, 8, 1), ImageSpec.unit(8, 8, 3)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# --- MNIST ---


def test_mnist_is_the_published_one(mnist: ImageStore) -> None:
    assert mnist.images.shape == (70_000, 28, 28, 1)
    assert mnist.split is not None
    assert mnist.split[:60_000].tolist() == ["train"] * 60_000
    assert mnist.class_names == tuple("0123456789")
    # MD5 of the unpacked IDX files as published, headers put back
    heads = {
        "6bbc9ace898e44ae57da46a324031adb": (0x803, mnist.images[:60_000]),
        "a25bea736e30d166cdddb491f175f624": (0x801, mnist.labels[:60_000].astype(np.uint8)),
        "2646ac647ad5339dbf082846283269ea": (0x803, mnist.images[60_000:]),
        "27ae3e4e09519cfbb04c329615203637": (0x801, mnist.labels[60_000:].astype(np.uint8)),
    }
    for md5, (magic, values) in heads.items():
        sizes = values.shape[:3] if magic == 0x803 else values.shape
        head = np.array([magic, *sizes], ">u4").tobytes()
        assert hashlib.md5(head + values.tobytes()).hexdigest() == md5


def test_mnist_loads_fast_and_without_torch() -> None:
    code = (
        "import sys, time; start = time.process_time()  # whatever else the machine does\n"
        "from littoral.images.builtin import load_mnist; load_mnist()\n"
        "assert 'torch' not in sys.modules\n"
        "print(time.process_time() - start)"
    )
    seconds = min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3))
    assert seconds < 1.5


def test_a_changed_mnist_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin._MNIST_SHA256, "t10k-labels-idx1-ubyte.gz", "0" * 64)
    with pytest.raises(InputError, match="does not have its SHA-256"):
        load_named("mnist")


def test_unknown_data_names_the_known() -> None:
    with pytest.raises(InputError, match="unknown data 'mnits': expected one of mnist"):
        load_named("mnits")


# --- splits ---

labels_strategy = st.lists(st.integers(0, 4), min_size=10, max_size=200).map(
    lambda v: np.array(v + [0, 1, 2, 3, 4] * 2)
)


@given(labels_strategy, st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_a_split_is_stratified_disjoint_whole_and_repeatable(labels: np.ndarray, share: float, seed: int) -> None:
    alone = np.arange(len(labels))
    first, second = grouped_split(labels, alone, share, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    for label in np.unique(labels):
        count = int((labels == label).sum())
        held = int((labels[second] == label).sum())
        assert 1 <= held <= count - 1
        assert abs(held - share * count) <= 1
    again = grouped_split(labels, alone, share, seed)
    assert np.array_equal(first, again[0])
    assert np.array_equal(second, again[1])


@given(labels_strategy, st.integers(1, 2), st.integers(0, 2**32))
def test_budgets_are_balanced_and_nested(labels: np.ndarray, per_class: int, seed: int) -> None:
    chosen = label_budget(labels, per_class, seed)
    assert np.bincount(labels[chosen]).tolist() == [per_class] * 5
    assert set(label_budget(labels, 1, seed)) <= set(chosen)


def test_a_part_has_each_class_in_turn_and_the_small_ones_whole() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    assert each_class_in_turn(labels, 5).tolist() == [0, 1, 5, 6, 7]
    assert each_class_in_turn(labels, 6).tolist() == [0, 1, 2, 5, 6, 7]
    assert each_class_in_turn(labels, 99).tolist() == list(range(8))
    many = np.random.default_rng(0).integers(0, 3, 2000)  # so many that a quick sort would lose their order
    turns = [(int((many[:row] == many[row]).sum()), row) for row in range(len(many))]
    for at_most in (300, 301):
        assert each_class_in_turn(many, at_most).tolist() == sorted(row for _, row in sorted(turns)[:at_most])


@pytest.mark.parametrize("seed", range(10))
def test_where_groups_are_larger_than_the_part_to_hold_out_the_smallest_is_taken(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [10, 10, 5])
    ties = np.concatenate([np.repeat(np.arange(6), [4, 3, 3, 3, 4, 3]), np.arange(10, 15)])
    train, test = grouped_split(labels, ties, 0.2, seed)
    assert np.bincount(labels[test]).tolist() == [3, 3, 1]
    assert len(train) == 25 - 7
    assert not set(ties[train]) & set(ties[test])
    both = np.repeat([0, 1, 2, 3], [4, 6, 4, 6])  # each group has images of two classes, of some far too many
    pairs = np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1])
    train, test = grouped_split(pairs, both, 0.2, seed)
    assert len(test) in (4, 6)
    assert not set(both[train]) & set(both[test])
    assert set(pairs[train]) == set(pairs[test]) == {0, 1}


@pytest.mark.parametrize("seed", range(10))
def test_groups_of_several_classes_leave_each_class_something_to_train_on(seed: int) -> None:
    # class 0 alone, then with class 1 and with class 2, whose other groups are larger still: one of the pairs has to go
    ties = np.repeat([0, 1, 2, 3, 4], [1, 6, 6, 7, 7])
    labels = np.concatenate([[0], [0], [1] * 5, [0], [2] * 5, [1] * 7, [2] * 7])
    train, test = grouped_split(labels, ties, 0.2, seed)
    assert set(labels[train]) == set(labels[test]) == {0, 1, 2}


def test_budgets_that_cannot_be_are_refused() -> None:
    labels = np.array([0, 0, 1])
    with pytest.raises(
        InputError, match="asked for 2 labels per class, but a class has 1 training image; ask for fewer"
    ):
        label_budget(labels, 2, 0)
    with pytest.raises(InputError, match="at least 1, got 0"):
        label_budget(labels, 0, 0)
    told = (
        "found no split with every class on both sides: every class needs images in two groups or more; "
        "add images, leave a class out, or group otherwise"
    )
    with pytest.raises(InputError, match=f"^{told}$"):
        grouped_split(labels, np.arange(3), 0.5, 0)


def test_a_given_split_is_kept_and_another_is_made_only_where_there_is_none(small: ImageStore) -> None:
    train_part, test_part = train_test(small, seed=3)
    assert np.array_equal(train_part.images, small.images[:640])
    assert np.array_equal(test_part.labels, small.labels[640:])
    bare = ImageStore(small.images, small.labels, small.class_names)
    train_part, test_part = train_test(bare, seed=3)
    assert len(train_part) + len(test_part) == 840
    assert abs(len(test_part) - 168) <= 5


def test_a_class_that_cannot_be_on_both_sides_is_named(small: ImageStore) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (7, 12, 12, 1), np.uint8), np.array([0, 0, 0, 0, 0, 1, 1])
    store = ImageStore(images, labels, ("cat", "dog"))
    assert np.bincount(labels[train_test_rows(store, 0)[1]]).tolist() == [1, 1]
    images[6] = images[5]
    with pytest.raises(InputError, match=r"^the class 'dog' needs at least 2 different images to be trained and "):
        train_test_rows(ImageStore(images, labels, ("cat", "dog")), 0)
    grouped = ImageStore(images, labels, ("cat", "dog"), groups=np.array([0, 0, 0, 0, 0, 1, 2]))
    told = (
        "the class 'cat' needs at least 2 different groups of images to be trained and tested, and its 5 images make "
        "one: add some, group them otherwise or leave it out"
    )
    with pytest.raises(InputError, match=f"^{told}$"):
        train_test_rows(grouped, 0)
    given = replace(store, split=np.array(["train"] * 5 + ["test"] * 2))
    told = "the class 'dog' has test images but none to train on: add some or leave it out"
    with pytest.raises(InputError, match=f"^{told}$"):
        train_test_rows(given, 0)
    train, test = train_test_rows(replace(store, split=np.array(["test", "train"] * 3 + ["train"])), 0)
    assert (train.tolist(), test.tolist()) == ([1, 3, 5, 6], [0, 2, 4])


def test_what_is_tied_through_groups_and_equal_images_is_one() -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 1), np.uint8)
    images[4] = images[1]  # ties group 0 to group 2
    store = ImageStore(images, np.zeros(8, np.int64), ("a",), groups=np.array([0, 0, 1, 1, 2, 2, 3, 4]))
    ties = tied_images(store).tolist()
    assert ties[0] == ties[1] == ties[4] == ties[5]
    assert ties[2] == ties[3]
    assert len(set(ties)) == 4
    told = tied_images(replace(store, ties=np.array([0, 1, 2, 3, 4, 5, 6, 6]))).tolist()  # as found before
    assert told[6] == told[7]
    assert len(set(told)) == 4


def test_what_is_tested_on_where_there_is_a_validation_part(small: ImageStore) -> None:
    assert small.split is not None
    other = np.where(np.arange(840) >= 740, "val", small.split)
    assert len(train_test(replace(small, split=other), 0)[1]) == 100  # a test part goes before a validation part
    alone = np.where(small.split == "test", "val", "train")
    assert np.array_equal(train_test(replace(small, split=alone), 0)[1].labels, small.labels[640:])
    assert straddling(replace(small, split=other)) == straddling(replace(small, split=alone)) == (0, 0)
    none = replace(small, split=np.full(840, "train"), source="photos")
    for ask in (straddling, held_out):
        with pytest.raises(InputError, match=r"^photos came split, but has no images to test on: add a test part$"):
            ask(none)
    with pytest.raises(InputError, match=r"^photos has no images to train on: add a train part$"):
        train_test(replace(none, split=np.full(840, "test")), 0)


def test_what_straddles_a_given_split_is_counted(small: ImageStore) -> None:
    few = replace(small.subset(np.arange(6)), split=np.array(["train"] * 3 + ["test"] * 3))
    assert straddling(few) == (0, 0)
    tied = replace(few, groups=np.array([0, 0, 1, 1, 0, 2]), ties=np.array([0, 1, 2, 3, 4, 2]))
    assert straddling(tied) == (2, 1)
    assert straddling(replace(tied, split=None)) == (0, 0)


# --- arrays ---


def test_arrays_in_the_shapes_people_hold() -> None:
    grey = np.zeros((3, 5, 4), np.uint8)
    assert as_images(grey).shape == (3, 5, 4, 1)
    assert as_images(np.zeros((3, 5, 4, 3), np.uint8)).shape == (3, 5, 4, 3)
    for wrong in (np.zeros((3, 5, 4)), np.zeros((3, 20), np.uint8), np.zeros((3, 5, 4, 2), np.uint8), grey[:0]):
        with pytest.raises(InputError, match="images must"):
            as_images(wrong)


def test_labels_of_any_one_type() -> None:
    classes, index = index_labels(["b", "a", "b"])
    assert (classes.tolist(), index.tolist()) == (["a", "b"], [1, 0, 1])
    classes, index = index_labels([-1, 7, 7])
    assert (classes.tolist(), index.tolist()) == ([-1, 7], [0, 1, 1])
    for wrong, words in (([1, 1], "at least two classes"), ([[1, 0], [0, 1]], "one a row"), ([1, None], "one type")):
        with pytest.raises(InputError, match=words):
            index_labels(np.array(wrong, dtype=object))


def test_stores_that_contradict_themselves_are_refused(small: ImageStore) -> None:
    with pytest.raises(InputError, match="one label"):
        ImageStore(small.images, small.labels[1:], small.class_names)
    with pytest.raises(InputError, match="class names"):
        ImageStore(small.images, small.labels, ("0", "1"))
    with pytest.raises(InputError, match="uint8"):
        ImageStore(small.images.astype(np.float32), small.labels, small.class_names)
    with pytest.raises(InputError, match="int64"):
        ImageStore(small.images, small.labels.astype(np.int32), small.class_names)
    with pytest.raises(InputError, match="no valid Unicode"):
        ImageStore(small.images, small.labels, (*small.class_names[:9], "\udcff"))


def test_the_fingerprint_changes_with_pixels_labels_and_names(small: ImageStore) -> None:
    other_pixel, other_label = small.images.copy(), small.labels.copy()
    other_pixel[3, 4, 5] += 1
    other_label[0] = (other_label[0] + 1) % 10
    stores = [
        small,
        ImageStore(other_pixel, small.labels, small.class_names),
        ImageStore(small.images, other_label, small.class_names),
        ImageStore(small.images, small.labels, tuple("abcdefghij")),
    ]
    stores.append(ImageStore(small.images, small.labels, small.class_names))  # without its split
    assert len({store.fingerprint() for store in stores}) == 5
    assert replace(small, images=small.images.copy()).fingerprint() == small.fingerprint()


# --- decoding ---


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_pixels_of_lossless_files_come_back_as_they_were(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    content = encoded(Image.fromarray(pixels), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(decode_bytes(content, GREY)[..., 0], pixels)


def test_jpeg_in_colour_and_cmyk() -> None:
    red = Image.new("RGB", (8, 8), (250, 10, 10))
    for image in (red, red.convert("CMYK")):
        pixels = decode_bytes(encoded(image, "JPEG"), COLOUR)
        assert pixels.shape == (8, 8, 3)
        assert np.abs(pixels.reshape(-1, 3).mean(0) - [250, 10, 10]).max() < 6


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["L", "RGB", "CMYK"]),
    st.integers(20, 100),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    st.booleans(),
    st.sampled_from([1, 3]),
)
def test_a_jpeg_has_pillows_pixels(
    seed: int, size: tuple[int, int], mode: str, quality: int, subsampling: str, progressive: bool, channels: int
) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    content = encoded(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB"))
    pixels = decode_bytes(content, ImageSpec.unit(size[1], size[0], channels))
    assert np.array_equal(pixels.reshape(expected.shape), expected)
    assert size_of(content) == (size[1], size[0])


def test_a_turned_jpeg_is_put_upright() -> None:
    picture = Image.new("RGB", (16, 8), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 8, 8))  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    content = encoded(picture, "JPEG", exif=exif, quality=95)
    pixels = decode_bytes(content, ImageSpec.unit(16, 8, 3))
    assert pixels[:8].min() > 240
    assert pixels[8:].max() < 15
    assert size_of(content) == (16, 8)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = Image.fromarray((np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8))
    for kind in ("PNG", "TIFF"):
        pixels = decode_bytes(encoded(deep, kind), GREY)[..., 0]
        assert np.array_equal(pixels, np.round(np.arange(64).reshape(8, 8) * 1000 / 257))


def test_sixteen_bits_of_which_the_least_is_white() -> None:
    values = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    content = encoded(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(decode_bytes(content, GREY)[..., 0], 255 - np.round(values / 257.0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_that_of_the_standard(kind: str, orientation: int) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(picture, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("L")
    pixels = decode_bytes(content, ImageSpec.unit(expected.height, expected.width, 1))[..., 0]
    assert np.array_equal(pixels, np.asarray(expected))


@pytest.mark.parametrize(
    ("tag", "kind", "content"),
    [
        pytest.param(0x0128, 2, b"2\0\0\0", id="ResolutionUnit as text"),
        pytest.param(0x011A, 2, b"72\0\0", id="XResolution as text"),
        pytest.param(0x0100, 2, b"16\0\0", id="ImageWidth as text"),
        pytest.param(0x0102, 4, struct.pack("<I", 70_000), id="BitsPerSample 70000"),
    ],
)
def test_a_turned_jpeg_is_put_upright_whatever_its_other_tags_say(tag: int, kind: int, content: bytes) -> None:
    picture = Image.new("L", (16, 8), 0)
    picture.paste(255, (0, 0, 8, 8))  # white on the left, which comes to the top
    tags = sorted([(0x0112, 3, 1, struct.pack("<HH", 6, 0)), (tag, kind, 3 if kind == 2 else 1, content)])
    written = b"".join(struct.pack("<HHI", name, form, number) + value for name, form, number, value in tags)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + written + bytes(4)
    pixels = decode_bytes(encoded(picture, "JPEG", exif=exif, quality=95), ImageSpec.unit(16, 8, 1))
    assert pixels[:8].min() > 240
    assert pixels[8:].max() < 15


def test_damaged_exif_data_do_not_spoil_whole_pixels() -> None:
    for kind in ("PNG", "WEBP"):
        assert decode_bytes(encoded(Image.new("L", (8, 8), 9), kind, exif=b"Exif\0\0II*\0\xff"), GREY).shape == (
            8,
            8,
            1,
        )


def test_of_several_pictures_the_first_is_read_and_it_is_noted() -> None:
    frames = [Image.new("L", (8, 8), level) for level in (50, 100, 150)]
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        more = {"save_all": True, "append_images": frames[1:]} | ({"lossless": True} if kind == "WEBP" else {})
        for options, first in ((more, True), ({}, False)):
            with quiet_pillow():
                upright = open_upright(encoded(frames[0], kind, **options), 1)
            assert upright.first is first
            assert np.abs(np.asarray(upright.image).astype(int) - 50).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_the_first_of_several_keeps_the_colours_of_its_palette(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour).quantize(4) for colour in ((200, 0, 0), (0, 0, 200))]
    pixels = decode_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), COLOUR)
    assert (pixels == (200, 0, 0)).all()


@pytest.mark.parametrize("resize", ["stretch", "crop"])
def test_a_long_thin_image_takes_no_gigabytes_on_its_way(resize: Resize) -> None:
    content = encoded(Image.new("L", (1, 2_000_000)))
    with pytest.raises(ImageError, match="has 1×2000000 pixels, too long and thin for 64×64"):
        decode_bytes(content, replace(ImageSpec.unit(64, 64, 1), resize=resize))


def test_a_second_head_of_a_png_does_not_hide_its_size() -> None:
    small, large = encoded(Image.new("L", (1, 1))), encoded(Image.new("L", (900, 900)))
    head = len(b"\x89PNG\r\n\x1a\n") + 25
    with quiet_pillow():
        assert size_of(small[:head] + large[8:]) == (900, 900)


def test_one_bit_palette_and_transparency() -> None:
    assert decode_bytes(encoded(Image.new("1", (8, 8), 1)), GREY).min() == 255
    palette = Image.new("RGB", (8, 8), (0, 0, 255)).quantize(4)
    assert decode_bytes(encoded(palette), COLOUR)[0, 0].tolist() == [0, 0, 255]
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert decode_bytes(encoded(clear), COLOUR).min() == 255  # laid over white
    half = Image.new("LA", (8, 8), (0, 128))
    assert abs(int(decode_bytes(encoded(half), GREY)[0, 0, 0]) - 127) <= 1


def test_the_exif_orientation_is_applied() -> None:
    picture = Image.new("L", (8, 8), 0)
    picture.paste(255, (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half
    pixels = decode_bytes(encoded(picture, "PNG", exif=exif), GREY)[..., 0]
    assert pixels[:4].max() == 0
    assert pixels[4:].min() == 255


def test_another_size_keeps_the_whole_picture_and_pads_with_its_border() -> None:
    wide = np.full((10, 40), 60, np.uint8)
    wide[3:7, 5:35] = 255
    pixels = decode_bytes(encoded(Image.fromarray(wide)), GREY)[..., 0]
    assert (pixels[:3] == 60).all()
    assert (pixels[5:] == 60).all()
    assert pixels[3:5, 1:7].min() > 130  # the bar is still there, all of it


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.sampled_from(["pad", "stretch", "crop"]),
)
def test_any_size_becomes_the_spec(
    height: int, width: int, to_height: int, to_width: int, channels: int, resize: Resize
) -> None:
    image = Image.fromarray(np.full((height, width, 3), 77, np.uint8))
    spec = replace(ImageSpec.unit(to_height, to_width, channels), resize=resize)
    pixels = decode_bytes(encoded(image), spec)
    assert pixels.shape == (to_height, to_width, channels)
    assert (pixels == 77).all()  # nothing of another colour comes in


def test_stretch_keeps_the_whole_and_crop_the_proportions() -> None:
    wide = np.zeros((8, 32), np.uint8)
    wide[:, :8] = 255  # white on the left quarter
    content = encoded(Image.fromarray(wide))
    stretched = decode_bytes(content, replace(GREY, resize="stretch"))[..., 0]
    assert (stretched[:, 0] == 255).all()  # the white is there, as thin as a quarter of the width
    assert (stretched[:, 4:] == 0).all()
    cropped = decode_bytes(content, replace(GREY, resize="crop"))[..., 0]
    assert np.array_equal(cropped, wide[:, 12:20])  # the middle, and the white hung over
    twice = np.kron(np.arange(64, dtype=np.uint8).reshape(8, 8), np.ones((2, 2), np.uint8))
    assert np.array_equal(
        decode_bytes(encoded(Image.fromarray(twice)), replace(GREY, resize="crop")),
        decode_bytes(encoded(Image.fromarray(twice)), GREY),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "not a readable"),
        (encoded(Image.effect_noise((64, 64), 50))[:900], "not a readable"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:700], "not a readable"),
        (b"%PDF-1.4", "not a readable"),
    ],
    ids=["empty", "text", "half a png", "half a jpeg", "pdf"],
)
def test_what_is_no_whole_image_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_bytes(content, GREY)


@given(st.binary(max_size=300), st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_never_raise_anything_else(noise: bytes, cut: int) -> None:
    whole = encoded(Image.new("RGB", (16, 16), (1, 2, 3)))
    for content in (noise, whole[:cut] + noise):
        with contextlib.suppress(ImageError):
            assert decode_bytes(content, GREY).shape == (8, 8, 1)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(ImageError, match="limit"):
        decode_bytes(bomb, GREY)


def test_a_file_too_large_to_be_an_image_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge.png", "wb") as handle:
        handle.truncate(10**12)  # it takes no room on disk
    with pytest.raises(ImageError, match="has 1,000,000,000,000 bytes, more than the limit of 800,000,000"):
        decode_file(tmp_path / "huge.png", GREY)


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    whole = encoded(Image.effect_noise((8, 8), 50), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    assert decode_bytes(whole, GREY).shape == (8, 8, 1)
    many = whole[:last] + whole[last:-2] * (MAX_SCANS + 1 - whole.count(b"\xff\xda")) + whole[-2:]
    assert decode_bytes(many, GREY).shape == (8, 8, 1)
    for content in (many[:-2] + whole[last:], many[:2] + b"\xff\xfe\x00\x07Exif\0" + many[2:-2] + whole[last:]):
        with pytest.raises(ImageError, match="is a JPEG of 501 scans, more than the limit of 500"):
            decode_bytes(content, GREY)
        assert "501 scans" in decode_batch(0, [content], GREY, np.zeros((1, 8, 8, 1), np.uint8)).errors[0]


def test_a_system_that_opens_no_file_without_waiting_reads_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(b"content")
    monkeypatch.delattr(os, "O_NONBLOCK")  # as on Windows
    found = importlib.util.find_spec("littoral.images.decode")
    assert found is not None
    assert found.loader is not None
    there = importlib.util.module_from_spec(found)
    found.loader.exec_module(there)
    assert there.read_bytes(tmp_path / "a.png") == b"content"


def test_too_little_memory_is_not_called_a_broken_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", no_memory)
    with pytest.raises(MemoryError):
        decode_bytes(encoded(Image.new("RGB", (8, 8))), GREY)


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="is no file"):
        decode_file(tmp_path / "pipe.png", GREY)


def test_float_images_are_refused_rather_than_guessed() -> None:
    with pytest.raises(ImageError, match="range is unknown"):
        decode_bytes(encoded(Image.new("F", (8, 8), 0.5), "TIFF"), GREY)
    with pytest.raises(ImageError, match="range is unknown"):
        decode_bytes(encoded(Image.new("I", (8, 8), 200), "TIFF"), GREY)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        decode_file(tmp_path / "none.png", GREY)


def test_image_files_of_a_folder_in_a_settled_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.png", ".git/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in image_files([tmp_path])[0]]
    assert names == ["a.JPG", "b.png", "sub/c.webp"]
    assert image_files([tmp_path])[1] == 2  # the hidden picture and the text; hidden folders are not looked into
    assert image_files([tmp_path / "notes.txt"])[0] == [tmp_path / "notes.txt"]  # named by hand: taken at its word
    (tmp_path / "empty").mkdir()
    for wrong, words in ((tmp_path / "gone", "no such file"), (tmp_path / "empty", "no images in the folder")):
        with pytest.raises(InputError, match=words):
            image_files([wrong])
