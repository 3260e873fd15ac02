"""How fast do exported models answer many images, beside Keras's `predict` of the published network?

    python benchmarks/export/run.py KERAS_PYTHON   # nine runs each, by turns: five minutes
    python benchmarks/export/run.py page           # writes README.md from the rows

KERAS_PYTHON is the interpreter of an environment of its own with tensorflow-cpu. What is timed is one call over MNIST's
10,000 test images, from arrays in memory, after one call to warm up; each run in a process of its own. How well
the networks were trained changes nothing, so that they hardly are: Keras has its first weights, ours 100 steps.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from records import append_row, machine, read_rows, shared_folder, source_hash, write_page

ROWS = HERE / "rows.csv"
RUNS, IMAGES = 9, 10_000
CODE = source_hash(
    "nn", *(f"deploy/{name}.py" for name in ("folded", "int8", "network", "preprocessing", "runtime", "trimmed"))
)
PRESETS = ("article", "swift")
OURS = {"article": "article/model.onnx", "article, 8 bits": "article/model-int8.onnx", "swift": "swift/model.onnx"}
"""Files that `littoral export --int8` writes: that in 8 bits only where it is faster, which it is not everywhere."""
WANTED = {"article": 1.5, "swift": 8.0}


def main(keras_python: str) -> None:
    """Runs by turns; one row a run. What this code has been measured at stays."""
    done = len([row for row in read_rows(ROWS) if row["code"] == CODE and row["what"] == list(OURS)[-1]])
    shared = shared_folder()
    ask = "import keras, tensorflow; print(f'keras {keras.__version__}, tensorflow {tensorflow.__version__}')"
    keras = subprocess.check_output([keras_python, "-c", ask], text=True, stderr=subprocess.DEVNULL).strip()
    with tempfile.TemporaryDirectory() as place:
        for preset in PRESETS:
            model, out = f"{place}/{preset}.safetensors", f"{place}/{preset}"
            littoral = [sys.executable, "-m", "littoral"]
            short = ["--preset", preset, "--steps", "100", "--calibrate", "none", "--quiet", "--out", model]
            subprocess.check_call([*littoral, "fit", "mnist", *short], stdout=subprocess.DEVNULL)
            export = ["export", model, "mnist", "--int8", "--int8-max-drop", "0.1", "--out", out, "--quiet"]
            subprocess.check_call([*littoral, *export], stdout=subprocess.DEVNULL)
        control = [str(shared / "controls/article_keras.py"), str(shared / "data/mnist"), "--epochs", "0"]
        commands = {"keras": [keras_python, *control]}
        files = {what: f"{place}/{file}" for what, file in OURS.items() if Path(place, file).exists()}
        commands |= {what: [sys.executable, __file__, "one", file] for what, file in files.items()}
        for run in range(done, RUNS):
            for what, command in commands.items():
                said = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).splitlines()[-1]
                row = {"code": CODE, "date": date.today().isoformat(), "what": what, "run": str(run)}
                row["images_per_second"] = str(json.loads(said)["predict_images_per_second"])
                append_row(ROWS, row | machine() | ({"framework": keras} if what == "keras" else {}))
                print(row, flush=True)


def one(file: str) -> None:
    """One run of an exported model, as the control prints its own."""
    import littoral.deploy
    from littoral.images.builtin import load_mnist

    images = load_mnist().images[60_000:]
    model = littoral.deploy.load(file)

    model.run(images)
    start = time.perf_counter()
    model.run(images)
    print(json.dumps({"predict_images_per_second": round(IMAGES / (time.perf_counter() - start))}))


def page() -> None:
    """README.md here from page.md and the rows."""
    rows = [row for row in read_rows(ROWS) if row["code"] == CODE]
    if not rows:
        sys.exit("this code was not measured yet: run it with KERAS_PYTHON first")
    rates = {what: [int(row["images_per_second"]) for row in rows if row["what"] == what] for what in ("keras", *OURS)}
    table = ["| | images a second, median (range) | times Keras | asked for |", "|---" * 4 + "|"]
    for what, found in rates.items():
        if not found:
            table.append(f"| {what} | not written: not faster here | | |")
            continue
        ratio = median(found) / median(rates["keras"])
        wanted = f"≥ {WANTED[what]:g}" if what in WANTED else ""
        table.append(f"| {what} | {median(found):,.0f} ({min(found):,} to {max(found):,}) | {ratio:.2f} | {wanted} |")
    write_page(HERE, {"table": "\n".join(table), "runs": str(len(rates["keras"]))}, rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["page"]:
            page()
        case ["one", file]:
            one(file)
        case [keras_python]:
            main(keras_python)
        case _:
            sys.exit(__doc__)
