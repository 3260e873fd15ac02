"""A store that speaks as much of S3 as reading needs, in this process: objects are listed, asked for and read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

LIST = """<?xml version="1.0"?><ListBucketResult><KeyCount>{}</KeyCount><IsTruncated>false</IsTruncated>{}
</ListBucketResult>"""
OBJECT = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        key = unquote(address.path).lstrip("/").partition("/")[2]
        asked = parse_qs(address.query)
        if "list-type" in asked:
            found = {name: body for name, body in self.objects.items() if name.startswith(asked["prefix"][0])}
            listed = "".join(OBJECT.format(escape(name), len(body)) for name, body in sorted(found.items()))
            self._reply(200, LIST.format(len(found), listed).encode())
        elif key and key not in self.objects:
            self._reply(404)
        elif "Range" in self.headers:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            self._reply(206, self.objects[key][first : last + 1])
        else:
            self._reply(200, self.objects.get(key, b""))

    do_HEAD = do_GET  # noqa: N815

    def _reply(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def object_store(objects: dict[str, bytes]) -> Iterator[dict[str, str]]:
    """What the environment has to hold to reach a store with these objects, in whatever bucket."""
    handler = type("Handler", (_Handler,), {"objects": objects})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        server.shutdown()
