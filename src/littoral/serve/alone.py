"""An exported model as a static folder: the server's page, where the browser itself runs the model (onnxruntime-web).

Page and words are the server's own files; what answers, `page/engine.js`, is another file. Any host will do: nothing
is computed there, and images stay in the browser.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

from littoral.deploy.exported import PAGE_FILE
from littoral.deploy.runtime import MODEL_FILE
from littoral.errors import InputError
from littoral.files import write_atomically
from littoral.serve.about import model_about
from littoral.serve.served import load_served
from littoral.serve.settings import Limits

ORT_FILES = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",  # a name that every host knows for a script
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
"""Of onnxruntime-web's build, what a page needs that runs models by wasm alone; and its names in the folder."""

ABOUT = ("version", "class_names", "image", "test", "licence")
"""What the page is told of the model, of all that a server tells."""


def require_ort(place: Path) -> None:
    """Raise InputError, which says what to do, unless onnxruntime-web's build is in the folder `place`."""
    missing = [name for name in ORT_FILES if not (place / name).is_file()]
    if missing:
        raise InputError(
            f"{place} has no {' and no '.join(missing)}: call `npm ci --prefix web` where littoral's source is, or "
            "`npm install onnxruntime-web` anywhere, and name node_modules/onnxruntime-web/dist by --ort-dist"
        )


def takes_model(folder: Path) -> bool:
    """Whether the page in `folder` runs the model.onnx that lies there: it takes the one whose SHA-256 it was told."""
    try:
        told = json.loads((folder / PAGE_FILE).read_bytes())["sha256"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(told == _sha256((folder / MODEL_FILE).read_bytes()))


def write_page(folder: Path, ort: Path) -> dict[str, int]:
    """Lay page and runtime beside the model in `folder`, which was exported to; gives names and bytes of the files.

    `ort`: the folder with onnxruntime-web's build. Raises InputError where either is missing, or a file cannot be
    written.
    """
    require_ort(ort)
    told = model_about(load_served(folder, 1), Limits())
    about = {name: told[name] for name in ABOUT} | {"sha256": _sha256((folder / MODEL_FILE).read_bytes())}
    own = Path(str(files("littoral.serve")))
    contents = {PAGE_FILE: json.dumps(about, ensure_ascii=False).encode()}
    for path in (*sorted((own / "page").iterdir()), *sorted((own / "page_alone").iterdir())):
        contents["index.html" if path.name == "index.html" else f"page/{path.name}"] = path.read_bytes()
    contents |= {f"ort/{there}": (ort / name).read_bytes() for name, there in ORT_FILES.items()}
    for name in ("page", "ort"):
        (folder / name).mkdir(exist_ok=True)
    for name, written in contents.items():
        write_atomically(folder / name, written)
    return {name: len(written) for name, written in contents.items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
