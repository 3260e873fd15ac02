"""Where a model's size and time go: by layer, by part, and in each form that it was exported to.

Time is from pixels to answers. Leaves to others: printing (cli/profile.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from littoral.deploy.export import INT8_FILE
from littoral.deploy.measure import BATCHES, Latency, measured
from littoral.deploy.parity import torch_outputs
from littoral.deploy.peak import peak_memory
from littoral.deploy.runtime import DEEP_FILE, MODEL_FILE, SHALLOW_FILE, Model, RuntimeFileError, load, load_split
from littoral.doctor import matmul_rate
from littoral.errors import InputError
from littoral.model_file import model_digest
from littoral.nn.calibrated import CalibratedNet
from littoral.nn.cost import model_cost
from littoral.nn.inputs import to_input
from littoral.training.run import TrainedModel, calibrated

REPEATS = 30
"""Forward passes that the times of parts are medians of, after two that are not counted."""


@dataclass(frozen=True)
class Layer:
    """A convolution or dense layer: parameters, and multiply-accumulates of one image."""

    name: str
    kind: str
    params: int
    macs: int


@dataclass(frozen=True)
class Part:
    """A branch, a head or another part in torch: median milliseconds for one image, and its share of the whole pass."""

    name: str
    ms: float
    share: float


@dataclass(frozen=True)
class Form:
    """How the model runs in one form. `bytes` of its files; None for torch, whose model file holds more than it needs.

    `memory`: see `peak_memory`; of a split model that of both halves, None for torch and the first half alone.
    `latency`: for 1 and 32 images; `of_peak`: the share of this machine's matrix-multiply rate that the whole model's
    multiply-accumulates come to at 32 images, None of a first half, which does not do all of them.
    """

    form: str
    bytes: int | None
    memory: int | None
    latency: tuple[Latency, ...]
    of_peak: float | None


@dataclass(frozen=True)
class Profile:
    """`weights_bytes`: of all tensors; `maps_bytes`: of what all layers of one pass give for one image.

    `matmul_gflops`: this machine's rate with so many `threads`, see `littoral doctor`.
    """

    params: int
    macs: int
    weights_bytes: int
    maps_bytes: int
    layers: tuple[Layer, ...]
    parts: tuple[Part, ...]
    forms: tuple[Form, ...]
    threads: int
    matmul_gflops: float


def profile_model(trained: TrainedModel, exported: Path | None = None, threads: int | None = None) -> Profile:
    """Look at a model, and with `exported`, a folder that `export_model` wrote, at the files there side by side.

    Images are random, so a split model is shown twice: where every image exits, and where none does. Raises InputError
    for a folder of another model, without any, or with a file that is damaged or lacks its other half.
    """
    network = calibrated(trained).to("cpu")
    spec = trained.image
    count = threads or torch.get_num_threads()
    pixels = np.random.default_rng(0).integers(
        0, 256, (max(BATCHES), spec.height, spec.width, spec.channels), dtype=np.uint8
    )
    forms: dict[str, Callable[[NDArray[np.uint8]], object]] = {
        "torch": lambda images: torch_outputs(network, images, spec)
    }
    sizes: dict[str, int] = {}
    if exported is not None:
        try:
            forms |= _exported_forms(trained, exported, count, sizes)
        except RuntimeFileError as error:
            raise InputError(str(error)) from error
    rate = matmul_rate()
    cost = model_cost(network.network)
    latency = measured(forms, pixels)
    x = to_input(torch.from_numpy(pixels[:1]), spec)
    layers, maps = _layers(network, x)
    return Profile(
        params=cost.params,
        macs=cost.macs,
        weights_bytes=sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()),
        maps_bytes=maps,
        layers=tuple(layers),
        parts=tuple(_parts(network, x)),
        forms=tuple(
            _form(form, sizes.get(form), _memory(form, exported, count), latency, cost.macs, rate) for form in forms
        ),
        threads=count,
        matmul_gflops=round(rate, 1),
    )


EXITING, PASSING = "split, all exit", "split, none exits"


def _memory(form: str, folder: Path | None, threads: int) -> int | None:
    if folder is None or form in ("torch", EXITING):
        return None
    return peak_memory(folder / {"onnx": MODEL_FILE, "int8": INT8_FILE, PASSING: ""}[form], threads)


def _form(form: str, size: int | None, memory: int | None, latency: list[Latency], macs: int, rate: float) -> Form:
    own = tuple(row for row in latency if row.form == form)
    most = max(own, key=lambda row: row.batch)
    share = 2 * macs * most.batch / (most.p50 / 1000) / 1e9 / rate
    return Form(form, size, memory, own, None if form == EXITING else share)


def _exported_forms(
    trained: TrainedModel, folder: Path, threads: int, sizes: dict[str, int]
) -> dict[str, Callable[[NDArray[np.uint8]], object]]:
    """What runs each form in a folder; their sizes go into `sizes`."""
    source = model_digest(trained)

    def of_this(model: Model) -> Model:
        if model.metadata["source_sha256"] != source:
            raise InputError(f"{folder} was exported from another model: export this one, or name its folder")
        return model

    forms: dict[str, Callable[[NDArray[np.uint8]], object]] = {}
    for form, name in (("onnx", MODEL_FILE), ("int8", INT8_FILE)):
        if (folder / name).is_file():
            forms[form] = of_this(load(folder / name, threads)).run
            sizes[form] = (folder / name).stat().st_size
    if (folder / SHALLOW_FILE).is_file():
        split = load_split(folder, threads)
        of_this(split)
        forms |= {EXITING: split.first, PASSING: lambda images: split.run(images, may_exit=False)}
        sizes[EXITING] = (folder / SHALLOW_FILE).stat().st_size
        sizes[PASSING] = sizes[EXITING] + (folder / DEEP_FILE).stat().st_size
    if not forms:
        raise InputError(f"{folder} has no exported model: make one with `littoral export MODEL --out {folder}`")
    return forms


def _layers(network: CalibratedNet, x: Tensor) -> tuple[list[Layer], int]:
    """The layers in the order in which they are called, and the bytes of what all modules at the ends give."""
    found: list[Layer] = []
    maps = 0
    names = {module: name for name, module in network.network.named_modules()}

    def seen(module: nn.Module, given: object, out: object) -> None:
        nonlocal maps
        tensors = out.values() if isinstance(out, dict) else [out]
        maps += sum(value.numel() * value.element_size() for value in tensors if isinstance(value, Tensor))
        if isinstance(module, nn.Conv2d | nn.Linear) and isinstance(out, Tensor):
            places = out[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
            params = sum(parameter.numel() for parameter in module.parameters())
            found.append(Layer(names[module], type(module).__name__, params, module.weight.numel() * places))

    ends = [module for module in network.network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(seen) for module in ends]
    try:
        with torch.inference_mode():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found, maps


def _parts(network: CalibratedNet, x: Tensor) -> list[Part]:
    """Times of the parts of a pass, and what is left of it: normalisations, votes and the like."""
    inner = network.network
    watched: dict[str, nn.Module] = {f"branch {name}": branch for name, branch in inner.branches.items()}
    watched |= {name: part for name, part in (("fusion", inner.fusion), ("head", inner.head)) if part is not None}
    watched |= {f"head of {name}": head for name, head in inner.heads.items()}
    watched |= {"novelty" if name == "novelty" else f"read-out {name}": fit for name, fit in network.fitted.items()}
    starts: dict[str, float] = {}
    times: dict[str, list[float]] = {name: [] for name in watched}
    hooks = []
    for name, module in watched.items():
        hooks.append(module.register_forward_pre_hook(_starter(name, starts)))
        hooks.append(module.register_forward_hook(_stopper(name, starts, times)))
    whole = []
    try:
        with torch.inference_mode():
            for _ in range(REPEATS + 2):
                begin = time.perf_counter()
                network(x)
                whole.append(time.perf_counter() - begin)
    finally:
        for hook in hooks:
            hook.remove()
    total = float(np.median(whole[2:]))
    medians = {name: float(np.median(seconds[2:])) for name, seconds in times.items()}
    medians["the rest"] = max(0.0, total - sum(medians.values()))
    return [Part(name, 1000 * seconds, seconds / total) for name, seconds in medians.items()]


def _starter(name: str, starts: dict[str, float]) -> Callable[[nn.Module, tuple[object, ...]], None]:
    def start(module: nn.Module, given: tuple[object, ...]) -> None:
        starts[name] = time.perf_counter()

    return start


def _stopper(
    name: str, starts: dict[str, float], times: dict[str, list[float]]
) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def stop(module: nn.Module, given: tuple[object, ...], out: object) -> None:
        times[name].append(time.perf_counter() - starts[name])

    return stop
