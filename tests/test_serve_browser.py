"""The page of the server in a browser, against a server of its own: drawing, dropping, doubt, tables, languages."""

from __future__ import annotations

import csv
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from browsing import CHROMIUM, THREE, Watched, chromium, digit_files, draw, drop, faults
from PIL import Image
from playwright.sync_api import expect

from littoral.images.store import ImageStore
from littoral.serve.api import Service, create_app
from littoral.serve.settings import Limits

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which .ci/run installs")


def served(exported: Path, key: str | None = None) -> Iterator[str]:
    opened = socket.create_server(("127.0.0.1", 0))
    app = create_app(Service(exported, Limits()), key)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    yield f"http://127.0.0.1:{opened.getsockname()[1]}/"
    server.should_exit = True
    thread.join()
    opened.close()


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[str]:
    yield from served(exported)


@pytest.fixture(scope="module")
def locked(exported: Path) -> Iterator[str]:
    yield from served(exported, "a-secret-key")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, address: str) -> Iterator[Callable]:
    """A page of a width and a colour scheme, and all that it said to the console or asked others for."""
    watched = Watched(browser)

    def opened(width: int = 1280, scheme: str = "light", where: str = address, locale: str = "en-GB"):
        return watched.open(where, width, scheme, locale)

    yield opened
    watched.close()


@pytest.fixture(scope="module")
def files(mnist: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return digit_files(mnist, tmp_path_factory.mktemp("files"))


def test_a_drawn_three_is_a_three_and_the_board_can_be_wiped(opened: Callable) -> None:
    page, told = opened()
    draw(page, THREE)
    expect(page.locator("#answer .label")).to_have_text("3")
    assert page.locator(".bars li").count() == 5
    assert page.locator(".sayings div").all_inner_texts()[0].startswith("Shallow")
    page.click("#wipe")
    assert "Nothing yet" in page.inner_text("#answer")
    assert told == []


def test_what_is_drawn_is_prepared_as_mnist_was(opened: Callable) -> None:
    page, _ = opened()
    found = page.evaluate(
        """async () => {
          const { centred } = await import("./page/draw.js");
          const ink = new Float64Array(280 * 280);
          for (let y = 10; y < 90; y += 1) for (let x = 150; x < 170; x += 1) ink[y * 280 + x] = 255;
          return [[...centred(ink, 280, 28, 28)], centred(new Float64Array(280 * 280), 280, 28, 28)];
        }"""
    )
    rows = [found[0][28 * row : 28 * row + 28] for row in range(28)]
    inked = [(y, x) for y in range(28) for x in range(28) if rows[y][x]]
    assert [min(inked), max(inked)] == [(4, 12), (23, 16)]  # 20 by 5, its middle at 14, 14 as nearly as can be
    assert {rows[y][x] for y, x in inked} == {255}
    assert found[1] is None


def test_five_files_are_five_rows_and_the_broken_one_says_why(opened: Callable, files: list[Path]) -> None:
    page, told = opened()
    drop(page, files)
    assert page.locator("#rows tr").count() == 5
    rows = page.locator("#rows tr").all_inner_texts()
    assert [row.split("\t")[2] for row in rows[:4]] == ["7", "2", "1", "0"]
    assert "not a readable" in rows[4]
    page.click("text=seven.png")
    assert page.inner_text("#answer .label") == "7"
    with page.expect_download() as waiting:
        page.click("#csv")
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in table] == ["seven.png", "'=two.png", "one, or so.png", "zero.png", "broken.png"]
    assert [row["label"] for row in table] == ["7", "2", "1", "0", ""]
    assert "not a readable" in table[4]["error"]
    page.click("#clear")
    assert not page.is_visible("#all")
    assert told == []


def test_where_it_looks_is_shown_on_request(opened: Callable, files: list[Path]) -> None:
    page, told = opened()
    drop(page, files[:1])
    page.click("text=Where does it look?")
    page.wait_for_selector(".maps canvas")
    assert page.locator(".maps figcaption").all_inner_texts() == ["Together", "Shallow", "Deep"]
    assert "row" in page.locator(".maps img").first.get_attribute("alt")
    assert told == []


def test_where_it_looks_can_be_asked_again_where_there_was_no_answer(opened: Callable, files: list[Path]) -> None:
    page, _ = opened()
    page.route("**/v1/predict?*explain=true", lambda route: route.fulfill(status=504, json={}), times=1)
    drop(page, files[:1])
    page.click("text=Where does it look?")
    expect(page.locator("#answer .buttons .error")).to_have_text("The server is busy; try again in a moment.")
    assert page.inner_text("#answer .label") == "7"
    assert page.locator("#rows tr").inner_text().split("\t")[2] == "7"
    with page.expect_download() as waiting:
        page.click("#csv")
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    assert [(row["label"], row["error"]) for row in csv.DictReader(io.StringIO(text))] == [("7", "")]
    page.click("text=Where does it look?")
    page.wait_for_selector(".maps canvas")
    assert page.locator("#answer .error").count() == 0


def test_a_request_that_is_declined_says_why(opened: Callable, files: list[Path]) -> None:
    page, _ = opened()
    detail = {"detail": "a request may have 9 bytes: send fewer or smaller images"}
    page.route("**/v1/predict*", lambda route: route.fulfill(status=413, json=detail))
    drop(page, files[:1])
    expect(page.locator("#answer")).to_contain_text("The server declined it: a request may have 9 bytes: send fewer")


def test_an_image_that_the_first_file_of_a_split_answered_says_so(opened: Callable, files: list[Path]) -> None:
    page, _ = opened()

    def answered(route) -> None:
        told = route.fetch().json()
        told["predictions"][0] |= {"exited": True, "shallow": None, "deep": None}
        route.fulfill(json=told)

    page.route("**/v1/predict*", answered)
    drop(page, files[:1])
    assert "the deep one was not asked" in page.inner_text("#answer")
    assert "What each branch alone says" not in page.inner_text("#answer")


def test_a_phone_shows_whether_to_rely_on_each_image_and_why_one_is_none(opened: Callable, files: list[Path]) -> None:
    page, _ = opened(width=390)
    drop(page, files)
    page.select_option("#language", "zh")
    for cell in page.locator("#rows td:visible").all():
        assert cell.bounding_box()["x"] + cell.bounding_box()["width"] <= 390
    assert page.is_visible("#rows tr:first-child td:nth-child(5)")
    with page.expect_download() as waiting:
        page.click("#csv")
    assert ',"It is not a readable ' in Path(waiting.value.path()).read_text(encoding="utf-8-sig")


def test_doubt_is_shown_plainly(opened: Callable, files: list[Path], tmp_path: Path) -> None:
    page, _ = opened()
    noise = tmp_path / "noise.png"
    Image.effect_noise((28, 28), 120).save(noise)
    drop(page, [noise])
    assert "Not sure." in page.inner_text("#answer .doubt")
    assert "not sure" in page.inner_text("#rows")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_has_no_serious_fault(opened: Callable, files: list[Path], width: int, scheme: str) -> None:
    page, told = opened(width, scheme)
    assert faults(page) == []
    drop(page, files[:3])
    page.click("text=Where does it look?")
    page.wait_for_selector(".maps canvas")
    assert faults(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 25, 31)"}[scheme]
    assert told == []


def test_it_speaks_chinese_where_the_browser_does_and_when_it_is_told(opened: Callable, files: list[Path]) -> None:
    page, _ = opened(locale="zh-CN")
    assert page.inner_text("#files-heading") == "图片"
    assert page.get_attribute("html", "lang") == "zh"
    page.select_option("#language", "en")
    drop(page, files[:1])
    page.select_option("#language", "zh")
    assert "浅层" in page.inner_text("#answer")
    assert page.inner_text("#rows tr td:nth-child(5)") in ("可以", "不确定", "无阈值")
    same = page.evaluate(
        """async () => {
          const source = await (await fetch("page/words.js")).text();
          const [en, zh] = ["en", "zh"].map((name) => source.split(`  ${name}: {`)[1].split("\\n  }")[0]);
          const keys = (text) => [...text.matchAll(/^ {4}(\\w+): "(.*)",$/gm)]
            .map(([, key, words]) => key + [...words.matchAll(/\\{\\w+\\}/g)].map(String).sort());
          return [keys(en), keys(zh)];
        }"""
    )
    assert same[0] == same[1]
    assert len(same[0]) > 40


def test_it_can_be_used_by_keyboard(opened: Callable, files: list[Path]) -> None:
    page, _ = opened()
    drop(page, files[:2])
    seen = []
    for _ in range(11):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"language", "board", "wipe", "choose", "photograph", "csv", "clear", "seven.png"} <= set(seen)
    for row in page.locator("#rows button").all():  # who chooses by keyboard goes on from there
        row.focus()
        page.keyboard.press("Enter")
        assert row.evaluate("it => it === document.activeElement")
    page.focus("text=Where does it look?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".maps canvas")
    assert page.evaluate("document.querySelector('#answer').contains(document.activeElement)")
    page.focus("#board")
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 16:
        page.keyboard.press(key)
    expect(page.locator("#answer .label")).to_have_text("1")


def test_a_locked_server_is_opened_with_the_key(opened: Callable, locked: str, files: list[Path]) -> None:
    page, _ = opened(where=locked)
    expect(page.locator("#locked")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#locked")).to_be_hidden()
    expect(page.locator("#answer")).to_contain_text("asks for a key, and got none")
    assert faults(page) == []
    page.click("text=Enter the key")
    page.fill("#key", "another-key")
    page.keyboard.press("Enter")
    expect(page.locator("#key")).to_have_value("")
    expect(page.locator("#locked")).to_be_visible()
    page.fill("#key", "ｋｅｙ１２３４５")  # which no header can hold
    page.keyboard.press("Enter")
    expect(page.locator("#key")).to_have_value("")
    expect(page.locator("#locked")).to_be_visible()
    page.fill("#key", "a-secret-key")
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("10 classes")
    drop(page, files[:1])
    assert page.inner_text("#answer .label") == "7"
