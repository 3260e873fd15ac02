"""Preprocessing and network -> one sealed ONNX file, checked, with all that its runner has to know in its metadata.

The metadata and the seal are described in docs/export.md; `runtime.py` reads them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from littoral.deploy.preprocessing import PIXELS, preprocessing
from littoral.deploy.runtime import FORMAT, FORMAT_VERSION, UNSEALED, seal
from littoral.errors import ExportError, InputError
from littoral.model_file import model_digest
from littoral.nn.backbone import BackboneConfig
from littoral.nn.model import FusionNetConfig
from littoral.specs import ImageSpec
from littoral.training.run import TrainedModel

if TYPE_CHECKING:
    from onnx import ModelProto

OWN_LICENCE = "weights learned here: the licence that whoever trained this model gives it"


def require_onnx() -> None:
    """Raise InputError, with the command to install it, unless the extra [onnx] is there."""
    if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]:
        raise InputError(f"an export needs {', '.join(missing)}: pip install 'littoral[onnx]'")


def onnx_file(trained: TrainedModel, network: ModelProto) -> bytes:
    """The content of the whole file, from raw images to answers. Raises ExportError where ONNX's checker objects."""
    return sealed(joined(trained.image, network), metadata(trained))


def joined(spec: ImageSpec, network: ModelProto) -> ModelProto:
    """Preprocessing and a network's graph as one model."""
    from onnx import compose

    network = compose.add_prefix(network, "net_", rename_inputs=False, rename_outputs=False)
    model = compose.merge_models(preprocessing(spec), network, io_map=[(PIXELS, PIXELS)], producer_name="littoral")
    del model.opset_import[1:]  # both parts name the same one
    return model


def metadata(trained: TrainedModel) -> dict[str, str]:
    """What the file says of itself, but for its SHA-256.

    The record is the model file's, without the lists of the images trained on, and of where these lay the last name
    alone: this file goes to other people.
    """
    lists = ("trained_on", "trained_on_unlabelled")
    record = {key: value for key, value in trained.record.items() if key not in lists}
    if "data" in record:  # not where a TrainedModel was made by hand
        record["data"] = Path(str(record["data"])).name
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "class_names": json.dumps(trained.class_names, ensure_ascii=False),
        "image": json.dumps(asdict(trained.image)),
        "licence": licence(trained.model.config),
        "record": json.dumps(record, ensure_ascii=False),
        "source_sha256": model_digest(trained),
    }


def licence(config: FusionNetConfig) -> str:
    """Under what the weights are."""
    networks = [branch.network for branch in config.branches.values() if isinstance(branch, BackboneConfig)]
    return "; ".join(
        [OWN_LICENCE, *(f"pretrained weights of {name}: {_LICENCES.get(name, _ASK)}" for name in networks)]
    )


_LICENCES = {"efficientnet-lite0": "Apache-2.0"}
_ASK = "the licence of whoever published them"


def sealed(model: ModelProto, entries: dict[str, str]) -> bytes:
    """The content of a file with this metadata and a SHA-256 over all of it; raises ExportError for a faulty graph."""
    import onnx

    onnx.helper.set_model_props(model, entries | {"sha256": UNSEALED})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is faulty: {str(error).splitlines()[0]}") from error
    content: bytes = model.SerializeToString()
    if content.count(UNSEALED.encode()) != 1:
        raise ExportError("the exported graph holds what only a seal may hold; change a class name or the record")
    return content.replace(UNSEALED.encode(), seal(content, UNSEALED).encode())
