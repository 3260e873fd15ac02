"""A calibrated network -> two files, of which most images need the first alone: where to cut it, and when to exit.

Each place between branches is tried. The exit's opinion is fitted on images that the model was trained on, its
threshold set on images held out of the training, and of the cuts whose bound holds the quickest on those is taken. The
test part has no say in it. Leaves to others: the graphs (halves.py) and running them (runtime.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.special import log_softmax

from littoral.deploy.halves import half_files
from littoral.deploy.measure import BATCHES, mean_times
from littoral.deploy.parity import MOST_APART, MOST_NOVELTY_APART, Parity, TestImage, alike, fitted, require_agreement
from littoral.deploy.runtime import DEEP_FILE, SHALLOW_FILE, Model, SplitModel, start
from littoral.errors import ExportError, InputError
from littoral.evaluation.calibration import best_temperature
from littoral.evaluation.exits import ExitBound, exit_bound
from littoral.evaluation.paired import paired_difference
from littoral.held_out import Parted
from littoral.images.store import ImageStore
from littoral.nn.calibrated import CalibratedNet, Novelty
from littoral.nn.early import ExitRule, FirstHalf, SecondHalf, cuts, exit_sizes, exit_vector
from littoral.nn.inference import predict_answers
from littoral.nn.inputs import to_input
from littoral.rows import ImageRows, in_chunks
from littoral.specs import ImageSpec
from littoral.training.exit_head import fit_exit_head
from littoral.training.measures import MOST_IMAGES, MOST_NUMBERS, fit_novelty
from littoral.training.run import TrainedModel

ORDINARY = 0.995
"""Share of ordinary images that are not too novel to exit."""

TIMED = 200
"""Held-out images that the clock is set on, as large a share of them exits as of all."""

MARGIN_APART = 1e-3
"""Within so much of the threshold an exit may be decided either way."""

CHUNK = 250


@dataclass(frozen=True)
class Cut:
    """A cut after the branches `before`, what bounds its exits, and the mean milliseconds an image, one at a time.

    `ms` is None where no threshold could be had.
    """

    before: tuple[str, ...]
    bound: ExitBound
    ms: float | None


@dataclass(frozen=True)
class SplitTime:
    """Mean milliseconds an image where so many come at once, whole and split, one thread each, by turns."""

    batch: int
    whole: float
    split: float


@dataclass(frozen=True)
class SplitAccuracy:
    """On images that had no say: accuracies, split less whole with its interval, and the share that exits."""

    n: int
    whole: float
    split: float
    difference: float
    ci95: tuple[float, float]
    exits: float


@dataclass(frozen=True)
class Split:
    """What the split came to. `kept`: whether both files were written; `worth_it`: whether they are quicker here.

    `reason` says why or why not. `cuts`: all that were tried; `chosen`: the branches before the one taken.
    """

    kept: bool
    worth_it: bool
    reason: str
    max_drop: float
    cuts: tuple[Cut, ...]
    chosen: tuple[str, ...] | None = None
    times: tuple[SplitTime, ...] = ()
    parity: Parity | None = None
    accuracy: SplitAccuracy | None = None


@dataclass(frozen=True)
class _Half:
    """A first half with its bound, and which held-out images exit."""

    first: FirstHalf
    bound: ExitBound
    exits: NDArray[np.bool_]


def split_model(
    trained: TrainedModel,
    network: CalibratedNet,
    whole: Model,
    parted: Parted,
    max_drop: float,
    images: Sequence[TestImage],
    test: ImageStore | None,
) -> tuple[Split, dict[str, bytes]]:
    """The split of a model, and the contents of its files by name; none where no threshold could be had.

    `network`: the model on the CPU; `whole`: the file of it, on one thread. `max_drop`: the share of images that exits
    may harm. `images`: those that both halves have to agree on. `test`: labelled images for the accuracy alone.

    Raises ExportError where the halves do not answer as the model does; InputError for a model with nothing to cut.
    """
    if not 0 < max_drop < 1:
        raise InputError(f"the largest drop is a share between 0 and 1, such as 0.0005, got {max_drop}")
    halves = _halves(trained, network, parted, max_drop)
    built: dict[tuple[str, ...], tuple[SplitModel, list[bytes]]] = {}
    for half in halves:
        if half.bound.least_margin is not None:
            before = tuple(half.first.before)
            found: dict[str, object] = {"before": before, "max_drop": max_drop, **asdict(half.bound)}
            contents = half_files(trained, half.first, SecondHalf(network, before), found)
            shallow, deep = (
                start(content, name, 1) for content, name in zip(contents, (SHALLOW_FILE, DEEP_FILE), strict=True)
            )
            metadata = dict(shallow.get_modelmeta().custom_metadata_map)
            built[before] = SplitModel(shallow, deep, metadata), contents
    samples = {tuple(half.first.before): _sample(parted.held, half.exits) for half in halves}
    runs = {" ".join(before): (model.run, samples[before]) for before, (model, _) in built.items()}
    times_of = {row.form: row.ms for row in mean_times(runs, 1)} if runs else {}
    quick = {before: times_of[" ".join(before)] for before in built}
    tried = tuple(Cut(tuple(half.first.before), half.bound, quick.get(tuple(half.first.before))) for half in halves)
    if not built:
        return Split(False, False, _nothing(tried, max_drop), max_drop, tried), {}
    chosen = min(quick, key=lambda before: quick[before])
    model, contents = built[chosen]
    half = next(half for half in halves if tuple(half.first.before) == chosen)
    parity = require_split_parity(model, half.first, network, trained.image, images)
    times = []
    for batch in BATCHES:
        forms = {"whole": (whole.run, samples[chosen]), "split": (model.run, samples[chosen])}
        found_times = {row.form: row.ms for row in mean_times(forms, batch)}
        times.append(SplitTime(batch, found_times["whole"], found_times["split"]))
    slower = [f"{row.batch} at once" for row in times if row.split >= row.whole]
    reason = f"not worth it: no quicker than the whole model, {' and '.join(slower)}" if slower else "quicker"
    accuracy = None if test is None or len(test) < 2 else _accuracy(whole, model, test)
    split = Split(True, not slower, reason, max_drop, tried, chosen, tuple(times), parity, accuracy)
    return split, dict(zip((SHALLOW_FILE, DEEP_FILE), contents, strict=True))


def require_split_parity(
    model: SplitModel, first: FirstHalf, network: CalibratedNet, spec: ImageSpec, images: Sequence[TestImage]
) -> Parity:
    """How well two files agree with their model, image by image; raises ExportError where they do not.

    Without exits they have to answer as the whole model does, see `require_parity`. With exits, the images that go on
    have the same answers, and the others those of the first half; who exits may differ within 0.001 of the threshold.
    """
    parity = require_agreement(lambda pixels: model.run(pixels, may_exit=False), network, spec, images)
    for batch in alike(images):
        pixels = np.stack([image.pixels for image in batch])
        ready = torch.from_numpy(np.stack([fitted(image.pixels, spec) for image in batch]))
        with torch.inference_mode():
            early = first(to_input(ready, spec))
            expected = network(to_input(ready, spec)).probabilities.numpy()
        found = model.run(pixels)
        left = found["exit"]
        expected[left] = early.probabilities.numpy()[left]
        near = np.abs(early.margin.numpy() - first.rule.least_margin) < MARGIN_APART
        if early.novelty is not None and first.rule.most_novelty is not None:
            novelty = early.novelty.numpy()
            near |= np.abs(novelty - first.rule.most_novelty) < MOST_NOVELTY_APART * np.maximum(novelty, 1)
        apart = np.abs(found["probabilities"] - expected).max(1)
        wrong = (apart > MOST_APART) | ((left != early.exit.numpy()) & ~near)
        if wrong.any():
            raise ExportError(
                f"the split files disagree with the model on {batch[int(wrong.argmax())].name}: probabilities differ "
                f"by {apart.max():.2g}, expected {MOST_APART:g} at most and the same exits; nothing was written"
            )
    return parity


def _halves(trained: TrainedModel, network: CalibratedNet, parted: Parted, max_drop: float) -> list[_Half]:
    """A first half for each cut, its opinion fitted and its threshold set."""
    config = network.network.config
    places = cuts(config)
    if not places:
        raise InputError("a model is split between branches, and this one has but one")
    seed = int(trained.record.get("seed", 0))
    rng = np.random.default_rng(seed)
    most = max(1, MOST_NUMBERS // max(sum(exit_sizes(config, before)) for before in places))
    some = np.sort(rng.permutation(len(parted.trained))[:most])
    known = parted.trained.subset(some)
    right = predict_answers(network, parted.held.images, trained.image).probabilities.argmax(1) == parted.held.labels
    few = rng.permutation(len(known))[:MOST_IMAGES]
    calibration = trained.calibration
    assert calibration is not None  # else there were no images held out
    found = []
    for before in places:
        sizes = exit_sizes(config, before)
        vectors = _vectors(network, known.images, trained.image, before)
        of_held = _vectors(network, parted.held.images, trained.image, before)
        head = fit_exit_head(vectors, known.labels, config.classes, seed)
        with torch.no_grad():
            logits = head(torch.from_numpy(of_held)).numpy().astype(np.float64)
            temperature = best_temperature(log_softmax(logits, axis=1), parted.held.labels)
            head.out.weight.div_(temperature)
            head.out.bias.div_(temperature)
        measures = fit_novelty(vectors[few], known.labels[few], sizes, config.classes, seed)
        novelty = Novelty(sum(sizes), config.classes, len(measures["directions"]))
        novelty.load_state_dict(
            {name: torch.tensor(np.asarray(value), dtype=torch.float32) for name, value in measures.items()}
        )
        half = FirstHalf(network.network, before, head, novelty, ExitRule(0.0, None, calibration.least_confidence))
        found.append(_judged(half.eval(), of_held, parted.held.labels, right, max_drop, len(places)))
    return found


def _judged(
    half: FirstHalf,
    vectors: Float32[np.ndarray, "n size"],
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    max_drop: float,
    tries: int,
) -> _Half:
    """The thresholds that these held-out images give."""
    given = torch.from_numpy(vectors)
    with torch.inference_mode():
        assert half.novelty is not None
        novelty = half.novelty(given).numpy()
        most = float(np.quantile(novelty, ORDINARY, method="higher"))
        early = half.judged(given)
    usual = novelty <= most
    margin = early.margin.numpy()
    bound = exit_bound(margin, usual, early.probabilities.numpy().argmax(1) == labels, right, max_drop, tries)
    if bound.least_margin is None:
        return _Half(half, bound, np.zeros(len(labels), bool))
    half.rule = replace(half.rule, least_margin=bound.least_margin, most_novelty=most)
    return _Half(half, bound, usual & (margin >= bound.least_margin))


def _vectors(
    network: CalibratedNet, images: NDArray[np.uint8] | ImageRows, spec: ImageSpec, before: tuple[str, ...]
) -> Float32[np.ndarray, "n size"]:
    """What an exit after these branches judges by."""
    parts = []
    with torch.inference_mode():
        for _, rows in in_chunks(images, CHUNK):
            features, onward = network.network.features_from(to_input(torch.tensor(rows), spec), before)
            parts.append(exit_vector(list(features.values()), onward))
    return torch.cat(parts).numpy()


def _sample(held: ImageStore, exits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Images for the clock: as large a share of them exits as of all, and both kinds are mixed."""
    count = min(TIMED, len(exits))
    leaving = round(count * float(exits.mean()))
    rng = np.random.default_rng(0)
    kinds = [(np.flatnonzero(exits), leaving), (np.flatnonzero(~exits), count - leaving)]
    rows = np.concatenate([rng.permutation(of_kind)[:wanted] for of_kind, wanted in kinds])
    return np.asarray(held.images[np.sort(rows)])


def _nothing(tried: tuple[Cut, ...], max_drop: float) -> str:
    needed = [cut.bound.needed for cut in tried if cut.bound.needed is not None]
    if needed:
        return (
            f"no threshold: {tried[0].bound.images:,} images were held out, and a drop of at most {100 * max_drop:g} "
            f"points takes {max(needed):,}, none of them harmed"
        )
    return f"no threshold keeps the drop within {100 * max_drop:g} points"


def _accuracy(whole: Model, split: SplitModel, test: ImageStore) -> SplitAccuracy:
    right: dict[str, list[NDArray[np.bool_]]] = {"whole": [], "split": []}
    left = []
    for begin, rows in in_chunks(test.images, CHUNK):
        labels = test.labels[begin : begin + len(rows)]
        outputs = split.run(rows)
        left.append(outputs["exit"])
        right["split"].append(outputs["label"] == labels)
        right["whole"].append(whole.run(rows)["label"] == labels)
    both = {form: np.concatenate(parts)[None] for form, parts in right.items()}
    found = paired_difference("split", "whole", both["split"], both["whole"])
    return SplitAccuracy(
        found.images,
        float(both["whole"].mean()),
        float(both["split"].mean()),
        found.difference,
        found.ci95,
        float(np.concatenate(left).mean()),
    )
