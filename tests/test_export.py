"""Export: the file answers as the model does, for every preset, fusion, branch, way of resizing and size of image."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_contract import JOINED, KINDS, PRETRAINED

import littoral
from littoral.deploy import onnx_file, runtime
from littoral.deploy.export import INT8_FILE, MODEL_FILE, RUNNER_FILE, export_model
from littoral.deploy.folded import folded
from littoral.deploy.int8 import judged
from littoral.deploy.measure import Latency
from littoral.deploy.network import PixelNet, network_graph
from littoral.deploy.parity import MOST_APART, TestImage, alike, fitted, odd_images, require_parity, torch_outputs
from littoral.deploy.peak import peak_memory
from littoral.deploy.preprocessing import PIXELS, preprocessing
from littoral.deploy.profile import profile_model
from littoral.deploy.trimmed import trim
from littoral.errors import ExportError, InputError
from littoral.images.decode import decode_file
from littoral.images.own_size import own_pixels
from littoral.images.sources import read_table
from littoral.images.store import ImageStore
from littoral.nn.branch import BranchConfig
from littoral.nn.calibrated import Calibration, calibration_shapes
from littoral.nn.fusion.base import FusionConfig
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.serve.alone import ORT_FILES
from littoral.specs import ImageSpec
from littoral.training.presets import PRESETS, get_arm
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel, calibrated

pytestmark = pytest.mark.usefixtures("one_thread", "unchecked")

NAMES = ("ant", "bee", "cat", "dög")


def trained(config: FusionNetConfig, with_calibration: bool = False, resize: str = "pad") -> TrainedModel:
    """A network with random weights that answers differently to different images, maybe calibrated at random."""
    model = seeded_model(config, 0).eval()
    channels, height, width = config.image_shape
    spec = replace(ImageSpec(height, width, channels, (0.4,) * channels, (0.3,) * channels), resize=resize)
    made = TrainedModel(model, spec, NAMES, Recipe(steps=1), {"preset": "made", "trained_on": "abc"})
    if not with_calibration:
        return made
    calibration = Calibration(1.7, "holdout", 900, 0.01, least_confidence=0.3, most_novelty=1.5, directions=4)
    generator = torch.Generator().manual_seed(0)
    shapes = calibration_shapes(config, calibration)
    tensors = {name: 0.2 * torch.randn(value.shape, generator=generator) for name, value in shapes.items()}
    parts = next(name for name in tensors if name.endswith("parts"))
    return replace(made, calibration=calibration, calibration_tensors=tensors | {parts: torch.tensor([0.1, 0.01])})


def exported(model: TrainedModel) -> bytes:
    return onnx_file.onnx_file(model, network_graph(calibrated(model), model.image))


def config(
    branch: BranchConfig, fusion: FusionConfig = JOINED["concat"], shape: tuple[int, int, int] = (1, 12, 14)
) -> FusionNetConfig:
    branches = {"one": branch, "other": KINDS["tower"]}
    return FusionNetConfig(shape, 4, branches, fusion, (6,), batch_norm=True, branch_heads=True)


@pytest.fixture(scope="module")
def tiny(unchecked: None) -> tuple[TrainedModel, bytes]:
    made = trained(get_arm(PRESETS["tiny"], "fused", (1, 12, 14), 4), with_calibration=True)
    return made, exported(made)


# --- parity ---


def agrees(case: FusionNetConfig) -> None:
    made = trained(case, with_calibration=True)
    parity = require_parity(exported(made), calibrated(made), made.image, odd_images(made.image, 40))
    assert parity.images == 40
    assert parity.largest_difference <= MOST_APART


@pytest.mark.timeout(900)  # half a minute of a core that nobody else wants
def test_every_branch_agrees_on_images_of_any_size() -> None:
    agrees(FusionNetConfig((3, 12, 14), 4, {name.replace("-", "_"): branch for name, branch in KINDS.items()}))


@pytest.mark.parametrize("fusion", [name for name in JOINED if name != "concat"])
def test_every_fusion_agrees(fusion: str) -> None:
    agrees(config(KINDS["pixels"], JOINED[fusion]))


@pytest.mark.parametrize(
    "preset", ["few", "probe", *(pytest.param(n, marks=pytest.mark.full) for n in PRESETS if n not in ("few", "probe"))]
)
def test_every_preset_agrees(preset: str) -> None:
    """By default those with most in them: a cascade with heads that vote, and all fixed features with one layer."""
    agrees(get_arm(PRESETS[preset], "fused", (1, 12, 14), 4))


@pytest.mark.parametrize(
    "name",
    ["backbone-vector", *(pytest.param(n, marks=pytest.mark.full) for n in PRETRAINED if n != "backbone-vector")],
)
def test_every_pretrained_branch_agrees(name: str) -> None:
    agrees(config(PRETRAINED[name], shape=(3, 33, 40)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
def test_the_graphs_pixels_are_the_decoders(resize: str, channels: int) -> None:
    spec = replace(ImageSpec.unit(13, 17, channels), resize=resize)
    session = runtime.start(preprocessing(spec).SerializeToString(), "preprocessing")
    side = st.one_of(st.integers(1, 4), st.integers(1, 150), st.sampled_from([13, 17, 26, 34]))

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(side, side, st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
    def holds(height: int, width: int, own: int, seed: int) -> None:
        images = np.random.default_rng(seed).integers(0, 256, (2, height, width, own), dtype=np.uint8)
        (pixels,) = session.run([PIXELS], {"images": images})
        expected = np.stack([fitted(image, spec) for image in images])
        np.testing.assert_array_equal(pixels, expected)

    holds()


def test_the_gate_sees_files_in_their_own_size(tmp_path: Path, tiny: tuple[TrainedModel, bytes]) -> None:
    from PIL import Image

    made = tiny[0]
    rng = np.random.default_rng(0)
    for number, (high, wide) in enumerate([(1, 1), (7, 1), (40, 31), (12, 14), (5, 9)]):
        (tmp_path / NAMES[number % 2]).mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)
        Image.fromarray(pixels[..., 0] if number % 2 else pixels).save(tmp_path / NAMES[number % 2] / f"{number}.png")
    (tmp_path / "ant" / "broken.png").write_bytes(b"no image")
    own = [TestImage(name, pixels) for name, pixels in own_pixels(read_table(tmp_path), 50)]
    shapes = {Path(image.name).stem: image.pixels.shape for image in own}
    assert shapes == {"0": (1, 1, 3), "1": (7, 1, 1), "2": (40, 31, 3), "3": (12, 14, 1), "4": (5, 9, 3)}
    assert require_parity(tiny[1], calibrated(made), made.image, own).forms == 5
    wrong = onnx_file.joined(replace(made.image, resize="stretch"), network_graph(calibrated(made), made.image))
    with pytest.raises(ExportError, match=r"most on .*[0124]\.png"):
        require_parity(wrong.SerializeToString(), calibrated(made), made.image, own)


def test_an_exporter_that_resizes_in_another_way_is_caught(
    tiny: tuple[TrainedModel, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tiny[0]
    monkeypatch.setattr(onnx_file, "preprocessing", lambda spec: preprocessing(replace(spec, resize="stretch")))
    with pytest.raises(ExportError, match=r"disagrees with the model, most on image \d+ of \d+×\d+ pixels"):
        export_model(made, tmp_path / "out", with_runner=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["shallow_probabilities", "novelty"])
def test_what_is_no_number_does_not_pass_the_gate(
    tiny: tuple[TrainedModel, bytes], output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, content = tiny

    def broken(*arguments: object) -> object:
        session = runtime.start(content, "broken")
        place = [found.name for found in session.get_outputs()].index(output)

        class Broken:
            get_outputs = session.get_outputs

            def run(self, names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
                outputs = session.run(names, given)
                outputs[place] = np.full_like(outputs[place], np.nan)
                return outputs

        return Broken()

    monkeypatch.setattr("littoral.deploy.parity.start", broken)
    said = "novelty is nan in place of" if output == "novelty" else "probabilities differ by nan"
    with pytest.raises(ExportError, match=f"disagrees with the model.*{said}"):
        require_parity(content, calibrated(made), made.image, odd_images(made.image, 4))


# --- what a graph leaves out ---


@pytest.mark.parametrize("preset", ["few", "article"])
def test_folding_changes_no_answer(preset: str) -> None:
    made = trained(get_arm(PRESETS[preset], "fused", (1, 12, 14), 4), with_calibration=True)
    network = calibrated(made)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 12, 14, 1), dtype=np.uint8)
    for norm in network.network.norms.values():  # as after a training
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    before = torch_outputs(network, pixels, made.image)
    made_simple = folded(network)
    assert not made_simple.network.heads
    assert not any(isinstance(module, torch.nn.BatchNorm1d) for module in made_simple.modules())
    for name, values in torch_outputs(made_simple, pixels, made.image).items():
        np.testing.assert_allclose(values, before[name], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(before[name], torch_outputs(network, pixels, made.image)[name])


def test_what_no_pool_reads_is_not_computed() -> None:
    from onnx import load_from_string, parser, shape_inference

    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(3, 1, 7, 8)), "w": rng.normal(size=(2, 1, 3, 3))}
    given = {name: value.astype(np.float32) for name, value in given.items()}
    for stride, pads in ((2, [1, 1, 0, 1]), (1, [1, 1, 1, 1])):
        text = f"""<ir_version: 8, opset_import: ["" : 18]>
        graph (float[n, 1, 7, 8] x, float[2, 1, 3, 3] w) => (float[n, 2, rows, columns] y) {{
            sums = Conv <pads = [1, 1, 1, 1], strides = [1, 1]> (x, w)
            y = MaxPool <kernel_shape = [2, 2], strides = [{stride}, 2], ceil_mode = 0, pads = [0, 0, 0, 0],
                         dilations = [1, 1]> (sums)
        }}"""
        whole = shape_inference.infer_shapes(parser.parse_model(text)).SerializeToString()
        model = load_from_string(whole)
        trim(model)
        assert next(entry.ints for entry in model.graph.node[0].attribute if entry.name == "pads") == pads
        first, second = (
            runtime.start(content, "").run(None, given)[0] for content in (whole, model.SerializeToString())
        )
        np.testing.assert_array_equal(first, second)


# --- the file ---


def test_the_file_says_what_it_is_and_gives_all_answers(tiny: tuple[TrainedModel, bytes]) -> None:
    import onnx

    made, content = tiny
    model = onnx.load_from_string(content)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    assert [output.name for output in model.graph.output] == [
        "label",
        "probabilities",
        "shallow_probabilities",
        "deep_probabilities",
        "novelty",
        "accepted",
    ]
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert set(said) == set(runtime.KEYS)
    assert json.loads(said["class_names"]) == list(NAMES)
    assert json.loads(said["image"])["resize"] == "pad"
    assert json.loads(said["record"]) == {"preset": "made"}
    told = onnx_file.metadata(replace(tiny[0], record={"data": "/home/somebody/leaves", "trained_on": "AAAA"}))
    assert json.loads(told["record"]) == {"data": "leaves"}  # of whose machine it came is nobody's business
    plain = PixelNet(calibrated(replace(made, calibration=None, calibration_tensors={})), made.image)
    assert list(plain(torch.zeros(1, 12, 14, 1, dtype=torch.uint8))) == ["label", "probabilities"]


def test_damage_and_files_without_metadata_are_refused_in_one_sentence(
    tiny: tuple[TrainedModel, bytes], tmp_path: Path
) -> None:
    made, content = tiny
    path = tmp_path / "m.onnx"
    path.write_bytes(preprocessing(made.image).SerializeToString())
    with pytest.raises(runtime.RuntimeFileError, match="has no metadata of littoral's"):
        runtime.load(path)
    path.write_bytes(content.replace(b"bee", b"bow"))
    with pytest.raises(runtime.RuntimeFileError, match="was changed after it was written"):
        runtime.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(runtime.RuntimeFileError, match="or is cut short"):
        runtime.load(path)
    rng = np.random.default_rng(0)
    for number, place in enumerate(rng.integers(0, len(content), 10_000)):
        changed = content[:place] + bytes([content[place] ^ int(rng.integers(1, 256))]) + content[place + 1 :]
        with pytest.raises(runtime.RuntimeFileError):
            runtime.require_seal(changed, "m.onnx")  # what `load` does first
        if number < 60:
            path.write_bytes(changed)
            with pytest.raises(runtime.RuntimeFileError):
                runtime.load(path)
    with pytest.raises(runtime.RuntimeFileError, match="cannot be read"):
        runtime.load(tmp_path / "none")


def test_nothing_runs_a_changed_file(
    tiny: tuple[TrainedModel, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MODEL_FILE).write_bytes(tiny[1].replace(b"bee", b"bow"))
    monkeypatch.setattr(runtime, "start", None)
    with pytest.raises(runtime.RuntimeFileError, match="was changed after it was written"):
        runtime.load(tmp_path)


def test_a_profile_of_a_damaged_file_is_refused_in_one_sentence(
    tiny: tuple[TrainedModel, bytes], tmp_path: Path
) -> None:
    made, content = tiny
    for name in (MODEL_FILE, INT8_FILE, runtime.SHALLOW_FILE):
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=f"{name} .+cut short"):
            profile_model(made, tmp_path, threads=1)
        (tmp_path / name).unlink()


def test_a_folder_where_somebody_works_is_no_place_for_our_modules(
    tiny: tuple[TrainedModel, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MODEL_FILE).write_bytes(tiny[1])
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('this is mine')")
    monkeypatch.chdir(tmp_path)
    assert peak_memory(tmp_path / MODEL_FILE, 1)
    sources = Path(littoral.__file__).parent.rglob("*.py")
    assert not [path for path in sources if 'sys.executable, "-m"' in path.read_text()]


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(InputError, match=r"needs onnxscript: pip install 'littoral\[onnx\]'"):
        onnx_file.require_onnx()


# --- the runner ---


def test_the_runner_answers_in_the_order_given(tiny: tuple[TrainedModel, bytes], tmp_path: Path) -> None:
    made, content = tiny
    (tmp_path / MODEL_FILE).write_bytes(content)
    model = runtime.load(tmp_path, threads=1)
    images = [image.pixels for image in odd_images(made.image, 30)]
    answers = model.predict(images)
    pixels = np.stack([fitted(image, made.image) for image in images])
    expected = torch_outputs(calibrated(made), pixels, made.image)
    np.testing.assert_allclose(
        [list(answer.probabilities.values()) for answer in answers], expected["probabilities"], atol=1e-5
    )
    assert [answer.label for answer in answers] == [NAMES[i] for i in expected["probabilities"].argmax(1)]
    assert [answer.accepted for answer in answers] == expected["accepted"].tolist()
    assert answers[3].shallow == runtime.Opinion(
        NAMES[expected["shallow_probabilities"][3].argmax()],
        pytest.approx(expected["shallow_probabilities"][3].max(), abs=1e-5),
    )
    assert model.predict([]) == []
    whole = np.stack([images[3]] * 150 + [images[3] // 2] * 50)  # more than one thread's part
    probabilities = model.run(whole)["probabilities"]
    assert len(probabilities) == 200
    np.testing.assert_allclose(
        probabilities[[0, 149, 150, 199]], model.run(whole[[0, 149, 150, 199]])["probabilities"], atol=1e-6
    )
    with pytest.raises(runtime.RuntimeFileError, match="an image is uint8"):
        model.predict([np.zeros((3, 3), np.float32)])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_runner_reads_files_as_littoral_does(channels: int, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = {
        "colour.png": Image.fromarray(rng.integers(0, 256, (9, 5, 3), dtype=np.uint8)),
        "clear.png": Image.fromarray(rng.integers(0, 256, (9, 5, 4), dtype=np.uint8)),
        "deep.png": Image.fromarray(rng.integers(0, 65536, (9, 5), dtype=np.uint16)),
        "grey.jpg": Image.fromarray(rng.integers(0, 256, (9, 5), dtype=np.uint8)),
        "lab.tif": Image.merge("LAB", [Image.fromarray(rng.integers(0, 256, (9, 5), dtype=np.uint8))] * 3),
    }
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, picture in pictures.items():
        picture.save(tmp_path / name, exif=exif)
        expected = decode_file(tmp_path / name, ImageSpec.unit(5, 9, channels))
        np.testing.assert_array_equal(runtime.read_image(tmp_path / name, channels), expected)
    for name, kind in (("float.tif", np.float32), ("long.tif", np.int32)):
        Image.fromarray(np.full((9, 5), 70_000, kind)).save(tmp_path / name)
        with pytest.raises(runtime.RuntimeFileError, match="whose range is unknown"):
            runtime.read_image(tmp_path / name, channels)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(runtime.RuntimeFileError, match="is not a readable image file"):
        runtime.read_image(tmp_path / "bad.png", channels)


REAL_SIX = struct.pack("<HHIf", 0x0112, 11, 1, 6.0)
"""A turn by a quarter, as an EXIF tag that holds a real number."""


@pytest.mark.parametrize("channels", [1, 3])
def test_the_runner_reads_odd_files_as_littoral_does(channels: int, tmp_path: Path) -> None:
    from PIL import Image

    deep = Image.fromarray((np.arange(45, dtype=np.uint16) * 1000).reshape(9, 5))
    deep.save(tmp_path / "white_is_zero.tif", tiffinfo={262: 0})
    Image.new("L", (5, 9), 7).save(tmp_path / "damaged.png", exif=b"Exif\0\0II*\0\xff")
    picture = Image.fromarray(np.arange(45, dtype=np.uint8).reshape(5, 9))
    for name, orientation in (("odd.jpg", struct.pack("<HHI4s", 0x0112, 3, 1, b"\6\0\0\0")), ("real.jpg", REAL_SIX)):
        unit = struct.pack("<HHI4s", 0x0128, 2, 3, b"in\0\0")  # words where a number belongs
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + orientation + unit + bytes(4)
        picture.save(tmp_path / name, exif=exif)
    for name in ("white_is_zero.tif", "damaged.png", "odd.jpg", "real.jpg"):
        expected = decode_file(tmp_path / name, ImageSpec.unit(9, 5, channels))
        np.testing.assert_array_equal(runtime.read_image(tmp_path / name, channels), expected)


def test_large_photographs_go_through_the_graph_one_by_one(tiny: tuple[TrainedModel, bytes], tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).write_bytes(tiny[1])
    model = runtime.load(tmp_path, threads=2)
    together: list[int] = []

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        together.append(len(images))
        return {
            "label": np.zeros(len(images), np.int64),
            "probabilities": np.ones((len(images), len(NAMES)), np.float32),
        }

    model._run = run
    assert len(model.predict([np.zeros((1500, 2000, 3), np.uint8)] * 5)) == 5
    assert together == [1] * 5
    batches = alike([TestImage("photo", np.zeros((1500, 2000, 1), np.uint8))] * 3)
    assert [len(batch) for batch in batches] == [1, 1, 1]


def test_the_copied_runner_needs_no_littoral(tiny: tuple[TrainedModel, bytes], tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / MODEL_FILE).write_bytes(tiny[1])
    (tmp_path / RUNNER_FILE).write_bytes(Path(runtime.__file__).read_bytes())
    Image.fromarray(np.zeros((5, 9), np.uint8)).save(tmp_path / "a.png")
    code = (
        "import sys, runpy; sys.argv = ['runtime.py', 'a.png']\n"
        "try: runpy.run_path('runtime.py', run_name='__main__')\n"
        "finally: assert not {'torch', 'littoral', 'onnx'} & set(sys.modules)"
    )
    out = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert json.loads(out)["label"] in NAMES
    command = [sys.executable, "runtime.py"]
    told = subprocess.run([*command, "a.png", "none.png", "a.png"], cwd=tmp_path, text=True, capture_output=True)
    assert (told.returncode, len(told.stdout.splitlines())) == (2, 2)
    assert told.stderr == "none.png cannot be read: No such file or directory\n"
    told = subprocess.run([*command, "--threads", "-3", "a.png"], cwd=tmp_path, text=True, capture_output=True)
    assert told.stderr.endswith("--threads needs 1 or more, got -3\n")


# --- the command ---


def test_export_prints_one_json_document(call: Callable, small: ImageStore, tmp_path: Path) -> None:
    from littoral.model_file import save_model

    names = tuple("0123456789")
    made = trained(get_arm(PRESETS["tiny"], "fused", (1, 28, 28), 10))
    save_model(replace(made, class_names=names), tmp_path / "m.safetensors")
    np.savez(tmp_path / "d.npz", images=small.images[:90, :, :, 0], labels=small.labels[:90])
    (tmp_path / "out").mkdir()
    for name in (INT8_FILE, runtime.SHALLOW_FILE, runtime.DEEP_FILE):
        (tmp_path / "out" / name).write_bytes(b"of an earlier export")
    for name in ORT_FILES:
        (tmp_path / name).write_bytes(b"as npm brings it")
    given = [tmp_path / "m.safetensors", tmp_path / "d.npz", "--out", tmp_path / "out"]
    code, out, err = call("export", *given, "--with-runner", "--web", "--ort-dist", tmp_path, "--json")
    assert code == 0, err
    document = json.loads(out)
    page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `export` |"))
    assert all(f"`{name}`" in row for name in document)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {(tmp_path / "out" / file["name"], file["bytes"]) for file in document["files"]} == {
        (path, path.stat().st_size) for path in written
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        MODEL_FILE,
        RUNNER_FILE,
        "index.html",
        "model.json",
        "page",
        "ort",
    }  # the old ones are gone
    memory = {file["name"]: file["memory"] for file in document["files"]}
    assert memory[RUNNER_FILE] is None
    assert 1e6 < memory[MODEL_FILE] < 1e8
    assert document["parity"]["images"] == 340
    assert {(row["form"], row["batch"]) for row in document["latency"]} == {
        (form, batch) for form in ("torch", "onnx") for batch in (1, 32)
    }
    assert document["accuracy"]["n"] == 90
    assert document["int8"] is None
    code, out, _ = call("export", tmp_path / "m.safetensors", "--out", tmp_path / "out", "--int8", "--quiet")
    assert (code, out) == (2, "")
    code, out, err = call("export", tmp_path / "m.safetensors", "--out", tmp_path / "out", "--threads", "1")
    assert code == 0
    assert err == "exporting, comparing and measuring: a minute or so, several for large models\n"
    assert "earlier export" not in out  # the very same model, which the page takes
    save_model(replace(made, class_names=names[::-1]), tmp_path / "m.safetensors")
    code, out, _ = call("export", tmp_path / "m.safetensors", "--out", tmp_path / "out", "--threads", "1")
    assert code == 0
    assert "is of an earlier export and will not take this model: give --web to renew it" in " ".join(out.split())


# --- 8 bits ---


def test_8_bits_are_kept_only_where_they_pay() -> None:
    labels = np.arange(400) % 4
    fast = [Latency(form, batch, ms, ms) for batch in (1, 32) for form, ms in (("onnx", 2.0), ("int8", 1.0))]
    slow = [Latency(form, batch, ms, ms) for batch in (1, 32) for form, ms in (("onnx", 2.0), ("int8", 2.5))]
    wrong = labels.copy()
    wrong[:20] = (wrong[:20] + 1) % 4
    assert judged(9, fast, labels, {"onnx": labels, "int8": labels}, NAMES, 0.02).kept
    late = judged(9, slow, labels, {"onnx": labels, "int8": labels}, NAMES, 0.02)
    assert not late.kept
    assert late.reason.startswith("not faster: 2.50 ms a batch of 1, 2.00 without it")
    worse = judged(9, fast, labels, {"onnx": labels, "int8": wrong}, NAMES, 0.02)
    assert not worse.kept
    assert "points is not excluded" in worse.reason
    assert worse.difference == pytest.approx(-0.05)
    assert [recall.images for recall in worse.recalls] == [100] * 4


def test_8_bits_of_a_network_answer_much_as_it_does(small: ImageStore) -> None:
    from littoral.deploy.int8 import quantised

    made = trained(get_arm(PRESETS["tiny"], "fused", (1, 28, 28), 4))
    graph = network_graph(calibrated(made), made.image)
    session = runtime.start(quantised(graph, small.images[:64]).SerializeToString(), "int8")
    (found,) = session.run(["probabilities"], {PIXELS: small.images[100:150]})
    expected = torch_outputs(calibrated(made), small.images[100:150], made.image)["probabilities"]
    assert np.abs(found - expected).max() < 0.1
    assert not np.array_equal(found, expected)
