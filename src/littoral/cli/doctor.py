"""`littoral doctor`: what is installed, how fast this machine is, and what is missing."""

from __future__ import annotations

from littoral.cli import options
from littoral.cli.output import print_json, print_wrapped, size_in_words
from littoral.cli.settings import set_threads
from littoral.words import count


def doctor(threads: options.Threads = None, json: options.Json = False) -> None:
    """Tell versions, threads and speed of this machine, which extras are there, and how large the cache is.

    Example: littoral doctor --json
    """
    from dataclasses import asdict

    from littoral.doctor import examine

    set_threads(threads)
    found = examine()
    if json:
        print_json(asdict(found))
        return
    rows = [[name, version or "missing: install littoral again"] for name, version in found.versions.items()]
    rows.insert(1, ["Python", f"{found.python}, {found.system}"])
    rows.append(["CPU", f"{count(found.threads, 'thread')} on {count(found.cores, 'core')}"])
    rows.append(["GPU", found.gpu or "none that torch finds; the CPU is enough for the presets"])
    rows.append(["speed", f"{found.matmul_gflops:,.0f} GFLOP/s (float32 matrix product, CPU)"])
    rows.append(["cache", f"{size_in_words(found.cache_bytes)} in {found.cache_folder}"])
    rows += [
        [f"extra {extra.name}", f"missing {', '.join(extra.missing)}: {extra.install}" if extra.missing else "there"]
        for extra in found.extras
    ]
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        print_wrapped(f"{name:<{width}}{value}")
