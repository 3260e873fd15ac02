"""Public sets by name: found where they lie, checked, else downloaded whole or not at all; and IDX pairs as data.

No test here leaves this machine: addresses elsewhere are answered as if there were no network.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image

import littoral as lt
from littoral.errors import InputError
from littoral.images import download
from littoral.images.download import fetch, mismatch
from littoral.images.idx import read_idx
from littoral.images.load import load_data
from littoral.images.named import NAMES, load_named
from littoral.images.originals import CIFAR_BATCHES, IDX_FILES
from littoral.images.published import PUBLISHED, DataFile
from littoral.images.sources import read_table
from littoral.images.splits import train_test


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def local(request: Any, timeout: float) -> Any:
        if not request.full_url.startswith("http://127.0.0.1:"):
            raise URLError(OSError(-2, "Name or service not known"))
        return urlopen(request, timeout=timeout)

    monkeypatch.setattr(download, "urlopen", local)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LITTORAL_DATA", raising=False)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def array_or_reason(content: bytes, axes: int) -> np.ndarray | str:
    try:
        return read_idx(content, "x", axes)
    except InputError as error:
        return str(error)


# --- IDX files ---

arrays = st.integers(1, 3).flatmap(
    lambda axes: st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=axes, max_dims=axes, max_side=6))
)


@given(arrays, st.booleans())
def test_an_idx_file_gives_its_array(array: np.ndarray, packed: bool) -> None:
    content = gzip.compress(idx(array)) if packed else idx(array)
    read = read_idx(content, "x", array.ndim)
    assert read.dtype == np.uint8
    assert np.array_equal(read, array)


@given(arrays, st.booleans(), st.data())
def test_an_idx_file_of_another_length_is_refused(array: np.ndarray, packed: bool, data: st.DataObject) -> None:
    content = idx(array)
    length = data.draw(st.integers(0, len(content) + 3).filter(lambda length: length != len(content)))
    content = (content + b"abc")[:length]
    with pytest.raises(InputError, match=r"^x "):
        read_idx(gzip.compress(content) if packed else content, "x", array.ndim)


@given(arrays, st.data())
def test_a_gzip_file_that_was_cut_or_changed_is_refused_or_read_alike(array: np.ndarray, data: st.DataObject) -> None:
    content = gzip.compress(idx(array))
    with pytest.raises(InputError, match=r"^x "):
        read_idx(content[: data.draw(st.integers(0, len(content) - 1))], "x", array.ndim)
    place = data.draw(st.integers(0, len(content) - 1))
    changed = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    read = array_or_reason(changed, array.ndim)
    assert read.startswith("x ") if isinstance(read, str) else np.array_equal(read, array)  # gzip's head has idle bytes


@given(st.binary(max_size=60), st.integers(1, 3))
def test_bytes_that_are_no_idx_file_are_refused_in_one_sentence(content: bytes, axes: int) -> None:
    read = array_or_reason(content, axes)
    assert not isinstance(read, str) or read.startswith("x ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00\x00\x00\x00", "elements of type 0x0d: expected bytes, type 0x08"),
        (idx(np.zeros((2, 2), np.uint8)), "an array with 2 axes: expected 1"),
        (b"PK\x03\x04\x00\x00\x00\x00", "is no IDX file: expected two zero bytes at its start"),
        (b"\x00\x00\x08\x01\x00\x00", "is cut short within its head"),
        (b"\x00\x00\x08\x01\xff\xff\xff\xff\x01\x02", "should hold 4294967295 bytes after its head, but holds 2"),
        (idx(np.zeros(2, np.uint8)) + b"x", "should hold 2 bytes after its head, but holds more"),
    ],
)
def test_what_is_wrong_with_an_idx_file_is_said(content: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_idx(content, "x", 1)
    assert words in str(caught.value)


# --- IDX pairs ---


def write_pair(folder: Path, stem: str, count: int, seed: int = 0, suffix: str = "", mark: str = "-") -> np.ndarray:
    folder.mkdir(exist_ok=True, parents=True)
    images = np.random.default_rng(seed).integers(0, 256, (count, 9, 8), np.uint8)
    packed = gzip.compress if suffix else bytes
    (folder / f"{stem}-images{mark}idx3-ubyte{suffix}").write_bytes(packed(idx(images)))
    (folder / f"{stem}-labels{mark}idx1-ubyte{suffix}").write_bytes(packed(idx(np.arange(count) % 2 + 3)))
    return images


@pytest.mark.parametrize("test_stem", ["t10k", "test"])
def test_a_folder_of_idx_pairs_comes_split(tmp_path: Path, test_stem: str) -> None:
    train = write_pair(tmp_path, "train", 6, suffix=".gz")
    test = write_pair(tmp_path, test_stem, 4, seed=1)
    (tmp_path / "readme.txt").write_text("mine")
    table = read_table(tmp_path)
    assert np.array_equal(np.stack(table.images)[:4, :, :, 0], test)
    assert np.array_equal(np.stack(table.images)[4:, :, :, 0], train)
    assert table.split == ("test",) * 4 + ("train",) * 6
    assert table.labels == ("3", "4") * 5
    assert table.names[4] == "train image 1"
    assert table.skipped == 1
    store = load_data(str(tmp_path)).store
    assert store.images.shape == (10, 8, 8, 1)
    assert [len(part) for part in train_test(store, 0)] == [6, 4]


def test_packed_and_unpacked_side_by_side_are_one_part(tmp_path: Path) -> None:
    for suffix in ("", ".gz"):
        write_pair(tmp_path, "train", 6, suffix=suffix)
    table = read_table(tmp_path)
    assert len(table.images) == 6
    assert table.skipped == 2


@pytest.mark.parametrize("mark", ["-", "."])
def test_one_images_file_finds_its_labels(tmp_path: Path, mark: str) -> None:
    images = write_pair(tmp_path, "emnist-letters", 6, mark=mark)
    with open(tmp_path / f"emnist-letters-labels{mark}idx1-ubyte", "rb") as labels:
        (tmp_path / f"emnist-letters-labels{mark}idx1-ubyte.gz").write_bytes(gzip.compress(labels.read()))
    (tmp_path / f"emnist-letters-labels{mark}idx1-ubyte").unlink()
    table = read_table(tmp_path / f"emnist-letters-images{mark}idx3-ubyte")
    assert np.array_equal(np.stack(table.images)[..., 0], images)
    assert table.split is None
    with pytest.raises(InputError, match=r"--group-from looks at paths, and images of .* have none"):
        read_table(tmp_path / f"emnist-letters-images{mark}idx3-ubyte", group_from=r"\d+")


def test_class_folders_go_before_idx_pairs(tmp_path: Path) -> None:
    write_pair(tmp_path, "train", 4)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "x.png")
    assert read_table(tmp_path).labels == ("a", "b")


def test_idx_pairs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path / "alone", "train", 4)
    (tmp_path / "alone" / "train-labels-idx1-ubyte").unlink()
    write_pair(tmp_path / "counts", "train", 4)
    (tmp_path / "counts" / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(3)))
    write_pair(tmp_path / "cut", "train", 4)
    (tmp_path / "cut" / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((4, 9, 8)))[:100])
    write_pair(tmp_path / "none", "train", 0)
    write_pair(tmp_path / "other", "letters", 4)
    write_pair(tmp_path / "two", "t10k", 4)
    write_pair(tmp_path / "two", "test", 4)
    write_pair(tmp_path / "swapped", "train", 4)
    (tmp_path / "swapped" / "train-images-idx3-ubyte").write_bytes(idx(np.arange(4)))
    refused = {
        "alone": "has no labels beside it: expected train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz",
        "counts": "holds 4 images, but train-labels-idx1-ubyte 3 labels",
        "cut": "should hold 4 × 9 × 8 bytes after its head, but holds 84",
        "none": "holds no images",
        "other": "letters-images-idx3-ubyte, whose name starts with none of train, training, val, valid, validation, "
        "test, testing, t10k",
        "two": "holds two test parts, t10k-images-idx3-ubyte and test-images-idx3-ubyte",
        "swapped": "holds an array with 1 axes: expected 3",
    }
    for name, words in refused.items():
        with pytest.raises(InputError) as caught:
            read_table(tmp_path / name)
        assert words in str(caught.value), name


# --- downloads ---


@dataclass
class Home:
    """A server of files: what it has, what it does wrong, and what it was asked."""

    files: dict[str, bytes]
    ranges: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers ends."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range) of each request"""
    url: str = ""


@pytest.fixture
def home() -> Iterator[Home]:
    state = Home({})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append((self.path, wanted))
            content = state.files.get(self.path.strip("/").split("?")[0])
            start = int(wanted[6:-1]) if wanted and state.ranges else 0
            if content is None:
                self.send_error(404)
                return
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if state.says_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


CONTENT = bytes(range(256)) * 20_000  # five reads of a mebibyte


def get(home: Home, folder: Path, *more: str, checksum: str = sha256(CONTENT)) -> list[tuple[int, int]]:
    """Fetch `f` into the folder; the progress that was told."""
    told: list[tuple[int, int]] = []
    urls = [*more, home.url + "f"]
    fetch(urls, folder / "f", [checksum], lambda done, total: told.append((done, total)), timeout=5)
    return told


def test_a_file_is_downloaded_with_its_progress(home: Home, tmp_path: Path) -> None:
    home.files["f"] = CONTENT
    told = get(home, tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "f").read_bytes() == CONTENT
    assert not list((tmp_path / "new" / "folder").glob("*.part"))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_download_that_is_cut_off_goes_on(home: Home, tmp_path: Path) -> None:
    home.files["f"], home.cuts = CONTENT, [1_000_000, 2_000_000]
    told = get(home, tmp_path)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [wanted for _, wanted in home.asked] == ["", "bytes=1000000-", "bytes=3000000-"]
    assert {total for _, total in told} == {len(CONTENT)}


def test_a_download_that_failed_is_resumed_by_the_next(home: Home, tmp_path: Path) -> None:
    home.files["f"], home.cuts = CONTENT, [100, 100, 100]
    with pytest.raises(InputError, match=r"cut off after 300 of 5,120,000 bytes; the next attempt goes on from there"):
        get(home, tmp_path)
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:300]
    assert not (tmp_path / "f").exists()
    get(home, tmp_path)
    assert home.asked[-1][1] == "bytes=300-"
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_anew(home: Home, tmp_path: Path) -> None:
    home.files["f"], home.ranges, home.cuts = CONTENT, False, [3_000_000]
    get(home, tmp_path)
    assert [wanted for _, wanted in home.asked] == ["", "bytes=3000000-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_that_does_not_say_the_length(home: Home, tmp_path: Path) -> None:
    home.files["f"], home.says_length = CONTENT, False
    assert get(home, tmp_path)[-1] == (len(CONTENT), 0)
    home.cuts = [1000]  # it looks like a whole file, so only the checksum tells
    (tmp_path / "f").unlink()
    with pytest.raises(InputError, match="instead of sha256:"):
        get(home, tmp_path)


@pytest.mark.parametrize("left", [CONTENT + b"more", b"of another file", CONTENT[:70], b""])
def test_a_part_left_from_before_cannot_do_harm(home: Home, tmp_path: Path, left: bytes) -> None:
    home.files["f"] = CONTENT
    (tmp_path / "f.part").write_bytes(left)
    get(home, tmp_path)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_that_is_whole_is_not_downloaded_again(home: Home, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    get(home, tmp_path)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert not home.asked


def test_a_wrong_checksum_is_said_and_nothing_is_kept(home: Home, tmp_path: Path) -> None:
    home.files["f"] = b"another"
    with pytest.raises(InputError) as caught:
        get(home, tmp_path)
    assert f"the checksum {sha256(b'another')} instead of {sha256(CONTENT)}, and was deleted" in str(caught.value)
    assert not (tmp_path / "f").exists()
    assert not (tmp_path / "f.part").exists()
    assert len(home.asked) == 1


def test_mirrors_are_tried_in_order(home: Home, tmp_path: Path) -> None:
    home.files |= {"f": CONTENT, "half": CONTENT, "bad": b"x"}
    home.cuts = [1, 1_000_000, 0, 0]  # of bad, then of half
    bad, half, gone = (home.url + name for name in ("bad", "half", "gone"))
    get(home, tmp_path, "https://example.org/f", gone, bad, half)
    assert [path for path, _ in home.asked] == ["/gone", "/bad", "/half", "/half", "/half", "/f"]
    assert home.asked[-1][1] == "bytes=1000000-"  # what one gave, the next need not
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_each_home_that_failed_is_named_with_its_reason(home: Home, tmp_path: Path) -> None:
    closed = "http://127.0.0.1:1/f"
    with pytest.raises(InputError) as caught:
        get(home, tmp_path, "https://example.org/f", closed, "file:///etc/passwd")
    assert str(caught.value) == (
        "cannot download f from https://example.org/f (Name or service not known) or "
        f"{closed} (Connection refused) or file:///etc/passwd (only https and http addresses are downloaded) or "
        f"{home.url}f (HTTP 404 Not Found)"
    )


def test_a_server_that_is_silent_is_given_up(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/f"
        with pytest.raises(InputError, match="no answer in time"):
            fetch([url], tmp_path / "f", [sha256(b"")], timeout=0.2)


def test_two_at_once_download_it_once(home: Home, tmp_path: Path) -> None:
    home.files["f"] = CONTENT
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            get(home, tmp_path)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(home.asked) == 1
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_said(home: Home, tmp_path: Path) -> None:
    home.files["f"] = CONTENT
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot write .*file/f: .*; make room or choose another folder"):
        get(home, tmp_path / "file")


def test_a_checksum_may_be_one_of_several_and_of_either_kind(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    md5 = f"md5:{hashlib.md5(b'abc').hexdigest()}"
    assert mismatch(tmp_path / "f", [sha256(b"x"), md5]) is None
    assert mismatch(tmp_path / "f", [sha256(b"x"), sha256(b"abc")]) is None
    assert mismatch(tmp_path / "f", [sha256(b"x"), "md5:0"]) == sha256(b"abc")


# --- named sets ---


def fake_idx(seed: int = 0) -> dict[str, bytes]:
    """The four files of a set of 20 + 10 images."""
    rng = np.random.default_rng(seed)
    files = {}
    for part, count in {"train": 20, "test": 10}.items():
        images, labels = IDX_FILES[part]
        files[images] = gzip.compress(idx(rng.integers(0, 256, (count, 28, 28))))
        files[labels] = gzip.compress(idx(np.arange(count) % 10))
    return files


def fake_cifar() -> dict[str, bytes]:
    """The six batches, of ten images each; a pixel's value tells its batch, channel and row."""
    batches = {}
    for number, name in enumerate((*CIFAR_BATCHES["train"], *CIFAR_BATCHES["test"])):
        pixels = np.zeros((10, 3, 32, 32), np.uint8) + np.array([0, 64, 128])[:, None, None] + 32 * (number % 2)
        pixels = pixels + np.arange(32)[:, None]
        rows = np.concatenate([np.arange(10)[:, None], pixels.reshape(10, -1)], axis=1)
        batches[name] = rows.astype(np.uint8).tobytes()
    return batches


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def fake_medmnist(classes: int = 9, channels: tuple[int, ...] = (3,)) -> bytes:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in {"train": 2 * classes, "val": classes, "test": classes}.items():
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28, *channels), np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


Publish = Callable[..., None]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, home: Home) -> Publish:
    """Have a set consist of these files, at the local home."""

    def publish(name: str, files: dict[str, bytes], unpacked: dict[str, bytes] | None = None) -> None:
        home.files |= {f"{name}/{file}": content for file, content in files.items()}
        described = replace(
            PUBLISHED[name],
            files=tuple(
                DataFile(file, (sha256(content),), (f"{home.url}{name}/{file}?download=1",))
                for file, content in files.items()
            ),
            unpacked=tuple(DataFile(file, (sha256(content),)) for file, content in (unpacked or {}).items()),
            folder=None,
        )
        monkeypatch.setitem(PUBLISHED, name, described)

    return publish


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_set_is_downloaded_once_and_then_there(publish: Publish, home: Home, tmp_path: Path) -> None:
    files = fake_idx()
    publish("kmnist", files)
    told: list[tuple[int, int]] = []
    store = load_named("kmnist", None, lambda done, total: told.append((done, total)))
    assert store.images.shape == (30, 28, 28, 1)
    assert store.split is not None
    assert store.split.tolist() == ["train"] * 20 + ["test"] * 10
    assert store.class_names[:4] == ("o", "ki", "su", "tsu")
    assert store.source == "kmnist"
    assert told == [(len(content), len(content)) for content in files.values()]
    assert {path.name for path in (tmp_path / "cache/littoral/data/kmnist").glob("*.gz")} == set(files)
    again = load_named("kmnist")
    assert again.fingerprint() == store.fingerprint()
    assert len(home.asked) == 4


@pytest.mark.parametrize("inside", ["fashion-mnist", "."])
@pytest.mark.parametrize("by", ["argument", "variable", "package"])
def test_local_files_are_found(
    publish: Publish, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, by: str
) -> None:
    files = fake_idx()
    publish("fashion-mnist", files)
    write(tmp_path / "d" / inside, files)
    if by == "variable":
        monkeypatch.setenv("LITTORAL_DATA", str(tmp_path / "d"))
    if by == "package":
        folder = tmp_path / "d" / inside
        monkeypatch.setitem(PUBLISHED, "fashion-mnist", replace(PUBLISHED["fashion-mnist"], folder=folder))
    store = load_named("fashion-mnist", tmp_path / "d" if by == "argument" else None)
    assert len(store) == 30
    assert store.class_names[0] == "T-shirt/top"
    assert not home.asked
    assert not (tmp_path / "cache").exists()


def test_only_what_is_missing_is_downloaded(publish: Publish, home: Home, tmp_path: Path) -> None:
    files = fake_idx()
    publish("kmnist", files)
    write(tmp_path / "d", {name: content for name, content in files.items() if "train" in name})
    load_named("kmnist", tmp_path / "d")
    assert [path for path, _ in home.asked] == [f"/kmnist/{name}?download=1" for name in files if "t10k" in name]


def test_a_local_file_that_is_another_is_refused_unless_the_right_one_lies_elsewhere(
    publish: Publish, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, others = fake_idx(), fake_idx(1)
    publish("kmnist", files)
    write(tmp_path / "d", others)
    first = "train-images-idx3-ubyte.gz"
    with pytest.raises(InputError) as caught:
        load_named("kmnist", tmp_path / "d")
    assert str(caught.value) == (
        f"{tmp_path}/d/{first} is not the published one of kmnist: expected {sha256(files[first])}, "
        f"found {sha256(others[first])}; put the original into {tmp_path}/d/kmnist, or take this one away"
    )
    assert not home.asked
    monkeypatch.setenv("LITTORAL_DATA", str(write(tmp_path / "e", files)))
    assert len(load_named("kmnist", tmp_path / "d")) == 30


@pytest.mark.parametrize("form", ["archive", "folder", "download"])
def test_cifar10_from_its_archive_or_unpacked(publish: Publish, home: Home, tmp_path: Path, form: str) -> None:
    batches = fake_cifar()
    archive = packed({"cifar-10-batches-bin/readme.html": b"<html>"} | dict(reversed(batches.items())))
    publish("cifar10", {"cifar-10-binary.tar.gz": archive}, batches)
    given = {"archive": {"cifar-10-binary.tar.gz": archive}, "folder": batches, "download": {}}[form]
    store = load_named("cifar10", write(tmp_path, given))
    assert store.images.shape == (60, 32, 32, 3)
    assert store.split is not None
    assert (store.split == "train").sum() == 50
    assert store.labels.tolist() == list(range(10)) * 6
    assert store.class_names[9] == "truck"
    assert store.images[0, 5, 0].tolist() == [5, 69, 133]  # row 5 of red, green and blue
    assert store.images[10, 0, 5].tolist() == [32, 96, 160]  # the second batch
    assert len(home.asked) == (form == "download")


def test_cifar10_that_is_damaged_is_refused(publish: Publish, tmp_path: Path) -> None:
    batches = fake_cifar()
    name = CIFAR_BATCHES["test"][0]
    refused = {
        f"holds no {name}": packed({other: batches[other] for other in batches if other != name}),
        f"cifar-10-binary.tar.gz, {name} should hold images of 3,073 bytes, but has 9 bytes": packed(
            batches | {name: b"x" * 9}
        ),
        "is no .tar.gz, or is cut short": packed(batches)[:-200],
        "no .tar.gz": b"none",
    }
    for words, archive in refused.items():
        publish("cifar10", {"cifar-10-binary.tar.gz": archive}, batches)
        with pytest.raises(InputError) as caught:
            load_named("cifar10", write(tmp_path, {"cifar-10-binary.tar.gz": archive}))
        assert words in str(caught.value)


@pytest.mark.parametrize(("name", "classes", "channels"), [("pathmnist", 9, (3,)), ("organamnist", 11, ())])
def test_medmnist_keeps_its_three_parts(
    publish: Publish, tmp_path: Path, name: str, classes: int, channels: tuple[int, ...]
) -> None:
    content = fake_medmnist(classes, channels)
    publish(name, {f"{name}.npz": content})
    store = load_named(name, write(tmp_path, {f"{name}.npz": content}))
    assert store.images.shape == (4 * classes, 28, 28, channels[0] if channels else 1)
    assert store.split is not None
    assert [int((store.split == part).sum()) for part in ("train", "val", "test")] == [2 * classes, classes, classes]
    assert len(store.class_names) == classes
    train_part, test_part = train_test(store, 0)
    assert (len(train_part), len(test_part)) == (2 * classes, classes)
    assert load_data(name, data_dir=tmp_path).remarks() == [
        f"{classes} validation images are kept out of training and test"
    ]


def test_medmnist_of_another_form_is_refused(publish: Publish, tmp_path: Path) -> None:
    with np.load(io.BytesIO(fake_medmnist())) as arrays:
        good = dict(arrays)
    objects = np.array([{}] * 18, dtype=object)
    refused: dict[str, dict[str, np.ndarray]] = {
        "is no MedMNIST file": {name: array for name, array in good.items() if name != "val_labels"},
        "is no MedMNIST file: expected": good | {"train_images": objects},
        "expected train_images of uint8": good | {"train_images": good["train_images"].astype(float)},
        "expected one label for each of 18 images": good | {"train_labels": np.zeros((18, 14), np.uint8)},
        "labels must index the 9 class names": good | {"train_labels": good["train_labels"] + 1},
    }
    for words, arrays in refused.items():
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        publish("pathmnist", {"pathmnist.npz": stream.getvalue()})
        with pytest.raises(InputError) as caught:
            load_named("pathmnist", write(tmp_path, {"pathmnist.npz": stream.getvalue()}))
        assert words in str(caught.value)


def test_offline_one_sentence_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_named("kmnist")
    home = "https://codh.rois.ac.jp/kmnist/dataset/kmnist/train-images-idx3-ubyte.gz"
    assert str(caught.value) == (
        f"kmnist: cannot download train-images-idx3-ubyte.gz from {home} (Name or service not known); put "
        "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz "
        f"into {tmp_path}/cache/littoral/data/kmnist, or name a folder that has them by LITTORAL_DATA or --data-dir"
    )


def test_folders_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no such folder: .*nowhere, which --data-dir names"):
        load_named("kmnist", tmp_path / "nowhere")
    monkeypatch.setenv("LITTORAL_DATA", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"no such folder: .*gone, which LITTORAL_DATA names"):
        load_named("cifar10")
    with pytest.raises(InputError, match="--data-dir is for the files of a set known by name, and 'photos' is none"):
        load_data("photos", data_dir=tmp_path)


def test_a_path_is_never_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / "kmnist" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8), number).save(tmp_path / "kmnist" / name / f"{number}.png")
    assert lt.load_images(Path("kmnist")).class_names == ("a", "b")
    assert load_data("./kmnist").store.source == "./kmnist"
    with pytest.raises(InputError, match="kmnist: cannot download"):
        lt.load_images("kmnist")


def test_no_set_but_mnist_is_read_without_being_asked_for(home: Home, publish: Publish) -> None:
    for name in NAMES[1:]:
        publish(name, {"f": b""})
    assert len(load_named("mnist", Path("/nowhere"))) == 70_000
    assert not home.asked


@pytest.mark.parametrize("name", NAMES[1:])
def test_what_is_known_of_each_set_holds_together(name: str) -> None:
    known = PUBLISHED[name]
    assert known.name == name
    assert len(set(known.class_names)) == len(known.class_names) >= 2
    for file in known.files:
        assert file.urls
        assert all(url.startswith("https://") and file.name in url for url in file.urls)
    for file in (*known.files, *known.unpacked):
        lengths = {"sha256": 64, "md5": 32}
        kinds = [checksum.split(":") for checksum in file.checksums]
        assert kinds
        assert all(len(digits) == lengths[kind] and int(digits, 16) for kind, digits in kinds)


def test_the_page_on_data_names_every_set_with_its_licence() -> None:
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    for name in NAMES:
        assert f"`{name}`" in page
    for known in PUBLISHED.values():
        row = next(line for line in page.splitlines() if line.startswith("|") and f"`{known.name}`" in line)
        assert known.licence.split(";")[0] in row
