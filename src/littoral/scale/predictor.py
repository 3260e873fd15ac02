"""An exported model that predicts one part after the other: where it runs, here or on a cluster, is left to others.

It needs no torch, and holds one batch of pixels at a time.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from littoral.deploy.runtime import Model, RuntimeFileError, start
from littoral.errors import InputError
from littoral.images.batch import decode_batch
from littoral.scale.parts import Part
from littoral.scale.reading import Batch, read_part
from littoral.specs import ImageSpec
from littoral.version import __version__
from littoral.words import path_text

SOFTWARE = ("numpy", "onnxruntime", "pillow", "simplejpeg")


@dataclass(frozen=True)
class Setting:
    """What predicts, wherever it does: an exported file's content and name, threads, labels an image.

    `folder`: where paths begin that are not full. `software`: the versions that decide pixels and answers.
    """

    content: bytes
    name: str
    threads: int
    top: int
    folder: str
    software: str


class Predictor:
    """The model of a setting, loaded; raises InputError where it cannot be, or this machine has other software."""

    def __init__(self, setting: Setting) -> None:
        if setting.software != software():
            raise InputError(
                f"a machine of the cluster has {software()}, this one {setting.software}: install the same there"
            )
        try:
            session = start(setting.content, setting.name, setting.threads)
        except RuntimeFileError as error:
            raise InputError(str(error)) from error
        self._model = Model(session, dict(session.get_modelmeta().custom_metadata_map))
        self._spec = TypeAdapter(ImageSpec).validate_json(self._model.metadata["image"])
        self._top = setting.top
        self._folder = setting.folder

    def predict(self, part: Part) -> bytes:
        """The content of a Parquet file with one row an image, in order; its columns are in docs/scale.md.

        Raises InputError as `read_part`.
        """
        import pyarrow
        import pyarrow.parquet

        batches = [self._answered(batch) for batch in read_part(part, self._folder)]
        content = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_batches(batches).combine_chunks(), content)
        return content.getvalue()

    def _answered(self, batch: Batch) -> Any:
        """The rows of a batch, as pyarrow's RecordBatch."""
        spec = self._spec
        pixels = np.zeros((len(batch.images), spec.height, spec.width, spec.channels), np.uint8)
        errors = decode_batch(0, batch.images, spec, pixels).errors | batch.errors
        read = np.array([number not in errors for number in range(len(pixels))])
        outputs = self._model.run(pixels[read]) if read.any() else {}
        return _rows(batch, errors, read, outputs, self._model.class_names, self._top)


def software() -> str:
    """The versions that decide pixels and answers, in words."""
    return ", ".join([f"littoral {__version__}", *(f"{name} {version(name)}" for name in SOFTWARE)])


def _rows(
    batch: Batch,
    errors: dict[int, str],
    read: NDArray[np.bool_],
    outputs: dict[str, NDArray[Any]],
    class_names: list[str],
    top: int,
) -> Any:
    """The columns that docs/scale.md lists. `outputs`: of the images that were read alone."""
    import pyarrow

    def spread(values: NDArray[Any] | None, kind: Any) -> Any:
        """A column with a value for each image that was read; null for others, and where the model has none."""
        if values is None or not read.any():
            return pyarrow.nulls(len(read), kind)
        whole = np.zeros(len(read), values.dtype)
        whole[read] = values
        return pyarrow.array(whole, kind, mask=~read)

    text, real = pyarrow.string(), pyarrow.float64()
    rows = len(read)
    columns = {
        "path": pyarrow.array([None if path is None else path_text(path) for path in batch.paths], text),
        "table": pyarrow.array([None if batch.table is None else path_text(batch.table)] * rows, text),
        "row": pyarrow.nulls(rows, pyarrow.int64())
        if batch.rows is None
        else pyarrow.array(batch.rows, pyarrow.int64()),
    }
    probabilities = outputs.get("probabilities")
    best = None if probabilities is None else np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    names = np.array(class_names, object)
    for rank in range(top):
        ending = f"_{rank + 1}" if rank else ""
        chosen = None if best is None else best[:, rank]
        columns[f"label{ending}"] = spread(None if chosen is None else names[chosen], text)
        columns[f"confidence{ending}"] = spread(
            None if chosen is None or probabilities is None else _taken(probabilities, chosen), real
        )
    novelty = outputs.get("novelty")
    columns["accepted"] = spread(outputs.get("accepted"), pyarrow.bool_())
    columns["novelty"] = spread(None if novelty is None else novelty.astype(np.float64).round(4), real)
    columns["error"] = pyarrow.array([errors.get(number) for number in range(rows)], text)
    return pyarrow.RecordBatch.from_pydict(columns)


def _taken(probabilities: NDArray[np.float32], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    return probabilities[np.arange(len(chosen)), chosen].astype(np.float64).round(6)
