"""The command line as a person or a script meets it: output, JSON, exit codes, one-line errors, interruption."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from littoral.cli.data import bar
from littoral.cli.interrupt import Interrupted
from littoral.cli.main import run
from littoral.evaluation.paired import Difference
from littoral.images.store import ImageStore
from littoral.model_file import load_model
from littoral.studies.comparison import Comparison
from littoral.training import presets

LITTORAL = [sys.executable, "-m", "littoral"]
ON_PART = [sys.executable, str(Path(__file__).with_name("littoral_on_part_of_mnist.py"))]
QUICK = ["--labels-per-class", "20", "--quiet"]
PLAIN = ["--calibrate", "none"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="session")
def part_of_mnist(mnist: ImageStore) -> ImageStore:
    """2,000 training and 500 test images: what `mnist` is to commands that run inside the tests' own process."""
    return mnist.subset(np.concatenate([np.arange(2000), np.arange(60_000, 60_500)]))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_of_mnist: ImageStore) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("littoral.images.builtin.load_mnist", lambda: part_of_mnist)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)  # as `--threads` may have changed it


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, part_of_mnist: ImageStore) -> Path:
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("littoral.images.builtin.load_mnist", lambda: part_of_mnist)
        threads = torch.get_num_threads()
        options = ["--steps", "100", "--threads", "1", "--calibrate", "holdout", "--max-error", "0.2", "--quiet"]
        assert run(["fit", "mnist", *options, "--out", str(path)]) == 0
        torch.set_num_threads(threads)
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory, mnist: ImageStore) -> Path:
    """Ten test digits as PNG files, 0.png to 9.png."""
    folder = tmp_path_factory.mktemp("digits")
    for label in range(10):
        index = 60_000 + int(np.flatnonzero(mnist.labels[60_000:] == label)[0])
        Image.fromarray(mnist.images[index, :, :, 0]).save(folder / f"{label}.png")
    return folder


# --- help ---


def test_help_answers_in_half_a_second() -> None:
    def seconds() -> float:  # of computing: a test beside this one makes it wait, and is no fault of it
        before = os.times()
        subprocess.run([*LITTORAL, "--help"], check=True, capture_output=True)
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    assert min(seconds() for _ in range(5)) < 0.5


def test_help_needs_no_torch() -> None:
    code = "import sys, littoral.cli.main; assert not {'torch', 'numpy', 'sklearn'} & set(sys.modules)"
    subprocess.check_call([sys.executable, "-c", code])


def test_version_and_no_arguments(call: Callable) -> None:
    assert call("--version")[:2] == (0, "littoral 0.1.0\n")
    code, out, err = call()
    assert (code, err) == (0, "")
    assert "Commands:" in out
    assert "--debug" in out
    assert "First steps:" in out


def test_freed_memory_is_kept_where_the_system_can() -> None:
    code = "from littoral.memory import keep_freed_memory; print(keep_freed_memory())"
    kept = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert kept == str(platform.libc_ver()[0] == "glibc")


# --- fit ---


def test_fit_prints_one_json_document_and_writes_a_model(call: Callable) -> None:
    code, out, err = call(
        "fit",
        "mnist",
        "--preset",
        "article",
        "--steps",
        "5",
        *QUICK,
        *PLAIN,
        "--json",
        "--out",
        "m.safetensors",
        "--seed",
        "3",
    )
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["preset"] == "article"
    assert document["seed"] == 3
    assert document["params"] == 812_042
    assert document["macs"] == 11_989_760
    assert document["images_seen"] == 2 * 200 + 128
    assert document["train_seconds"] > 0
    assert document["test"]["n"] == 500
    low, high = document["test"]["ci95"]
    assert low < document["test"]["accuracy"] < high
    assert document["out"] == "m.safetensors"
    trained = load_model(Path("m.safetensors"))
    assert trained.record["test"] == document["test"]
    assert os.listdir() == ["m.safetensors"]  # no checkpoint is left


def test_fit_without_a_name_says_where_the_model_is(call: Callable) -> None:
    arguments = ("fit", "mnist", "--arm", "shallow", "--steps", "2", "--labels-per-class", "20", *PLAIN)
    code, out, err = call(*arguments, "--preset", "article")
    assert code == 0
    assert "model file: mnist-article-shallow-seed0.safetensors" in out
    assert Path("mnist-article-shallow-seed0.safetensors").exists()
    assert re.search(r"epoch 1/1 .*loss \d.*acc \d.*test \d", err)
    code, out, err = call(*arguments)
    assert code == 0
    assert "(2 steps), preset few, seed 0\nmodel file: mnist-shallow-seed0.safetensors" in out
    assert re.search(r"epoch 1/1 .*loss \d.*acc \d", err)
    assert "test" not in err  # only article shows test accuracy before the end


def test_fit_without_a_name_replaces_no_model(call: Callable, part_of_mnist: ImageStore) -> None:
    for version in ("birds.v1", "birds.v2"):
        for number in range(20):
            label = str(part_of_mnist.labels[number] % 2)
            Path(version, label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(part_of_mnist.images[number, :, :, 0]).save(Path(version, label, f"{number}.png"))
    for version in ("birds.v1", "birds.v2"):
        assert call("fit", version, "--preset", "tiny", "--steps", "1", "--quiet", *PLAIN)[0] == 0
    first = Path("birds.v1-tiny-fused-seed0.safetensors").read_bytes()
    for more in ((), ("--resume",)):
        code, _, err = call("fit", "birds.v1", "--preset", "tiny", "--steps", "2", "--quiet", *PLAIN, *more)
        assert code == 2
        assert err == (
            "littoral: birds.v1-tiny-fused-seed0.safetensors is there already: "
            "give --out with another name, or that one to replace it\n"
        )
    assert Path("birds.v1-tiny-fused-seed0.safetensors").read_bytes() == first


@pytest.fixture
def many() -> str:
    """Of each of two classes 20 images more for training than are few, and 25 for testing, of 8 × 8 pixels."""
    parts = np.repeat(["train", "test"], [2 * presets.FEW_LABELS + 40, 50])
    images = np.random.default_rng(0).integers(0, 256, (len(parts), 8, 8), np.uint8)
    np.savez("noise.npz", images=images, labels=np.arange(len(parts)) % 2, split=parts)
    return "noise.npz"


@pytest.mark.parametrize(
    ("labels_per_class", "preset"),
    [(None, "swift"), (presets.FEW_LABELS + 1, "swift"), (presets.FEW_LABELS, "few")],
)
def test_the_preset_that_is_not_named_goes_by_the_number_of_labels(
    call: Callable, many: str, labels_per_class: int | None, preset: str
) -> None:
    options = () if labels_per_class is None else ("--labels-per-class", str(labels_per_class))
    code, out, err = call("fit", many, "--steps", "1", *options, *PLAIN, "--quiet", "--json", "--out", "m")
    assert code == 0, err
    assert json.loads(out)["preset"] == preset
    assert load_model(Path("m")).record["preset"] == preset
    code, out, err = call("compare", many, "--steps", "1", "--seeds", "1", "--arms", "deep", *options, "--quiet")
    assert code == 0, err
    assert f"50 test images of noise.npz, preset {preset}; intervals" in out


def test_help_says_from_how_many_images_on_the_preset_is_another(call: Callable) -> None:
    for command in ("fit", "compare"):
        assert f"few up to {presets.FEW_LABELS:,} training images a class" in " ".join(
            call(command, "--help")[1].split()
        )


def test_progress_names_the_preset_that_was_chosen(call: Callable, many: str) -> None:
    _, _, err = call("fit", many, "--steps", "1", *PLAIN, "--out", "m")
    assert "swift fused" in err


def weights(path: str) -> dict[str, torch.Tensor]:
    return load_model(Path(path)).model.state_dict()


def assert_same(one: str, other: str) -> None:
    left, right = weights(one), weights(other)
    assert all(torch.equal(left[name], right[name]) for name in left)


LONG = ["fit", "mnist", "--preset", "tiny", "--epochs", "12", "--threads", "1", "--calibrate", "none"]


def start_and_stop_in_epoch(epoch: int, number: int, out: str) -> subprocess.CompletedProcess[str]:
    """Start a run, send it a signal once it has a checkpoint of the epoch before."""
    process = subprocess.Popen([*ON_PART, *LONG, "--out", out], stderr=subprocess.PIPE, text=True)
    checkpoint = Path(out + ".checkpoint")
    while process.poll() is None:
        if checkpoint.exists() and f'\\"epoch\\": {epoch - 1}'.encode() in checkpoint.read_bytes()[:20_000]:
            break
        time.sleep(0.002)
    process.send_signal(number)
    err = process.communicate()[1]
    return subprocess.CompletedProcess([], process.returncode, "", err)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "m"
    subprocess.run([*ON_PART, *LONG, "--out", str(path), "--quiet"], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("epoch", [2, 4])
def test_a_killed_run_goes_on_to_the_same_weights(whole: Path, epoch: int) -> None:
    assert start_and_stop_in_epoch(epoch, signal.SIGKILL, "killed").returncode == -signal.SIGKILL
    assert not Path("killed").exists()
    subprocess.run([*ON_PART, *LONG, "--out", "killed", "--resume", "--quiet"], check=True, capture_output=True)
    assert_same("killed", str(whole))
    assert not Path("killed.checkpoint").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_checkpoint_and_says_so(number: int) -> None:
    stopped = start_and_stop_in_epoch(3, number, "m")
    assert stopped.returncode == 130
    assert "m.checkpoint is kept: the same command with --resume goes on from it" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert Path("m.checkpoint").exists()


def test_resume_with_nothing_to_resume(call: Callable) -> None:
    code, _, err = call("fit", "mnist", "--steps", "2", *QUICK, *PLAIN, "--resume", "--out", "m")
    assert code == 0
    assert "no checkpoint m.checkpoint yet: starting from the beginning" in err
    code, _, err = call("fit", "mnist", "--steps", "2", *QUICK, *PLAIN, "--resume", "--out", "m")
    assert code == 2
    assert "nothing to resume: m is finished" in err


def test_a_checkpoint_of_other_options_is_refused(call: Callable) -> None:
    start_and_stop_in_epoch(3, signal.SIGTERM, "m")
    code, _, err = call(*LONG, "--out", "m", "--resume", "--seed", "1")
    assert code == 2
    assert "belongs to another run: --seed was 0, is 1; the SHA-256 of the images was " in err


def test_a_checkpoint_is_not_overwritten_by_forgetting_resume(call: Callable) -> None:
    Path("m.checkpoint").write_bytes(b"90 epochs")
    code, _, err = call("fit", "mnist", "--steps", "2", *QUICK, *PLAIN, "--out", "m")
    assert code == 2
    assert "go on from it with --resume, or delete it" in err
    assert Path("m.checkpoint").read_bytes() == b"90 epochs"


def test_threads(call: Callable) -> None:
    assert call("fit", "mnist", "--steps", "1", *QUICK, *PLAIN, "--threads", "2", "--out", "m")[0] == 0
    assert load_model(Path("m")).record["threads"] == 2


# --- evaluate ---


def test_evaluate(call: Callable, model: Path) -> None:
    code, out, err = call("evaluate", model, "mnist", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["accuracy"] == load_model(model).record["test"]["accuracy"] > 0.8
    assert document["n"] == 500
    assert np.array(document["confusion"]).sum() == 500
    assert {"ci95", "macro_f1", "balanced_accuracy", "ece", "per_class"} <= document.keys()
    assert document["coverage"][0]["accuracy"] == document["accuracy"]
    assert document["accepted"]["n"] <= 500
    assert document["accepted"]["accuracy"] >= 0.8
    code, out, _ = call("evaluate", model, "mnist")
    assert f"accuracy {100 * document['accuracy']:.2f} %" in out
    assert "most often taken for" in out
    assert re.search(r"accepted: \d+\.\d\d % of the images", out)
    assert re.search(r"^50 +250 ", out, re.MULTILINE)


def test_evaluate_on_one_class_alone(call: Callable, model: Path, mnist: ImageStore) -> None:
    Path("new/7").mkdir(parents=True)
    sevens = 60_500 + np.flatnonzero(mnist.labels[60_500:61_000] == 7)[:12]
    for number in sevens:
        Image.fromarray(mnist.images[number, :, :, 0]).save(f"new/7/{number}.png")
    code, out, err = call("evaluate", model, "new", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["n"] == 12
    assert [sum(row) for row in document["confusion"]] == [12 * (label == 7) for label in range(10)]
    assert call("evaluate", model, "new")[0] == 0
    Path("new/7").rename("new/seven")
    code, _, err = call("evaluate", model, "new")
    assert (code, "but new has 'seven' too" in err) == (2, True)
    code, _, err = call("fit", "new", "--steps", "1")
    assert (code, "a classifier needs at least two" in err) == (2, True)


# --- predict ---


def test_predict_labels_files_and_folders(call: Callable, model: Path, digits: Path) -> None:
    code, out, err = call("predict", model, digits, digits / "3.png")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [Path(row["path"]).name for row in rows] == [f"{label}.png" for label in range(10)] + ["3.png"]
    assert sum(Path(row["path"]).stem == row["label"] for row in rows) >= 8
    assert all(0.1 <= float(row["confidence"]) <= 1 and row["error"] == "" for row in rows)
    assert {row["accepted"] for row in rows} <= {"true", "false"}
    assert sum(row["accepted"] == "true" for row in rows) >= 5
    Path("more").mkdir()
    Path("more/3.png").write_bytes((digits / "3.png").read_bytes())
    Path("more/notes.txt").write_text("no image")
    assert call("predict", model, "more")[2] == "1 file passed over: hidden or no images\n"


def test_predict_as_json_lines_parquet_and_one_document(call: Callable, model: Path, digits: Path) -> None:
    document = json.loads(call("predict", model, digits, "--top", "3", "--json")[1])
    rows = document["predictions"]
    assert document["count"] == 10
    assert document["failed"] == 0
    assert list(rows[0]) == [
        "path",
        "label",
        "confidence",
        "label_2",
        "confidence_2",
        "label_3",
        "confidence_3",
        "accepted",
        "novelty",
        "error",
    ]
    assert all(row["confidence"] >= row["confidence_2"] >= row["confidence_3"] for row in rows)
    lines = call("predict", model, digits, "--top", "3", "--format", "jsonl")[1].splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert call("predict", model, digits, "--top", "3", "--out", "p.jsonl")[0] == 0
    assert Path("p.jsonl").read_text().splitlines() == lines
    assert call("predict", model, digits, "--top", "3", "--out", "p.parquet")[0] == 0
    import pyarrow.parquet

    assert pyarrow.parquet.read_table("p.parquet").to_pylist() == rows


def test_a_broken_image_gets_a_row_and_the_others_are_predicted(call: Callable, model: Path, digits: Path) -> None:
    broken = Path("broken.png")
    broken.write_bytes((digits / "1.png").read_bytes()[:60])
    code, out, err = call("predict", model, digits / "0.png", broken, digits / "1.png")
    assert code == 0
    first, failed, last = csv.DictReader(io.StringIO(out))
    assert (failed["path"], failed["label"], failed["confidence"]) == ("broken.png", "", "")
    assert "not a readable" in failed["error"]
    assert first["label"]
    assert last["label"] == "1"
    assert err == "1 of 3 images could not be read; their rows say why\n"
    assert call("predict", model, digits / "0.png", broken, "--strict")[0] == 2
    code, out, _ = call("predict", model, broken, "--json")
    assert code == 0
    assert json.loads(out)["failed"] == 1


def test_any_file_name_can_be_printed(call: Callable, model: Path, digits: Path) -> None:
    odd = os.fsdecode(b"\xff \n.png")
    Path(odd).write_bytes((digits / "1.png").read_bytes())
    for form in ("csv", "jsonl"):
        assert call("predict", model, odd, "--format", form, "--out", f"rows.{form}")[0] == 0
    assert json.loads(Path("rows.jsonl").read_text())["path"] == "\\xff \n.png"


def test_predictions_of_a_colour_photograph_of_another_size(call: Callable, model: Path) -> None:
    Image.effect_mandelbrot((300, 200), (-2, -1.5, 1, 1.5), 50).convert("RGB").save("photo.jpg")
    code, out, _ = call("predict", model, "photo.jpg")
    assert code == 0
    assert len(out.splitlines()) == 2


# --- compare and presets ---


def test_compare_prints_a_table_and_writes_results(call: Callable) -> None:
    code, out, err = call("compare", "mnist", "--steps", "2", "--seeds", "2", *QUICK, "--out", "results")
    assert (code, err) == (0, "")
    for arm in ("fused", "shallow", "deep", "matched"):
        assert re.search(rf"^{arm} +\d+\.\d\d +\d+\.\d\d to \d+\.\d\d", out, re.MULTILINE)
    document = json.loads(Path("results/results.json").read_text())
    assert document["schema"] == 1
    assert document["complete"]
    pairs = [(pair["a"], pair["b"]) for pair in document["pairs"]]
    assert pairs == [("fused", "shallow"), ("fused", "deep"), ("fused", "matched")]
    for pair in document["pairs"]:
        assert f"fused and {pair['b']}: {pair['verdict']}" in out
    assert document["command"].startswith("littoral compare mnist --steps 2 --seeds 2 ")
    for arm in document["arms"]:
        assert {"name", "params", "macs", "runs", "mean", "ci95"} <= arm.keys()
        assert [run["seed"] for run in arm["runs"]] == [0, 1]
    assert sorted(os.listdir("results")) == [".lock", "pictures.npz", "report.html", "results.json", "runs"]
    assert out.endswith("results: results/results.json, report: results/report.html\n")
    code, again, err = call("compare", "mnist", "--steps", "2", "--seeds", "2", *QUICK, "--out", "results")
    assert (code, again, err) == (0, out, "")  # read, not trained: the same seconds


def test_compare_with_arms_of_other_presets_beside(call: Callable) -> None:
    arguments = ("--arms", "fused", "--steps", "2", "--seeds", "1", "--beside", "article:fused@1, tiny:deep@2")
    code, out, err = call("compare", "mnist", *arguments, *QUICK, "--out", "results")
    assert (code, err) == (0, "")
    assert re.search(r"^article:fused@1 +\d+\.\d\d .* 812,042 +11,989,760 ", out, re.MULTILINE)
    document = json.loads(Path("results/results.json").read_text())
    assert [arm["name"] for arm in document["arms"]] == ["fused", "article:fused@1", "tiny:deep@2"]
    assert document["preset"] == "few"
    assert document["recipe"]["steps"] == 2
    article, tiny = document["beside"].values()
    assert (article["epochs"], article["steps"], article["optimiser"], article["batch_size"]) == (1, None, "adam", 128)
    assert (tiny["epochs"], tiny["batch_size"]) == (2, 64)


def test_where_holm_alone_withholds_a_verdict_it_is_said(call: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(p_holm: float) -> str:
        apart = Difference("fused", "deep", 0.02, (0.01, 0.03), 0.03, p_holm, 9.0, 2, 500, 0.1, "seeds and images")
        monkeypatch.setattr(Comparison, "pairs", property(lambda _: (apart,)))
        options = ("--preset", "tiny", "--arms", "fused,deep", "--steps", "1", "--seeds", "1", "--out", "results")
        return str(call("compare", "mnist", *options, *QUICK)[1])

    said = "intervals are of one pair each; verdicts allow for all pairs (Holm)\n"
    withheld = judged(0.09)
    assert "fused and deep: no difference shown" in withheld
    assert withheld.count(said) == 1
    assert said not in judged(0.04)


def test_compare_goes_on_in_a_folder_and_refuses_another_option(call: Callable) -> None:
    arguments = ("compare", "mnist", "--preset", "tiny", "--arms", "deep", "--out", "results")
    assert call(*arguments, "--seeds", "1", "--steps", "2", "--quiet")[0] == 0
    code, _, err = call(*arguments, "--seeds", "2", "--steps", "2")
    assert code == 0
    assert err.splitlines()[0] == "results: 1 finished run found"
    assert "run 2: deep, seed 1" in err
    code, out, err = call(*arguments, "--seeds", "2", "--steps", "3")
    assert (code, out) == (2, "")
    assert err == (
        "littoral: results holds runs of another comparison: --steps was 2, is 3: "
        "name another folder, or delete results\n"
    )


def test_compare_overwrites_no_results(call: Callable) -> None:
    Path("results").mkdir()
    Path("results/results.json").write_text("mine")
    code, _, err = call("compare", "mnist", "--steps", "1", *QUICK, "--out", "results")
    assert code == 2
    assert "results.json is there already" in err
    assert Path("results/results.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "file", "missing"),
    [
        ("compare", "report.html", "runs"),
        ("curve", "curve.png", "runs"),
        ("curve", "label_next.csv", "runs"),
        ("tune", "preset.toml", "candidates"),
        ("tune", "front.png", "candidates"),
    ],
)
def test_a_study_replaces_no_file_of_somebody_else(call: Callable, command: str, file: str, missing: str) -> None:
    Path(file).write_text("mine")
    Path(missing).mkdir()  # of somebody else too: nothing of ours is in it
    code, out, err = call(command, "mnist", "--out", ".")
    said = f"littoral: {file} is there already, without {missing}: name another folder, or move it elsewhere\n"
    assert (code, out, err) == (2, "", said)
    assert Path(file).read_text() == "mine"


def test_an_interrupted_comparison_goes_on_when_it_is_called_again() -> None:
    options = ["--preset", "tiny", "--arms", "deep,shallow", "--steps", "60", "--seeds", "2", "--threads", "1"]
    command = [*ON_PART, "compare", "mnist", *options, "--out", "results"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not Path("results/results.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate()[1]
    assert process.returncode == 130
    found = re.search(r"interrupted; results holds ([123] finished runs?): the same command goes on from there", err)
    assert found is not None
    document = json.loads(Path("results/results.json").read_text())
    assert not document["complete"]
    assert document["arms"][0]["runs"]
    assert f"Not finished: {found[1].split()[0]} run" in Path("results/report.html").read_text()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"results: {found[1]} found" in done.stderr
    after = json.loads(Path("results/results.json").read_text())
    assert after["complete"]
    assert after["arms"][0]["runs"][0] == document["arms"][0]["runs"][0]


@pytest.mark.parametrize(
    ("command", "work", "first"),
    [
        ("compare mnist --arms deep", "studies.compare.compare", "finished run"),
        ("curve mnist --arms deep", "studies.curve.curve", "finished run"),
        ("tune mnist", "studies.tune.tune", "candidate"),
        ("predict model.onnx images.parquet", "scale.predict.predict_parts", "finished part"),
    ],
)
def test_what_is_interrupted_before_anything_is_kept_starts_again(
    call: Callable, monkeypatch: pytest.MonkeyPatch, command: str, work: str, first: str
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Interrupted("interrupted")

    monkeypatch.setattr(f"littoral.{work}", stop)
    code, out, err = call(*command.split(), "--out", "results", "--quiet")
    assert (code, out) == (130, "")
    assert err == f"littoral: interrupted before the first {first}: the same command starts again\n"


def test_what_is_interrupted_while_the_last_page_is_written_says_what_is_kept(
    call: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def stop_first(folder: Path) -> None:
        asked.append(folder)
        if len(asked) == 1:
            raise Interrupted("interrupted")

    monkeypatch.setattr("littoral.report.write.write_report", stop_first)
    options = ("--preset", "tiny", "--arms", "deep", "--steps", "1", "--seeds", "1", "--out", "results")
    code, out, err = call("compare", "mnist", *options, *QUICK)
    assert (code, out) == (130, "")
    said = "interrupted; results holds 1 finished run: the same command goes on from there"
    assert err == f"littoral: {said}\n"
    assert asked == [Path("results")] * 2


def test_a_terminal_that_knows_no_unicode_and_a_full_disk() -> None:
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    assert b"28\\xd728" in subprocess.check_output([*LITTORAL, "presets"], env=ascii_only)
    with open("/dev/full", "w") as full:
        done = subprocess.run([*LITTORAL, "presets"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_compare_some_arms_as_json(call: Callable) -> None:
    code, out, _ = call("compare", "mnist", "--arms", "deep, shallow", "--steps", "1", "--seeds", "1", *QUICK, "--json")
    assert code == 0
    assert [arm["name"] for arm in json.loads(out)["arms"]] == ["deep", "shallow"]
    assert os.listdir() == []


def test_presets(call: Callable) -> None:
    listed = {preset["name"]: preset for preset in json.loads(call("presets", "--json")[1])["presets"]}
    assert list(listed) == [
        "swift",
        "strong",
        "strong-mirrored",
        "few",
        "probe",
        "transfer",
        "article",
        "article-prose",
        "tiny",
    ]
    assert listed["article"]["arms"][0] == {"name": "fused", "params": 812_042, "macs": 11_989_760}
    assert [arm["name"] for arm in listed["few"]["refused"]] == ["fused-attention", "fused-bilinear"]
    assert all(preset["expected"][0] != "@" and preset["cost"][0] != "@" for preset in listed.values())
    out = call("presets")[1]
    assert ["fused", "812,042", "11,989,760"] in [line.split() for line in out.splitlines()]
    assert "expect:" in out


# --- bad input: exit 2 and one line that says what to do ---

BAD = {
    "unknown preset": (
        ["fit", "mnist", "--preset", "artcle"],
        "expected one of swift, strong, strong-mirrored, few, probe, transfer, article, article-prose, tiny",
    ),
    "unknown arm": (["fit", "mnist", "--arm", "wide"], "expected one of fused, shallow, deep, matched"),
    "an arm that cannot be": (
        ["fit", "mnist", "--preset", "article", "--arm", "fused-attention"],
        "attention fusion needs maps",
    ),
    "a probe and images without a label": (
        ["fit", "mnist", "--preset", "few", "--arm", "probe", "--labels-per-class", "2", "--unlabelled", "rest"],
        "arm probe cannot train on images without a label",
    ),
    "unknown arm in a list": (["compare", "mnist", "--arms", "deep,wide"], "unknown arm 'wide'"),
    "an arm beside of no preset": (
        ["compare", "mnist", "--beside", "article"],
        "such as article:fused@1, got 'article'",
    ),
    "an arm beside of half an epoch": (["compare", "mnist", "--beside", "tiny:deep@0.5"], "got 'tiny:deep@0.5'"),
    "an arm beside of no epoch": (["compare", "mnist", "--beside", "tiny:deep@0"], "epochs must be at least 1, got 0"),
    "an unknown preset beside": (["compare", "mnist", "--beside", "artcle:deep"], "unknown preset 'artcle'"),
    "an unknown arm beside": (["compare", "mnist", "--beside", "tiny:wide"], "unknown arm 'wide' of preset tiny"),
    "an arm beside twice": (["compare", "mnist", "--beside", "tiny:deep,tiny:deep"], "different names"),
    "an arm beside of no preset, before images are read": (
        ["compare", "nowhere", "--preset", "auto", "--beside", "artcle:deep"],
        "unknown preset 'artcle'",
    ),
    "an unknown arm beside, before images are read": (
        ["compare", "nowhere", "--preset", "auto", "--beside", "tiny:deep,tiny:wide"],
        "unknown arm 'wide' of preset tiny",
    ),
    "nothing beside": (["compare", "mnist", "--beside", ""], "expected PRESET:ARM or PRESET:ARM@EPOCHS"),
    "unknown data": (["fit", "mnits"], "unknown data 'mnits'"),
    "no data": (["fit"], "Missing argument"),
    "unknown option": (["fit", "mnist", "--epoch", "3"], "No such option: --epoch"),
    "unknown command": (["train", "mnist"], "No such command"),
    "epochs 0": (["fit", "mnist", "--epochs", "0"], "epochs must be at least 1, got 0"),
    "epochs of words": (["fit", "mnist", "--epochs", "many"], "--epochs"),
    "epochs and steps": (["fit", "mnist", "--epochs", "1", "--steps", "1"], "not both"),
    "steps of what is fitted at once": (
        ["fit", "nowhere", "--preset", "probe", "--steps", "3"],
        "arm fused of preset probe is fitted at once, not in steps: leave steps out",
    ),
    "a time budget of what is fitted at once": (
        ["fit", "nowhere", "--preset", "probe", "--time-budget", "5"],
        "arm fused of preset probe is fitted at once, not in steps: leave the time budget out",
    ),
    "epochs of an arm that is fitted at once": (
        ["fit", "mnist", "--arm", "probe", "--epochs", "3"],
        "is fitted at once, not in steps: leave epochs out",
    ),
    "epochs of arms that are fitted at once": (
        ["compare", "nowhere", "--preset", "probe", "--epochs", "3"],
        "arms fused, shallow and deep of preset probe are fitted at once, not in steps: leave epochs out",
    ),
    "steps of an only arm that is fitted at once": (
        ["curve", "mnist", "--arms", "probe", "--steps", "3"],
        "is fitted at once, not in steps: leave steps out",
    ),
    "epochs of an arm beside that is fitted at once": (
        ["compare", "mnist", "--beside", "probe:fused@3"],
        "arm fused of preset probe is fitted at once, not in steps: leave epochs out",
    ),
    "errors of no calibration": (
        ["fit", "nowhere", "--calibrate", "none", "--max-error", "0.1"],
        "leave it out, or --calibrate none",
    ),
    "seed below 0": (["fit", "mnist", "--seed", "-1", "--steps", "1"], "Invalid value for '--seed'"),
    "seed too large": (["fit", "mnist", "--seed", str(10**20)], "Invalid value for '--seed'"),
    "seeds 0": (["compare", "mnist", "--seeds", "0"], "'--seeds': Input should be greater than or equal to 1"),
    "an expected error of all": (
        ["compare", "mnist", "--expected-error", "1"],
        "--expected-error is a share above 0 and up to 0.5, got 1.0",
    ),
    "a budget twice": (["curve", "mnist", "--budgets", "5,5"], "--budgets must be different numbers from 1 up"),
    "labels 0": (["fit", "mnist", "--labels-per-class", "0"], "labels per class must be at least 1"),
    "too many labels": (["fit", "mnist", "--labels-per-class", "9999"], "training images; ask for fewer"),
    "threads 0": (["fit", "mnist", "--threads", "0"], "--threads must be at least 1"),
    "no such device": (["fit", "mnist", "--device", "abacus"], "no device 'abacus'"),
    "out in no folder": (["fit", "mnist", "--out", "no/m.safetensors"], "the folder no does not exist"),
    "a model called a text": (["fit", "nowhere", "--out", "m.txt"], "which ends in .safetensors, got m.txt"),
    "out is a folder": (["fit", "mnist", "--out", "."], "it is a folder; name a file"),
    "compare into no folder": (["compare", "mnist", "--out", "no/results"], "the folder no does not exist"),
    "compare into a file": (["compare", "mnist", "--out", "text"], "it is a file; name a folder"),
    "no model": (["evaluate", "none.safetensors", "mnist"], "no model file none.safetensors"),
    "a text as model": (["evaluate", "text", "mnist"], "text is not a whole safetensors file"),
    "a drop without 8 bits": (["export", "MODEL", "--int8-max-drop", "0.1"], "--int8-max-drop is for --int8"),
    "a drop without a split": (["export", "MODEL", "--exit-max-drop", "0.1"], "--exit-max-drop is for --split"),
    "how no data is read": (["export", "MODEL", "--strict"], "say how DATA is read: name DATA too"),
    "predict by a text": (["predict", "text", "text"], "text is not a whole safetensors file"),
    "predict nothing": (["predict", "MODEL"], "Missing argument"),
    "no such image": (["predict", "MODEL", "none.png"], "no such file or folder: none.png"),
    "top 0": (["predict", "MODEL", "text", "--top", "0"], "--top must be 1 to 10"),
    "top 11": (["predict", "MODEL", "text", "--top", "11"], "--top must be 1 to 10"),
    "unknown format": (["predict", "MODEL", "text", "--format", "xml"], "expected one of csv, jsonl, parquet"),
    "parquet to a terminal": (["predict", "MODEL", "text", "--format", "parquet"], "need --out FILE"),
    "a format beside one document": (["predict", "MODEL", "text", "--format", "csv", "--json"], "leave --format out"),
    "rows over the model": (["predict", "MODEL", "text", "--out", "MODEL"], "is one of the files to read"),
    "rows over an image": (["predict", "MODEL", "text", "--out", "text"], "is one of the files to read"),
    "a model over a text": (["fit", "mnist", "--steps", "1", "--out", "text"], "text exists and is no littoral model"),
    "rows into no folder": (["predict", "MODEL", "text", "--out", "no/rows.csv"], "the folder no does not exist"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_answered_in_one_line(call: Callable, model: Path, name: str) -> None:
    Path("text").write_text("not a model\n")
    arguments, words = BAD[name]
    code, out, err = call(*(str(model) if argument == "MODEL" else argument for argument in arguments))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("littoral: ")
    assert words in err
    assert sorted(os.listdir()) == ["text"]  # nothing was written


def test_a_folder_that_cannot_be_written(call: Callable) -> None:
    if os.geteuid() == 0:  # root may write anywhere but into /proc
        place = "/proc/m.safetensors"
    else:
        Path("closed").mkdir(mode=0o500)
        place = "closed/m.safetensors"
    code, _, err = call("fit", "mnist", "--out", place)
    assert code == 2
    assert err.startswith(f"littoral: cannot write {place}: ")
    assert err.count("\n") == 1


def test_a_model_of_other_classes_is_refused(
    call: Callable, model: Path, part_of_mnist: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(part_of_mnist, class_names=tuple("abcdefghij"))
    monkeypatch.setattr("littoral.images.builtin.load_mnist", lambda: other)
    code, _, err = call("evaluate", model, "mnist")
    assert code == 2
    assert "knows the classes 0, 1, 2" in err


def test_a_fault_of_ours_is_one_line_and_a_traceback_on_request(
    call: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("littoral.images.builtin.load_mnist", fault)
    code, _, err = call("fit", "mnist")
    assert code == 1
    assert err == "littoral: a fault of ours: ZeroDivisionError: oh; run again with --debug to see where\n"
    assert run(["fit", "mnist"], debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_diverging_run_ends_with_1(call: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    article = presets.get_preset("article")
    wild = replace(article, recipe=replace(article.recipe, learning_rate=1e18))
    monkeypatch.setattr(presets, "PRESETS", {"article": wild})
    code, _, err = call("fit", "mnist", "--preset", "article", "--epochs", "1", *QUICK, *PLAIN)
    assert code == 1
    assert "the loss is no longer finite at step" in err


def test_the_reader_of_a_pipe_may_leave(model: Path, digits: Path) -> None:
    command = f"{' '.join(LITTORAL)} predict {model} {' '.join([str(digits)] * 300)} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("path,label")
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("rows_on_screen", [False, True])
def test_all_rows_arrive_where_they_are_sent_while_a_bar_is_shown(
    model: Path, digits: Path, tmp_path: Path, rows_on_screen: bool
) -> None:
    ours, theirs = os.openpty()
    with open(tmp_path / "rows.csv", "wb") as file:
        command = [*LITTORAL, "predict", model, digits]
        process = subprocess.Popen(command, stdout=theirs if rows_on_screen else file, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 4096):
            shown += part
    assert process.wait() == 0
    images = len(list(digits.iterdir()))
    text = shown.decode() if rows_on_screen else (tmp_path / "rows.csv").read_text()
    assert text.startswith("path,label")
    assert text.count(".png,") == images
    assert (b"predicting" in shown) != rows_on_screen


def test_a_table_in_a_file_has_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    from littoral.cli.output import print_table

    print_table(["arm", *"abcdef"], [["fused", *["98.25 (97.10 to 99.00)"] * 6]])
    assert capsys.readouterr().out.splitlines()[1].count("98.25 (97.10 to 99.00)") == 6


def test_json_where_standard_output_knows_no_unicode(model: Path, digits: Path, tmp_path: Path) -> None:
    named = tmp_path / "café 😀.png"
    named.write_bytes((digits / "3.png").read_bytes())
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    for form, options in (("document", ["--json"]), ("lines", ["--format", "jsonl"])):
        command = [*LITTORAL, "predict", str(model), str(named), *options]
        out = json.loads(subprocess.check_output(command, env=ascii_only, stderr=subprocess.DEVNULL))
        row = out["predictions"][0] if form == "document" else out
        assert row["path"] == str(named)


@pytest.mark.parametrize(("columns", "expected"), [("60", "one"), ("30", "  second heading: 12,345")])
def test_a_terminal_too_narrow_for_a_table_gets_whole_figures(
    columns: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from littoral.cli.output import print_table

    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take standard output for a terminal
    monkeypatch.setenv("COLUMNS", columns)
    print_table(["name", "second heading", "third"], [["one", "12,345", "99.21 to 99.30"]])
    out = capsys.readouterr().out
    assert "12,345" in out
    assert "99.21 to 99.30" in out
    assert expected in out


def test_a_class_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from littoral.cli.output import print_table, say

    print_table(["class", "images"], [["cat\x1b[31m\ndog", "3"]])
    assert "cat\\x1b[31m\\ndog" in capsys.readouterr().out
    say("1 image left out: \x1b[31mred\x07.png")
    assert capsys.readouterr().err == "1 image left out: \\x1b[31mred\\x07.png\n"


@pytest.mark.parametrize("command", ["compare", "curve", "tune", "audit"])
def test_results_do_not_go_among_the_images(call: Callable, tmp_path: Path, command: str) -> None:
    (tmp_path / "photos").mkdir()
    code, _, err = call(command, tmp_path / "photos", "--out", tmp_path / "photos" / "results")
    assert code == 2
    assert "its pictures would be taken for data; name a folder outside" in err


def test_a_log_has_a_line_now_and_then_of_what_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.cli.data.LINE_SECONDS", 0.0)
    with bar("predicting", quiet=False) as on_progress:
        for done in (1000, 3000, 5000):  # the first thousand were there before
            on_progress(done, 5000)
    assert re.fullmatch(r"predicting: 3,000 of 5,000, \d+ s left\n", capsys.readouterr().err)
    with bar("predicting", quiet=True) as on_progress:
        on_progress(1, 2)
    monkeypatch.setattr("littoral.cli.data.LINE_SECONDS", 60.0)
    with bar("predicting", quiet=False) as on_progress:
        on_progress(0, 2)
        on_progress(1, 2)
    assert capsys.readouterr().err == ""


def test_a_replaced_file_keeps_who_may_read_it_and_its_name_may_be_long(call: Callable, model: Path) -> None:
    name = "照" * 82 + ".csv"  # 250 bytes
    Image.new("L", (28, 28)).save("a.png")
    assert call("predict", model, "a.png", "--out", name, "--quiet")[0] == 0
    Path(name).chmod(0o600)
    assert call("predict", model, "a.png", "--out", name, "--quiet")[0] == 0
    assert Path(name).stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir()) == ["a.png", name]
