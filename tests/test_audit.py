"""The audit finds each kind of trouble, says it plainly, escapes what it shows, and writes only where it was told."""

from __future__ import annotations

import html.parser
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from littoral.cli import audit as command
from littoral.cli.main import run
from littoral.errors import InputError
from littoral.images.audit import Audit, audit_images
from littoral.images.load import Reading, inspect_data, load_data
from littoral.images.splits import grouped_folds
from littoral.images.store import ImageStore
from littoral.report.audit_findings import findings
from littoral.report.contact_sheet import contact_sheet
from littoral.studies import label_errors
from littoral.studies.label_errors import find_label_errors
from littoral.words import duration, printable, shortened

SCRIPT, CHINESE = "<script>alert('a&b')", "手势 七"
FIELDS = {"unreadable", "duplicates", "suspects", "classes"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these gain nothing from two, and lose much where the other core is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def picture(seed: int, size: tuple[int, int] = (32, 32), colour: bool = True) -> Image.Image:
    shape = (*size, 3) if colour else size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def fill(place: Path, labels: tuple[str, ...] = ("cat", "dog"), each: int = 12) -> Path:
    for number in range(each * len(labels)):
        folder = place / labels[number % len(labels)]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / f"{number:03}.png")
    return place


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images of each of two classes, all well."""
    return fill(tmp_path / "photos")


def look(place: Path) -> Audit:
    return audit_images(inspect_data(str(place)))


def names(found: tuple) -> list[str]:
    return [getattr(it, "item", it).name for it in found]


# --- each kind of finding ---


def test_nothing_is_found_where_all_is_well(photos: Path) -> None:
    audit = look(photos)
    assert findings(audit) == []
    assert [(it.name, it.images, it.unreadable, it.parts) for it in audit.classes] == [
        ("cat", 12, 0, {}),
        ("dog", 12, 0, {}),
    ]
    assert (audit.images, audit.imbalance, audit.median, audit.form) == (24, 1.0, (32, 32), (32, 32, 3))
    assert audit.modes == {"RGB": 24}


def test_unreadable_files_with_the_reason_and_files_passed_over(photos: Path) -> None:
    (photos / "cat" / "empty.png").write_bytes(b"")
    (photos / "dog" / "cut.png").write_bytes((photos / "dog" / "001.png").read_bytes()[:300])
    (photos / "notes.txt").write_text("mine")
    audit = look(photos)
    assert dict(audit.unreadable)["cat/empty.png"] == "is empty (0 bytes)"
    assert "cut short" in dict(audit.unreadable)["dog/cut.png"]
    assert [it.unreadable for it in audit.classes] == [1, 1]
    assert audit.skipped == 1
    assert [it.heading for it in findings(audit)] == ["2 images are unreadable", "1 file passed over"]


def test_equal_and_nearly_equal_images(photos: Path) -> None:
    picture(0).save(photos / "cat" / "copy.png")
    picture(2).save(photos / "dog" / "copy.png")
    brighter = np.asarray(picture(4), np.float64) * 0.8 + 20
    Image.fromarray(brighter.astype(np.uint8)).save(photos / "cat" / "brighter.png")
    audit = look(photos)
    assert [(it.kind, it.where, [item.name for item in it.items]) for it in audit.clusters] == [
        ("exact", "across classes", ["cat/002.png", "dog/copy.png"]),
        ("exact", "inside a class", ["cat/000.png", "cat/copy.png"]),
        ("near", "inside a class", ["cat/004.png", "cat/brighter.png"]),
    ]
    assert [it.heading for it in findings(audit)] == [
        "1 cluster of equal images across classes",
        "2 clusters of equal or nearly equal images inside a class",
    ]


def test_duplicates_across_the_parts_of_split_data(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    for number, label in enumerate(("cat", "dog") * 2, start=50):
        (tmp_path / "test" / label).mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / "test" / label / f"{number}.png")
    picture(0).save(tmp_path / "test" / "cat" / "seen.png")
    picture(2).save(tmp_path / "test" / "dog" / "seen.png")
    audit = look(tmp_path)
    assert [it.where for it in audit.clusters] == ["across classes and parts", "across parts"]
    assert [it.parts for it in audit.classes] == [{"train": 12, "test": 3}, {"train": 12, "test": 3}]
    told = findings(audit)
    assert told[0].heading == "1 cluster of equal images across classes, 1 across parts too"
    assert told[0].lines == ("train/cat/002.png (class cat, train) = test/dog/seen.png (class dog, test)",)
    assert told[1].heading == "1 cluster of equal images across parts"


def test_declined_near_duplicates_are_said(photos: Path) -> None:
    found = inspect_data(str(photos))
    assert found.duplicates is not None
    declined = replace(found, duplicates=replace(found.duplicates, declined="most images are much alike"))
    assert "most images are much alike" in findings(audit_images(declined))[0].advice


def test_odd_sizes(photos: Path) -> None:
    picture(100, (10, 12)).save(photos / "cat" / "tiny.png")
    picture(101, (400, 300)).save(photos / "cat" / "huge.png")
    picture(102, (90, 30)).save(photos / "cat" / "tall.png")
    picture(103, (40, 30)).save(photos / "cat" / "portrait.png")
    audit = look(photos)
    assert {it.item.name: it.reason for it in audit.odd_sizes} == {
        "cat/tiny.png": "10×12 pixels, blown up to 32×32",
        "cat/huge.png": "400×300 pixels, the median is 32×32",
        "cat/tall.png": "90×30 pixels, 3.0 times as long as short; the median 1.0",
    }


def test_odd_modes(photos: Path) -> None:
    picture(100, colour=False).convert("RGB").save(photos / "cat" / "grey.png")
    picture(101).convert("CMYK").save(photos / "cat" / "print.tif")
    transparent = picture(102).convert("RGBA")
    transparent.putalpha(90)
    transparent.save(photos / "dog" / "glass.png")
    deep = np.random.default_rng(0).integers(0, 65536, (32, 32)).astype(np.uint16)
    Image.fromarray(deep).save(photos / "dog" / "deep.png")
    audit = look(photos)
    reasons = {name: it.reason for name, it in zip(names(audit.odd_modes), audit.odd_modes, strict=True)}
    assert reasons["cat/print.tif"] == "CMYK, turned to RGB without its colour profile"
    assert reasons["dog/glass.png"] == "transparency, laid over white"
    assert reasons["cat/grey.png"] == "grey among colour images"
    assert [it.reason for it in audit.odd_modes if it.item.name == "dog/deep.png"] == [
        "16-bit grey, brought to 8 bits",
        "grey among colour images",
    ]
    assert audit.grey == 2
    assert audit.modes == {"RGB": 25, "CMYK": 1, "RGBA": 1, "I;16": 1}


def test_a_few_colour_images_among_grey_ones_and_modes_that_many_have(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        picture(number, colour=number == 3).convert("RGB" if number == 3 else "LA").save(folder / f"{number}.png")
    audit = look(tmp_path)
    assert [(it.item.name, it.reason) for it in audit.odd_modes] == [("b/3.png", "colour among grey images")]


def test_images_of_one_colour_are_told_once(photos: Path) -> None:
    for label in ("cat", "dog"):
        Image.new("RGB", (32, 32), "navy").save(photos / label / "blank.png")
    audit = look(photos)
    assert names(audit.blank) == ["cat/blank.png", "dog/blank.png"]
    assert audit.clusters == ()
    assert audit.odd_modes == ()


def test_unequal_classes_and_classes_too_small(tmp_path: Path) -> None:
    fill(tmp_path, each=6)
    (tmp_path / "fox").mkdir()
    picture(99).save(tmp_path / "fox" / "1.png")
    audit = look(tmp_path)
    assert audit.imbalance == 6
    headings = [it.heading for it in findings(audit)]
    assert headings == [
        "1 class cannot be trained and tested",
        "the largest class has 6.0 times the images of the smallest",
    ]


# --- what training refuses ---


def test_one_class_is_audited_though_it_cannot_be_trained(tmp_path: Path, call: Callable) -> None:
    fill(tmp_path / "photos", labels=("cat",))
    with pytest.raises(InputError, match="holds one class, 'cat'"):
        load_data(str(tmp_path / "photos"))
    code, out, _ = call("audit", tmp_path / "photos")
    assert code == 0
    assert "there is one class, cat: a classifier needs two" in out
    code, out, err = call("audit", tmp_path / "photos", "--labels", "--json", "--quiet")
    assert code == 2
    assert json.loads(out)["suspects"] is None
    assert "label errors need two classes to tell apart" in err


@pytest.mark.parametrize("memory", [None, 0])
def test_no_readable_image(tmp_path: Path, call: Callable, memory: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "a.png").write_text("no image")
    with pytest.raises(InputError, match=r"none of the 2 images of .* can be read; cat/a.png is not a readable"):
        load_data(str(tmp_path / "photos"), Reading(memory=memory))
    limit = [] if memory is None else ["--memory", "0"]
    code, out, _ = call("audit", tmp_path / "photos", "--json", "--out", tmp_path / "out", *limit)
    document = json.loads(out)
    assert code == 0
    assert [(it["name"], it["images"], it["unreadable"]) for it in document["classes"]] == [
        ("cat", 0, 1),
        ("dog", 0, 1),
    ]
    assert [it["path"] for it in document["unreadable"]] == ["cat/a.png", "dog/a.png"]
    assert (document["images"], document["imbalance"]) == (0, None)
    assert "no image can be read" in (tmp_path / "out" / "audit.html").read_text()
    with Image.open(tmp_path / "out" / "contact-sheet.png") as sheet:
        assert sheet.width > 1000
    assert call("audit", tmp_path / "photos", "--strict")[0] == 2


def test_groups_in_several_parts(tmp_path: Path) -> None:
    arrays = np.stack([np.asarray(picture(number)) for number in range(12)])
    split = np.array(["train"] * 8 + ["test"] * 4)
    np.savez(
        tmp_path / "a.npz", images=arrays, labels=np.arange(12) % 2, split=split, groups=np.array([0] * 9 + [1] * 3)
    )
    with pytest.raises(InputError, match="of groups that are trained on too"):
        load_data(str(tmp_path / "a.npz"))
    audit = look(tmp_path / "a.npz")
    assert audit.groups_across == 1
    assert findings(audit)[0].heading == "1 group in several parts"
    assert audit.median == (32, 32)


def test_a_training_part_alone(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    assert [it.parts for it in look(tmp_path).classes] == [{"train": 12}, {"train": 12}]


def test_own_sizes_and_modes_come_out_of_the_cache_as_they_went_in(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITTORAL_CACHE", str(tmp_path / "cache"))
    picture(100, (10, 12)).convert("CMYK").save(photos / "cat" / "tiny.tif")
    (photos / "cat" / "empty.png").write_bytes(b"")
    held = inspect_data(str(photos))
    for _ in range(2):
        kept = inspect_data(str(photos), Reading(memory=0))
        assert held.own is not None
        assert kept.own is not None
        assert np.array_equal(kept.own.sizes, held.own.sizes)
        assert kept.own.modes == held.own.modes
        assert audit_images(kept) == audit_images(held)


def test_a_set_known_by_name(call: Callable, small: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.images.builtin.load_mnist", lambda: small)
    code, out, _ = call("audit", "mnist", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["images"] == 840
    assert sum(it["parts"]["train"] for it in document["classes"]) == 640
    assert call("audit", "mnist", "--size", "8")[0] == 2


# --- the command ---


def test_json_is_one_document_with_all_fields(photos: Path, call: Callable) -> None:
    (photos / "cat" / "empty.png").write_bytes(b"")
    picture(2).save(photos / "dog" / "copy.png")
    code, out, err = call("audit", photos, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert set(document) >= FIELDS
    assert document["suspects"] is None
    assert document["unreadable"] == [{"path": "cat/empty.png", "error": "is empty (0 bytes)"}]
    assert document["duplicates"]["clusters"] == [
        {
            "kind": "exact",
            "where": "across classes",
            "images": [
                {"path": "cat/002.png", "label": "cat", "part": None},
                {"path": "dog/copy.png", "label": "dog", "part": None},
            ],
        }
    ]


def test_the_text_says_what_matters_first_with_what_to_do(photos: Path, call: Callable) -> None:
    for number in range(8):
        (photos / "cat" / f"empty{number}.png").write_bytes(b"")
    picture(2).save(photos / "dog" / "copy.png")
    code, out, err = call("audit", photos)
    assert (code, err) == (0, "")
    first, second = (
        out.index("1 cluster of equal images across classes: one picture with several labels"),
        out.index("8 images are unreadable: left out of everything; mend or remove them"),
    )
    assert first < second
    assert "cat/empty4.png is empty (0 bytes)\n  and 3 more (--json and --out have all)" in out
    assert re.search(r"cat +12 +8\n", out)


def test_a_narrow_terminal_breaks_lines_between_words(
    photos: Path, call: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "cat" / "empty.png").write_bytes(b"")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("littoral.cli.output.sys.stdout.isatty", lambda: True, raising=False)
    lines = re.sub("\x1b\\[[0-9;]*m", "", call("audit", photos)[1]).splitlines()
    assert max(map(len, lines)) <= 40
    assert "1 image is unreadable: left out of" in lines
    monkeypatch.setattr("littoral.cli.output.sys.stderr.isatty", lambda: True, raising=False)
    lines = call("audit", photos, "--preset", "tiny")[2].splitlines()
    assert max(map(len, lines)) <= 40
    assert len(lines) > 1


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ([], 0, ""),
        (["--strict"], 2, "1 image left out: cat/empty.png is empty (0 bytes); mend or remove them"),
        (["--preset", "tiny"], 2, "give --labels too"),
        (["--device", "nonsense"], 2, "give --labels too"),
        (["--labels", "--preset", "none"], 2, "unknown preset 'none'"),
        (["--out", "photos/cat"], 2, "its pictures would be taken for data"),
        (["--out", "no/where"], 2, "the folder no does not exist"),
        (["--size", "x"], 2, "--size must be a side"),
        (["--resize", "melt"], 2, "--resize must be one of pad, stretch, crop"),
    ],
)
def test_exit_codes_and_one_line_errors(
    photos: Path, call: Callable, arguments: list[str], code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (photos / "cat" / "empty.png").write_bytes(b"")
    found, _, err = call("audit", "photos", *arguments)
    assert found == code
    assert line in err
    assert err.count("\n") == (1 if code else 0)


def test_a_place_that_is_none_is_an_error(tmp_path: Path, call: Callable) -> None:
    code, out, err = call("audit", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert err == f"littoral: no such file or folder: {tmp_path / 'nowhere'}\n"


def test_help_has_an_example_and_the_judges_are_the_study_s(call: Callable) -> None:
    assert "Example: littoral audit" in call("audit", "--help")[1]
    assert command.JUDGES == label_errors.PRESET


# --- page and sheet ---


class Page(html.parser.HTMLParser):
    """Tags that were opened and not closed, all tags, sources, and the text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def odd_names(tmp_path: Path) -> Path:
    place = fill(tmp_path / "photos", labels=(SCRIPT, CHINESE))
    picture(0).save(place / CHINESE / f"{SCRIPT}.png")
    Image.new("RGB", (32, 32)).save(place / SCRIPT / "a\x1b[31m\n.png")
    (place / CHINESE / "空.png").write_bytes(b"")
    (place / CHINESE / "bad\udcff.png").write_bytes(b"")
    return place


def test_the_page_is_whole_alone_and_escapes_names(odd_names: Path, tmp_path: Path, call: Callable) -> None:
    before = set(tmp_path.rglob("*"))
    code, out, _ = call("audit", odd_names, "--out", tmp_path / "out")
    assert code == 0
    assert "\x1b" not in out
    files = {"audit.html", "audit.json", "contact-sheet.png"}
    assert set(tmp_path.rglob("*")) - before == {
        tmp_path / "out",
        *(tmp_path / "out" / it for it in files),
    }
    text = (tmp_path / "out" / "audit.html").read_text()
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe", "object", "form"}
    assert "<script" not in text
    assert "http:" not in text
    assert "https:" not in text
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in page.sources)
    for name in (SCRIPT, CHINESE, "空.png", "bad\\udcff.png", "a\\x1b[31m\\n.png"):
        assert name in page.text
    assert "prefers-color-scheme: dark" in text
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert document["classes"][0]["name"] == SCRIPT
    assert call("audit", odd_names, "--out", tmp_path / "out")[0] == 0  # an older audit is replaced


def test_without_out_nothing_is_written(photos: Path, tmp_path: Path, call: Callable) -> None:
    before = {(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")}
    assert call("audit", photos)[0] == 0
    assert {(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")} == before


def test_the_sheet_shows_each_picture_in_question(photos: Path) -> None:
    copies = 70  # more than the sheet shows
    for number in range(copies):
        picture(1000 + number // 2).save(photos / "cat" / f"copy {number:03}.png")
    loaded = inspect_data(str(photos))
    told = findings(audit_images(loaded))
    small = contact_sheet("t", told[:0], loaded.store)
    sheet = contact_sheet("t", told, loaded.store)
    assert sheet.mode == "RGB"
    assert sheet.height > small.height + 7 * 128
    assert np.asarray(sheet).std() > 20


def test_words() -> None:
    assert printable("a\nb\x1b猫") == "a\\nb\\x1b猫"
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert shortened("abc", 5) == "abc"
    assert shortened("abcdef", 1) == "…"
    assert [duration(seconds) for seconds in (4.4, 89, 720, 5400)] == ["4 s", "89 s", "12 min", "1.5 h"]


# --- labels ---


@pytest.fixture(scope="session")
def flipped(mnist: ImageStore) -> tuple[ImageStore, set[int]]:
    """1,500 digits, of which 45 have another label than their own; and which."""
    some = replace(mnist.subset(np.arange(1500)), split=None)
    rng = np.random.default_rng(0)
    wrong = rng.choice(1500, 45, replace=False)
    labels = some.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, 45)) % 10
    return replace(some, labels=labels), set(wrong.tolist())


def test_most_flipped_labels_are_among_the_suspects(flipped: tuple[ImageStore, set[int]]) -> None:
    store, wrong = flipped
    found = find_label_errors(store, [f"digit {number}" for number in range(1500)])
    named = [it.item.index for it in found.suspects]
    assert len(wrong & set(named)) > 0.75 * len(wrong)
    assert len(named) < 2 * len(wrong)
    assert [it.score for it in found.suspects] == sorted(it.score for it in found.suspects)
    assert all(it.suggested != it.item.label for it in found.suspects)
    assert found.suspects[0].item.name == f"digit {named[0]}"
    assert found.learnt
    assert 0.8 < found.accuracy < 0.97
    assert found.record["folds"] == 5


def test_networks_that_learn_nothing_name_no_suspects(flipped: tuple[ImageStore, set[int]]) -> None:
    store, _ = flipped
    noise = replace(store, labels=np.random.default_rng(0).integers(0, 10, 1500))
    found = find_label_errors(noise, steps=1)
    assert not found.learnt
    assert found.suspects == ()


def test_folds_keep_ties_together_and_classes_everywhere() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    ties = rng.integers(0, 80, 200)
    fold = grouped_folds(labels, ties, 5, seed=1)
    assert all(len(np.unique(fold[ties == tie])) == 1 for tie in np.unique(ties))
    for number in range(5):
        assert set(labels[fold != number]) == {0, 1, 2}
        assert 20 < (fold == number).sum() < 60
    assert np.array_equal(fold, grouped_folds(labels, ties, 5, seed=1))
    assert fold.dtype == np.int64
    assert sorted(grouped_folds(np.repeat([0, 1], 2), np.arange(4), 2, seed=0)) == [0, 0, 1, 1]  # as few as can be
    with pytest.raises(InputError, match="5 folds need a class to have as many different images or groups; one has 4"):
        grouped_folds(np.repeat([0, 1], [4, 20]), np.arange(24), 5, seed=0)
    told = "^found no 2 folds that leave every class something to learn from; add images$"
    with pytest.raises(InputError, match=told):  # the last group holds one of the two images of either class
        grouped_folds(np.array([1, 0, 0, 1]), np.array([0, 1, 2, 2]), 2, seed=0)


def test_labels_on_the_command_line(tmp_path: Path, call: Callable, mnist: ImageStore) -> None:
    images = np.concatenate([mnist.images[:60_000][mnist.labels[:60_000] == label][:80] for label in (0, 1)])
    labels = np.repeat([0, 1], 80)
    labels[[3, 50, 90, 140]] = 1 - labels[[3, 50, 90, 140]]
    np.savez(tmp_path / "digits.npz", images=images, labels=labels)
    arguments = ["audit", tmp_path / "digits.npz", "--labels", "--steps", "60", "--threads", "1", "--quiet"]
    code, out, err = call(*arguments, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "labels judged by preset tiny, 5 folds, seed 0: on images that it did not see" in out
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    suspects = {it["path"] for it in document["suspects"]}
    assert suspects >= {"image 3", "image 50", "image 90", "image 140"}
    assert len(suspects) < 8
    assert set(document["suspects"][0]) == {"path", "label", "part", "suggested", "confidence", "score"}
    assert document["label_study"]["recipe"]["steps"] == 60
    assert "labelled 1, looks like 0" in (tmp_path / "out" / "audit.html").read_text()


def test_few_images_and_missing_cleanlab_are_one_line(
    tmp_path: Path, call: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "few", each=9)
    code, out, err = call("audit", tmp_path / "few", "--labels", "--quiet")
    assert code == 2
    assert "18 readable images" in out
    assert err == (
        "littoral: label errors need at least 10 different images of each class, and 'cat' has 9; "
        "add some or leave the class out\n"
    )
    monkeypatch.setattr(label_errors, "find_spec", lambda name: None)
    code, out, err = call("audit", tmp_path / "few", "--labels")
    assert (code, out) == (2, "")
    assert (
        err == "littoral: finding wrong labels needs cleanlab, which is not installed; pip install 'littoral[audit]'\n"
    )


def test_judges_that_are_fitted_at_once_take_no_length(
    photos: Path, call: Callable, flipped: tuple[ImageStore, set[int]]
) -> None:
    said = "arm fused of preset probe is fitted at once, not in steps: leave epochs out"
    code, out, err = call("audit", photos, "--labels", "--preset", "probe", "--epochs", "3")
    assert (code, out, err) == (2, "", f"littoral: {said}\n")
    store = flipped[0].subset(np.arange(200))
    with pytest.raises(InputError, match=said):
        find_label_errors(store, preset="probe", epochs=3)
    recipe = find_label_errors(store, preset="probe").record["recipe"]
    assert (recipe["epochs"], recipe["steps"]) == (1, None)  # of the preset: no steps were taken


def test_the_audit_needs_no_torch_without_labels(photos: Path) -> None:
    import subprocess
    import sys

    code = (
        f"import sys; from littoral.cli.main import run; run(['audit', {str(photos)!r}]); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert run(["audit", str(photos)]) == 0
