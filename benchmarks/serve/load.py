"""A load generator of one thread: clients that each send a request, wait for the answer, and send the next.

    python load.py PORT PATH IMAGE CLIENTS SECONDS RATE   # one JSON object: answers by status, latencies, seconds

RATE: requests a second by all clients together, sent when they are due, late only where no client is free; 0: each
client sends as soon as it can.

Plain sockets under asyncio, so that the generator takes little of the two cores that it shares with the server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import defaultdict
from pathlib import Path


async def main(port: int, path: str, image: bytes, clients: int, seconds: float, rate: float) -> dict[str, object]:
    """Milliseconds of every answer, by status."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    request = head.encode() + image
    took: defaultdict[str, list[float]] = defaultdict(list)
    numbers = itertools.count()
    begin = time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - begin < seconds:
            if rate:
                await asyncio.sleep(begin + next(numbers) / rate - time.perf_counter())
            start = time.perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            size = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(size))
            took[answer[9:12].decode()].append(1000 * (time.perf_counter() - start))
        writer.close()

    done = await asyncio.gather(*(client() for _ in range(clients)), return_exceptions=True)
    errors = [repr(found) for found in done if found is not None]
    return {"seconds": time.perf_counter() - begin, "took": took, "errors": errors}


if __name__ == "__main__":
    port, path, image, clients, seconds, rate = sys.argv[1:]
    content = Path(image).read_bytes()
    print(json.dumps(asyncio.run(main(int(port), path, content, int(clients), float(seconds), float(rate)))))
