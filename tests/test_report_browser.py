"""Pages of comparisons and learning curves in a browser, as wide as a desk and as a phone: quiet, alone, usable."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from littoral.images.store import ImageStore
from littoral.report.write import write_report
from littoral.studies.compare import compare
from littoral.studies.curve import curve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which .ci/run installs"),
]

QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
"""Root needs the first; the others keep the browser from doing more than it is asked to."""

NAMES = tuple(f"<i>a class of many words</i> & {number}" for number in range(10))


@pytest.fixture(scope="module")
def pages(one_thread: None, small: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a comparison and of a learning curve."""
    place = tmp_path_factory.mktemp("browser")
    data = replace(small.subset(np.r_[0:200, 640:740]), class_names=NAMES)
    compare(data, "swift", seeds=2, steps=3, out=place / "comparison")
    curve(data, "tiny", ["fused", "shallow", "deep"], [2, 4, 8], steps=3, out=place / "curve")
    return {name: write_report(place / name)[0][0] for name in ("comparison", "curve")}


@pytest.fixture(scope="module")
def opened(pages: dict[str, Path]) -> Iterator[Callable]:
    """A page of a width and a colour scheme, and all that it said to the console or asked the network for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))

        def opened(width: int, scheme: str, name: str = "comparison") -> tuple:
            page = browser.new_page(
                viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
            )
            told: list[str] = []
            page.on("console", lambda message: told.append(message.text))
            page.on("pageerror", lambda error: told.append(str(error)))
            page.on("request", lambda request: told.append(request.url))
            page.goto(pages[name].as_uri())
            return page, told

        yield opened
        browser.close()


@pytest.mark.parametrize("name", ["comparison", "curve"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_is_quiet_fits_and_has_no_serious_fault(
    opened: Callable, pages: dict[str, Path], width: int, scheme: str, name: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page, told = opened(width, scheme, name)
    too_wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(too_wide)
    if name == "comparison":
        page.locator(".matrix button").first.click()
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert not page.evaluate(too_wide)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 25, 31)"}[scheme]
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    faults = Axe().run(page).response["violations"]
    assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []
    assert [asked for asked in told if not asked.startswith("data:")] == [pages[name].as_uri()]
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_cell_of_a_confusion_shows_the_images_behind_it(opened: Callable, width: int) -> None:
    page, _ = opened(width, "light")
    matrix, panel = page.locator(".matrix").nth(1), page.locator("#behind-1")
    button = matrix.locator("button:not(.right)").first
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    label, called = button.get_attribute("aria-label").rsplit(": ", 1)[0].split(" called ")
    pictures = panel.locator("[role=img]")
    assert f"of “{label}” called “{called}” by shallow" in panel.inner_text()
    assert {label, called} <= set(NAMES)
    assert 1 <= pictures.count() <= int(button.inner_text())
    assert pictures.first.bounding_box()["width"] == 84
    assert "data:image/webp" in page.evaluate(
        "getComputedStyle(document.querySelector('#behind-1 .pic')).backgroundImage"
    )
    other = matrix.locator("button.right").last
    other.focus()
    page.keyboard.press("Enter")
    assert (button.get_attribute("aria-expanded"), other.get_attribute("aria-expanded")) == ("false", "true")
    page.keyboard.press("Space")
    assert panel.inner_text() == ""
    page.close()


@pytest.mark.parametrize(
    ("name", "presses", "kinds"), [("comparison", 14, {"A", "SUMMARY", "DIV"}), ("curve", 11, {"A", "SUMMARY"})]
)
def test_everything_is_reached_by_the_keyboard(opened: Callable, name: str, presses: int, kinds: set[str]) -> None:
    page, _ = opened(1280, "light", name)
    seen = set()
    for _ in range(presses):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert kinds <= seen
    page.keyboard.press("Enter")
    page.close()
