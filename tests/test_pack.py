"""Packing: every image once, as it was encoded, with its label, group and part; what is not whole is refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow.parquet import ParquetFile

from littoral.errors import ImageError, InputError
from littoral.images import packed
from littoral.images.load import Reading, load_data
from littoral.images.own_size import own_pixels
from littoral.images.pack import pack, read_pack
from littoral.images.packed import PackedImage
from littoral.images.sources import read_table

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eleven files of two classes in two parts, one of them no image."""
    rng = np.random.default_rng(0)
    for number in range(10):
        folder = tmp_path / "photos" / ("test" if number % 3 == 0 else "train") / ("a", "b")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), np.uint8)).save(folder / f"p{number // 2}_{number}.png")
    (tmp_path / "photos" / "train" / "a" / "p0_broken.png").write_bytes(b"no image")
    return tmp_path / "photos"


def test_a_pack_is_what_was_packed(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.images.pack.MOST_IMAGES", 4)
    table = read_table(photos, group_from="[0-9a-z]+[.]png")
    index = pack(table, tmp_path / "packed")
    assert [part.images for part in index.parts] == [4, 4, 3]
    assert index.images == 11
    found = read_table(tmp_path / "packed")
    assert [image.read() for image in found.images if isinstance(image, PackedImage)] == (
        [path.read_bytes() for path in table.images if isinstance(path, Path)]
    )
    assert (found.names, found.labels, found.groups, found.split) == (
        (table.names, table.labels, table.groups, table.split)
    )
    there, here = load_data(str(tmp_path / "packed")), load_data(str(photos))
    np.testing.assert_array_equal(there.store.images[:], here.store.images[:])
    assert [name for name, _ in there.unreadable] == [name for name, _ in here.unreadable]


def test_what_is_read_at_once_is_bounded(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.images.pack.GROUP_BYTES", 800)
    table = read_table(photos)
    pack(table, tmp_path / "packed")
    found = [image for image in read_pack(tmp_path / "packed").images if isinstance(image, PackedImage)]
    rows = Counter((image.file, image.group) for image in found)
    sizes = Counter({group: sum(len(image.read()) for image in found if image.group == group[1]) for group in rows})
    assert len(rows) > 3
    assert max(sizes.values()) < 1200
    reads: list[int] = []
    packed._row_group.cache_clear()
    monkeypatch.setattr(ParquetFile, "read_row_group", counted(ParquetFile.read_row_group, reads))
    load_data(str(tmp_path / "packed"), Reading(memory=0, size=(9, 8)))
    assert 0 < len(reads) <= 2 * len(rows)  # for what tells images from others, and for their pixels: in order, once


def test_a_part_that_is_lost_on_the_way_is_said(photos: Path, tmp_path: Path) -> None:
    pack(read_table(photos), tmp_path / "packed")
    table = read_pack(tmp_path / "packed")
    (tmp_path / "packed" / "part-00000.parquet").unlink()
    packed._row_group.cache_clear()
    assert isinstance(table.images[0], PackedImage)
    with pytest.raises(ImageError, match=r"^cannot be read: .+part-00000\.parquet is no longer there"):
        table.images[0].read()


def counted(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def call(self: Any, number: int, **options: Any) -> Any:
        calls.append(number)
        return function(self, number, **options)

    return call


def test_arrays_are_packed_too(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(6) % 2)
    pack(read_table(tmp_path / "d.npz"), tmp_path / "packed")
    there, here = load_data(str(tmp_path / "packed")), load_data(str(tmp_path / "d.npz"))
    np.testing.assert_array_equal(there.store.images[:], here.store.images[:])


def test_names_of_arrays_pass_for_no_paths_once_they_are_packed(photos: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", images=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), labels=[0, 1, 0, 1])
    pack(read_table(tmp_path / "d.npz"), tmp_path / "arrays")
    with pytest.raises(InputError, match=r"looks at paths, and images of .*arrays have none"):
        read_table(tmp_path / "arrays", group_from=r"\d")
    pack(read_table(photos), tmp_path / "files")
    index = json.loads((tmp_path / "files" / "index.json").read_bytes())
    assert index.pop("paths") is True
    (tmp_path / "files" / "index.json").write_text(json.dumps(index))  # as an older littoral wrote it
    assert read_table(tmp_path / "files", group_from=r"p\d").groups is not None


def test_images_of_a_pack_are_had_in_their_own_size(photos: Path, tmp_path: Path) -> None:
    table = read_table(photos)
    pack(table, tmp_path / "packed")
    there, here = own_pixels(read_table(tmp_path / "packed"), 50), own_pixels(table, 50)
    assert [name for name, _ in there] == [name for name, _ in here]
    assert len(here) == 10
    for (_, one), (_, other) in zip(there, here, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b'{"format": "mine"}', b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_another_programs_index_makes_no_pack(photos: Path, content: bytes) -> None:
    images = len(read_table(photos).images)
    (photos / "index.json").write_bytes(content)
    assert len(read_table(photos).images) == images


def test_an_index_without_its_parts_is_still_one(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    pack(read_table(photos), out)
    (out / "part-00000.parquet").unlink()
    with pytest.raises(InputError, match=r"part-00000\.parquet is missing or was changed since it was packed"):
        read_table(out)


def test_names_of_any_bytes(photos: Path, tmp_path: Path) -> None:
    place = photos.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    first, second, *_ = sorted((place / "train" / "b").glob("*.png"))
    first.rename(first.with_name(os.fsdecode(b"p\xe9.png")))
    gone = second.rename(second.with_name(os.fsdecode(b"q\xe9.png")))
    table = read_table(place)
    gone.unlink()
    index = pack(table, tmp_path / "packed")
    assert (index.source, index.unreadable) == (f"{tmp_path}/caf\\xe9", ("train/b/q\\xe9.png",))
    assert "train/b/p\\xe9.png" in read_table(tmp_path / "packed").names
    (place / "train" / "b").rename(place / "train" / os.fsdecode(b"b\xe9"))
    with pytest.raises(InputError, match=r"the class name 'b\\udce9' is no valid Unicode text; rename it"):
        pack(read_table(place), tmp_path / "other")
    with pytest.raises(InputError, match=r"the group name '.+\\udce9.+' is no valid Unicode text; rename it"):
        pack(replace(table, groups=table.names), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_holds_packing_up_no_longer_than_a_broken_file(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(photos / "train" / "a" / "pipe.png")
    rows = [f"{file.relative_to(tmp_path)},{file.parent.name}\n" for file in sorted(photos.rglob("*.png"))]
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(rows))
    index = pack(read_table(tmp_path / "t.csv"), tmp_path / "packed")
    assert [Path(name).name for name in index.unreadable] == ["pipe.png"]


def test_what_is_not_whole_is_refused(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    pack(read_table(photos), out)
    with pytest.raises(InputError, match="is not empty: name another folder, or empty it"):
        pack(read_table(photos), out)
    part = out / "part-00000.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"x")
    with pytest.raises(InputError, match=r"part-00000\.parquet is missing or was changed since it was packed"):
        read_pack(out)
    part.write_bytes(content)
    index = json.loads((out / "index.json").read_text())
    (out / "index.json").write_text(json.dumps(index | {"format": "other"}))
    with pytest.raises(InputError, match="has the format 'other', expected 'littoral-pack-1'"):
        read_table(out)
    (out / "index.json").write_text(json.dumps(index | {"parts": []}))
    with pytest.raises(InputError, match="names no parts: pack again"):
        read_table(out)
    (out / "index.json").write_text("{}")
    with pytest.raises(InputError, match="is not the index of a pack"):
        read_table(out)
    (out / "index.json").unlink()
    with pytest.raises(InputError, match=r"has no index\.json: packing was cut off"):
        read_table(out)


def test_the_command(call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call("pack", photos, tmp_path / "packed", "--json")
    assert code == 0
    row = next(
        line for line in (Path(__file__).parents[1] / "docs/json.md").read_text().splitlines() if "| `pack`" in line
    )
    document = json.loads(out)
    assert all(f"`{field}`" in row for field in [*document, *document["parts"][0]])
    assert document["classes"] == {"a": 6, "b": 5}
    assert call("pack", photos, tmp_path / "again")[1].startswith(
        f"{tmp_path / 'again'}: 11 images of 2 classes in 1 part"
    )
    assert call("pack", "mnist", tmp_path / "m")[0] == 2
    monkeypatch.setattr("littoral.images.pack.find_spec", lambda name: None)
    assert "pip install 'littoral[parquet]'" in call("pack", photos, tmp_path / "third")[2]
