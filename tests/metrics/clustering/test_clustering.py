"""The measures of a clustering are what scikit-learn says."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.clustering import CalinskiHarabaszScore, DaviesBouldinScore, SilhouetteScore
from ignite_signals.metrics.clustering import silhouette_score as silhouette
from support.scored import computed, halves

NAMES = {
    CalinskiHarabaszScore: "calinski_harabasz_score",
    DaviesBouldinScore: "davies_bouldin_score",
    SilhouetteScore: "silhouette_score",
}
METRICS = ["euclidean", "l2", "sqeuclidean", "cityblock", "l1", "manhattan", "chebyshev", "cosine", "minkowski"]
each = pytest.mark.parametrize("metric", NAMES)


@st.composite
def clustered(draw):
    """Draw features of any type, some of them equal, and labels of any values; one cluster or more."""
    n, columns = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    values = draw(st.lists(st.integers(0, 7), min_size=n * columns, max_size=n * columns))
    labels = draw(st.lists(st.sampled_from([-3, 0, 5, 40]), min_size=n, max_size=n))
    dtype = draw(
        st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8])
    )
    kind = draw(st.sampled_from([torch.int64, torch.int32, torch.float32]))
    return torch.tensor(values).reshape(n, columns).to(dtype), torch.tensor(labels).to(kind)


def expected(metric, features, labels, /, **kwargs):
    """Return scikit-learn's value, or NaN where it has none."""
    if not 1 < len(labels.unique()) < len(labels):
        return math.nan
    return getattr(sklearn, NAMES[metric])(features.double().numpy(), labels.numpy(), **kwargs)


@each
@given(clustered())
@settings(max_examples=40, deadline=None)
def test_the_value_is_that_of_scikit_learn(metric, batch):
    """For any types, labels and sizes of clusters; NaN where there are fewer than 2 or as many as samples."""
    actual = computed(metric(), *halves(*batch))
    assert isinstance(actual, float)
    # Where centroids coincide up to rounding, scikit-learn's distances are not exact.
    assert expected(metric, *batch) == pytest.approx(actual, rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
@given(clustered())
@settings(max_examples=15, deadline=None)
def test_silhouettes_take_the_distances_of_scikit_learn(name, batch):
    """Each by the same name."""
    features, labels = batch[0].double() + 1, batch[1]
    metric = SilhouetteScore(silhouette_kwargs={"metric": name})
    value, actual = expected(SilhouetteScore, features, labels, metric=name), computed(metric, (features, labels))
    directions = torch.nn.functional.normalize(features)
    if name == "cosine" and (1 - directions @ directions.T < 1e-9).sum() > len(features):
        # Directions that coincide up to rounding have values of rounding.
        assert math.isnan(actual) or -1 <= actual <= 1
    else:
        assert value == pytest.approx(actual, rel=1e-6, abs=1e-6, nan_ok=True)


def test_silhouettes_take_the_p_of_minkowski():
    """Its distance is scikit-learn's with that p."""
    features, labels = torch.rand(9, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 3)
    metric = SilhouetteScore(silhouette_kwargs={"metric": "minkowski", "p": 3})
    value = expected(SilhouetteScore, features, labels, metric="minkowski", p=3)
    assert value == pytest.approx(computed(metric, (features, labels)), rel=1e-6)


def test_silhouettes_are_computed_in_parts(monkeypatch):
    """The distances of many samples are never all held at a time, and the value is the same."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.rand(50, 3, generator=generator), torch.randint(0, 4, (50,), generator=generator)
    value = computed(SilhouetteScore(), batch)
    monkeypatch.setattr(silhouette, "_ENTRIES_AT_ONCE", 7 * 50)
    assert value == pytest.approx(computed(SilhouetteScore(), batch), rel=1e-12)


def test_silhouettes_of_a_sample_of_the_samples():
    """sample_size draws so many, the same ones for one random_state; all of them if there are fewer."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.rand(60, 3, generator=generator), torch.randint(0, 4, (60,), generator=generator)

    def of_some(**kwargs):
        return computed(SilhouetteScore(silhouette_kwargs=kwargs), batch)

    assert of_some(sample_size=30) == of_some(sample_size=30, random_state=0)
    assert of_some(sample_size=30) != of_some(sample_size=30, random_state=1)
    assert of_some() == pytest.approx(of_some(sample_size=100))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"metric": "braycurtis"}, "metric in silhouette_kwargs must be one of chebyshev, .* got 'braycurtis'"),
        (
            {"jobs": 2},
            r"silhouette_kwargs takes metric, p, sample_size, random_state for SilhouetteScore, got \['jobs'\]",
        ),
        ({"p": 3}, "p in silhouette_kwargs must be a positive number for metric='minkowski', got 3"),
        ({"metric": "minkowski", "p": -1}, "got -1"),
        ({"sample_size": 0}, "sample_size in silhouette_kwargs must be a positive integer or None, got 0"),
    ],
)
def test_settings_of_silhouettes_are_checked(kwargs, message):
    """The error names the key and what it takes."""
    with pytest.raises(ValueError, match=message):
        SilhouetteScore(silhouette_kwargs=kwargs)


@each
def test_far_from_0_no_digits_are_lost(metric):
    """A shift of all samples changes nothing."""
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.rand(30, 3, generator=generator, dtype=torch.float64), torch.arange(30) % 3
    value = computed(metric(), (features, labels))
    assert value == pytest.approx(computed(metric(), (features + 1e6, labels)), rel=1e-6)


def test_clusters_without_dispersion_have_the_value_1():
    """As in scikit-learn; the offsets of equal samples from their mean are exactly 0."""
    features = torch.tensor([0.1] * 7 + [0.7] * 11).double().unsqueeze(1)
    labels = torch.tensor([0] * 7 + [1] * 11)
    assert 1.0 == computed(CalinskiHarabaszScore(), (features, labels))
    assert 0.0 == computed(DaviesBouldinScore(), (features, labels))
    assert 1.0 == computed(SilhouetteScore(), (features, labels))


@each
@pytest.mark.parametrize("labels", [[1, 1, 1], [1, 2, 3]], ids=["one cluster", "a cluster each"])
def test_where_it_is_not_defined_the_value_is_nan(metric, labels):
    """There must be at least 2 clusters, and fewer than samples."""
    assert math.isnan(computed(metric(), (torch.rand(3, 2), torch.tensor(labels))))


@each
@pytest.mark.parametrize(
    ("features", "labels", "error", "message"),
    [
        (torch.rand(3), torch.zeros(3), ValueError, r"got \(3,\) and \(3,\)"),
        (torch.rand(3, 2), torch.zeros(3, 1), ValueError, r"got \(3, 2\) and \(3, 1\)"),
        (torch.rand(3, 2), torch.zeros(2), ValueError, r"got \(3, 2\) and \(2,\)"),
        (torch.rand(3, 2).cfloat(), torch.zeros(3), TypeError, "must be real"),
        ([[0.5]], torch.zeros(1), TypeError, "must be tensors"),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_told_at_once(metric, features, labels, error, message):
    """update refuses them, and names the metric."""
    with pytest.raises(error, match=message) as caught:
        metric().update((features, labels))
    assert f"for {metric.__name__}" in str(caught.value)


@each
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_are_told_by_compute(metric, value):
    """update does not look at values."""
    measure = metric()
    measure.update((torch.tensor([[value], [0.0], [1.0]]), torch.tensor([0, 0, 1])))
    with pytest.raises(ValueError, match=f"features must be finite for {metric.__name__}"):
        measure.compute()


@each
def test_a_window_without_a_sample_has_no_value(metric):
    """The error names the metric."""
    with pytest.raises(NotComputableError, match=f"{metric.__name__} has seen no sample"):
        metric().compute()


@each
def test_outputs_may_be_mappings(metric):
    """Their keys are features and labels; the value is PyTorch-Ignite's."""
    clustering = pytest.importorskip("ignite.metrics.clustering")
    engines = pytest.importorskip("ignite.engine")
    generator = torch.Generator().manual_seed(0)
    data = [{"features": torch.rand(n, 2, generator=generator), "labels": torch.arange(n) % 3} for n in (5, 4)]
    values = []
    for engine, make in (
        (engines.Engine, partial(getattr(clustering, metric.__name__), check_compute_fn=False)),
        (Engine, metric),
    ):
        evaluator = engine(lambda engine, batch: batch)
        make().attach(evaluator, "value")
        values.append(evaluator.run(data).metrics["value"])
    assert values[0] == pytest.approx(values[1])
