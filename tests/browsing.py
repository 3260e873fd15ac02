"""What tests of a page share: Chromium, pages that are watched, files to give, and what a person does with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from littoral.images.store import ImageStore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
"""Root needs the first; the others keep the browser from doing more than it is asked to."""

THREE = [
    (0.32, 0.25), (0.37, 0.20), (0.45, 0.17), (0.54, 0.17), (0.61, 0.21), (0.64, 0.28), (0.62, 0.36), (0.56, 0.42),
    (0.48, 0.46), (0.56, 0.48), (0.63, 0.54), (0.66, 0.62), (0.64, 0.71), (0.57, 0.78), (0.47, 0.81), (0.38, 0.79),
    (0.31, 0.73),
]  # fmt: skip
"""Strokes of a 3, recorded on the board: places as shares of its width and height."""


@contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


class Watched:
    """Opens pages, and keeps all that they say to the console or ask others for."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.told: list[str] = []
        self.pages: list[Page] = []

    def open(
        self, where: str, width: int = 1280, scheme: str = "light", locale: str = "en-GB"
    ) -> tuple[Page, list[str]]:
        page = self.browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", locale=locale
        )
        self.pages.append(page)
        page.on("console", lambda message: self.told.append(message.text))
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((where, "blob:", "data:")) else self.told.append(request.url)
            ),
        )
        page.goto(where)
        return page, self.told

    def close(self) -> None:
        for page in self.pages:
            page.close()


def digit_files(mnist: ImageStore, folder: Path) -> list[Path]:
    """A 7, a 2, a 1 and a 0, one with a name that a spreadsheet would take for a formula, and a broken file."""
    paths = [folder / name for name in ("seven.png", "=two.png", "one, or so.png", "zero.png", "broken.png")]
    for number, path in enumerate(paths[:4]):
        Image.fromarray(mnist.images[60_000 + number, :, :, 0]).save(path)
    paths[4].write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return paths


def draw(page, strokes: list[tuple[float, float]]) -> None:
    box = page.locator("#board").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in strokes]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def drop(page, paths: list[Path]) -> None:
    """Drop files on the page, as a file manager does."""
    given = [{"name": path.name, "bytes": list(path.read_bytes())} for path in paths]
    page.evaluate(
        """(given) => {
          const data = new DataTransfer();
          for (const { name, bytes } of given)
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          for (const kind of ["dragover", "drop"])
            document.getElementById("zone").dispatchEvent(
              new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        given,
    )
    expect(page.locator("#progress")).to_have_text(f"{len(given)} of {len(given)} done")


def faults(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]
