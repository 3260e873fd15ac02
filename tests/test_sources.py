"""Own images from folders, tables and arrays: read alike, never leaking, never ended by one broken file."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import littoral as lt
from littoral.errors import InputError
from littoral.images.audit import audit_images
from littoral.images.load import Reading, load_data
from littoral.images.parallel import in_parallel
from littoral.images.paths import read_paths, read_readable
from littoral.images.sources import read_table
from littoral.images.splits import grouped_split, held_out, tied_images, train_test
from littoral.images.store import ImageStore
from littoral.images.table import PART_NAMES
from littoral.model_file import load_model
from littoral.report.audit_findings import findings
from littoral.specs import ImageSpec

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = ("hund und katze", "猫")
PLAIN = ("--calibrate", "none")


def picture(seed: int, size: tuple[int, int] = (20, 24), colour: bool = True) -> Image.Image:
    shape = (*size, 3) if colour else size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten PNG files of each of two classes, and things that are none."""
    place = tmp_path / "photos"
    for number in range(20):
        path = place / CLASSES[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    (place / "notes.txt").write_text("mine")
    (place / CLASSES[0] / ".DS_Store").write_text("")
    (place / CLASSES[1] / ".hidden.png").write_text("")
    return place


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_rows(folder: Path, relative_to: Path) -> list[dict[str, str]]:
    files = sorted(folder.rglob("[0-9]*.png"), reverse=True)
    return [{"path": str(file.relative_to(relative_to)), "label": file.parent.name} for file in files]


# --- sources ---


def test_a_folder_of_class_folders(folder: Path) -> None:
    table = read_table(folder)
    assert set(table.labels) == set(CLASSES)
    assert len(table.images) == 20
    assert table.skipped == 3
    assert table.split is None
    loaded = load_data(str(folder))
    assert loaded.store.images.shape == (20, 20, 24, 3)
    assert loaded.store.class_names == CLASSES
    assert loaded.remarks() == ["3 files passed over: hidden, no images, links, or beside the class folders"]


def test_the_same_images_from_anywhere_give_the_same_store(folder: Path, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    from_folder = load_data(str(folder)).store
    rows = as_rows(folder, tmp_path)
    places = [write_csv(tmp_path / "t.csv", rows)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "paths.parquet")
    encoded = [{"image": (tmp_path / row["path"]).read_bytes(), "label": row["label"]} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(encoded), tmp_path / "bytes.parquet")
    structs = [{"image": {"bytes": row["image"], "path": "x"}, "label": row["label"]} for row in encoded]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(structs), tmp_path / "structs.parquet")
    named = [{"image": {"bytes": None, "path": row["path"]}, "label": row["label"]} for row in rows[1:]]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*structs[:1], *named]), tmp_path / "named.parquet")
    pixels = np.stack([np.asarray(Image.open(tmp_path / row["path"])) for row in rows])
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.array([row["label"] for row in rows]))
    places += [
        tmp_path / name for name in ("paths.parquet", "bytes.parquet", "structs.parquet", "named.parquet", "a.npz")
    ]
    for place in places:
        store = load_data(str(place)).store
        assert np.array_equal(store.images, from_folder.images), place
        assert np.array_equal(store.labels, from_folder.labels), place
        assert store.fingerprint() == from_folder.fingerprint()


def test_integer_labels_are_text_wherever_they_come_from(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    images = np.stack([np.asarray(picture(seed)) for seed in range(4)])
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([3, 10, 3, 10]))
    encoded = io.BytesIO()
    rows = []
    for number, label in enumerate([3.0, 10.0, 3.0, 10.0]):  # as pandas writes a column with a gap
        encoded = io.BytesIO()
        picture(number).save(encoded, "PNG")
        rows.append({"image": encoded.getvalue(), "label": label})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    stores = [load_data(str(tmp_path / name)).store for name in ("a.npz", "a.parquet")]
    assert stores[0].class_names == ("10", "3")
    assert stores[0].fingerprint() == stores[1].fingerprint()


def test_groups_are_found_in_the_paths_that_come_with_bytes(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    def row(number: int, path: str | None) -> dict[str, object]:
        content = io.BytesIO()
        picture(number).save(content, "PNG")
        return {"image": {"bytes": content.getvalue(), "path": path}, "label": "ab"[number % 2]}

    rows = [row(number, f"patient{number // 4}_{number}.png") for number in range(12)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    store = load_data(str(tmp_path / "a.parquet"), Reading(group_from=r"patient(\d+)")).store
    assert store.groups is not None
    assert len(set(store.groups.tolist())) == 3
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows, row(12, None)]), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"looks at paths, and images of .* have none"):
        load_data(str(tmp_path / "b.parquet"), Reading(group_from=r"(\d+)"))


def test_folders_that_come_split(tmp_path: Path) -> None:
    for number, part in enumerate(["train"] * 6 + ["Valid"] * 2 + ["test"] * 4):
        path = tmp_path / part / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number, colour=False).save(path)
    picture(99).save(tmp_path / "train" / "stray.png")
    loaded = load_data(str(tmp_path))
    assert loaded.store.images.shape[3] == 1
    assert loaded.store.split is not None
    assert sorted(loaded.store.split) == ["test"] * 4 + ["train"] * 6 + ["val"] * 2
    assert loaded.remarks() == [
        "1 file passed over: hidden, no images, links, or beside the class folders",
        "2 validation images are kept out of training and test",
    ]
    train_part, test_part = train_test(loaded.store, 0)
    assert (len(train_part), len(test_part)) == (6, 4)


def test_a_test_part_alone_can_be_judged_on_but_not_trained_on(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / "test" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    store = load_data(str(tmp_path)).store
    assert len(held_out(store)) == 4
    with pytest.raises(InputError, match="has no images to train on"):
        train_test(store, 0)


def test_classes_may_be_called_train_and_test_beside_others(tmp_path: Path) -> None:
    for number, name in enumerate(["train", "bus", "train", "bus"]):
        (tmp_path / name).mkdir(exist_ok=True)
        picture(number).save(tmp_path / name / f"{number}.png")
    assert load_data(str(tmp_path)).store.class_names == ("bus", "train")


def test_a_table_with_groups_and_a_given_split(folder: Path, tmp_path: Path) -> None:
    rows = [
        row | {"who": str(i // 2 % 5), "split": "Validation" if i // 2 % 5 == 3 else "train"}
        for i, row in enumerate(sorted(as_rows(folder, tmp_path), key=lambda row: row["path"][-6:]))
    ]
    file = write_csv(tmp_path / "t.csv", rows)
    store = load_data(str(file), Reading(group_column="who")).store
    assert store.groups is not None
    assert len(set(store.groups.tolist())) == 5
    assert len(train_test(store, 0)[1]) == 4
    called_group = [{("group" if name == "who" else name): value for name, value in row.items()} for row in rows]
    assert load_data(str(write_csv(tmp_path / "u.csv", called_group))).store.fingerprint() == store.fingerprint()
    rows[0]["split"] = "val"
    with pytest.raises(InputError, match="1 of its test images are of groups that are trained on too"):
        load_data(str(write_csv(file, rows)), Reading(group_column="who"))


def test_nearly_equal_images_in_both_parts_of_a_given_split_are_said(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(4):
            path = tmp_path / part / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(number + 10 * (part == "test" and number > 0)).save(path)
    remarks = load_data(str(tmp_path)).remarks()
    assert remarks[0].startswith(
        "1 test image is equal or nearly equal to a training image: the accuracy will look better than it is"
    )


def test_it_is_said_where_images_of_both_parts_cannot_be_compared(tmp_path: Path) -> None:
    for number in range(24):  # a film: each frame shades into the next
        path = tmp_path / ("testing", "Training")[number % 2] / "ab"[number // 12] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = np.sin((np.arange(32) + number * 0.2) / 2.5)
        Image.fromarray((127 + 100 * np.outer(wave, wave)).astype(np.uint8)).save(path)
    loaded = load_data(str(tmp_path))
    assert loaded.across == 0
    assert any(
        line.startswith("test images that are nearly equal to a training image are not counted, since 20 are nearly")
        for line in loaded.remarks()
    )


def test_a_folder_without_an_image_is_said_to_make_no_class(folder: Path) -> None:
    (folder / "tulip").mkdir()
    (folder / "tulip" / "1.heic").write_bytes(b"x")
    loaded = load_data(str(folder))
    assert "folders without an image, which make no class: tulip" in loaded.remarks()
    assert loaded.store.class_names == CLASSES


def test_what_is_read_of_a_file_with_more_in_it_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory in (None, 0):  # held, and kept in a file
        pages = [picture(number) for number in range(3)]
        pages[0].save(folder / CLASSES[0] / "pages.tif", save_all=True, append_images=pages[1:])
        loaded = load_data(str(folder), Reading(memory=memory))
        assert "1 file with several pages or frames, of which the first is read" in loaded.remarks()
        audit = audit_images(loaded)
        assert [item.name for item in audit.firsts] == [f"{CLASSES[0]}/pages.tif"]
        assert audit.odd_modes == ()
        headings = [it.heading for it in findings(audit)]
        assert headings.count("1 file with several pages or frames") == 1
        assert not [heading for heading in headings if "odd mode" in heading]


def test_twelve_bits_in_sixteen_are_said(tmp_path: Path) -> None:
    for number in range(4):
        place = tmp_path / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 4096, (16, 16)).astype(np.uint16)
        pixels[0, 0] = 4095
        Image.fromarray(pixels).save(place / f"{number}.tif")
    (line,) = load_data(str(tmp_path)).remarks()
    assert line.startswith("16-bit images come to 17 of 256 levels, since none is brighter: scale")


def test_a_class_with_test_images_alone_is_refused(tmp_path: Path) -> None:
    for number, place in enumerate(["train/a", "train/b", "test/a", "test/c"]):
        (tmp_path / place).mkdir(parents=True)
        picture(number).save(tmp_path / place / "x.png")
    with pytest.raises(InputError, match="the class 'c' has test images but none to train on"):
        train_test(load_data(str(tmp_path)).store, 0)


def test_a_stray_folder_beside_parts_is_refused_and_an_empty_one_is_not(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "parts"
    for part in ("train", "test"):
        (place / part).mkdir(parents=True)
        for name in CLASSES:
            (place / part / name).mkdir()
            picture(len(part)).save(place / part / name / f"{part}.png")
    (place / "logs").mkdir()
    assert read_table(place).split is not None
    picture(5).save(place / "logs" / "loss.png")
    with pytest.raises(InputError, match="beside logs, which is none of train, training, val"):
        read_table(place)


def test_sizes_and_channels(tmp_path: Path) -> None:
    for number, size in enumerate([(100, 300), (100, 300), (50, 60), (200, 301)]):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        picture(number, size, colour=False).convert("RGB").save(tmp_path / "ab"[number % 2] / f"{number}.png")
    assert load_data(str(tmp_path)).store.images.shape[1:] == (20, 64, 1)  # median 100×300, at most 64; grey as RGB
    forced = load_data(str(tmp_path), Reading(size=(9, 11), channels=3)).store
    assert forced.images.shape[1:] == (9, 11, 3)


def test_the_preset_says_how_large_images_may_become(
    call: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(8):
        (tmp_path / "p" / "ab"[number % 2]).mkdir(exist_ok=True, parents=True)
        picture(number, (100, 200)).save(tmp_path / "p" / "ab"[number % 2] / f"{number}.png")
    for preset, shape in {"tiny": (16, 32), "article": (32, 64)}.items():
        assert call("fit", "p", "--preset", preset, "--steps", "1", *PLAIN, "--quiet", "--out", preset)[0] == 0
        form = load_model(Path(preset)).image
        assert (form.height, form.width) == shape


def test_workers_give_the_same_as_this_process(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*.png")) if not path.name.startswith(".")] * 8
    assert len(files) == 160
    alone = list(in_parallel(names_of, files, 0))
    assert [start for start, _ in alone] == list(range(0, 160, 8))
    assert list(in_parallel(names_of, files, 2)) == alone


def names_of(start: int, paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def slow(start: int, files: list[str]) -> int:
    time.sleep(0 if start == 0 else 60)
    return len(files)


def killed(start: int, files: list[str]) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_workers_drop_what_they_are_at_when_the_reading_ends() -> None:
    before = time.monotonic()
    results = in_parallel(slow, ["x"] * 100, 2)
    assert next(results) == (0, 8)
    results.close()
    assert time.monotonic() - before < 30


def killed_later(start: int, files: list[str]) -> int:
    while start and not Path(files[0]).exists():
        time.sleep(0.01)
    return killed(start, files) if start else 0


def test_a_worker_that_is_killed_is_told_of_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a process that reads images could not be started or was killed: a script"):
        list(in_parallel(killed, ["x"] * 20, 2))
    results = in_parallel(killed_later, [str(tmp_path / "now")] * 20, 2)
    assert next(results) == (0, 0)
    (tmp_path / "now").touch()
    with pytest.raises(InputError, match=r"was killed, most likely for want of memory: give a smaller size, or run"):
        list(results)


def test_a_script_that_runs_again_in_its_workers_is_told_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from littoral.images.parallel import in_parallel\n\n\n"
        "def number(start, items):\n    return len(items)\n\n\n"
        "print(list(in_parallel(number, ['x'] * 20, 2)))\n"
    )
    ended = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=100)
    assert ended.returncode
    assert 'could not be started or was killed: a script needs if __name__ == "__main__":' in ended.stderr


def test_load_images_in_python(folder: Path) -> None:
    store = lt.load_images(folder, size=(16, 16))
    result = lt.compare(store, arms=["shallow"], seeds=1, steps=2)
    assert result.settings["test_images"] == 4
    (folder / CLASSES[0] / "00.png").write_bytes(b"broken")
    with pytest.warns(UserWarning, match=r"1 image left out: hund und katze/00\.png is not a readable"):
        assert len(lt.load_images(folder)) == 19


def test_load_images_warns_of_what_is_read_other_than_one_may_think(folder: Path) -> None:
    (folder / "tulip").mkdir()
    with pytest.warns(UserWarning, match="folders without an image, which make no class: tulip"):
        lt.load_images(folder)
    (folder / "tulip").rmdir()
    picture(50).save(folder / CLASSES[0] / "pages.tif", save_all=True, append_images=[picture(51)])
    with pytest.warns(UserWarning, match="1 file with several pages or frames, of which the first is read"):
        lt.load_images(folder)
    (folder / CLASSES[0] / "pages.tif").unlink()
    Image.fromarray(np.full((20, 24), 4095, np.uint16)).save(folder / CLASSES[0] / "dark.tif")
    with pytest.warns(UserWarning, match="16-bit images come to 17 of 256 levels"):
        lt.load_images(folder)


# --- bad input ---


def test_broken_images_are_listed_and_left_out(folder: Path) -> None:
    first = folder / CLASSES[0]
    (first / "02.png").write_bytes(b"")
    (first / "04.png").write_text("a text")
    (first / "06.png").write_bytes((first / "08.png").read_bytes()[:200])
    loaded = load_data(str(folder))
    assert len(loaded.store) == 17
    assert [name for name, _ in loaded.unreadable] == [f"{CLASSES[0]}/0{n}.png" for n in (2, 4, 6)]
    assert loaded.remarks()[1].startswith(f"3 images left out: {CLASSES[0]}/02.png is empty (0 bytes); {CLASSES[0]}/04")


def test_extreme_shapes_are_images_too(tmp_path: Path) -> None:
    for name, size in {"a": (1, 1), "b": (20_000, 3)}.items():
        (tmp_path / name).mkdir()
        Image.new("L", size[::-1], 9).save(tmp_path / name / "x.png")
    assert load_data(str(tmp_path), Reading(size=(8, 8))).store.images.shape == (2, 8, 8, 1)


def test_what_may_not_be_read_is_listed_or_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal of the system is made."""
    real_open, real_scandir = os.open, os.scandir
    locked = {str(folder / CLASSES[0] / "02.png")}

    def open_but_one(path: str, *rest: int) -> int:
        if str(path) in locked:
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, *rest)

    monkeypatch.setattr(os, "open", open_but_one)
    loaded = load_data(str(folder))
    assert loaded.unreadable == ((f"{CLASSES[0]}/02.png", "cannot be read: Permission denied"),)

    def scan_but_one(path: str) -> object:
        if str(path).endswith(CLASSES[1]):
            raise PermissionError(13, "Permission denied", str(path))
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scan_but_one)
    with pytest.raises(InputError, match=f"cannot list the folder .*{CLASSES[1]}: Permission denied"):
        load_data(str(folder))


names_for_folders = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=40
).filter(lambda name: not name.startswith(".") and len(name.encode()) < 200)


@settings(deadline=None, max_examples=40)
@given(st.lists(names_for_folders, min_size=2, max_size=4, unique_by=lambda name: name.casefold()))
def test_classes_may_have_any_name(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for number, name in enumerate(names * 2):
            (Path(place) / name).mkdir(exist_ok=True)
            picture(number, (8, 8)).save(Path(place) / name / f"{number}.png")
        if all(name.lower() in PART_NAMES for name in names):
            return  # then these are parts
        assert load_data(place).store.class_names == tuple(sorted(names))


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.binary(max_size=200),
        st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)), max_size=5).map(
            lambda rows: ("path,label,split\n" + "\n".join(",".join(row) for row in rows)).encode("utf-8", "replace")
        ),
    ),
    st.sampled_from(["csv", "npz", "parquet"]),
)
def test_a_table_of_any_bytes_is_read_or_refused_in_one_sentence(content: bytes, kind: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / f"table.{kind}"
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:  # no image is there, so nothing can be read to the end
            load_data(str(file))
        assert "\n" not in str(caught.value).strip()
        assert os.listdir(place) == [file.name]


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / CLASSES[0] / "again").symlink_to(folder)
    (folder / CLASSES[0] / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "all").symlink_to(folder)
    (folder / CLASSES[0] / "loop.png").symlink_to("loop.png")
    table = read_table(folder)
    assert len(table.images) == 20
    assert table.skipped == 7  # the links are counted


def test_class_folders_that_are_links_are_said_to_be_none(folder: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "links", tmp_path / "parts" / "train"):
        place.mkdir(parents=True)
        (place / "cats").symlink_to(folder / CLASSES[0])
        (place / "dogs").symlink_to(folder / CLASSES[1])
    for place in (tmp_path / "links", tmp_path / "parts"):
        with pytest.raises(InputError, match=r"; links to folders, such as cats, are not followed: put the folders "):
            read_table(place)


def test_a_folder_may_have_a_name_of_any_bytes(call: Callable, tmp_path: Path) -> None:
    place, model = tmp_path / os.fsdecode(b"caf\xe9"), tmp_path / "m.safetensors"
    for number in range(8):
        (place / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        picture(number).save(place / "ab"[number % 2] / f"{number}.png")
    code, _, err = call("fit", place, "--preset", "tiny", "--steps", "1", *PLAIN, "--quiet", "--out", model)
    assert code == 0, err
    assert load_model(model).record["data"] == f"{tmp_path}/caf\\xe9"


def test_many_classes(tmp_path: Path) -> None:
    labels = np.arange(10_000) % 5_000
    np.savez(tmp_path / "a.npz", images=np.zeros((10_000, 8, 8), np.uint8), labels=labels)
    store = load_data(str(tmp_path / "a.npz")).store
    assert len(store.class_names) == 5_000
    store = ImageStore(np.arange(40_000, dtype=np.uint16).view(np.uint8).reshape(-1, 2, 1, 1), *many_labels())
    assert len(train_test(store, 0)[1]) == 10_000


def many_labels() -> tuple[np.ndarray, tuple[str, ...]]:
    return np.arange(40_000) % 10_000, tuple(map(str, range(10_000)))


CSV_FAULTS: dict[str, tuple[str, str]] = {
    "no label column": ("path,klass\na/1.png,a\n", "has no column 'label': found path, klass"),
    "no rows": ("path,label\n", "holds no labelled images"),
    "one class": ("path,label\nphotos/x,a\nphotos/y,a\n", "holds one class, 'a'"),
    "no label": ("path,label\nphotos/x,a\nphotos/y,\n", "line 3: label must be a word or a whole number, got ''"),
    "short row": ("path,label\nphotos/x,a\nphotos/y\n", "line 3: label must be a word"),
    "no path": ("path,label\n,a\n", "line 2: expected a path or image bytes, got ''"),
    "outside": ("path,label\n../x.png,a\nphotos/y,b\n", "line 2: ../x.png lies outside the table's folder"),
    "absolute": ("path,label\n/etc/passwd,a\nphotos/y,b\n", "lies outside the table's folder"),
    "twice": ("path,label\nphotos/x,a\nphotos/x,b\n", "line 3: photos/x stands in line 2 already"),
    "odd split": (
        "path,label,split\nphotos/x,a,train\nphotos/y,b,dev\n",
        "one of train, training, val, valid, validation, test, testing, got 'dev'",
    ),
    "two columns of a name": ("path,label,label\nphotos/x,a,b\nphotos/y,b,a\n", "has 2 columns 'label'"),
    "two labels": (
        "path,label\nphotos/x,a,b\nphotos/y,b\n",
        "line 2: expected a value for each of 2 columns, got more",
    ),
    "a space": ("path,label\nphotos/x,a\nphotos/y,a \n", "line 3: label 'a ' is 'a' but for spaces"),
    "nul": ("path,label\nphotos/\x00,a\nphotos/y,b\n", "is no path that leads to a file"),
    "blank lines": ("path,label\n\n\nphotos/x,a\nphotos/y,\n", "line 5: label must be a word"),
    "no text": ("\x00\x01", "has no column 'path'"),
    "semicolons": (
        "path;label\nphotos/x;a\nphotos/y;b\n",
        "has no column 'path': found path;label (columns have to be separated by commas)",
    ),
    "tabs": ("path\tlabel\nphotos/x\ta\n", "(columns have to be separated by commas)"),
}


@pytest.mark.parametrize("name", list(CSV_FAULTS))
def test_tables_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    content, words = CSV_FAULTS[name]
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        load_data(str(tmp_path / "t.csv"))
    assert words in str(caught.value)


def test_commas_that_end_each_line_of_a_table_are_passed_over(folder: Path, tmp_path: Path) -> None:
    rows = [f"{row['path']},{row['label']},,\n" for row in as_rows(folder, tmp_path)]
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(rows))
    assert read_table(tmp_path / "t.csv").labels == tuple(row["label"] for row in as_rows(folder, tmp_path))


def test_places_that_cannot_be_are_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.zip").write_bytes(b"PK")
    (tmp_path / "bad.npz").write_bytes(b"PK")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    np.savez(tmp_path / "objects.npz", images=np.array([{}], dtype=object), labels=[1])
    np.savez(tmp_path / "bare.npz", images=np.zeros((2, 8, 8), np.uint8))
    np.savez(tmp_path / "floats.npz", images=np.zeros((2, 8, 8)), labels=[0, 1])
    np.savez(tmp_path / "nan.npz", images=np.zeros((2, 8, 8), np.uint8), labels=[0, np.nan])
    np.savez(tmp_path / "lists.npz", images=np.zeros((2, 8, 8), np.uint8), labels=[[0, 1], [1, 0]])
    for name, count in (("few", 1), ("more", 3)):
        np.savez(tmp_path / f"{name}.npz", images=np.zeros((2, 8, 8), np.uint8), labels=np.arange(count))
    both = {"images": np.zeros((2, 8, 8), np.uint8), "labels": [0, 1]}
    np.savez(tmp_path / "parts.npz", **both, split=["train"])
    np.savez(tmp_path / "groups.npz", **both, groups=np.arange(5))
    np.savez(tmp_path / "latin.npz", images=both["images"], labels=[b"caf\xe9", b"caf\xe8"])
    with open(tmp_path / "array.npz", "wb") as handle:
        np.save(handle, np.zeros(3))
    (tmp_path / "nothing.npz").write_bytes(b"")
    refused = {
        "empty": "no labelled images in the folder",
        "nowhere": f"no such file or folder: {tmp_path / 'nowhere'}",
        "x.zip": "expected a folder, .csv, .parquet or .npz",
        "bad.npz": "is not an .npz of plain arrays",
        "bad.parquet": "is not a readable Parquet file",
        "objects.npz": "is not an .npz of plain arrays",
        "bare.npz": "has no array 'labels'",
        "floats.npz": "images must be uint8",
        "lists.npz": "labels must be an array with one value an image",
        "array.npz": "is not an .npz of plain arrays",
        "nothing.npz": "is not an .npz of plain arrays",
        "nan.npz": "labels must be a word or a whole number, got nan",
        "few.npz": "each of the 2 images needs one value in labels, got 1",
        "more.npz": "each of the 2 images needs one value in labels, got 3",
        "parts.npz": "each of the 2 images needs one value in split, got 1",
        "latin.npz": "labels must be text in UTF-8, got b'caf\\xe9'",
        "groups.npz": "each of the 2 images needs one value in groups, got 5",
    }
    for name, words in refused.items():
        with pytest.raises(InputError) as caught:
            load_data(str(tmp_path / name))
        assert words in str(caught.value), name
    for reading, words in {
        Reading(group_column="who"): "--group names a column of a CSV or Parquet table",
        Reading(group_from="("): "needs a regular expression",
        Reading(group_from="zz"): "matches nothing in",
        Reading(group_from="9*"): "matches nothing in",
        Reading(group_from="(x)?"): "matches nothing in",
    }.items():
        with pytest.raises(InputError) as caught:
            load_data(str(folder), reading)
        assert words in str(caught.value)
    np.savez(tmp_path / "whole.npz", **both)
    with pytest.raises(InputError, match=r"of .*whole.npz have none: add an array groups to it"):
        load_data(str(tmp_path / "whole.npz"), Reading(group_from=r"\d"))
    (tmp_path / "x-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, *(0, 0, 0, 2) * 3]) + bytes(8))
    (tmp_path / "x-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]))
    with pytest.raises(InputError, match=r"of .*x-images-idx3-ubyte have none: give a table with a column group"):
        load_data(str(tmp_path / "x-images-idx3-ubyte"), Reading(group_from=r"\d"))
    for text in ("photo/", "photo.csv"):
        with pytest.raises(InputError, match=f"^no such file or folder: {text}$"):
            load_data(text)
    with pytest.raises(InputError, match="built in"):
        load_data("mnist", Reading(size=(8, 8)))


def test_only_one_class_that_can_be_read(folder: Path) -> None:
    for path in (folder / CLASSES[0]).glob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(
        InputError,
        match=r"10 images can be read, all of the class '猫', and two classes are needed; hund und katze/00.png is not",
    ):
        load_data(str(folder))


# --- splits that do not leak ---


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=20, max_size=150), st.integers(0, 999))
def test_a_group_is_never_on_both_sides(pairs: list[tuple[int, int]], seed: int) -> None:
    # every class has two groups of its own, so that a split exists
    pairs = pairs + [(label, 100 + 2 * label + side) for label in range(4) for side in (0, 1)]
    labels, groups = np.array(pairs).T
    train, test = grouped_split(labels, groups, 0.2, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert not set(groups[train]) & set(groups[test])
    for side in (train, test):
        assert set(labels[side]) == {0, 1, 2, 3}
    again = grouped_split(labels, groups, 0.2, seed)
    assert np.array_equal(test, again[1])


def test_groups_and_equal_pixels_tie_images_in_chains() -> None:
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    images[1] = images[0]
    store = ImageStore(images, np.array([0, 1] * 3), ("a", "b"), groups=np.array([0, 1, 1, 2, 3, 4]))
    ties = tied_images(store).tolist()
    assert ties[0] == ties[1] == ties[2]  # 0 and 1 have the same pixels, 1 and 2 are of one group
    assert len(set(ties)) == 4


def test_a_class_that_cannot_be_parted_is_named(folder: Path) -> None:
    same = picture(7)
    for path in (folder / CLASSES[1]).glob("[0-9]*.png"):
        same.save(path)
    store = load_data(str(folder)).store
    with pytest.raises(InputError, match="the class '猫' needs at least 2 different images"):
        train_test(store, 0)


def persons(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 persons with ten almost equal images each; every person's label is drawn at random."""
    faces = rng.integers(0, 256, (60, 12, 12))
    images = (faces.repeat(10, 0) + rng.integers(-6, 7, (600, 12, 12))).clip(0, 255).astype(np.uint8)
    return images, rng.permutation(np.arange(60) % 2).repeat(10), np.arange(60).repeat(10)


def test_the_leak_of_persons_is_closed_by_default_and_open_in_a_random_split() -> None:
    images, labels, _ = persons(np.random.default_rng(0))
    accuracy = {}
    for name, ties in {"random": np.arange(len(labels)), "default": None}.items():
        store = ImageStore(images[..., None], labels, ("no", "yes"), ties=ties)
        accuracy[name] = lt.compare(store, "article", ["shallow"], seeds=3, epochs=12).arms[0].mean
    assert accuracy["random"] > 0.9  # it knows the persons
    assert abs(accuracy["default"] - 0.5) < 0.25  # and nothing else


# --- the command line ---


def test_fit_evaluate_and_compare_on_a_folder(
    call: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call("fit", "photos", "--steps", "2", *PLAIN, "--quiet", "--json")
    assert code == 0
    assert "photos: 3 files passed over" in err
    document = json.loads(out)
    assert document["test"]["n"] == 4
    assert document["out"] == "photos-fused-seed0.safetensors"
    model = Path(document["out"])
    assert load_model(model).class_names == CLASSES

    judged = json.loads(call("evaluate", model, "photos", "--json")[1])
    assert (judged["part"], judged["n"], judged["trained_on"]) == ("all", 4, 16)  # not the images it was trained on
    assert judged["accuracy"] == document["test"]["accuracy"]
    picture(77).save(folder / CLASSES[0] / "new.png")
    assert json.loads(call("evaluate", model, "photos", "--json")[1])["n"] == 5
    assert "16 images that the model was trained on" in call("evaluate", model, "photos")[2]
    (folder / CLASSES[0] / "new.png").unlink()
    other = tmp_path / "new"
    (other / CLASSES[1]).mkdir(parents=True)
    (other / "third").mkdir()
    for number in range(3):
        picture(100 + number, (40, 90)).save(other / CLASSES[1] / f"{number}.png")
        picture(200 + number).save(other / "third" / f"{number}.png")
    code, _, err = call("evaluate", model, other)
    assert code == 2
    assert "but new has 'third' too" in err.replace(str(tmp_path) + "/", "")
    (other / "third").rename(other / CLASSES[0])
    judged = json.loads(call("evaluate", model, other, "--json")[1])
    assert (judged["part"], judged["n"]) == ("all", 6)

    code, out, _ = call("compare", "photos", "--arms", "deep", "--seeds", "2", "--steps", "1", "--quiet")
    assert code == 0
    assert "16 training and 4 test images of photos" in out


def test_the_same_images_give_the_same_weights(
    call: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "t.csv", as_rows(folder, tmp_path))
    for data, out in (("photos", "one"), ("t.csv", "other")):
        assert call("fit", data, "--steps", "3", *PLAIN, "--quiet", "--out", out)[0] == 0
    one, other = (load_model(Path(name)).model.state_dict() for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_estimator_is_not_judged_on_what_it_was_fitted_on(call: Callable, folder: Path, tmp_path: Path) -> None:
    store = lt.load_images(folder)
    labels = np.array(store.class_names)[store.labels]
    lt.FusionClassifier(steps=1, random_state=0).fit(store.images, labels).save(tmp_path / "m")
    code, _, err = call("evaluate", tmp_path / "m", folder)
    assert code == 2
    assert "was trained on all images of" in err


def test_groups_hold_in_judging_too(
    call: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_tens = ("--group-from", r"/(\d)\d")
    code, _, err = call("fit", "photos", *by_tens, "--steps", "1", *PLAIN, "--quiet", "--out", "m")
    assert code == 0, err
    picture(50).save(folder / CLASSES[0] / "00b.png")  # a new image of a group that was trained on, or held out
    picture(51).save(folder / CLASSES[0] / "10b.png")
    judged = json.loads(call("evaluate", "m", "photos", *by_tens, "--json")[1])
    assert (judged["n"], judged["trained_on"]) == (11, 11)
    err = call("evaluate", "m", "photos", *by_tens)[2]
    assert "11 images that the model was trained on, or on one of their group, are left out\n" in err
    code, out, err = call("evaluate", "m", "photos", "--json")
    assert json.loads(out)["n"] == 12
    assert "10 images that the model was trained on are left out\n" in err


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_strict_ends_with_2_where_an_image_is_broken(
    call: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / CLASSES[0] / "00.png").write_bytes(b"broken")
    code, out, err = call(command, "photos", "--steps", "1", "--quiet", "--strict")
    assert (code, out) == (2, "")
    assert "1 image left out" in err
    assert "mend or remove them, or leave --strict out" in err
    assert not [name for name in os.listdir() if name.endswith(".safetensors")]


@pytest.mark.parametrize("size", ["0", "ax8", "-3", "99999", "8x"])
def test_sizes_that_cannot_be_are_refused(call: Callable, folder: Path, size: str) -> None:
    code, _, err = call("fit", folder, "--size", size, "--steps", "1")
    assert code == 2
    assert "--size" in err


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
def test_the_way_of_resizing_goes_with_the_model(
    call: Callable, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resize: str
) -> None:
    from littoral.images.decode import decode_file
    from littoral.nn.inference import predict_probabilities

    monkeypatch.chdir(tmp_path)
    arguments = ("--preset", "tiny", "--size", "8x20", "--resize", resize, "--steps", "2", "--quiet", "--out", "m")
    assert call("fit", "photos", *arguments, *PLAIN)[0] == 0
    trained = load_model(Path("m"))
    assert trained.image.resize == resize
    file = folder / CLASSES[0] / "00.png"
    row = json.loads(call("predict", "m", file, "--format", "jsonl", "--quiet")[1])
    expected = predict_probabilities(trained.model, decode_file(file, trained.image)[None], trained.image)[0]
    assert row["confidence"] == pytest.approx(expected.max(), abs=1e-5)
    assert json.loads(call("evaluate", "m", "photos", "--json")[1])["n"] == 4  # those held out, pixel for pixel
    code, _, err = call("fit", "photos", "--resize", "squash")
    assert (code, err) == (2, "littoral: --resize must be one of pad, stretch, crop, got 'squash'\n")


def test_images_that_find_no_room_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(3):
        Image.new("L", (8, 8), 40 * number).save(tmp_path / f"{number}.png")
    files, told = sorted(tmp_path.iterdir()), []
    images, kept, reasons = read_readable(files, ImageSpec.unit(8, 8, 1), lambda *progress: told.append(progress))
    assert (images[:, 0, 0, 0].tolist(), kept, reasons, told) == ([0, 40, 80], files, (), [(3, 3)])
    monkeypatch.setattr("littoral.images.paths.memory_bytes", lambda: 2 * 3 * 64 - 1)
    for read in (read_readable, read_paths):
        with pytest.raises(InputError, match=r"^3 images of 8×8×1 take 0.0 GB, over half of this machine's memory: "):
            read(files, ImageSpec.unit(8, 8, 1))
