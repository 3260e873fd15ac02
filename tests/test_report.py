"""The page of a comparison says what its results say, needs nothing but itself, and puts no name into its markup."""

from __future__ import annotations

import html.parser
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.report.comparison_parts import calibration_part
from littoral.report.comparison_pictures import looks_part
from littoral.report.comparison_summary import comparison_summary
from littoral.report.markdown import escaped
from littoral.report.svg import ticks
from littoral.studies.compare import compare
from littoral.studies.notable import behind, mistakes, saved, worth_keeping
from littoral.studies.occlusion import CELLS, covered, occlusion
from littoral.studies.pictures import Pictures, read_pictures, write_pictures
from littoral.studies.pooled import Pooled, pooled
from littoral.studies.results import ResultsFolder
from littoral.studies.stored import StoredRun

pytestmark = pytest.mark.usefixtures("one_thread", "short_clock")

SCRIPT = "<script>alert('a&b')</script>"
NAMES = (SCRIPT, 'a "quoted" | name', "手势", "d", "e", "f", "g", "h", "i", "j")


@pytest.fixture(scope="module")
def short_clock() -> Iterator[None]:
    """Latencies of one call in place of a median of several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("littoral.studies.latency.REPEATS", 1)
        yield


@pytest.fixture(scope="module")
def study(one_thread: None, small: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of the arms that models with heads have, two seeds, with names that could do harm."""
    place = tmp_path_factory.mktemp("study") / "results"
    data = replace(small.subset(np.r_[0:200, 640:740]), class_names=NAMES, source=SCRIPT)
    called = [f"{SCRIPT[:8]}{number}.png" for number in range(len(data))]
    compare(data, "swift", seeds=2, steps=3, out=place, names=called, notes={"command": "littoral compare 'x & y'"})
    return place


@pytest.fixture
def page(study: Path, call: Callable) -> str:
    assert call("report", study)[0] == 0
    return (study / "report.html").read_text()


def summary_of(place: Path) -> dict[str, Any]:
    return comparison_summary(json.loads((place / "results.json").read_text()), place)


class Page(html.parser.HTMLParser):
    """The tags of a page, what they refer to, and its text; every tag is closed."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


# --- what the page says ---


def test_the_page_says_what_the_results_say(study: Path, page: str) -> None:
    results, text = json.loads((study / "results.json").read_text()), Page(page).text
    for arm in results["arms"]:
        row = text[text.index(arm["name"], text.index("train s")) :]
        assert f"{100 * arm['mean']:.2f}" in row
        assert f"{100 * arm['ci95'][0]:.2f} to {100 * arm['ci95'][1]:.2f}" in row
        assert f"{arm['params']:,}" in row
        assert f"{arm['macs']:,}" in row
        assert ", ".join(f"{100 * run['accuracy']:.2f}" for run in arm["runs"]) in row
    for pair in results["pairs"]:
        assert f"{pair['a']} and {pair['b']}: {pair['verdict']}" in text
        assert f"{100 * pair['difference']:+.2f}" in text
    for said in (results["command"], results["torch"], results["data_sha256"], results["code"], "1 of "):
        assert said in text


def test_confusions_mistakes_and_branches_are_those_of_the_runs(study: Path, page: str) -> None:
    folder, summary = ResultsFolder(study), summary_of(study)
    for name in ("fused", "deep"):
        runs = [folder.read(name, seed) for seed in (0, 1)]
        expected = np.zeros((10, 10), int)
        for run in runs:
            np.add.at(expected, (run.labels, run.probabilities.argmax(1)), 1)
        assert summary["confusions"]["arms"][name]["matrix"] == expected.tolist()
        recall = [it["recall"][name][0] for it in summary["class_figures"]]
        np.testing.assert_allclose(recall, np.diag(expected) / expected.sum(1))
        for cell, it in summary["cells"][name].items():
            label, told = map(int, cell.split(","))
            assert sum(runs_told for _, runs_told, _, _ in it["kept"]) == expected[label, told]  # all were kept here
    mean = sum(folder.read("fused", seed).probabilities.astype(float) for seed in (0, 1)) / 2
    labels = folder.read("fused", 0).labels
    assert summary["mistakes"]["total"] == int((mean.argmax(1) != labels).sum())
    first = summary["mistakes"]["shown"][0]
    wrong = mean.max(1) * (mean.argmax(1) != labels)
    assert first["row"] == folder.read("fused", 0).index[wrong.argmax()]
    assert [who for who, _, _ in first["opinions"]] == ["fused", "shallow head", "deep head"]
    found = summary["branches"]
    assert found["both"] + found["neither"] + sum(way["total"] for way in found["ways"]) == 100
    buttons = [int(times) for times in re.findall(r"<button [^>]*>(\d+)</button>", page)]
    assert sum(buttons) == 4 * 2 * 100


def test_where_models_look_is_kept_of_the_first_seed(study: Path, page: str) -> None:
    folder, looks = ResultsFolder(study), summary_of(study)["looks"]
    assert folder.read("fused", 1).looks is None
    assert looks["seed"] == 0
    assert len({it["label"] for it in looks["images"]}) == len(looks["images"]) == 8
    who = [one["who"] for one in looks["images"][0]["maps"]]
    assert who == ["fused", "fused: shallow head", "fused: deep head", "shallow", "deep", "matched"]
    assert all(one["grid"].shape == (CELLS, CELLS) for it in looks["images"] for one in it["maps"])
    assert "Models of seed 0; the first test image of 8 of the 10 classes." in Page(page).text
    summary = summary_of(study)
    summary["looks"] |= {"images": [it | {"label": label} for label, it in enumerate(looks["images"][:2])]}
    assert "; the first test image of each class." in looks_part(summary | {"classes": NAMES[:2]})


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        ({"shallow": 1, "deep": 1}, "Fusing helps here: fused is better than shallow and deep."),
        (
            {"shallow": 1, "deep": 0},
            "Fusing is not shown to help here: fused is better than shallow; no difference from deep is shown.",
        ),
        (
            {"shallow": 0, "deep": 0},
            "Fusing is not shown to help here: no difference between fused and shallow and deep is shown.",
        ),
        (
            {"shallow": 1, "deep": -1},
            "Fusing does not help here: fused is worse than deep and better than shallow.",
        ),
        ({"only-hog": 1, "only-stage5": 1}, "Fusing helps here: fused is better than only-hog and only-stage5."),
        ({"shallow": 1}, "fused is better than shallow."),  # of the other side nothing is known
        ({"matched": 1}, "fused is better than matched."),
        ({"deep": -1, "matched": 1}, "fused is worse than deep and better than matched."),
        ({"only-hog": 0}, "no difference between fused and only-hog is shown."),
    ],
)
def test_the_headline_says_helps_only_where_every_interval_does_and_both_sides_are_there(
    study: Path, tmp_path: Path, ways: dict[str, int], words: str
) -> None:
    assert summary_of(judged(study, tmp_path, ways))["headline"] == words


def test_other_fusions_and_presets_do_not_say_whether_fusing_helps(study: Path, tmp_path: Path) -> None:
    both = judged(study, tmp_path / "a", {"shallow": 1, "deep": 1, "swift:fused": -1})
    assert summary_of(both)["headline"] == (
        "Fusing helps here: fused is better than shallow and deep. Beside others, fused is worse than swift:fused."
    )
    other = judged(study, tmp_path / "b", {"fused-sum": 1})
    assert summary_of(other)["headline"] == "fused is better than fused-sum."
    some = judged(study, tmp_path / "c", {"shallow": 1, "deep": 1}, complete=False)
    assert summary_of(some)["headline"] == "fused is better than shallow and deep. Not finished: 8 runs so far."


def test_what_one_seed_shows_is_told_of_these_models_alone(study: Path, tmp_path: Path, call: Callable) -> None:
    place = judged(study, tmp_path / "a", {"shallow": 1, "deep": 1}, method="images")
    assert call("report", place, "--markdown")[0] == 0
    said = "Fusing helps here, for these trained models (one seed): fused is better than shallow and deep."
    for name in ("report.html", "report.md"):
        assert said in (place / name).read_text()
    other = judged(study, tmp_path / "b", {"fused-sum": 0}, method="images")
    assert summary_of(other)["headline"] == (
        "no difference between fused and fused-sum is shown, for these trained models (one seed)."
    )


def test_what_intervals_tell_is_told_of_each_pair_where_runs_are_missing(
    study: Path, tmp_path: Path, call: Callable
) -> None:
    place = judged(study, tmp_path, {"shallow": 1, "deep": 1, "matched": 1}, complete=False)
    document = json.loads((place / "results.json").read_text())
    document["pairs"][2]["method"] = "images"
    (place / "results.json").write_text(json.dumps(document))
    assert call("report", place)[0] == 0
    text = Page((place / "report.html").read_text()).text
    assert (
        "Of fused − shallow and fused − deep: intervals speak of new seeds and new test images. "
        "Of fused − matched: with one seed, intervals speak of new test images and of these very models. Better"
    ) in text
    assert (
        "fused is better than shallow, deep and matched; beside matched this is of these trained models (one seed). "
        "Not finished: 8 runs so far."
    ) in text


def judged(
    study: Path, place: Path, ways: dict[str, int], complete: bool = True, method: str = "seeds and images"
) -> Path:
    """A copy of the study in which fused is better (1) or worse (-1) than these, or nothing is shown (0)."""
    shutil.copytree(study, place / "copy")
    document = json.loads((study / "results.json").read_text())
    document |= {"complete": complete, "pairs": document["pairs"][: len(ways)]}
    for pair, (other, way) in zip(document["pairs"], ways.items(), strict=True):
        pair |= {"b": other, "difference": 0.1 * way, "p_holm": 0.01, "ci95": [0.1 * way - 0.05, 0.1 * way + 0.05]}
        pair |= {"method": method}
    (place / "copy" / "results.json").write_text(json.dumps(document))
    return place / "copy"


def test_pictures_of_an_earlier_call_leave_images_out(study: Path, tmp_path: Path, call: Callable) -> None:
    """As after a kill: runs of the second call are there, and the pictures are those of the first."""
    shutil.copytree(study, tmp_path / "copy")
    kept = read_pictures(study)
    assert kept is not None
    row = summary_of(study)["looks"]["images"][0]["row"]
    rest = np.flatnonzero(kept.rows != row)
    older = Pictures(kept.rows[rest], kept.pixels[rest], tuple(kept.names[place] for place in rest))
    write_pictures(tmp_path / "copy", older)
    assert row not in {image["row"] for image in summary_of(tmp_path / "copy")["looks"]["images"]}
    assert call("report", tmp_path / "copy")[0] == 0


@pytest.mark.parametrize(
    ("bins", "words"), [([15, 15], "over 15 bins of"), ([6, 12], "over 6 or 12 bins of"), ([1, 1], "over 1 bin of")]
)
def test_as_many_bins_are_told_as_there_are(study: Path, bins: list[int], words: str) -> None:
    calibration = dict(zip("ab", ([(1, 0.5, 0.5)] * number for number in bins), strict=True))
    assert words in calibration_part(summary_of(study) | {"calibration": calibration})


# --- the file ---


def test_the_page_needs_nothing_but_itself_and_escapes_names(study: Path, page: str) -> None:
    read = Page(page)
    assert len(page.encode()) < 3_000_000
    assert "http:" not in page
    assert "https:" not in page
    assert not set(read.tags) & {"link", "iframe", "object", "form", "base"}
    assert all(source.startswith(("data:image/", "#")) for source in read.sources)
    assert re.findall(r"<script[^>]*>", page) == ['<script type="application/json" id="cells">', "<script>"]
    for name in NAMES:
        assert name in read.text
    cells = json.loads(page.split('id="cells">')[1].split("</script>")[0])
    assert cells["classes"] == list(NAMES)
    assert len(cells["arms"]) == 4
    assert "prefers-color-scheme: dark" in page
    assert "prefers-reduced-motion" in page


def test_it_is_made_again_the_same_without_data(study: Path, page: str, call: Callable) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*.npz")}
    code, out, err = call("report", study / "results.json", "--markdown")
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"report: {study / 'report.html'}", f"report: {study / 'report.md'}"]
    assert (study / "report.html").read_text() == page
    assert {path: path.read_bytes() for path in study.rglob("*.npz")} == before


def test_markdown_says_the_same_in_tables(study: Path, call: Callable) -> None:
    assert call("report", study, "--markdown")[0] == 0
    text = (study / "report.md").read_text()
    results = json.loads((study / "results.json").read_text())
    for arm in results["arms"]:
        assert f"| {arm['name']} | {100 * arm['mean']:.2f} | " in text
    for pair in results["pairs"]:
        assert pair["verdict"] in text
    assert "<script" not in text.replace("\\<script", "")
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in text.split("## Arms")[1].split("##")[0].splitlines()}
    assert widths == {0, 13}
    assert escaped("a|b*<c>") == "a\\|b\\*\\<c\\>"


def test_the_largest_page_is_below_three_megabytes(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from littoral.report.comparison_page import comparison_page

    summary, chance = summary_of(study), np.random.default_rng(0)
    rows = [*summary["pictures"]["rows"], *range(10_000, 10_400)][:400]
    noise = chance.integers(0, 256, (400, 64, 64, 3), np.uint8)
    summary["pictures"] = {"rows": rows, "pixels": noise, "names": [f"{'long/' * 20}{row}.png" for row in rows]}
    shown, arms = list(range(25)), [f"few:fused-attention@{number}" for number in range(12)]
    summary["classes"] = [f"a class with a name of many words {number}" for number in range(1000)]
    cell = {"images": 99, "kept": [(row, 5, 5, 0.5) for row in rows[:2]]}
    summary["cells"] = {name: {f"{one},{other}": cell for one in shown for other in shown} for name in arms}
    matrix = {"matrix": [[1234] * 25] * 25, "confused": [(0, 1, 1234)] * 20}
    summary["confusions"] = {"shown": shown, "arms": dict.fromkeys(arms, matrix)}
    recall = dict.fromkeys([*arms, "fused"], (0.5, 0.4, 0.6))
    summary["class_figures"] = [{"name": name, "support": 50, "recall": recall} for name in summary["classes"]]
    summary["arms"] = [summary["arms"][0] | {"name": name} for name in [*arms[:-1], "fused"]]
    summary["cells"]["fused"], summary["confusions"]["arms"]["fused"] = summary["cells"][arms[0]], matrix
    assert len(comparison_page(summary).encode()) < 3_000_000


def test_what_cannot_be_reported_is_one_line(study: Path, tmp_path: Path, call: Callable) -> None:
    def refused(place: Path) -> str:
        code, out, err = call("report", place)
        assert (code, out) == (2, "")
        return str(err)

    assert "results.json: name the folder that `littoral compare` or `littoral curve` wrote" in refused(tmp_path)
    for content in ('{"schema": 1, "arms": [{"name": "deep"}], "points": []}', '{"schema": 2}', "[]", "{"):
        (tmp_path / "results.json").write_text(content)
        assert "is not the result of a comparison or a learning curve: name the folder that" in refused(tmp_path)
    whole = json.loads((study / "results.json").read_text())
    for field in ("data", "pairs", "recipe"):
        (tmp_path / "results.json").write_text(json.dumps({name: whole[name] for name in whole if name != field}))
        assert "is not the result of a comparison or a learning curve: name the folder that" in refused(tmp_path)
    for field in ({"power": None}, {"train_images": "many"}, {"arms": [whole["arms"][0] | {"macs": math.inf}]}):
        (tmp_path / "results.json").write_text(json.dumps(whole | field))
        assert "is not the result of a comparison or a learning curve: name the folder that" in refused(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    (copy / "pictures.npz").write_bytes((study / "pictures.npz").read_bytes()[:-50])
    assert "pictures.npz is not the whole file of a study's pictures: delete it" in refused(copy)
    (copy / "runs" / "deep-s1.npz").write_bytes(b"")
    assert "deep-s1.npz is not the whole file of a finished run" in refused(copy)


def test_what_is_not_there_is_said_and_the_page_does_without(study: Path, tmp_path: Path, call: Callable) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    (copy / "pictures.npz").unlink()
    code, _, err = call("report", copy, "--markdown")
    assert code == 0
    assert err == (
        f"{copy}: pictures.npz is not there, so that no image is shown; "
        "compare, called again with a folder for its results, leaves them\n"
    )
    page = (copy / "report.html").read_text()
    assert 'class="pic"' not in page
    assert all(words not in Page(page).text for words in ("were kept", "Choose a cell", "behind a cell"))
    assert 'id="calibration"' in page
    (copy / "runs" / "deep-s1.npz").unlink()
    assert "runs/deep-s1.npz is not there, so that nothing is shown of classes" in call("report", copy)[2]
    shutil.rmtree(copy / "runs")
    assert call("report", copy / "results.json", "--markdown")[0] == 0
    for name in ("report.html", "report.md"):
        text = (copy / name).read_text().replace("\\", "")
        said = (
            "Runs/fused-s0.npz and 7 more runs are not there, so that nothing is shown of classes, of single images and"
        )
        assert said in text
        assert "ECE" not in text
    page = (copy / "report.html").read_text()
    assert re.findall(r'<section id="(\w+)"', page) == ["differences", "arms", "cost", "record"]
    assert "<script" not in page
    Page(page)


def test_a_result_reports_from_python(small: ImageStore, tmp_path: Path) -> None:
    few = small.subset(np.r_[0:100, 640:700])
    tried = partial(compare, few, "tiny", ["shallow", "deep"], seeds=3, steps=2)
    page = tried().report(f"{tmp_path}/out/")
    assert page == tmp_path / "out" / "report.html"
    assert "The runs were kept in no folder, so that nothing is shown" in page.read_text()
    assert "All of it is in results.json.</p>" in page.read_text()
    result = tried(out=tmp_path / "kept")
    whole = result.report(tmp_path / "kept", markdown=True)
    assert 'id="confusion"' in whole.read_text()
    assert (tmp_path / "kept" / "report.md").exists()
    other = result.report(tmp_path / "elsewhere")
    here = ", and the answers of the 6 runs to each test image in runs/.</p>"
    assert other.read_text() == whole.read_text().replace(here, ".</p>")  # they are not beside it
    assert here in whole.read_text()
    assert json.loads((tmp_path / "elsewhere" / "results.json").read_text())["pairs"]
    with pytest.raises(InputError, match=r"out/results\.json holds other results: name another folder"):
        result.report(tmp_path / "out")
    with pytest.raises(InputError, match="does not exist; create it first"):
        result.report(tmp_path / "no" / "out")
    (tmp_path / "out" / "results.json").unlink()
    with pytest.raises(InputError, match=r"out/report\.html is there already, without results\.json: name another"):
        result.report(tmp_path / "out")


def test_what_will_show_is_told_in_results_and_page(small: ImageStore, tmp_path: Path) -> None:
    said: list[str] = []
    few = small.subset(np.r_[0:100, 640:700])
    tried = partial(compare, few, "tiny", arms=["shallow", "deep"], steps=2)
    result = tried(seeds=3, out=tmp_path, on_power=said.append)
    document = json.loads((tmp_path / "results.json").read_text())
    assert list(document["power"].values()) == said
    assert "if arms err on 5 % of them" in said[0]
    text = result.report(tmp_path).read_text()
    assert f"Said before training: {said[0]}." in text
    assert f"Said after two seeds: {said[1]}." in text
    again: list[str] = []
    tried(seeds=3, out=tmp_path, on_power=again.append)
    assert again == []  # nothing is left to train
    tried(seeds=4, out=tmp_path, on_power=again.append)
    assert len(again) == 1  # from the two seeds that are there
    assert again[0].startswith("with 4 seeds ")
    assert tried(seeds=2).to_json()["power"]["after_two_seeds"] is None
    assert tried(arms=["deep"], seeds=1).to_json()["power"] == {"before": None, "after_two_seeds": None}


def test_each_seed_may_have_test_images_of_its_own_and_one_arm_is_enough(
    small: ImageStore, tmp_path: Path, call: Callable
) -> None:
    data = replace(small.subset(np.arange(120)), split=None)
    compare(data, "tiny", ["deep"], seeds=2, steps=2, out=tmp_path / "out")
    assert call("report", tmp_path / "out", "--markdown")[0] == 0
    text = Page((tmp_path / "out" / "report.html").read_text()).text
    assert "each on a test part of its own" in text
    assert "nothing was compared" in text
    assert "saves" not in text


def test_a_comparison_that_is_cut_off_leaves_pictures_for_its_page(
    small: ImageStore, tmp_path: Path, call: Callable
) -> None:
    def stop(result: Any) -> None:
        raise KeyboardInterrupt

    few = small.subset(np.r_[0:100, 640:700])
    with pytest.raises(KeyboardInterrupt):
        compare(few, "tiny", ["shallow", "deep"], seeds=2, steps=2, out=tmp_path, on_run=stop)
    assert read_pictures(tmp_path) is not None
    assert call("report", tmp_path)[0] == 0
    assert (
        "shallow tells 28.33 % of the test images right; nothing was compared. Not finished: 1 run so far."
        in Page((tmp_path / "report.html").read_text()).text
    )


# --- the parts ---


def test_covering_a_place_takes_the_evidence_that_lies_there() -> None:
    image = np.zeros((1, 40, 20, 1), np.uint8)
    image[0, 12:16, 8:12] = 200  # the place (3, 2) of 10 × 5, each of 4 × 4 pixels

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        bits = images[:, 12:16, 8:12].astype(np.float64).mean((1, 2, 3)) / 50  # 4 where all of it is seen
        p = 2**bits / (1 + 2**bits)
        return {"one": np.stack([p, 1 - p], 1), "other": np.full((len(images), 2), 0.5)}

    for label, sign in ((0, 1), (1, -1)):
        maps = occlusion(answer, image, np.array([label]))
        expected = np.zeros((10, 5))
        reach = np.array([0.5, 1, 0.5])  # two cells wide, so neighbours cover half of it
        expected[2:5, 1:4] = 4 * np.outer(reach, reach)
        np.testing.assert_allclose(maps["one"][0], sign * expected, atol=1e-4)
        assert not maps["other"].any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 1), (5, 5, 3), (28, 28, 1), (64, 48, 3), (7, 100, 1)])
def test_every_pixel_is_covered_by_some_place(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 200, shape, np.uint8)
    image[shape[0] // 2, shape[1] // 2] = 255
    variants, (rows, columns) = covered(image)
    assert len(variants) == rows * columns <= CELLS**2
    if min(shape[:2]) > 2:
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).mean(0).round()
        assert ((variants == border).all(3).any(0)).all()


def arm(probabilities: list[list[float]], labels: list[int], first: int = 0) -> Pooled:
    rows = np.arange(first, first + len(labels))
    values = np.array(probabilities, np.float32)
    return pooled([StoredRun("a", 0, {}, {}, {}, rows, np.array(labels), values)])


def test_notable_images_come_in_the_order_of_their_weight() -> None:
    one = arm([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], [1, 0, 1, 0])
    other = arm([[0.3, 0.7], [0.7, 0.3], [0.9, 0.1], [0.3, 0.7]], [1, 0, 1, 0])
    assert mistakes(one).tolist() == [0, 1]
    assert mistakes(other).tolist() == [2, 3]
    assert behind(one, 0, 1).tolist() == [1]
    assert saved(one, other).tolist() == [2, 3]
    assert saved(other, one).tolist() == [0, 1]
    assert worth_keeping({"one": one, "other": other}, "one", [3], 2).tolist() == [0, 3]
    assert worth_keeping({"one": one, "other": other}, "one", [], 9).tolist() == [0, 1, 2, 3]


def test_runs_with_images_of_their_own_are_pooled_by_image() -> None:
    runs = [
        StoredRun("a", 0, {}, {}, {}, np.array([2, 5]), np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]], "f4")),
        StoredRun("a", 1, {}, {}, {}, np.array([5, 9]), np.array([1, 0]), np.array([[0.1, 0.9], [0.7, 0.3]], "f4")),
    ]
    found = pooled(runs)
    assert found.rows.tolist() == [2, 5, 9]
    assert found.runs.tolist() == [1, 2, 1]
    np.testing.assert_allclose(found.probabilities[1], [0.35, 0.65])
    assert found.confusion().tolist() == [[2, 0], [1, 1]]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 6.1), (96.3, 99.9), (0, 0.02), (5, 5)])
def test_ticks_are_few_and_lie_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
