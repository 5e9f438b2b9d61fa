"""The benchmark of the metrics measures everybody with the same data; no test here looks at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ignite_signals.metrics
from ignite_signals.metrics import Metric
from support.cases import CASES

PROGRAM = Path(__file__).with_name("metrics.py")
# What is made of other metrics costs what these cost; `Frequency` has no tensors, `GpuInfo` no update.
WITHOUT_BARE = {"Metric", "MetricGroup", "MetricsLambda", "TorchMetricsAdapter", "Frequency", "GpuInfo"}


def test_it_prints_and_writes_the_ratios(tmp_path):
    """For each size there is a row with the ratios to the bare operations and to both peers."""
    arguments = ["--only", "MeanSquaredError", "--rounds", "1", "--seconds", "0.001", "--json", tmp_path / "m.json"]
    ended = subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=True)
    results = json.loads((tmp_path / "m.json").read_text())
    assert {"machine", "rounds", "64", "8192"} == set(results)
    for size in ("64", "8192"):
        result = results[size]["MeanSquaredError"]
        assert {"this", "bare", "ignite", "torchmetrics"} == set(result.pop("microseconds"))
        assert {"this / bare", "ignite / this", "torchmetrics / this"} == set(result)
        assert all(ratio > 0 for ratio in result.values())
    assert 2 == ended.stdout.count("\nMeanSquaredError ")


def test_every_metric_is_measured():
    """Each native metric has a case that knows its bare operations."""
    measured = {type(case.make()).__name__ for case in CASES if case.bare is not None}
    public = {name: getattr(ignite_signals.metrics, name) for name in ignite_signals.metrics.__all__}
    metrics = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, Metric)}
    assert set() == metrics - measured - WITHOUT_BARE
