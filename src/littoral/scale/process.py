"""What a process of the cluster does before it computes, so that figures are those of this one; and what it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from littoral.differing import differences
from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.memory import keep_freed_memory
from littoral.rows import ImageRows
from littoral.studies.one_run import software
from littoral.training.beforehand import Beforehand


def prepared(identity: Mapping[str, Any], place: torch.device) -> torch.device:
    """Make this process compute as `identity` (of a study, see `one_run.identity`) says; the device to compute on.

    Raises InputError where it has another version, code or kind of machine.
    """
    here = software()
    if other := differences({name: identity[name] for name in here}, here):
        raise InputError(f"a machine of the cluster differs from this one: {'; '.join(other)}; install the same there")
    keep_freed_memory()  # as the command line does for its own process
    if torch.get_num_threads() != identity["threads"]:
        torch.set_num_threads(identity["threads"])  # Ray has its own idea, by OMP_NUM_THREADS
    return torch.device("cuda") if place.type == "cuda" else place  # Ray shows a task its own GPU alone


def in_memory(data: ImageStore) -> ImageStore:
    """The images as one array: a file that they lie in is on this machine alone."""
    return replace(data, images=data.images[:]) if isinstance(data.images, ImageRows) else data


def plain_arrays(features: Beforehand) -> Beforehand:
    """The same as arrays that Ray shares among the tasks of a machine: of mapped ones each would get a copy."""
    taps = [(branch, {name: np.asarray(found) for name, found in those.items()}) for branch, those in features.taps]
    return replace(features, taps=taps)
