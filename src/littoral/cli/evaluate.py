"""`littoral evaluate`: figures of a model file on labelled images."""

from __future__ import annotations

from littoral.cli import options
from littoral.cli.output import interval, percent, print_json, print_table
from littoral.cli.settings import set_threads


def evaluate(
    model: options.Model,
    data: options.Data,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Accuracy with its interval, calibration, each class, and what is taken for what, on the data's test part.

    Example: littoral evaluate digits.safetensors mnist
    """
    from dataclasses import asdict

    from littoral.evaluate_model import evaluate_model
    from littoral.images.builtin import load_named
    from littoral.images.splits import train_test
    from littoral.model_file import load_model
    from littoral.training.run import choose_device

    place = choose_device(device)
    set_threads(threads)
    trained = load_model(model)
    _, part = train_test(load_named(data), seed=0)
    trained.model.to(place)
    figures = evaluate_model(trained, part)
    if json:
        print_json({"model": str(model), "data": data, "part": "test"} | asdict(figures))
        return
    print(
        f"accuracy {percent(figures.accuracy)} % (95 % interval {interval(figures.ci95)}, n = {figures.n:,})\n"
        f"balanced accuracy {percent(figures.balanced_accuracy)} %, macro F1 {percent(figures.macro_f1)} %, "
        f"calibration error {percent(figures.ece)} %\n"
    )
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
    count, other = max((count, -index) for index, count in enumerate(row) if index != own)
    return f"{names[-other]} ({count})" if count else ""
