"""Images in a file: the same training as from memory, never a half-written entry, safe for two runs at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from littoral.cache import ABOUT, IMAGES, UNFINISHED
from littoral.errors import ImageError, InputError
from littoral.images import cache
from littoral.images.decode import UNREADABLE
from littoral.images.load import Reading, load_data, quarter_of_memory
from littoral.images.splits import train_test
from littoral.model_file import load_model
from littoral.rows import ImageRows

pytestmark = pytest.mark.usefixtures("one_thread")

IN_FILE = Reading(memory=0)


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(40):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12), np.uint8)
        Image.fromarray(pixels).convert("RGB").save(path)  # grey, stored as colour
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"no image")
    return tmp_path / "photos"


def test_a_store_in_a_file_is_the_one_in_memory(photos: Path) -> None:
    here, there = load_data(str(photos)), load_data(str(photos), IN_FILE)
    assert isinstance(here.store.images, np.ndarray)
    assert isinstance(there.store.images, ImageRows)
    assert there.store.images.shape == (40, 12, 12, 1)
    assert there.store.fingerprint() == here.store.fingerprint()
    assert there.unreadable == here.unreadable
    assert there.names == here.names
    for one, other in zip(train_test(here.store, 0), train_test(there.store, 0), strict=True):
        assert isinstance(other.images, ImageRows)
        assert np.array_equal(one.images, other.images[:])


def test_training_and_judging_from_a_file(
    call: Callable, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged, plain = [], ("--calibrate", "none")
    for name, extra in {"here": (), "there": ("--memory", "0")}.items():
        assert (
            call("fit", "photos", "--preset", "tiny", "--steps", "3", "--quiet", "--out", name, *extra, *plain)[0] == 0
        )
        judged.append(json.loads(call("evaluate", name, "photos", "--json", *extra)[1])["confusion"])
    assert judged[0] == judged[1]
    one, other = (load_model(Path(name)).model.state_dict() for name in ("here", "there"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_entry_is_found_again_by_content_whatever_the_names(
    photos: Path, folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_data(str(photos), IN_FILE).store
    before = {path: path.stat().st_mtime_ns for path in folder_of_its_own.rglob("*.bin")}
    assert len(before) == 1
    os.rename(photos / "a" / "00.png", photos / "a" / "zz.png")  # another order, the same content
    monkeypatch.setattr("littoral.images.build._decode_into", None)  # nothing is decoded again
    assert load_data(str(photos), IN_FILE).store.fingerprint() == first.fingerprint()
    assert {path: path.stat().st_mtime_ns for path in folder_of_its_own.rglob("*.bin")} == before


def test_another_content_or_form_is_another_entry(photos: Path) -> None:
    load_data(str(photos), IN_FILE)
    load_data(str(photos), Reading(memory=0, size=(8, 8)))
    load_data(str(photos), Reading(memory=0, size=(8, 8), resize="crop"))
    Image.new("L", (9, 9), 5).save(photos / "a" / "00.png")
    load_data(str(photos), IN_FILE)
    assert len(IMAGES.entries()) == 4


@pytest.mark.parametrize("damage", ["cut", "no notes", "half notes"])
def test_a_damaged_or_half_written_entry_is_not_used(photos: Path, damage: str) -> None:
    whole = load_data(str(photos), IN_FILE).store.fingerprint()
    (entry,) = IMAGES.entries()
    if damage == "cut":
        os.truncate(entry.folder / cache.FILE, 100)
    elif damage == "no notes":
        (entry.folder / ABOUT).unlink()
    else:
        (entry.folder / ABOUT).write_text('{"shape": [40')
    assert IMAGES.entries() == []
    assert load_data(str(photos), IN_FILE).store.fingerprint() == whole
    assert len(IMAGES.entries()) == 1


def test_a_run_that_is_stopped_leaves_no_entry(photos: Path, folder_of_its_own: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_data(str(photos), IN_FILE, on_progress=stop)
    assert list(folder_of_its_own.iterdir()) == []


def test_an_error_that_passes_is_not_kept(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from littoral.images import batch

    real, reads = batch.read_bytes, []

    def fail_the_third_time(path: str) -> bytes:  # for the size, for the digest, for the pixels
        reads.append(path)
        if path.endswith("04.png") and reads.count(path) == 3:
            raise ImageError(f"{UNREADABLE}: Input/output error")
        return real(path)

    monkeypatch.setattr(batch, "read_bytes", fail_the_third_time)
    with pytest.raises(InputError, match="cannot be read: Input/output error, which a moment ago was readable"):
        load_data(str(photos), IN_FILE)
    assert IMAGES.entries() == []
    assert len(load_data(str(photos), IN_FILE).store) == 40


def build(photos: str, barrier: multiprocessing.synchronize.Barrier, results: multiprocessing.Queue) -> None:
    barrier.wait()
    results.put(load_data(photos, IN_FILE).store.fingerprint())


def test_two_runs_may_build_the_same_entry_at_once(photos: Path, folder_of_its_own: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    runs = [context.Process(target=build, args=(str(photos), barrier, results)) for _ in range(3)]
    for run in runs:
        run.start()
    found = {results.get(timeout=200) for _ in runs}
    for run in runs:
        run.join()
    assert found == {load_data(str(photos)).store.fingerprint()}
    assert len(list(folder_of_its_own.iterdir())) == 1


def test_no_room_is_said_in_one_sentence(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="No space left on device; set LITTORAL_CACHE to a folder with room"):
        load_data(str(photos), IN_FILE)
    monkeypatch.setenv("LITTORAL_CACHE", "/dev/null/nowhere")
    with pytest.raises(InputError, match=r"need 0\.0 GB in /dev/null/nowhere"):
        load_data(str(photos), IN_FILE)


def test_the_command_shows_and_clears(call: Callable, photos: Path, folder_of_its_own: Path) -> None:
    assert "0.0 MB in" in call("cache")[1]
    load_data(str(photos), IN_FILE)
    host = socket.gethostname()
    dead = folder_of_its_own / f"{'a' * 16}.{host}.999999999{UNFINISHED}"
    alive = folder_of_its_own / f"{'b' * 16}.{host}.{os.getpid()}{UNFINISHED}"
    elsewhere = folder_of_its_own / f"{'c' * 16}.other.host.1{UNFINISHED}"
    mine = [folder_of_its_own / "cats", folder_of_its_own / ("d" * 32)]
    for place in (dead, alive, elsewhere, *mine):
        place.mkdir()
    for place in mine:
        (place / "cat.png").write_text("not of the cache, though it lies there")
    shown = json.loads(call("cache", "--json")[1])
    assert [(entry["source"], entry["shape"]) for entry in shown["entries"]] == [(str(photos), [41, 12, 12, 1])]
    assert shown["bytes"] == 41 * 144
    assert "12 × 12 × 1" in call("cache")[1]
    assert json.loads(call("cache", "--clear", "--json")[1])["freed_bytes"] > 41 * 144
    assert sorted(folder_of_its_own.iterdir()) == sorted([alive, elsewhere, *mine])  # runs at work are left alone
    assert all((place / "cat.png").is_file() for place in mine)


def test_the_limit_is_a_quarter_of_memory() -> None:
    assert 1e8 < quarter_of_memory() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 3
