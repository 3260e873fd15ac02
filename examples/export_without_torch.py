"""A trained model as one file, and that file run where there is neither torch nor littoral.

Takes some seconds, most of them to prove that the file agrees with the model. Needs `pip install 'littoral[onnx]'`.
"""

# %% A model that knows how sure it is
import subprocess
import sys
from pathlib import Path

from PIL import Image

import littoral as lt
from littoral.deploy.export import export_model
from littoral.model_file import load_model

data = lt.load_mnist()
classifier = lt.FusionClassifier(preset="tiny", calibrate="holdout", max_error=0.05, random_state=0)
classifier.fit(data.images[:3000], data.labels[:3000]).save("digits.safetensors")

# %% One ONNX file, written only if it answers as the model does
test = slice(60_000, 60_300)
done = export_model(
    load_model(Path("digits.safetensors")),
    Path("exported"),
    held_out=data.subset(range(*test.indices(len(data.images)))),
    with_runner=True,
)
apart = done.parity.largest_difference
print(f"agrees on {done.parity.images} images: probabilities differ by {apart:.1g} at most")
for row in done.latency:
    print(f"{row.form:6}{row.batch:3} at once: {row.p50:.3f} ms a call")
for file in done.files:
    print(f"exported/{file.name}: {file.bytes / 1000:,.0f} kB")

# %% What runs on a device: runtime.py and model.onnx, from a folder, by a program that imports nothing else of ours
device = """
import sys
sys.path.insert(0, "exported")
import runtime

model = runtime.load("exported", threads=1)
for answer in model.predict(["digit.png", "upside_down.png"]):
    words = "accepted" if answer.accepted else "not accepted"
    print(f"{answer.label}, probability {answer.confidence:.2f}, novelty {answer.novelty:.1f}: {words}")
assert not {"torch", "littoral"} & set(sys.modules)
"""
digit = Image.fromarray(data.images[60_000, :, :, 0])
digit.save("digit.png")
digit.rotate(180).save("upside_down.png")
print(subprocess.run([sys.executable, "-c", device], check=True, capture_output=True, text=True).stdout)
