"""The page of a learning curve says what its results say, with what lies in the folder or without."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from littoral.images.store import ImageStore
from littoral.report.curve_figure import learning_curves
from littoral.studies.curve import curve
from littoral.studies.curve_plot import curve_png
from littoral.studies.curve_result import LearningCurve

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
def study(one_thread: None, short_clock: None, small: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms, three budgets, three seeds: all that a page can tell; with names that could do harm."""
    place: Path = tmp_path_factory.mktemp("study") / "curve"
    data = replace(small.subset(np.r_[0:150, 640:740]), class_names=NAMES, source=SCRIPT)
    called = [f"{SCRIPT[:8]}{number}.png" for number in range(len(data))]
    curve(data, "tiny", ["fused", "shallow", "deep"], [2, 4, 8], steps=4, out=place, names=called)
    return place


@pytest.fixture
def page(study: Path, call: Callable) -> str:
    assert call("report", study, "--markdown")[0] == 0
    return (study / "report.html").read_text()


def test_page_and_markdown_say_what_the_results_say(study: Path, page: str) -> None:
    results = json.loads((study / "results.json").read_text())
    text = (study / "report.md").read_text().replace("\\", "")
    for told in (page, text):
        for line in results["advice"][1:-1]:
            assert line[1:60].replace("<script>", "") in re.sub("&lt;script&gt;|<script>", "", told)
        for point in results["points"]:
            assert f"{100 - 100 * point['mean']:.2f}" in told
            assert ", ".join(f"{100 * (1 - run['accuracy']):.2f}" for run in point["runs"]) in told
        for pair in results["pairs"]:
            assert f"{100 * pair['difference']:+.2f}" in told
            assert pair["verdict"] in told
        for fit in results["curves"]:
            assert f"{100 * fit['error_at_twice']:.2f}" in told
    assert re.findall(r'<section id="(\w+)"', page) == ["advice", "curves", "differences", "classes", "next", "record"]
    assert page.count('class="pic"') == min(24, results["label_next"]["disagreed"])
    assert page.count('class="band ') == 3
    assert "Intervals of 95 % are of the mean over 3 seeds, on the same test images. Lines are" in page
    assert page.count(" beyond") == 4  # and once in the style
    assert "All of it is in results.json, and each run in runs/.</p>" in page
    assert SCRIPT not in page
    assert "<script" not in page
    assert not re.search("https?:", page)


def test_it_does_without_pictures_and_from_python(
    study: Path, tmp_path: Path, small: ImageStore, call: Callable
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    document = json.loads((study / "results.json").read_text())
    del document["one_test_set"]  # as an older version wrote it
    (copy / "results.json").write_text(json.dumps(document))
    code, out, err = call("report", copy / "results.json")
    assert (code, out) == (0, f"report: {copy / 'report.html'}\n")
    assert "pictures.npz is not there, so that no image is shown; curve, called again" in err
    without = (copy / "report.html").read_text()
    assert 'class="pic"' not in without
    assert "All of it is in results.json.</p>" in without
    assert "Intervals of 95 % are of the mean over 3 seeds. Lines are" in without
    found = curve(small.subset(np.r_[0:100, 640:700]), "tiny", ["shallow", "deep"], [2, 4], seeds=1, steps=2)
    page = found.report(tmp_path / "out", markdown=True).read_text()
    assert "Pictures were kept in no folder, so that no image is shown" in page
    assert "All of it is in results.json.</p>" in page
    assert "dashed" not in page  # two budgets are no curve
    over = "Intervals of 95 % are over test images, for this one seed: other seeds may differ by more."
    assert over in page
    assert over in (tmp_path / "out" / "report.md").read_text()
    picture = Image.open(io.BytesIO(curve_png(found)))
    assert picture.info["Title"] == "preset tiny: mean of 1 seed, 95 % intervals over test images"
    assert (tmp_path / "out" / "report.md").exists()


def test_a_curve_that_was_cut_off_has_a_page(small: ImageStore, tmp_path: Path, call: Callable) -> None:
    def stop(result: LearningCurve) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curve(
            small.subset(np.r_[0:100, 640:700]), "tiny", ["deep"], [2, 4], seeds=2, steps=2, out=tmp_path, on_run=stop
        )
    assert call("report", tmp_path, "--markdown")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "Not finished: 1 run so far." in page
    assert re.findall(r'<section id="(\w+)"', page) == ["curves", "record"]


@pytest.mark.parametrize("budgets", [[1], [5, 10], [1, 4, 1000]])
@pytest.mark.parametrize("error", [0.0, 1e-4, 0.5, 1.0])
def test_the_figure_stays_within_itself_whatever_the_errors(budgets: list[int], error: float) -> None:
    points = [(budget, error, max(error - 0.1, 0), min(error + 0.1, 1)) for budget in budgets]
    fit = len(budgets) > 2
    arm = {
        "name": "deep",
        "points": points,
        "curve": [(1, error), (1000, error), (2000, error)] if fit else [],
        "band": [(1, 0.0, 1.0), (2000, 0.0, 1.0)] if fit else [],
    }
    figure = learning_curves([arm], budgets, 100)
    places = re.findall(r'[xy][12]?="(-?[\d.]+)"', figure) + re.findall(r"(-?[\d.]+),", figure)
    assert all(0 <= float(place) <= 340 for place in places)
    assert "nan" not in figure
