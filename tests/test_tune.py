"""Tuning: candidates are judged on folds of the training part, the one chosen is tested once, and becomes a preset."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.nn.cost import config_cost
from littoral.nn.fusion.gated import GatedConfig
from littoral.studies.compare import compare
from littoral.studies.tune import tune
from littoral.studies.tune_result import Candidate, Fate, best_of, pareto
from littoral.studies.tune_space import Limits, Price
from littoral.training.presets import get_arm, get_preset
from littoral.training.recipe import Recipe
from littoral.training.variant import Variant, read_preset, variant_preset, write_preset

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_in_six_steps")


def test_what_is_found_keeps_the_limits_and_is_a_preset(few_images: ImageStore, tmp_path: Path) -> None:
    limits = Limits(macs=300_000, file=200_000)
    found = tune(few_images, "tiny", limits, candidates=4, folds=2, out=tmp_path)
    trained = [one for one in found.candidates if one.folds]
    assert len(trained) == 4
    assert all(one.price is not None and limits.passed(one.price) is None for one in trained)
    assert {one.fate for one in found.candidates} <= {"whole", "stopped", "refused"}
    assert found.chosen.accuracy == max(one.accuracy for one in found.candidates if one.fate == "whole")
    first = found.candidates[0]
    assert first.price is not None
    assert 0.9 * 300_000 < first.price.macs <= 300_000  # the preset, narrowed to the limit
    document = json.loads((tmp_path / "results.json").read_text())
    assert document == json.loads(json.dumps(found.to_json()))
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    preset = get_preset(str(tmp_path / "preset.toml"))
    assert preset.recipe == found.chosen.variant.recipe
    assert config_cost(get_arm(preset, "fused", (1, 28, 28), 10)).macs == found.chosen.price.macs
    again = compare(few_images, str(tmp_path / "preset.toml"), ["fused"], seeds=1)
    assert again.arms[0].mean == found.test.accuracy


def test_the_test_part_decides_nothing(few_images: ImageStore) -> None:
    """And its figure is told of the one chosen alone."""
    labels = few_images.labels.copy()
    labels[100:] = np.random.default_rng(0).permutation(labels[100:])
    one, other = (
        tune(data, "tiny", candidates=3, folds=2).to_json() for data in (few_images, replace(few_images, labels=labels))
    )
    assert one["test"] != other["test"]
    for document in (one, other):
        assert "test" not in json.dumps(document["candidates"])
        for candidate in document["candidates"]:
            for field in ("seconds", "price"):
                del candidate[field]
    assert (one["candidates"], one["chosen"]) == (other["candidates"], other["chosen"])


def test_groups_stay_together(few_images: ImageStore) -> None:
    labels = np.repeat(np.arange(2), 80)
    grouped = ImageStore(few_images.images, labels, ("a", "b"), groups=np.arange(160) // 40, ties=np.arange(160))
    with pytest.raises(InputError, match="2 folds need a class to have as many different images or groups; one has 1"):
        tune(grouped, "tiny", candidates=1, folds=2)  # the test part has the other group of each class


def test_time_ends_it(few_images: ImageStore) -> None:
    found = tune(few_images, "tiny", time_budget=0.001, folds=2)
    assert [one.fate for one in found.candidates] == ["whole"]  # one is always trained


def test_limits_that_nothing_can_keep_are_said_at_once(
    few_images: ImageStore, call: Callable[..., tuple[int, str, str]]
) -> None:
    with pytest.raises(
        InputError, match=r"^no model of preset tiny is within the limits: at 0.015625 of its widths it"
    ):
        tune(few_images, "tiny", Limits(macs=10), 600, folds=2)
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"found no candidate within the limits and the time \(.+ms"):
        tune(few_images, "tiny", Limits(latency=1e-9), 600, folds=2)
    assert time.perf_counter() - start < 60  # and not the ten minutes that it may take
    for limit in ("nan", "inf", "0"):
        code, _, err = call("tune", "mnist", "--max-file", limit)
        assert (code, err) == (2, f"littoral: --max-file is a number above 0, got {float(limit)}\n")
    said = "littoral: --max-file is a number of kilobytes, 0.001 (one byte) or more, got 0.0001\n"
    assert call("tune", "mnist", "--max-file", "0.0001")[::2] == (2, said)


@pytest.mark.parametrize("preset", ["probe", "transfer"])
def test_what_trains_nothing_is_not_tuned(
    preset: str, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = call("tune", tmp_path / "none", "--preset", preset)
    assert code == 2
    assert err.endswith(f"tiny; preset {preset} trains nothing that could be tuned\n")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file may have been opened in this very moment
def test_ctrl_c_keeps_the_candidates_for_the_same_search(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    def interrupt() -> None:
        while not (tmp_path / "candidates" / "1.json").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    command = ["tune", "mnist", "--preset", "tiny", "--labels-per-class", "8", "--folds", "2", "--threads", "1"]
    command += ["--out", str(tmp_path), "--candidates"]
    watching = threading.Thread(target=interrupt, daemon=True)
    watching.start()
    code, out, err = call(*command, "500")
    watching.join()
    there = len(list((tmp_path / "candidates").glob("*.json")))
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == (
        f"littoral: interrupted; {tmp_path} holds {there} candidates: the same command goes on from there"
    )
    assert not (tmp_path / "results.json").exists()
    first = (tmp_path / "candidates" / "0.json").read_bytes()
    code, _, err = call(*command, "1")
    assert (code, (tmp_path / "candidates" / "0.json").read_bytes()) == (0, first)
    assert err.startswith("candidate 0: whole, ")  # of the first call
    code, _, err = call(*command, "1", "--max-macs", "100000")
    assert code == 2
    assert err == (
        f"littoral: {tmp_path} holds candidates of another search: --max-macs was not set, is 100000: "
        f"name another folder, or delete {tmp_path}\n"
    )
    (tmp_path / "candidates" / "0.json").write_bytes(first[:-3])
    assert call(*command, "1")[2].endswith("delete it, and the candidate is tried again\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").touch()
    code, _, err = call("tune", "mnist", "--out", tmp_path / "other")
    assert (code, err.count("results.json is there already, without candidates: name another folder")) == (2, 1)


def test_of_equals_the_cheaper_is_chosen() -> None:
    def one(number: int, accuracy: float, macs: int, fate: Fate = "whole") -> Candidate:
        return Candidate(number, Variant("tiny", ""), Price(1, macs, 1, 1.0), (accuracy,), fate)

    those = [one(0, 0.9, 100), one(1, 0.9, 50), one(2, 0.9, 50), one(3, 0.8, 10), one(4, 1.0, 10, "stopped")]
    assert best_of(those) == those[1]
    assert best_of(those[4:]) is None


def test_what_no_other_beats() -> None:
    def one(number: int, accuracy: float, macs: int, latency: float) -> Candidate:
        variant = Variant("tiny", "", recipe=Recipe(steps=1))
        return Candidate(number, variant, Price(1, macs, 1, latency), (accuracy,), "whole")

    those = [one(0, 0.9, 100, 1.0), one(1, 0.8, 50, 2.0), one(2, 0.8, 60, 2.0), one(3, 0.95, 200, 3.0)]
    assert [found.number for found in pareto([*those, replace(those[0], number=4, fate="stopped")])] == [3, 0, 1]


def test_a_variant_is_written_and_read_whole(tmp_path: Path) -> None:
    recipe = replace(get_preset("few").recipe, learning_rate=1e-4)
    variant = Variant("tiny", 'a "quoted" é \\ \x7f \n 🐈', {"deep": 0.5}, GatedConfig(width=7), recipe)
    write_preset(tmp_path / "mine.toml", variant, "two\nlines")
    read, meant = read_preset(tmp_path / "mine.toml"), variant_preset("mine", variant)
    assert (read.name, read.summary, read.recipe) == (meant.name, meant.summary, meant.recipe)
    for arm in ("fused", "shallow", "deep", "matched", "probe"):
        assert get_arm(read, arm, (1, 28, 28), 10) == get_arm(meant, arm, (1, 28, 28), 10)
    assert get_arm(read, "fused", (1, 28, 28), 10).fusion == GatedConfig(width=7)
    write_preset(tmp_path / "mine.toml", replace(variant, expected="on gr\udcf6sse"))  # of a path that is no Unicode
    assert read_preset(tmp_path / "mine.toml").expected == "on gr?sse"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = ", "is not TOML"),
        ("summary = 'x'", "describes no preset, at base: Field required"),
        ("base = 'tiny'\nsummary = 'x'\nwide = 1", "at wide: "),
        ("base = 'swft'\nsummary = 'x'", "base must be one of"),
        ("base = 'tiny'\nsummary = 'x'\n[recipe]\nsteps = 0", "steps must be at least 1, got 0"),
        ("base = 'tiny'\nsummary = 'x'\n[widths]\ndeep = 0", "widths are factors above 0"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "p.toml").write_text(text)
    code, _, err = call("fit", "mnist", "--preset", tmp_path / "p.toml", "--out", tmp_path / "m.safetensors")
    assert code == 2
    assert words in err
    assert str(tmp_path / "p.toml") in err
    assert err.count("\n") == 1


def test_the_command(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--preset", "tiny", "--labels-per-class", "8", "--folds", "2", "--candidates", "2", "--threads", "1"]
    code, out, err = call("tune", "mnist", *options, "--max-macs", "300000", "--out", tmp_path, "--json")
    assert code == 0
    document = json.loads(out)
    page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `tune`"))
    for field in [*document, *document["candidates"][0], *document["candidates"][0]["price"]]:
        assert f"`{field}`" in page
    assert "`front`" in row
    assert err.startswith("candidate 0: whole, ")
    assert call("tune", "mnist", "--preset", "x.toml")[2].startswith("littoral: tuning goes on from one of ")
    monkeypatch.setattr("littoral.studies.tune.find_spec", lambda name: None)
    assert (
        call("tune", "mnist")[2]
        == "littoral: tuning needs Optuna, which is not installed; pip install 'littoral[tune]'\n"
    )
