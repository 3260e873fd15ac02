"""An exported model without torch: this one file needs NumPy and onnxruntime, and Pillow for image files.

    model = load("exported/")
    for answer in model.predict(["photo.jpg", pixels]):
        print(answer.label, answer.confidence, answer.accepted)

`littoral export --with-runner` lays a copy beside the exported file; `python runtime.py photo.jpg` prints answers as
JSON lines. All that decides an answer is in the ONNX file: this file reads images, and names what comes out.
`load_split` takes the two files of `littoral export --split` instead: most images need the first alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT, FORMAT_VERSION = "littoral-onnx", "1"

MODEL_FILE = "model.onnx"

SHALLOW_FILE, DEEP_FILE = "shallow.onnx", "deep.onnx"

PASSED = "passed_"
"""How the names of those outputs of the first half begin that are inputs of the second."""

KEYS = ("format", "format_version", "class_names", "image", "licence", "record", "source_sha256", "sha256")
"""The metadata of an exported file. `class_names` is a JSON list; `image` and `record` are JSON objects."""

UNSEALED = "0" * 64
"""Stands in place of the SHA-256, over the whole file, while that is computed."""

SEAL = re.compile(rb"\n\x06sha256\x12@([0-9a-f]{64})")
"""The SHA-256 as a file holds it: the key, of 6 bytes, and the value, of 64, in protobuf's words."""

BATCH, PIXELS = 64, 4_000_000
"""Images, and pixels of them, that one thread looks at together: enough to make little of a call, few enough for maps
to stay in a cache; of large photographs the graph holds some 30 bytes a pixel and channel."""

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""The TIFF tag that says what the numbers of its pixels mean, and the value of what is black on white."""

TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What Pillow calls that which puts a picture of each EXIF orientation upright; any other needs nothing."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
"""Those that littoral reads: Pillow runs other programs for some of the rest."""

Image = str | Path | NDArray[np.uint8]
"""A file, or pixels: (height, width) or (height, width, 1 or 3)."""


class RuntimeFileError(ValueError):
    """A file that is no whole exported model, or an image that cannot be used: in one sentence."""


@dataclass(frozen=True)
class Opinion:
    """What one side of the model alone takes an image for, and how probable it finds that."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    `accepted`: whether to believe it; None where the model has no threshold. `novelty`: how unlike the images trained
    on it is, about 1 for ordinary ones. `probabilities`: by class. `shallow` and `deep`: what each side alone would
    say. What the model does not have is None. `exited`: of a split model, whether the first half's answer was clear
    enough, and stands; `shallow` and `deep` are None then, and `novelty` is that of the features known so far.
    """

    label: str
    confidence: float
    accepted: bool | None
    novelty: float | None
    shallow: Opinion | None
    deep: Opinion | None
    probabilities: dict[str, float]
    exited: bool | None = None


class Model:
    """An exported model, ready to answer. `class_names`: in the outputs' order. `metadata`: all that the file says."""

    def __init__(self, session: InferenceSession, metadata: dict[str, str]) -> None:
        self.session = session
        self.metadata = metadata
        self.class_names: list[str] = json.loads(metadata["class_names"])
        self.channels: int = json.loads(metadata["image"])["channels"]
        self.threads: int = session.get_session_options().intra_op_num_threads or os.cpu_count() or 1
        self._outputs = [output.name for output in session.get_outputs()]

    def predict(self, images: Sequence[Image] | NDArray[np.uint8]) -> list[Answer]:
        """One answer an image, in their order; images of one size are looked at together.

        Raises RuntimeFileError for a file that is no image, and for pixels that are not uint8 of such a shape.
        """
        pixels = [read_image(image, self.channels) if isinstance(image, str | Path) else image for image in images]
        pixels = [as_pixels(image) for image in pixels]
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(pixels):
            alike.setdefault(image.shape, []).append(number)
        answers: dict[int, Answer] = {}
        for shape, numbers in alike.items():
            most = self.threads * _together(shape)
            for start in range(0, len(numbers), most):
                some = numbers[start : start + most]
                outputs = self.run(np.stack([pixels[number] for number in some]))
                answers.update({number: self._answer(outputs, row) for row, number in enumerate(some)})
        return [answers[number] for number in range(len(pixels))]

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The file's own outputs by name, for uint8 images (n, height, width, 1 or 3).

        Of many images each thread takes parts of its own, which is quicker than sharing each step of one large part.
        """
        return self._by_parts(self._run, images)

    def _run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        return dict(zip(self._outputs, self.session.run(self._outputs, {"images": images}), strict=True))

    def _by_parts(
        self, run: Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]], images: NDArray[np.uint8]
    ) -> dict[str, NDArray[Any]]:
        most = _together(images.shape[1:])
        if len(images) <= most:
            return run(images)
        with ThreadPoolExecutor(self.threads) as pool:
            parts = list(pool.map(run, [images[start : start + most] for start in range(0, len(images), most)]))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _answer(self, outputs: dict[str, NDArray[Any]], row: int) -> Answer:
        probabilities = outputs["probabilities"][row]
        accepted, novelty, left = outputs.get("accepted"), outputs.get("novelty"), outputs.get("exit")
        label = int(outputs["label"][row])
        exited = None if left is None else bool(left[row])
        return Answer(
            label=self.class_names[label],
            confidence=float(probabilities[label]),
            accepted=None if accepted is None else bool(accepted[row]),
            novelty=None if novelty is None else float(novelty[row]),
            shallow=None if exited else self._opinion(outputs.get("shallow_probabilities"), row),
            deep=None if exited else self._opinion(outputs.get("deep_probabilities"), row),
            probabilities=dict(zip(self.class_names, map(float, probabilities), strict=True)),
            exited=exited,
        )

    def _opinion(self, probabilities: NDArray[np.float32] | None, row: int) -> Opinion | None:
        if probabilities is None:
            return None
        best = int(probabilities[row].argmax())
        return Opinion(self.class_names[best], float(probabilities[row][best]))


class SplitModel(Model):
    """A model in two halves. The second is run on those images alone that the first passes on, with what it passes."""

    def __init__(self, shallow: InferenceSession, deep: InferenceSession, metadata: dict[str, str]) -> None:
        super().__init__(shallow, metadata)
        self.deep = deep
        self._passed = [given.name for given in deep.get_inputs()]
        self._answers = [output.name for output in deep.get_outputs()]
        self._unknown = [name for name in self._answers if name not in self._outputs]
        """Of the whole model's outputs, what the first half cannot say."""

    def first(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The outputs of the first half by name, and what it passes on of all images."""
        return self._run(images)

    def run(self, images: NDArray[np.uint8], may_exit: bool = True) -> dict[str, NDArray[Any]]:
        """The outputs of the whole model by name, for uint8 images (n, height, width, 1 or 3), and `exit` (n).

        Of images that exit, `shallow_probabilities` and `deep_probabilities` are not a number. `may_exit`: False passes
        all images on, and gives what the whole model does.
        """
        return self._by_parts(lambda some: self._halves(some, may_exit), images)

    def _halves(self, images: NDArray[np.uint8], may_exit: bool) -> dict[str, NDArray[Any]]:
        # One image at a time, each call of NumPy is a hundredth of the whole: hence `nonzero`, `empty` and `fill`.
        outputs = self.first(images)
        passed = {name: outputs.pop(name) for name in self._passed}
        if not may_exit:
            outputs["exit"] = np.zeros(len(images), bool)
        (onward,) = (~outputs["exit"]).nonzero()
        if 0 < len(onward) == len(images):
            return outputs | dict(zip(self._answers, self.deep.run(self._answers, passed), strict=True))
        for name in self._unknown:
            outputs[name] = np.empty((len(images), len(self.class_names)), np.float32)
            outputs[name].fill(np.nan)
        if len(onward):
            passed = {name: values[onward] for name, values in passed.items()}
            for name, values in zip(self._answers, self.deep.run(self._answers, passed), strict=True):
                outputs[name][onward] = values
        return outputs


def load(place: str | Path, threads: int | None = None) -> Model:
    """The model in an exported folder, or in one exported file. `threads`: to compute with; None: one a core.

    Raises RuntimeFileError for a file that is missing, has no metadata of littoral's, was changed, or cannot be run.
    """
    path = Path(place) / MODEL_FILE if Path(place).is_dir() else Path(place)
    session, metadata = _opened(path, threads)
    if "half" in metadata:
        raise RuntimeFileError(f"{path} is one half of a split model: give the folder to load_split, or --split")
    return Model(session, metadata)


def load_split(place: str | Path, threads: int | None = None) -> SplitModel:
    """The model of `shallow.onnx` and `deep.onnx` in an exported folder.

    Raises RuntimeFileError as `load` does, and for halves of different models.
    """
    shallow, metadata = _opened(Path(place) / SHALLOW_FILE, threads)
    deep, of_deep = _opened(Path(place) / DEEP_FILE, threads)
    if metadata.get("half") != "shallow" or of_deep.get("other_half") != metadata["sha256"]:
        raise RuntimeFileError(f"{SHALLOW_FILE} and {DEEP_FILE} in {place} are not of one export; export them anew")
    return SplitModel(shallow, deep, metadata)


def _opened(path: Path, threads: int | None) -> tuple[InferenceSession, dict[str, str]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RuntimeFileError(
            f"{path} cannot be read: {error.strerror}; name a folder that was exported to"
        ) from error
    require_seal(content, str(path))  # before anything else reads it
    session = start(content, str(path), threads)
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    require_metadata(metadata, str(path))
    return session, metadata


def start(content: bytes, name: str, threads: int | None = None) -> InferenceSession:
    """A session on the CPU for the content of an ONNX file; raises RuntimeFileError where there can be none."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise RuntimeFileError("this needs onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many kinds, which onnxruntime keeps to itself
        reason = " ".join(str(error).split())[:200]
        raise RuntimeFileError(f"{name} cannot be run by onnxruntime {onnxruntime.__version__}: {reason}") from error


def require_seal(content: bytes, name: str) -> None:
    """Raise RuntimeFileError unless a file holds a SHA-256 of littoral's and is as it was written."""
    written = SEAL.search(content)
    if written is None:
        raise RuntimeFileError(
            f"{name} has no metadata of littoral's with a SHA-256, or is cut short; make it with `littoral export`"
        )
    if written[1].decode() != seal(content, written[1].decode()):
        raise RuntimeFileError(f"{name} was changed after it was written: its SHA-256 does not match; export it anew")


def require_metadata(metadata: dict[str, str], name: str) -> None:
    """Raise RuntimeFileError unless the metadata is littoral's, and of the format that this runner reads."""
    missing = [key for key in KEYS if key not in metadata]
    if metadata.get("format") != FORMAT or missing:
        lacking = f", lacking {', '.join(missing)}" if missing else ""
        raise RuntimeFileError(f"{name} has no metadata of littoral's{lacking}; make the file with `littoral export`")
    if metadata["format_version"] != FORMAT_VERSION:
        raise RuntimeFileError(
            f"{name} has format {metadata['format_version']}, this runner reads {FORMAT_VERSION}; take the runner of "
            "the littoral that exported it"
        )


def seal(content: bytes, written: str) -> str:
    """The SHA-256 of a file, in hex, as it was before its SHA-256, `written`, was laid into it."""
    return hashlib.sha256(content.replace(written.encode(), UNSEALED.encode())).hexdigest()


def _together(shape: tuple[int, ...]) -> int:
    """How many images of (height, width, channels) one thread looks at together."""
    return max(1, min(BATCH, PIXELS // max(1, shape[0] * shape[1])))


def read_image(path: str | Path, channels: int) -> NDArray[np.uint8]:
    """An image file as (height, width, channels): turned as its EXIF says, over white, 16 bits scaled to 8.

    The first frame of several. Raises RuntimeFileError where it cannot be read, and for pixels of unknown range.
    """
    try:
        from PIL import ExifTags, Image, ImageOps
        from PIL.TiffImagePlugin import TiffImageFile
    except ModuleNotFoundError as error:
        raise RuntimeFileError("image files need Pillow: pip install pillow") from error
    try:
        with Image.open(path, formats=FORMATS) as opened:
            opened.load()
            try:
                turn = TURNS.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
            except Exception:  # damaged EXIF data say nothing, and the pixels are whole
                turn = None
            image = opened if turn is None else opened.transpose(Image.Transpose[turn])
            if image.mode == "F" or (image.mode == "I" and opened.format != "PNG"):
                raise RuntimeFileError(
                    f"{path} has float or 32-bit pixels, whose range is unknown; convert it to 8 or 16 bits"
                )
            if image.mode.startswith("I"):
                image = Image.fromarray(np.round(np.asarray(image) / 257.0).astype(np.uint8))
                if isinstance(opened, TiffImageFile) and opened.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
                    image = ImageOps.invert(image)  # as Pillow does where there are 8 bits
            if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
                rgba = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            if image.mode == "LAB":  # Pillow knows no way from it to L
                image = image.convert("RGB")
            return as_pixels(np.asarray(image.convert("L" if channels == 1 else "RGB")))
    except RuntimeFileError:
        raise
    except OSError as error:
        if error.errno is None:  # Pillow's word for bad bytes
            raise RuntimeFileError(f"{path} is not a readable image file, or is cut short") from error
        raise RuntimeFileError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # Pillow's parsers raise many kinds on bad bytes
        raise RuntimeFileError(f"{path} is not a readable image file, or is cut short") from error


def as_pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels as (height, width, 1 or 3); raises RuntimeFileError for others."""
    pixels = image[:, :, None] if image.ndim == 2 else image
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise RuntimeFileError(
            "an image is uint8 of (height, width) or (height, width, 1 or 3) with no side empty, "
            f"got {image.dtype} of {image.shape}"
        )
    return pixels


def main() -> int:
    """Answers for image files as JSON lines. 2 where one could not be read, whose reason goes to standard error."""
    parser = argparse.ArgumentParser(description="Labels for image files, as JSON lines.")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--model", default=Path(__file__).parent, type=Path, help="the exported folder or file")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--split", action="store_true", help=f"run {SHALLOW_FILE} and {DEEP_FILE} of the folder")
    arguments = parser.parse_args()
    if arguments.threads is not None and arguments.threads < 1:
        parser.error(f"--threads needs 1 or more, got {arguments.threads}")
    try:
        model = (load_split if arguments.split else load)(arguments.model, arguments.threads)
    except RuntimeFileError as error:
        print(error, file=sys.stderr)
        return 2
    unread = 0
    for path in arguments.images:
        try:
            print(json.dumps({"path": path, **asdict(model.predict([path])[0])}))
        except RuntimeFileError as error:
            print(error, file=sys.stderr)
            unread += 1
    return 2 if unread else 0


if __name__ == "__main__":
    sys.exit(main())
