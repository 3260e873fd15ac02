"""`littoral evaluate`: figures of a model file on labelled images."""

from __future__ import annotations

from littoral.cli import options
from littoral.cli.data import data_json, read_for_model
from littoral.cli.output import print_json, print_table, say
from littoral.cli.settings import set_threads
from littoral.words import count, interval, percent


def evaluate(
    model: options.Model,
    data: options.Data,
    group: options.Group = None,
    group_from: options.GroupFrom = None,
    allow_outside: options.AllowOutside = False,
    memory: options.Memory = None,
    data_dir: options.DataDir = None,
    strict: options.Strict = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Accuracy with its interval, calibration, errors among the surest answers, each class, what is taken for what.

    On the test part of data that came split, else on all images; never on images that the model was trained on.

    Example: littoral evaluate digits.safetensors mnist
    """
    from dataclasses import asdict

    from littoral.evaluate_model import evaluate_model, unseen_part
    from littoral.model_file import load_model
    from littoral.training.run import choose_device

    place = choose_device(device)
    set_threads(threads)
    trained = load_model(model)
    loaded = read_for_model(data, trained.image, group, group_from, allow_outside, memory, data_dir, strict, quiet)
    unseen = unseen_part(trained, loaded.store)
    if unseen.dropped:
        of_group = "" if loaded.store.groups is None else ", or on one of their group,"
        are = "is" if unseen.dropped == 1 else "are"
        say(f"{data}: {count(unseen.dropped, 'image')} that the model was trained on{of_group} {are} left out")
    trained.model.to(place)
    figures = evaluate_model(trained, unseen.images)
    if json:
        about = {"model": str(model), "data": data, "part": unseen.part, "trained_on": unseen.dropped}
        print_json(about | asdict(figures) | data_json(loaded))
        return
    part = "the test part of " if unseen.part == "test" else ""
    print(
        f"{part}{data}{', less the images trained on' if unseen.dropped else ''}\n"
        f"accuracy {percent(figures.accuracy)} % (95 % interval {interval(figures.ci95)}, n = {figures.n:,})\n"
        f"balanced accuracy {percent(figures.balanced_accuracy)} %, macro F1 {percent(figures.macro_f1)} %, "
        f"calibration error {percent(figures.ece)} %"
    )
    if figures.accepted is not None:
        kept = figures.accepted
        print(
            f"accepted: {percent(kept.coverage)} % of the images, {percent(kept.accuracy)} % of these right "
            f"(95 % interval {interval(kept.ci95)}, {kept.wrong:,} wrong of {kept.n:,})"
        )
    print()
    print_table(
        ["surest %", "images", "confidence from", "wrong", "accuracy %", "95 % interval"],
        [
            [
                f"{100 * row.coverage:g}",
                f"{row.n:,}",
                f"{row.confidence:.4f}",
                f"{row.wrong:,}",
                percent(row.accuracy),
                interval(row.ci95),
            ]
            for row in figures.coverage
        ],
    )
    print()
    print_table(
        ["class", "images", "precision %", "recall %", "F1 %", "most often taken for"],
        [
            [
                figure.name,
                str(figure.support),
                percent(figure.precision),
                percent(figure.recall),
                percent(figure.f1),
                _taken_for(figures.confusion[index], index, trained.class_names),
            ]
            for index, figure in enumerate(figures.per_class)
        ],
    )


def _taken_for(row: list[int], own: int, names: tuple[str, ...]) -> str:
    times, other = max((times, -index) for index, times in enumerate(row) if index != own)
    return f"{names[-other]} ({times})" if times else ""
