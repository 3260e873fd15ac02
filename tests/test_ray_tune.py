"""A search on a Ray cluster, whose machines are processes here: the same candidates, whichever worker is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from littoral.images.store import ImageStore
from littoral.scale.cluster import connected
from littoral.scale.tune import on_ray
from littoral.studies.tune import tune
from littoral.studies.tune_jobs import Folds, Job, Outcome, work
from littoral.studies.tune_result import Tuning

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_in_six_steps")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One machine with two CPUs, to which this process is connected."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    with connected(made.address):
        yield made
    made.shutdown()


def timeless(found: Tuning) -> dict[str, Any]:
    document = found.to_json()
    for candidate in document["candidates"]:
        del candidate["seconds"], candidate["price"]
    return {name: document[name] for name in ("candidates", "chosen", "test")}


def test_a_search_goes_on_here_and_there_as_if_it_had_not_been_cut_off(
    cluster: Cluster, few_images: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.scale.tune.room_for", lambda needs: 1)  # so the order is that of one process
    settings: dict[str, Any] = {"preset": "tiny", "folds": 2}
    unbroken = tune(few_images, **settings, candidates=3)
    tune(few_images, **settings, candidates=1, out=tmp_path)
    there = tune(few_images, **settings, candidates=2, out=tmp_path, workers=on_ray(cluster.address))
    here = tune(few_images, **settings, candidates=3, out=tmp_path)
    assert here.candidates[: len(there.candidates)] == there.candidates
    assert timeless(here) == timeless(unbroken)


def test_a_worker_that_is_killed_costs_a_job_and_one_that_always_is_a_candidate(
    cluster: Cluster,
    few_images: ImageStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """While two are at work at once."""
    marker, begun = tmp_path / "killed", list[int]()

    def dying(folds: Folds, job: Job) -> Outcome:
        assert folds.data.split is not None
        assert (folds.data.split == "train").all()  # the test part is not sent at all
        with contextlib.suppress(FileExistsError):
            if job.number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            if job.number > 0 and job.held == 0:
                marker.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return work(folds, job)

    monkeypatch.setattr("littoral.scale.tasks.RETRIES", 1)
    runner = on_ray(cluster.address, begun.append, dying)
    candidates = tune(few_images, "tiny", candidates=3, folds=2, workers=runner).candidates
    assert begun == [2]
    assert marker.exists()
    assert candidates[2].fate == "refused"
    assert candidates[2].reason.startswith("the cluster lost a task 2 times, and gives up: ")
    assert sum(bool(one.folds) for one in candidates) == 3
    assert not [one for one in candidates if one.fate == "stopped" and not one.reason.startswith("others did better")]
    assert capfd.readouterr().out == ""  # where --json prints a document
