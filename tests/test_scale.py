"""Studies on a Ray cluster of several machines, which here are processes: the same figures, whatever is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from littoral.errors import InputError, TrainingError
from littoral.images.store import ImageStore
from littoral.rows import ImageRows
from littoral.scale.cluster import connected
from littoral.scale.studies import on_ray
from littoral.scale.tasks import Needs, require_room
from littoral.studies.compare import compare
from littoral.studies.comparison import Comparison
from littoral.studies.curve import curve
from littoral.studies.latency import Latency
from littoral.studies.one_run import Done, Study, Task, one_run
from littoral.studies.results import ResultsFolder
from littoral.training.beforehand import Beforehand
from littoral.training.loop import Observer

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""A lost machine is noticed within seconds, not within half a minute."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and another machine, with one CPU each; this process is connected to the head."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    store = 80 * 2**20
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": store,
            "include_dashboard": False,
            "_system_config": SETTINGS,
        },
    )
    made.add_node(num_cpus=1, object_store_memory=store)
    with connected(made.address):
        yield made
    made.shutdown()


@pytest.fixture(scope="module")
def few_images(small: ImageStore) -> ImageStore:
    return small.subset(np.concatenate([np.arange(100), np.arange(640, 700)]))


def timeless(result: Comparison) -> dict[str, Any]:
    document = result.to_json()
    for arm in document["arms"]:
        del arm["latency"]
        for run in arm["runs"]:
            del run["seconds"]
    return document


def tried(data: ImageStore, **settings: Any) -> Comparison:
    return compare(data, preset="tiny", arms=["shallow", "deep"], steps=3, **settings)


def test_a_cluster_gives_the_same_figures_and_goes_on_from_either(
    cluster: Cluster, few_images: ImageStore, tmp_path: Path
) -> None:
    begun: list[int] = []
    there = tried(few_images, seeds=2, out=tmp_path, runner=on_ray(cluster.address, begun.append))
    assert there.complete
    assert timeless(there) == timeless(tried(few_images, seeds=2))
    more = tried(few_images, seeds=3, out=tmp_path, runner=on_ray(cluster.address, begun.append))
    assert begun == [4, 2]  # two are new
    assert timeless(more) == timeless(tried(few_images, seeds=3, out=tmp_path))


def test_images_in_a_file_get_to_other_machines(cluster: Cluster, few_images: ImageStore, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", few_images.images)
    rows = ImageRows(np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(len(few_images)))
    there = tried(replace(few_images, images=rows), seeds=1, runner=on_ray(cluster.address))
    assert timeless(there) == timeless(tried(few_images, seeds=1))


def test_features_are_computed_once_and_runs_are_those_of_this_process_to_the_bit(
    cluster: Cluster, few_images: ImageStore, tmp_path: Path
) -> None:
    def given(
        study: Study, task: Task, observer: Observer, latency: Latency | None, features: Beforehand | None
    ) -> Done:
        assert features is not None
        assert not any(array.flags.writeable for _, taps in features.taps for array in taps.values())  # all share one
        return one_run(study, task, observer, latency, features)

    told: list[tuple[int, int]] = []
    runner = on_ray(cluster.address, on_features=lambda done, total: told.append((done, total)), do=given)
    there, here = tmp_path / "there", tmp_path / "here"
    settings: dict[str, Any] = {"preset": "probe", "arms": ["fused", "only-hog"], "seeds": 2}
    compare(few_images, **settings, out=there, runner=runner)
    assert told[-1][0] == told[-1][1] > 0
    compare(few_images, **settings, out=here)
    for run in ResultsFolder(here).finished():
        one, other = (ResultsFolder(place).read(*run).probabilities for place in (there, here))
        assert one.tobytes() == other.tobytes()


def test_curve_gets_models_back(cluster: Cluster, few_images: ImageStore, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "preset": "tiny",
        "arms": ["shallow", "deep"],
        "budgets": [2, 4],
        "seeds": 1,
        "steps": 2,
    }
    there = curve(few_images, **settings, out=tmp_path, runner=on_ray(cluster.address))
    here = curve(few_images, **settings)
    assert there.label_next == here.label_next
    assert len(list(tmp_path.glob("runs/*/*.safetensors"))) == 4


def test_what_goes_wrong_there_is_said_here(cluster: Cluster, few_images: ImageStore) -> None:
    def broken(
        study: Study, task: Task, observer: Observer, latency: Latency | None, features: Beforehand | None
    ) -> Done:
        raise TrainingError("the loss is no longer finite")

    def older(
        study: Study, task: Task, observer: Observer, latency: Latency | None, features: Beforehand | None
    ) -> Done:
        raise AssertionError("not reached")

    with pytest.raises(TrainingError, match=r"^the loss is no longer finite$"):
        tried(few_images, runner=on_ray(cluster.address, do=broken))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("littoral.studies.one_run._code", lambda: "f" * 64)
        with pytest.raises(
            InputError, match=r"cluster differs from this one: the code of littoral was ffffffffffff…, is"
        ):
            tried(few_images, runner=on_ray(cluster.address, do=older))
    with pytest.MonkeyPatch.context() as patch:  # the one with the address alone, which computes nothing
        patch.setattr("littoral.scale.tasks._machines", lambda: [{"memory": 1e9}])
        with pytest.raises(InputError, match=r"no machine left for a training: start one and give the same command"):
            require_room(Needs(1))
    torch.set_num_threads(2)
    try:
        with pytest.raises(InputError, match=r"each training takes 2 CPUs, and no machine .+ has 1 CPUs\): give --thr"):
            tried(few_images, runner=on_ray(cluster.address))
    finally:
        torch.set_num_threads(1)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file may have been opened in this very moment
def test_ctrl_c_keeps_what_is_finished(
    cluster: Cluster, call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    def interrupt() -> None:
        while not list((tmp_path / "runs").glob("*.npz")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    command = ["compare", "mnist", "--preset", "tiny", "--arms", "shallow", "--labels-per-class", "5", "--steps", "9"]
    watching = threading.Thread(target=interrupt, daemon=True)
    watching.start()
    code, _, err = call(*command, "--seeds", "200", "--ray", cluster.address, "--threads", "1", "--out", tmp_path)
    watching.join()
    finished = len(list((tmp_path / "runs").glob("*.npz")))
    assert code == 130, err
    assert 0 < finished < 200
    kept = f"{finished} finished run{'s' if finished > 1 else ''}"
    assert err.splitlines()[-1] == (
        f"littoral: interrupted; {tmp_path} holds {kept}: the same command goes on from there"
    )
    assert f"200 runs on the Ray cluster {cluster.address}" in err


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("command", ["compare", "tune"])
def test_an_address_that_does_not_answer_is_told_at_once(
    call: Callable[..., tuple[int, str, str]], command: str, silent: bool
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if silent:
            server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        code, out, err = call(command, "mnist", "--ray", address)
    assert (code, out) == (2, "")
    assert err == (
        f"littoral: no Ray cluster answers at {address}: start one there with `ray start --head`, or use --ray local\n"
    )
    assert time.monotonic() - start < 10


def test_ray_is_asked_for_where_it_is_missing(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call("curve", "mnist", "--ray", "ray://host:10001")
    assert (code, err) == (
        2,
        "littoral: --ray expects local, or HOST:PORT of the head of a cluster, got 'ray://host:10001'\n",
    )
    monkeypatch.setattr("littoral.scale.cluster.find_spec", lambda name: None)
    code, _, err = call("curve", "mnist", "--ray", "local")
    assert (code, err) == (2, "littoral: --ray needs Ray, which is not installed; pip install 'littoral[ray]'\n")


def test_a_machine_that_is_lost_costs_what_ran_there_and_nothing_else(
    cluster: Cluster, few_images: ImageStore, tmp_path: Path
) -> None:
    """The last of the file: the cluster is smaller afterwards."""
    log = tmp_path / "log"
    log.touch()

    def noted(
        study: Study, task: Task, observer: Observer, latency: Latency | None, features: Beforehand | None
    ) -> Done:
        import ray

        def note(what: str) -> None:
            with log.open("a") as lines:
                lines.write(json.dumps([what, task.name, task.seed, ray.get_runtime_context().get_node_id()]) + "\n")

        note("start")
        time.sleep(0.5)
        done = one_run(study, task, observer, latency, features)
        note("end")
        return done

    victim = cluster.worker_nodes.copy().pop()
    at_kill: list[list[Any]] = []

    def kill(result: Comparison) -> None:
        while not at_kill:
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            there = [what for what, _, _, node in lines if node == victim.node_id]
            if there and there[-1] == "start":
                cluster.remove_node(victim, allow_graceful=False)  # SIGKILL, which takes a moment
                at_kill.extend(json.loads(line) for line in log.read_text().splitlines())

    result = tried(few_images, seeds=5, out=tmp_path / "out", on_run=kill, runner=on_ray(cluster.address, do=noted))
    assert result.complete
    assert timeless(result) == timeless(tried(few_images, seeds=5))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    starts = [(arm, seed) for what, arm, seed, _ in lines if what == "start"]
    ended = {(arm, seed) for what, arm, seed, _ in at_kill if what == "end"}
    running = {(arm, seed) for _, arm, seed, node in at_kill if node == victim.node_id} - ended
    assert {task for task in starts if starts.count(task) > 1} == running
    assert len(starts) == 10 + len(running)
