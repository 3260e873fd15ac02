"""`littoral doctor`, and what it makes of the package's requirements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch

import littoral as lt
from littoral import doctor
from littoral.doctor import Extra, Findings, extras


@pytest.fixture(autouse=True)
def small_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SIDE", 64)


def test_as_json_and_in_words(call: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["torch>=2", 'there-is-no-such>=1; extra == "audit"', 'numpy; extra == "parquet"']
    monkeypatch.setattr(doctor, "requires", lambda _: needs)
    threads = torch.get_num_threads()
    code, out, err = call("doctor", "--json", "--threads", "1")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == [field.name for field in fields(Findings)]
    assert found["threads"] == 1
    assert found["matmul_gflops"] > 0
    assert found["versions"]["numpy"] == np.__version__
    code, out, _ = call("doctor", "--threads", "1")
    torch.set_num_threads(threads)
    assert code == 0
    assert f"torch          {torch.__version__}" in out
    assert re.search(r"^CPU +1 thread on \d+ cores?$", out, re.MULTILINE)
    assert "extra audit    missing there-is-no-such: pip install 'littoral[audit]'" in out
    assert "extra parquet  there" in out


def test_a_package_that_is_missing_is_said(call: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SHOWN", ("littoral", "there-is-no-such"))
    out = call("doctor")[1]
    assert f"littoral          {lt.__version__}" in out
    assert "there-is-no-such  missing: install littoral again" in out


def test_extras_may_take_in_others_of_the_package() -> None:
    found = extras(
        [
            "numpy>=1.26",
            'there-is-no-such-thing>=2.7; extra == "audit"',
            "numpy[mkl]>=1; python_version > '3' and extra == 'fast'",
            'littoral[audit,fast]; extra == "all"',
            'pytest; extra == "dev"',
        ]
    )
    assert found == (
        Extra("all", ("there-is-no-such-thing",), "pip install 'littoral[all]'"),
        Extra("audit", ("there-is-no-such-thing",), "pip install 'littoral[audit]'"),
        Extra("fast", (), "pip install 'littoral[fast]'"),
    )
