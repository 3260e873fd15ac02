"""Does any of 5,000 uploads that mean harm bring the server down, or make it grow?

    python benchmarks/serve/fuzz.py EXPORTED   # some minutes; prints what came of them

Cut, changed and empty images, bombs, wrong types, broken JSON and multipart, heads of up to 200 kB.
"""

from __future__ import annotations

import http.client
import io
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

UPLOADS, VALID = 5000, 500

KINDS = ("image/png", "image/jpeg", "image/webp", "application/octet-stream", "application/json", "text/html", "")
MULTIPART = "multipart/form-data; boundary=b"


def main(exported: Path) -> None:
    """Valid requests first, for the memory; then harm; then a valid one again."""
    command = [sys.executable, "-m", "littoral", "serve", str(exported), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = int(server.stderr.readline().split(":")[-1].rstrip("/\n"))
        threading.Thread(target=server.stderr.read, daemon=True).start()  # the log, which nobody needs
        seeds = random.Random(0)
        good, bombs = _images(), [_bomb(side) for side in (4_000, 6_000, 15_000)]
        for number in range(VALID):
            assert _sent(port, good[number % len(good)], "image/png", {}) == 200
        before = _memory(server.pid)
        found = Counter(_sent(port, *_harm(seeds, good, bombs)) for _ in range(UPLOADS))
        after = _memory(server.pid)
        assert _sent(port, good[0], "image/png", {}) == 200
    finally:
        server.terminate()
        server.wait()
    print(
        json.dumps(
            {
                "by_status": {str(status): count for status, count in sorted(found.items())},
                "faults": sum(count for status, count in found.items() if status >= 500),
                "memory_after_over_before": round(after / before, 3),
            }
        )
    )


def _images() -> list[bytes]:
    """Small and large images of several formats."""
    found = []
    for side, kind in (
        (28, "PNG"),
        (40, "GIF"),
        (300, "JPEG"),
        (500, "WEBP"),
        (64, "BMP"),
        (900, "PNG"),
        (200, "TIFF"),
    ):
        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
        written = io.BytesIO()
        Image.fromarray(noise).save(written, kind)
        found.append(written.getvalue())
    return found


def _bomb(side: int) -> bytes:
    """A small file that unpacks to side × side pixels."""
    written = io.BytesIO()
    Image.new("1", (side, side)).save(written, "PNG")
    return written.getvalue()


def _harm(seeds: random.Random, good: list[bytes], bombs: list[bytes]) -> tuple[bytes, str, dict[str, str]]:
    content = bytearray(seeds.choice(good))
    kind = seeds.choice(KINDS)
    match seeds.randrange(8):
        case 0:
            content = content[: seeds.randrange(len(content))]
        case 1:
            content = bytearray(seeds.choice(bombs))
        case 2:
            content = bytearray(seeds.randbytes(seeds.randrange(3000)))
        case 3:
            part = b'--b\r\nContent-Disposition: form-data; name="i"; filename="x"\r\n\r\n' + bytes(content) + b"\r\n"
            content, kind = bytearray(part * seeds.randrange(1, 4) + b"--b--\r\n"), MULTIPART
        case 4:
            content, kind = (
                bytearray(json.dumps({"images": [seeds.choice(["", "AAAA", "%", "x" * 5000])] * 70}).encode()),
                KINDS[4],
            )
        case 5:
            return bytes(content), kind, {"X-Long": "x" * seeds.choice((1000, 60_000, 200_000))}
        case _:
            pass
    for _ in range(seeds.randrange(8) if content else 0):
        content[seeds.randrange(len(content))] = seeds.randrange(256)
    return bytes(content), kind, {}


def _sent(port: int, content: bytes, kind: str, more: dict[str, str]) -> int:
    """Status of the answer; 400 where the server closed the connection over a head that is too long."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/predict", content, ({"Content-Type": kind} if kind else {}) | more)
        response = connection.getresponse()
        response.read()
        return response.status
    except ConnectionError:
        assert more
        return 400
    finally:
        connection.close()


def _memory(process: int) -> int:
    """Resident kilobytes."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmRSS:")[1].split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
