"""The model file: one `.safetensors` with the weights and, in its metadata, all that is needed to use them.

Metadata: `format`, `format_version`, `content` (JSON: architecture, image form, class names, recipe, record, and the
calibration where there is one) and `sha256` over content and tensors. A slim file leaves out frozen pretrained weights
and holds their checksum. Reading a file executes nothing; what does not fit is refused in one sentence.
docs/model-file.md describes the format for other programs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from littoral.errors import InputError, ModelFileError
from littoral.files import require_writable, write_atomically
from littoral.nn.calibrated import Calibration, calibration_shapes
from littoral.nn.model import FusionNetConfig, lacks_memory, seeded_model, weightless_model
from littoral.nn.plain_torch import plain_torch
from littoral.specs import ImageSpec
from littoral.training.checkpoint import apart
from littoral.training.recipe import Recipe
from littoral.training.run import TrainedModel

FORMAT = "littoral-model"
FORMAT_VERSION = 1

CALIBRATION = "calibration."
"""How the names of the tensors begin that belong to the calibration."""


@dataclass(frozen=True)
class _Content:
    architecture: FusionNetConfig
    image: ImageSpec
    class_names: tuple[str, ...]
    recipe: Recipe
    record: dict[str, Any]
    left_out: dict[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None

    __pydantic_config__ = {"extra": "forbid"}


def save_model(trained: TrainedModel, path: Path, slim: bool = False) -> None:
    """Write a model file, whole or not at all; raises InputError when the place cannot be written.

    `slim`: without the weights of frozen pretrained networks, so that who reads it needs these too. Raises InputError
    where there are none.
    """
    write_atomically(path, model_bytes(trained, slim))


def model_bytes(trained: TrainedModel, slim: bool = False) -> bytes:
    """The content of a model file: the same bytes for the same model, so that caches know it again."""
    text, tensors = _text_and_tensors(trained, slim)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "content": text,
        "sha256": _digest(text, tensors),
    }
    return _in_order(to_safetensors(tensors, metadata))


def _in_order(content: bytes) -> bytes:
    """A file of safetensors whose metadata are sorted: the library lists them in another order each time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[end:]


def model_digest(trained: TrainedModel) -> str:
    """The `sha256` that the metadata of a model file hold, of the whole model: the same each time."""
    return _digest(*_text_and_tensors(trained, slim=False))


def _text_and_tensors(trained: TrainedModel, slim: bool) -> tuple[str, dict[str, Tensor]]:
    """What describes the model, in JSON, and what is in it."""
    content = _Content(
        trained.model.config,
        trained.image,
        trained.class_names,
        trained.recipe,
        trained.record,
        calibration=trained.calibration,
    )
    named = trained.model.state_dict() | {CALIBRATION + name: t for name, t in trained.calibration_tensors.items()}
    tensors = apart({name: value.detach().cpu().contiguous() for name, value in named.items()})
    if slim:
        given = {name: _given(trained.model.config, name, tensors) for name in trained.model.config.branches}
        content = replace(content, left_out={name: _digest("", part) for name, part in given.items() if part})
        if not content.left_out:
            raise InputError("a slim file leaves out frozen pretrained weights, and this model has none: save it whole")
        tensors = {name: value for name, value in tensors.items() if not any(name in part for part in given.values())}
    described = asdict(content)
    if not content.left_out:
        del described["left_out"]
    if content.calibration is None:
        del described["calibration"]
    return json.dumps(described, ensure_ascii=False), tensors


def load_model(path: Path) -> TrainedModel:
    """Read a model file, ready to predict on the CPU. What becomes of the file afterwards does not touch the model.

    Raises ModelFileError for a file that is missing, cut short, not ours, changed, of a newer format, or whose tensors
    do not fit its architecture.
    """
    return model_from_bytes(_content(path), str(path))


@plain_torch()
def model_from_bytes(content: bytes, path: str) -> TrainedModel:
    """As `load_model`, from the content of a model file; `path` is what an error calls it."""
    metadata, text, tensors = _parse(content, path)
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"{path} is not a littoral model file; make one with `littoral fit`")
    version = metadata.get("format_version", "")
    if version != str(FORMAT_VERSION):
        newer = version.isdigit() and int(version) > FORMAT_VERSION
        raise ModelFileError(
            f"{path} has model file format {version or 'unknown'}, this littoral reads {FORMAT_VERSION}; "
            f"{'install a newer littoral' if newer else 'get the file anew'}"
        )
    if metadata.get("sha256") != _digest(text, tensors):
        raise ModelFileError(f"{path} was changed after it was written: its SHA-256 does not match; get it anew")
    try:
        described = TypeAdapter(_Content).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "union_tag_invalid":
            kind = "fusion" if first["loc"][1] == "fusion" else "branch"
            raise ModelFileError(
                f"{path} needs a {kind} of the type {first['ctx']['tag']!r}, which is not known here (known are "
                f"{first['ctx']['expected_tags']}): import the code that calls littoral.register_{kind} for it first"
            ) from error
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ModelFileError(f"{path} has unusable metadata at {place}: {first['msg']}") from error
    except InputError as error:
        raise ModelFileError(f"{path} has unusable metadata: {error}") from error
    return _assemble(path, described, tensors)


def can_be_slim(config: FusionNetConfig) -> bool:
    """Whether a file of such a model can leave out frozen pretrained weights."""
    return any(branch.given is not None for branch in config.branches.values())


def require_model_place(path: Path) -> None:
    """Raise InputError unless a model file could be written at `path` without destroying a file of another kind."""
    require_writable(path)
    if path.is_file() and path.stat().st_size:
        try:
            ours = _parse(_content(path), str(path))[0].get("format") == FORMAT
        except ModelFileError:
            ours = False
        if not ours:
            raise InputError(f"{path} exists and is no littoral model file: choose another name, or delete it")


def _content(path: Path) -> bytes:
    try:
        there, content = path.is_file(), b""
        if there:
            content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    if not there:
        raise ModelFileError(f"no model file {path}; make one with `littoral fit`")
    return content


def _parse(content: bytes, path: str) -> tuple[dict[str, str], str, dict[str, Tensor]]:
    """Metadata, the text that describes the model, and tensors."""
    try:
        tensors = from_safetensors(content)
        # the format: eight bytes with the header's length, the header in JSON, the tensors' bytes
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(
            f"{path} is not a whole safetensors file (cut short, damaged, or something else); get it anew"
        ) from error
    metadata = header.get("__metadata__", {})
    return metadata, metadata.get("content", ""), tensors


def _assemble(path: str, content: _Content, tensors: dict[str, Tensor]) -> TrainedModel:
    architecture = content.architecture
    for branch, sha256 in content.left_out.items():
        tensors = tensors | _built_anew(path, architecture, branch, sha256)
    names = content.class_names
    if len(set(names)) != architecture.classes or len(names) != architecture.classes:
        raise ModelFileError(
            f"{path} contradicts itself: its class names do not fit its architecture, or two are alike"
        )
    if content.image.shape != architecture.image_shape:
        raise ModelFileError(f"{path} contradicts itself: its image form does not fit its architecture")
    layers = len(architecture.hidden) + 1 + sum(branch.layers for branch in architecture.branches.values())
    if layers > len(tensors):  # before building them: a short text can describe very many
        raise ModelFileError(f"{path} describes {layers} layers or more, but holds {len(tensors)} tensors")
    try:
        model = weightless_model(architecture)
    except InputError as error:
        raise ModelFileError(f"{path} describes a network that cannot be built: {error}") from error
    except (RuntimeError, TypeError, OverflowError) as error:  # torch's ways to say that a size is beyond it
        raise ModelFileError(f"{path} describes a network that cannot be built: its sizes are out of range") from error
    expected = _shapes(model.state_dict())
    if content.calibration is not None:
        expected |= _shapes(
            {
                CALIBRATION + name: tensor
                for name, tensor in calibration_shapes(architecture, content.calibration).items()
            }
        )
    if expected != _shapes(tensors):
        name = sorted(set(expected.items()) ^ set(_shapes(tensors).items()))[0][0]
        raise ModelFileError(
            f"{path} holds tensors that do not fit its architecture: {name} is "
            f"{_shapes(tensors).get(name, 'missing')}, expected {expected.get(name, 'none')}"
        )
    weights = {name: t for name, t in tensors.items() if not name.startswith(CALIBRATION)}
    model.load_state_dict(weights, assign=True)
    if lacks_memory(model):  # constants of a class or network of the user's own, which no file holds
        try:
            model = seeded_model(architecture, 0)
        except InputError as error:
            raise ModelFileError(f"{path} cannot be had without the network that it was made with: {error}") from error
        model.load_state_dict(weights, assign=True)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainedModel(
        model.eval(),
        content.image,
        content.class_names,
        content.recipe,
        content.record,
        content.calibration,
        {name.removeprefix(CALIBRATION): t for name, t in tensors.items() if name.startswith(CALIBRATION)},
    )


def _given(config: FusionNetConfig, branch: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those tensors of a branch that building it gives anew."""
    given = config.branches[branch].given
    if given is None:
        return {}
    return {name: value for name, value in tensors.items() if name.startswith(f"branches.{branch}.{given}")}


def _built_anew(path: str, config: FusionNetConfig, branch: str, sha256: str) -> dict[str, Tensor]:
    """The tensors that a slim file leaves out, from the pretrained weights that are here."""
    if branch not in config.branches or config.branches[branch].given is None:
        raise ModelFileError(f"{path} contradicts itself: it leaves out weights of {branch!r}, which has none")
    try:
        built = config.branches[branch].build(config.places()[branch].sees)
    except InputError as error:
        raise ModelFileError(f"{path} is slim, without the pretrained weights of {branch!r}: {error}") from error
    state = {f"branches.{branch}.{name}": value.contiguous() for name, value in built.state_dict().items()}
    given = _given(config, branch, state)
    if (found := _digest("", given)) != sha256:
        raise ModelFileError(
            f"{path} was made with other pretrained weights of {branch!r} than those here: expected SHA-256 {sha256}, "
            f"found {found}; get these weights, or the file whole"
        )
    return given


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}" for name, tensor in tensors.items()
    }


def _digest(content: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the content's text, then each tensor's name, type, shape and bytes, in the order of their names."""
    digest = hashlib.sha256(content.encode())
    shapes = _shapes(tensors)
    for name in sorted(tensors):
        digest.update(f"\n{name} {shapes[name]}\n".encode())
        digest.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
