"""Predictions in parts, here and on a Ray cluster: one row an image, whatever is unreadable, killed or lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from object_store import object_store
from PIL import Image

from littoral.deploy.runtime import load
from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.scale.addresses import beside, filesystem, read_address
from littoral.scale.cluster import connected
from littoral.scale.listing import list_inputs
from littoral.scale.parts import FORMAT, Files, Manifest, Rows, cut, differences, fingerprint, images_in
from littoral.scale.pool import predicted_by_workers
from littoral.scale.predict import Cluster, predict_parts
from littoral.scale.predictor import Predictor, Setting, software
from littoral.scale.reading import AT_ONCE, Batch, read_part

Call = Callable[..., tuple[int, str, str]]

BROKEN = {3: b"", 17: b"no image", 40: None}
"""Rows of the table that hold no image."""


@pytest.fixture(scope="module")
def pngs(small: ImageStore) -> list[bytes]:
    return [png(image) for image in small.images[:200]]


@pytest.fixture
def table(pngs: list[bytes], tmp_path: Path) -> Path:
    """200 rows in row groups of 70, three of them without an image."""
    images = [BROKEN.get(row, content) for row, content in enumerate(pngs)]
    file = tmp_path / "images.parquet"
    columns = {"image": images, "path": [f"{row}.png" for row in range(200)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), file, row_group_size=70)
    return file


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, bytes]]:
    """The objects of a store at s3://, which this process and its cluster can reach."""
    objects: dict[str, bytes] = {}
    with object_store(objects) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield objects


@pytest.fixture(scope="module")
def cluster(store: dict[str, bytes]) -> Iterator[Cluster]:
    """Ray on this machine, as `--ray local` starts it, for all tests of the file."""
    os.environ |= {"RAY_worker_niceness": "0"}
    with connected("local"):
        yield Cluster("local", 2)


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image[:, :, 0]).save(content, "PNG")
    return content.getvalue()


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All rows, in the order of parts."""
    files = sorted(folder.glob("part-*.parquet"))
    found: list[dict[str, Any]] = pyarrow.concat_tables(map(pyarrow.parquet.read_table, files)).to_pylist()
    return found


def worker_processes() -> list[int]:
    """Processes below this one that are workers of the pool."""
    parents: dict[int, int] = {}
    workers = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that ended meanwhile
            parents[int(place.name)] = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if (place / "cmdline").read_bytes().startswith(b"ray::Worker"):
                workers.append(int(place.name))

    def is_below(process: int) -> bool:
        return process == os.getpid() or (process in parents and is_below(parents[process]))

    return [process for process in workers if is_below(process)]


def only_workers(count: int) -> list[int]:
    """The pool's workers, once those of former tests, which are killed without waiting for it, have ended."""
    until = time.monotonic() + 60
    while len(found := worker_processes()) != count and time.monotonic() < until:
        time.sleep(0.05)
    assert len(found) == count
    return found


# --- planning ---


def test_parts_cover_each_image_once_across_sources() -> None:
    sources = [Files(("a", "b", "c")), Rows("t", 0, 5, 9), Rows("u", 0, 2, 9)]
    assert list(cut(sources, 4)) == [
        (Files(("a", "b", "c")), Rows("t", 0, 1, 9)),
        (Rows("t", 1, 5, 9),),
        (Rows("u", 0, 2, 9),),
    ]
    for size in range(1, 12):
        parts = list(cut(sources, size))
        assert [sum(map(images_in, part)) for part in parts[:-1]] == [size] * (len(parts) - 1)
        assert sum(images_in(source) for part in parts for source in part) == 10


def test_a_fingerprint_changes_with_what_decides_which_row_comes_where() -> None:
    listed = [
        [Files(("a", "b"))],
        [Files(("b", "a"))],
        [Files(("a",)), Files(("b",))],
        [Rows("a", 0, 2, 9)],
        [Rows("a", 0, 2, 8)],
        [Files(("\udcff",))],
    ]
    assert len({fingerprint(sources) for sources in listed}) == len(listed)


def test_other_predictions_are_told_by_what_differs() -> None:
    one = Manifest(FORMAT, "a.onnx", "f" * 64, ("x.parquet",), "0" * 64, 10, 5, 2, 1)
    assert differences(one, one) == []
    assert differences(one, replace(one, model_sha256="e" * 64, top=3)) == [
        "the model was a.onnx (SHA-256 ffffffffffff…), is a.onnx (SHA-256 eeeeeeeeeeee…)",
        "--top was 1, is 3",
    ]
    assert differences(one, replace(one, inputs_sha256="1" * 64, images=11))[0].startswith(
        "the input was x.parquet with"
    )
    assert differences(one, replace(one, format="other", top=2)) == ["the format was littoral-predictions-1, is other"]


# --- reading ---


@pytest.mark.parametrize(("start", "stop"), [(0, 200), (0, 70), (69, 71), (100, 101), (140, 200)])
def test_rows_are_read_in_batches_with_their_numbers(table: Path, start: int, stop: int) -> None:
    batches = list(read_part((Rows(str(table), start, stop, 0),), ""))
    assert all(len(batch.images) <= AT_ONCE for batch in batches)
    assert [row for batch in batches for row in batch.rows or ()] == list(range(start, stop))
    assert [path for batch in batches for path in batch.paths] == [f"{row}.png" for row in range(start, stop)]


def test_where_images_are_from_is_told_whatever_its_column_is(pngs: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "7").write_bytes(pngs[0])
    place, images = os.fsencode(tmp_path / "7"), [pngs[0], pngs[1]]
    for columns, paths, errors in (
        ({"image": images, "path": [7, None]}, ["7", None], {}),
        ({"image": images, "uri": ["s3://b/x.png", ""]}, ["s3://b/x.png", None], {}),
        ({"image": images, "path": ["a", "b"], "uri": ["c", "d"]}, ["a", "b"], {}),
        ({"path": [7, None]}, ["7", None], {1: "has neither bytes nor a path"}),
        ({"uri": [place, b""]}, [os.fsdecode(place), None], {1: "has neither bytes nor a path"}),
    ):
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
        (batch,) = read_part((Rows(str(tmp_path / "t.parquet"), 0, 2, 0),), "")
        assert (batch.paths, batch.errors) == (paths, errors)
        assert batch.images[0] == (pngs[0] if "image" in columns else str(tmp_path / "7"))


def test_a_table_that_lost_rows_is_told(table: Path) -> None:
    with pytest.raises(InputError, match=r"has 200 rows, and had 300 or more"):
        list(read_part((Rows(str(table), 150, 300, 0),), ""))


def test_images_come_by_bytes_structs_paths_and_uris(pngs: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "a b%.png").write_bytes(pngs[0])
    uri = f"file://{tmp_path}/a%20b%25.png"
    cells = [{"bytes": pngs[1], "path": "1"}, {"bytes": None, "path": "a b%.png"}, {"bytes": None, "path": uri}, None]
    pyarrow.parquet.write_table(pyarrow.table({"image": cells}), tmp_path / "t.parquet")
    for place in (str(tmp_path), f"file://{tmp_path}"):
        (batch,) = read_part((Rows(f"{place}/t.parquet", 0, 4, 0),), "")
        assert batch.paths == [None, "a b%.png", uri, None]
        assert batch.errors == {3: "has neither bytes nor a path"}
        assert batch.images[:3] == [pngs[1], pngs[0] if ":" in place else f"{tmp_path}/a b%.png", pngs[0]]
    assert beside("s3://b/tables/t.parquet", "x/1.png") == "s3://b/tables/x/1.png"
    assert beside("s3://b/tables/t.parquet", "gs://c/1.png") == "gs://c/1.png"
    with pytest.raises(InputError, match=r"cannot reach nowhere://b: .+; name a path, or a URI such as s3"):
        filesystem("nowhere://b/x")


# --- listing ---


def test_folders_tables_lists_and_uris_are_listed_in_order(table: Path, pngs: list[bytes], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "in #1").mkdir(parents=True)
    for name in ("b.png", "in #1/a.png", ".hidden.png", "note.txt"):
        (photos / name).write_bytes(pngs[0])
    (tmp_path / "list.csv").write_text(f"path,label\nphotos/b.png,1\nfile://{photos}/b.png,2\n")
    found = list_inputs([str(photos), str(table), str(tmp_path / "list.csv")])
    size = table.stat().st_size
    assert found.sources == (
        Files((f"{photos}/b.png", f"{photos}/in #1/a.png")),
        Rows(str(table), 0, 200, size),
        Files((f"{tmp_path}/photos/b.png", f"file://{photos}/b.png")),
    )
    assert found.passed == 2
    there = list_inputs([f"file://{photos}/"])
    assert there.sources == (Files((f"file://{photos}/b.png", f"file://{photos}/in%20%231/a.png")),)
    assert there.passed == 2
    assert all(read_address(name) == pngs[0] for name in there.sources[0].names)
    os.chdir(tmp_path)
    table.rename(photos / "z.parquet")
    assert list_inputs(["photos"]).sources[1] == Rows("photos/z.parquet", 0, 200, size)


def test_a_folder_by_its_uri_has_the_files_of_its_path(call: Call, pngs: list[bytes], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "in").mkdir(parents=True)
    (photos / "in" / "a.png").write_bytes(pngs[0])
    (photos / "in" / "up").symlink_to(photos)
    assert list_inputs([f"file://{photos}"]).sources == (Files((f"file://{photos}/in/a.png",)),)
    code, _, err = call("predict", "none", f"file://{photos}", "--out", photos / "out")
    assert (code, "name a folder elsewhere" in err) == (2, True)


# --- predicting ---


def test_names_that_are_no_utf8_go_on_from_where_they_were(
    call: Call, exported: Path, table: Path, pngs: list[bytes], tmp_path: Path
) -> None:
    folder, out = tmp_path / os.fsdecode(b"caf\xe9"), tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_bytes(pngs[0])
    table.rename(folder / "t.parquet")
    model = shutil.copy(exported / "model.onnx", tmp_path / os.fsdecode(b"\xe9.onnx"))
    command = ("predict", model, folder, "--out", out, "--part-size", "100", "--quiet")
    assert call(*command)[0] == 0
    (out / "part-00001.parquet").unlink()
    code, _, err = call(*command)
    assert (code, err) == (0, "3 of 201 images could not be read; their rows say why\n")
    assert rows_of(out)[1]["table"] == f"{tmp_path}/caf\\xe9/t.parquet"


def test_a_pack_is_predicted_in_parts(call: Call, exported: Path, pngs: list[bytes], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.png").write_bytes(pngs[0])
    assert call("pack", tmp_path / "photos", tmp_path / "packed", "--quiet")[0] == 0
    code, _, err = call("predict", exported, tmp_path / "packed")
    assert (code, "packs, URIs, --part-size and --ray give predictions in parts" in err) == (2, True)
    assert call("predict", exported, tmp_path / "packed", "--out", tmp_path / "out", "--quiet")[0] == 0
    assert [row["path"] for row in rows_of(tmp_path / "out")] == ["a/1.png", "b/1.png"]


def test_why_ray_cannot_start_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def fails(**options: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(InputError, match=r"^Ray cannot start on this machine \(no room\); leave --ray out$"):
        connected("local").__enter__()


def test_one_row_an_image_here_with_errors_and_the_answers_of_the_runner(
    call: Call, exported: Path, table: Path, pngs: list[bytes], small: ImageStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, printed, err = call("predict", exported, table, "--out", out, "--part-size", "64", "--top", "2", "--strict")
    assert code == 2
    assert printed == f"{out}: 200 images in 4 parts\n"
    assert err == "3 of 200 images could not be read; their rows say why\n"
    rows = rows_of(out)
    assert list(rows[0]) == [
        *("path", "table", "row", "label", "confidence", "label_2", "confidence_2", "accepted", "novelty", "error")
    ]
    assert [(row["table"], row["row"], row["path"]) for row in rows] == [
        (str(table), number, f"{number}.png") for number in range(200)
    ]
    assert {row["row"]: row["error"] for row in rows if row["error"]} == {
        3: "is empty (0 bytes)",
        17: "is not a readable JPEG, PNG, BMP, GIF, TIFF or WebP image, or is cut short",
        40: "has neither bytes nor a path",
    }
    assert all(rows[number]["label"] is None and rows[number]["accepted"] is None for number in BROKEN)
    for number, answer in enumerate(load(exported, 1).predict(small.images[:200])):
        if number not in BROKEN:
            row = rows[number]
            assert (row["label"], row["accepted"]) == (answer.label, answer.accepted)
            assert row["confidence"] == pytest.approx(answer.confidence, abs=1e-5)
            assert row["novelty"] == pytest.approx(answer.novelty, abs=1e-3)


def test_a_cluster_gives_the_same_rows_and_finished_parts_stay(
    call: Call, cluster: Cluster, exported: Path, table: Path, tmp_path: Path
) -> None:
    predict_parts(exported, [str(table)], tmp_path / "here", 1, 30, 1)
    options = ("--out", tmp_path / "there", "--part-size", "30", "--json")
    command = ("predict", exported, table, *options, "--ray", "local", "--workers", "2")
    assert json.loads(call(*command)[1]) == {
        "model": str(exported),
        "out": str(tmp_path / "there"),
        "count": 200,
        "failed": 3,
        "parts": 7,
        "found": 0,
    }
    assert rows_of(tmp_path / "there") == rows_of(tmp_path / "here")
    (tmp_path / "there" / "part-00002.parquet").unlink()
    kept = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "there").glob("part-*")}
    code, printed, err = call(*command)
    assert (code, json.loads(printed)["found"], err.splitlines()[0]) == (
        0,
        6,
        f"{tmp_path / 'there'}: 6 of 7 parts found",
    )
    again = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "there").glob("part-*")}
    assert kept.items() <= again.items()
    assert rows_of(tmp_path / "there") == rows_of(tmp_path / "here")


def test_folders_and_tables_of_uris_in_an_object_store(
    call: Call, cluster: Cluster, store: dict[str, bytes], exported: Path, pngs: list[bytes], tmp_path: Path
) -> None:
    store |= {f"photos/of me/{row:03}.png": content for row, content in enumerate(pngs[:100])}
    store |= {"photos/of me/.hidden.png": b"", "photos/note.txt": b""}
    listed = [f"s3://bucket/photos/of me/{row:03}.png" for row in (7, 5, 100)]
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"uri": [*listed, "gone.png"]}), content)
    store["tables/t.parquet"] = content.getvalue()
    out = tmp_path / "out"
    places = ("s3://bucket/photos", "s3://bucket/tables/t.parquet")
    code, _, err = call("predict", exported, *places, "--out", out, "--part-size", "40", "--ray", "local")
    assert (code, err) == (
        0,
        "2 files passed over: hidden or no images\n2 of 104 images could not be read; their rows say why\n",
    )
    rows = rows_of(out)
    assert [row["path"] for row in rows[:100]] == [f"s3://bucket/photos/of me/{row:03}.png" for row in range(100)]
    assert [(row["table"], row["row"], row["path"]) for row in rows[100:103]] == [
        ("s3://bucket/tables/t.parquet", number, path) for number, path in enumerate(listed)
    ]
    assert [row["label"] for row in rows[100:102]] == [rows[7]["label"], rows[5]["label"]]
    assert rows[102]["error"] == rows[103]["error"] == "cannot be read: No such file or directory"


def test_a_worker_that_is_lost_costs_its_part_alone(cluster: Cluster, exported: Path, table: Path) -> None:
    content = (exported / "model.onnx").read_bytes()
    setting = Setting(content, "model.onnx", 1, 1, "", software())
    parts = list(enumerate(cut([Rows(str(table), 0, 200, 0)], 10)))
    with contextlib.closing(predicted_by_workers(setting, parts, 2)) as made:
        found = [next(made)]
        os.kill(only_workers(2)[0], signal.SIGKILL)
        found += made
    assert sorted(number for number, _ in found) == list(range(20))
    here = Predictor(setting)
    assert all(content == here.predict(parts[number][1]) for number, content in found)
    with pytest.raises(InputError, match=r"a machine of the cluster has littoral .+, this one older: install the same"):
        list(predicted_by_workers(replace(setting, software="older"), parts, 1))
    with pytest.raises(InputError, match=r"each worker takes 4,000 CPUs, and no machine"):
        list(predicted_by_workers(replace(setting, threads=4000), parts, 1))


def test_it_does_not_wait_for_a_cluster_whose_last_machine_is_gone(
    cluster: Cluster, exported: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = Setting((exported / "model.onnx").read_bytes(), "model.onnx", 1, 1, "", software())
    parts = enumerate(cut([Rows(str(table), 0, 200, 0)], 10))
    with contextlib.closing(predicted_by_workers(setting, parts, 1)) as made:
        next(made)
        (worker,) = only_workers(1)
        os.kill(worker, signal.SIGSTOP)  # as one of which nothing is heard any more
        try:
            monkeypatch.setattr("littoral.scale.tasks._machines", list)
            monkeypatch.setattr("littoral.scale.pool.LOOK_AROUND_EVERY", 0.2)
            with pytest.raises(
                InputError,
                match="the cluster has no machine left for a worker: start one and give the same command again",
            ):
                list(made)
        finally:
            os.kill(worker, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file may have been opened in this very moment
def test_ctrl_c_keeps_finished_parts_and_the_same_command_goes_on(
    call: Call, cluster: Cluster, exported: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def interrupt() -> None:
        while not list(out.glob("part-*")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    watching = threading.Thread(target=interrupt, daemon=True)
    watching.start()
    command = ("predict", exported, table, "--out", out, "--part-size", "1", "--ray", "local")
    code, _, err = call(*command)
    watching.join()
    there = len(list(out.glob("part-*")))
    assert (code, 0 < there < 200) == (130, True)
    parts = "1 finished part" if there == 1 else f"{there} finished parts"
    assert err == f"littoral: interrupted; {out} holds {parts}: the same command goes on from there\n"
    assert call("predict", exported, table, "--out", out, "--part-size", "1")[0] == 0  # as well without Ray
    assert [row["row"] for row in rows_of(out)] == list(range(200))


def test_a_folder_of_other_predictions_is_refused(
    call: Call, exported: Path, table: Path, tmp_path: Path, pngs: list[bytes]
) -> None:
    out = tmp_path / "out"
    command = ("predict", exported, table, "--out", out, "--part-size", "100")
    assert call(*command)[0] == 0
    for other, said in {
        ("--top", "2"): "--top was 1, is 2",
        (tmp_path / "one.png",): f"the input was {table} with 200 images, is {table} {tmp_path}/one.png with 201",
    }.items():
        (tmp_path / "one.png").write_bytes(pngs[0])
        code, _, err = call(*command, *other)
        assert code == 2
        assert err.startswith(f"littoral: {out} holds other predictions: {said}")
        assert err.count("\n") == 1
    (out / "part-00001.parquet").write_bytes((out / "part-00000.parquet").read_bytes()[:-9])
    assert "part-00001.parquet is not a readable Parquet file: delete it" in call(*command)[2]
    pyarrow.parquet.write_table(pyarrow.table({"label": ["1"] * 100}), out / "part-00001.parquet")
    assert "part-00001.parquet has no column error, as predictions have: delete it" in call(*command)[2]
    (out / "predictions.json").unlink()
    assert "is not empty, and holds no predictions" in call(*command)[2]


def test_wrong_input_is_one_line_at_once(
    call: Call, exported: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"label": [1]}), tmp_path / "other.parquet")
    (tmp_path / "other.csv").write_text("name\nx\n")
    (tmp_path / "text.parquet").write_text("text")
    out = ("--out", tmp_path / "out")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{server.getsockname()[1]}"
        cases = {
            (exported, table): "name a folder for them by --out",
            (exported, table, *out, "--format", "csv"): "are Parquet files, not csv: leave --format out",
            (exported, table, *out, "--workers", "2"): "give --ray too",
            (exported, table, *out, "--device", "cuda"): "are made on CPUs, not on cuda",
            (exported, table, *out, "--top", "11"): "--top must be 1 to 10",
            (exported, table, *out, "--ray", silent): f"no Ray cluster answers at {silent}",
            (exported, tmp_path / "none.parquet", *out): "no such file or folder",
            (exported, f"file://{tmp_path}/none", *out): "no such file or folder",
            (exported, tmp_path / "text.parquet", *out): "is not a readable Parquet file",
            (exported, tmp_path / "other.parquet", *out): "has no column image, uri or path: found label",
            (exported, tmp_path / "other.csv", *out): "has no column uri or path: found name",
            (exported, tmp_path, "--out", tmp_path / "out", "--part-size", "9"): "name a folder elsewhere",
            (tmp_path / "none", table, *out): "name a model file or an exported folder",
            (tmp_path / "text.parquet", table, *out): "has no metadata of littoral's",
        }
        for arguments, said in cases.items():
            start = time.monotonic()
            code, printed, err = call("predict", *arguments)
            assert (code, printed, err.count("\n")) == (2, "", 1), err
            assert said in err
            assert time.monotonic() - start < 10
            assert not (tmp_path / "out").exists()
    monkeypatch.setattr("littoral.scale.cluster.find_spec", lambda name: None)
    code, _, err = call("predict", exported, table, *out, "--ray", "local")
    assert (code, err) == (2, "littoral: --ray needs Ray, which is not installed; pip install 'littoral[ray]'\n")


def test_a_server_that_is_not_rays_is_told_at_once(call: Call, exported: Path, table: Path, tmp_path: Path) -> None:
    """A proxy that takes every address speaks HTTP/2 too, and then says 404."""
    settings, not_found = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x8D])
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(4096)
                link.sendall(settings + not_found)

        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        code, _, err = call("predict", exported, table, "--out", tmp_path / "out", "--ray", address)
    assert (code, time.monotonic() - start < 10) == (2, True)
    assert err.startswith(f"littoral: no Ray cluster answers at {address}: start one there")


def test_large_images_come_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of a batch, whatever the row group holds."""
    monkeypatch.setattr("littoral.scale.reading.BATCH_BYTES", 320_000)
    content = np.random.default_rng(0).bytes(50_000)
    pyarrow.parquet.write_table(pyarrow.table({"image": [content] * 12}), tmp_path / "t.parquet", use_dictionary=False)
    batches: list[Batch] = list(read_part((Rows(str(tmp_path / "t.parquet"), 0, 12, 0),), ""))
    assert [len(batch.images) for batch in batches] == [6, 6]
