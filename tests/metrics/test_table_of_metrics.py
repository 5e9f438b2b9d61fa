"""The table of Ignite's metrics on the documentation page is complete, and each row is true."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import re
import sys
import time
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor, nn

from ignite_signals import metrics as ours
from ignite_signals.engine import Engine
from ignite_signals.metrics import as_metric

ignite = pytest.importorskip("ignite.metrics")
ignite_engine = pytest.importorskip("ignite.engine")
torchmetrics = pytest.importorskip("torchmetrics")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ignites-metrics.md"
SUBPACKAGES = ("regression", "clustering", "fairness", "rec_sys", "nlp", "gan", "vision")


@attrs.frozen
class Row:
    """A row of the table: the name in `ignite.metrics`, and what does the same here."""

    ignite: str
    here: str
    notes: str


ROWS = [
    Row(*cells) for cells in re.findall(r"^\| `([^`|]+)` \| `([^`|]+)` \|(.*) ?\|$", PAGE.read_text(), re.MULTILINE)
]


def found(name: str, package: types.ModuleType) -> Any:
    """Return what a dotted name means in a package, whose parts may be modules that nobody has imported yet."""
    *modules, last = name.split(".")
    module = importlib.import_module(".".join([package.__name__, *modules]))
    return getattr(module, last)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def labels(high: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


# The data: batches of one run, of different lengths.

SIZES = (7, 12, 5)


def batches(one: Callable[[int, int], Any]) -> list[Any]:
    """Return a batch of each size; `one` is called with the size and a seed."""
    return [one(size, seed) for seed, size in enumerate(SIZES)]


MULTICLASS = batches(lambda n, seed: (normal(n, 3, seed=seed), labels(3, n, seed=seed)))
BINARY = batches(lambda n, seed: (labels(2, n, seed=seed + 9), labels(2, n, seed=seed)))
SCORES = batches(lambda n, seed: (uniform(n, seed=seed), labels(2, n, seed=seed)))
MULTILABEL = batches(lambda n, seed: (labels(2, n, 3, seed=seed + 9), labels(2, n, 3, seed=seed)))
FLOATS = batches(lambda n, seed: (normal(n, seed=seed + 9), normal(n, seed=seed)))
POSITIVE = batches(lambda n, seed: (uniform(n, seed=seed + 9) + 0.1, uniform(n, seed=seed) + 0.1))
VECTORS = batches(lambda n, seed: (normal(n, 4, seed=seed + 9), normal(n, 4, seed=seed)))
DISTRIBUTIONS = batches(lambda n, seed: (normal(n, 4, seed=seed + 9), normal(n, 4, seed=seed)))
IMAGES = batches(lambda n, seed: (uniform(n, 3, 16, 16, seed=seed + 9), uniform(n, 3, 16, 16, seed=seed)))
NUMBERS = [3.0, 1.5, 2.25]
CLUSTERS = batches(lambda n, seed: (normal(n, 4, seed=seed), labels(3, n, seed=seed)))
RANKED = batches(lambda n, seed: (normal(n, 6, seed=seed), labels(2, n, 6, seed=seed)))
TOKENS = batches(lambda n, seed: (normal(n, 5, 4, seed=seed).movedim(-1, 1), labels(4, n, 5, seed=seed)))
GROUPED = batches(lambda n, seed: (normal(n, 3, seed=seed), labels(3, n, seed=seed), labels(2, n, seed=seed + 5)))

SENTENCES = [
    (
        ["the cat sat on the mat all day long", "a dog barks at the moon"],
        [
            ["the cat sat on the mat for one day", "there is a cat on the mat all day"],
            ["a dog barks at the full moon", "one dog howls at the full moon"],
        ],
    ),
    (["it rains"], [["it rains cats and dogs", "it pours cats and dogs"]]),
]
WORDS = [
    ([text.split() for text in y_pred], [[text.split() for text in texts] for texts in y]) for y_pred, y in SENTENCES
]


def boxes(n: int, seed: int) -> Tensor:
    corners = uniform(n, 2, seed=seed) * 100
    return torch.cat([corners, corners + uniform(n, 2, seed=seed + 1) * 120 + 5], dim=1)


def image(seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what was detected in an image, near to what is there and elsewhere, and what is there."""
    there, classes = boxes(6, seed), labels(3, 6, seed=seed)
    detected = torch.cat([there[:5] + 4 * normal(5, 4, seed=seed), boxes(2, seed + 50)])
    guessed = torch.cat([classes[:5], labels(3, 2, seed=seed + 50)])
    return (
        {"bbox": detected, "scores": uniform(7, seed=seed), "labels": guessed},
        {"bbox": there, "labels": classes},
    )


DETECTIONS = [tuple(map(list, zip(*(image(seed + k) for k in range(3)), strict=True))) for seed in (0, 10)]
ROWS_OF_BOXES = [[torch.cat([boxes(4, seed), uniform(4, 1, seed=seed), labels(3, 4, 1)], dim=1) for seed in (0, 1)]]


def under_torchmetrics_keys(output: Any) -> Any:
    return tuple(
        [{{"bbox": "boxes"}.get(key, key): value for key, value in d.items()} for d in part] for part in output
    )


def joined_words(output: Any) -> Any:
    y_pred, y = output
    return [" ".join(words) for words in y_pred], [[" ".join(words) for words in texts] for texts in y]


# The recipes: how to make a metric of a row, for Ignite and for here, and what to measure with it.

Make = Callable[[Any, Any], Any]


def plain(cls: Any, package: Any) -> Any:
    return cls()


def called(*args: Any, **kwargs: Any) -> Make:
    return lambda cls, package: cls(*args, **kwargs)


def of_confusion_matrix(function: Any, package: Any) -> Any:
    return function(package.ConfusionMatrix(3))


def in_ignites_engine(row: Row, recipe: Recipe) -> Any:
    """Return the value that Ignite's metric has after a run of Ignite's engine."""
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
    engine = ignite_engine.Engine(lambda engine, batch: batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recipe.make(found(row.ignite, ignite), ignite).attach(engine, "value")
        return engine.run(recipe.data).metrics["value"]


def in_our_engine(row: Row, recipe: Recipe) -> Any:
    """Return the value that the row's counterpart has after a run of an engine of ours."""
    metric = evaluated(row.here) if "(" in row.here else recipe.make(found(row.here, ours), ours)
    engine = Engine(lambda engine, batch: batch)
    as_metric(metric).attach(engine, "value")
    return recipe.value(engine.run([recipe.convert(output) for output in recipe.data]).metrics["value"])


def evaluated(code: str, **names: Any) -> Any:
    """Return the value of code on the page."""
    return eval(code, {"torch": torch, "torchmetrics": torchmetrics, **vars(ours), **names})


def converted_by_ignite(row: Row, recipe: Recipe) -> Any:
    names = {"bbox": "boxes", "confidence": "scores", "class": "labels"}
    y_pred, _ = found(row.ignite, ignite)((recipe.data[0], []))
    return [{names[key]: value for key, value in of_image.items()} for of_image in y_pred]


def converted_here(row: Row, recipe: Recipe) -> Any:
    return evaluated(row.here, y_pred=recipe.data[0])


@attrs.frozen
class Recipe:
    """What to do with a row."""

    data: Sequence[Any]
    # make(what the row names, the package that it is in); torchmetrics' rows are calls already.
    make: Make = plain
    # What Ignite's class takes, as the other one takes it, and the value of the other one, as Ignite writes it.
    convert: Callable[[Any], Any] = lambda output: output
    value: Callable[[Any], Any] = lambda value: value
    rtol: float = 1e-5
    atol: float = 1e-6
    during: Callable[[], AbstractContextManager[Any]] = nullcontext
    # By what each side's value is had.
    ignite: Callable[[Row, Recipe], Any] = in_ignites_engine
    here: Callable[[Row, Recipe], Any] = in_our_engine


def sum_of_outputs(cls: Any, package: Any) -> Any:
    """Return a user's own metric, derived from the base class of either package."""

    class Total(cls):  # type: ignore[misc]  # either base
        required_output_keys = None

        def reset(self) -> None:
            self.total = 0.0

        def update(self, output: float) -> None:
            self.total += output

        def compute(self) -> float:
            return self.total

    return Total()


def largest_error(y_pred: Tensor, y: Tensor) -> float:
    return (y_pred - y).abs().max().item()


def product(p: Any, r: Any) -> Any:
    return p * r


def rouge(*variants: str) -> Callable[[Mapping[str, float]], dict[str, float]]:
    """Return what names the values of torchmetrics' ROUGE as Ignite does."""
    kinds = {"P": "precision", "R": "recall", "F": "fmeasure"}
    return lambda value: {
        f"Rouge-{variant}-{kind}": value[f"rouge{variant}_{name}"]
        for variant in variants
        for kind, name in kinds.items()
    }


COMMON = {
    "AP@50..95": "map",
    "AR-100": "mar_100",
    "AP@50": "map_50",
    "AP@75": "map_75",
    "AP-S": "map_small",
    "AR-S": "mar_small",
    "AP-M": "map_medium",
    "AR-M": "mar_medium",
    "AP-L": "map_large",
    "AR-L": "mar_large",
    "AR-1": "mar_1",
    "AR-10": "mar_10",
}


class standing_in_for_torchvision:  # noqa: N801  # a context manager, like a function
    """Let both peers find the three functions of torchvision that they use for boxes; they are a few lines each."""

    def __enter__(self) -> None:
        import torchmetrics.detection.mean_ap as mean_ap

        self.patch = pytest.MonkeyPatch()
        top, ops, of_boxes = (
            types.ModuleType(name) for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes")
        )
        top.ops, ops.boxes = ops, of_boxes  # type: ignore[attr-defined]
        for module in (ops, of_boxes):
            vars(module).update(box_area=area, _box_inter_union=intersection_and_union, box_convert=converted)
        for module in (top, ops, of_boxes):
            self.patch.setitem(sys.modules, module.__name__, module)
        self.patch.setattr(mean_ap, "_TORCHVISION_AVAILABLE", True)
        # Where torchvision is missing, the package leaves the class out.
        self.patch.setattr(torchmetrics.detection, "MeanAveragePrecision", mean_ap.MeanAveragePrecision, raising=False)

    def __exit__(self, *exception: object) -> None:
        self.patch.undo()


def area(of: Tensor) -> Tensor:
    return (of[:, 2] - of[:, 0]) * (of[:, 3] - of[:, 1])


def intersection_and_union(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    return intersection, area(one)[:, None] + area(other)[None] - intersection


def converted(of: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    if in_fmt == out_fmt:
        return of
    assert (in_fmt, out_fmt) == ("xyxy", "xywh")
    return torch.cat([of[:, :2], of[:, 2:] - of[:, :2]], dim=1)


DETECTION = {
    "ObjectDetectionAvgPrecisionRecall": Recipe(
        DETECTIONS,
        called(num_classes=3, skip_unrolling=True),
        convert=under_torchmetrics_keys,
        value=lambda value: (value["map"], value["mar_100"]),
        during=standing_in_for_torchvision,
    ),
    "CommonObjectDetectionMetrics": Recipe(
        DETECTIONS,
        called(num_classes=3),
        convert=under_torchmetrics_keys,
        value=lambda value: {name: value[key] for name, key in COMMON.items()},
        during=standing_in_for_torchvision,
    ),
}

RECIPES: dict[str, Recipe] = {
    "Metric": Recipe(NUMBERS, sum_of_outputs),
    "MetricGroup": Recipe(FLOATS, lambda cls, m: cls({"mse": m.MeanSquaredError(), "mae": m.MeanAbsoluteError()})),
    "MetricsLambda": Recipe(MULTICLASS, lambda cls, m: cls(product, m.Precision(), m.Recall())),
    "EpochMetric": Recipe(FLOATS, called(largest_error)),
    "Accuracy": Recipe(MULTICLASS),
    "Precision": Recipe(MULTICLASS),
    "Recall": Recipe(BINARY, called(average="weighted")),
    "Fbeta": Recipe(MULTICLASS, called(beta=2.0)),
    "TopKCategoricalAccuracy": Recipe(MULTICLASS, called(k=2)),
    "ConfusionMatrix": Recipe(MULTICLASS, called(3)),
    "confusion_matrix.cmAccuracy": Recipe(MULTICLASS, of_confusion_matrix),
    "confusion_matrix.cmPrecision": Recipe(MULTICLASS, of_confusion_matrix),
    "confusion_matrix.cmRecall": Recipe(MULTICLASS, of_confusion_matrix),
    "IoU": Recipe(MULTICLASS, of_confusion_matrix),
    "mIoU": Recipe(MULTICLASS, of_confusion_matrix),
    "JaccardIndex": Recipe(MULTICLASS, of_confusion_matrix),
    "DiceCoefficient": Recipe(MULTICLASS, of_confusion_matrix),
    "MultiLabelConfusionMatrix": Recipe(MULTILABEL, called(3)),
    "ClassificationReport": Recipe(MULTICLASS, called(output_dict=True)),
    "CohenKappa": Recipe(BINARY, called(weights="linear")),
    "MatthewsCorrCoef": Recipe(BINARY),
    "ROC_AUC": Recipe(SCORES),
    "RocCurve": Recipe(SCORES),
    "AveragePrecision": Recipe(SCORES),
    "PrecisionRecallCurve": Recipe(SCORES),
    "MeanAveragePrecision": Recipe(SCORES),
    "Loss": Recipe(FLOATS, called(nn.functional.mse_loss)),
    "Average": Recipe(NUMBERS),
    "GeometricAverage": Recipe(NUMBERS),
    "VariableAccumulation": Recipe(NUMBERS, called(lambda total, x: total + 2 * x)),
    "RunningAverage": Recipe(NUMBERS, called(alpha=0.9, output_transform=lambda output: output)),
    "MeanAbsoluteError": Recipe(FLOATS),
    "MeanSquaredError": Recipe(FLOATS),
    "RootMeanSquaredError": Recipe(FLOATS),
    "MeanPairwiseDistance": Recipe(VECTORS),
    "CosineSimilarity": Recipe(VECTORS),
    "Entropy": Recipe(MULTICLASS),
    "KLDivergence": Recipe(DISTRIBUTIONS),
    "JSDivergence": Recipe(DISTRIBUTIONS),
    "MutualInformation": Recipe(MULTICLASS),
    "HSIC": Recipe(VECTORS, rtol=1e-4),
    "MaximumMeanDiscrepancy": Recipe(VECTORS),
    "PSNR": Recipe(IMAGES, called(data_range=1.0)),
    "SSIM": Recipe(IMAGES, called(data_range=1.0), rtol=1e-4),
    "FID": Recipe(VECTORS, called(num_features=4, feature_extractor=nn.Identity()), rtol=1e-4),
    "InceptionScore": Recipe([y_pred.softmax(1) for y_pred, _ in VECTORS], called(4, nn.Identity())),
    "HitRate": Recipe(RANKED, called(top_k=[1, 3])),
    "NDCG": Recipe(RANKED, called(top_k=[1, 3])),
    "Perplexity": Recipe(TOKENS),
    "Bleu": Recipe(WORDS, called(ngram=4, average="micro"), convert=joined_words),
    "Rouge": Recipe(WORDS, called(alpha=0.5), convert=joined_words, value=rouge("1", "2", "4", "L")),
    "RougeN": Recipe(WORDS, called(ngram=4, alpha=0.5), convert=joined_words, value=rouge("4")),
    "RougeL": Recipe(WORDS, called(alpha=0.5), convert=joined_words, value=rouge("L")),
    "CharacterErrorRate": Recipe([(y_pred, [texts[0] for texts in y]) for y_pred, y in SENTENCES]),
    "coco_tensor_list_to_dict_list": Recipe(ROWS_OF_BOXES, ignite=converted_by_ignite, here=converted_here),
    "clustering.CalinskiHarabaszScore": Recipe(CLUSTERS),
    "clustering.DaviesBouldinScore": Recipe(CLUSTERS),
    "clustering.SilhouetteScore": Recipe(CLUSTERS),
    "fairness.SubgroupMetric": Recipe(GROUPED, lambda cls, m: cls(m.Accuracy(), groups=[0, 1])),
    "fairness.SubgroupDifference": Recipe(GROUPED, lambda cls, m: cls(m.Accuracy(), groups=[0, 1])),
    "fairness.SubgroupAccuracyDifference": Recipe(GROUPED, called(groups=[0, 1])),
    "fairness.SelectionRate": Recipe(MULTICLASS),
    "fairness.DemographicParityDifference": Recipe(GROUPED, called(groups=[0, 1])),
    # The family takes the same pairs.
    **{
        f"regression.{name}": Recipe(POSITIVE, rtol=1e-4)
        for name, value in vars(ignite.regression).items()
        if inspect.isclass(value)
    },
}
# Below, where both measure at the same time, since the value is a matter of that.
RECIPES["Frequency"] = Recipe([])


@attrs.frozen
class Lack:
    """Why a row is not run where the tests run, and what shows that it cannot be."""

    what: str
    attempt: Callable[[], Any]
    error: type[Exception]


def detecting() -> Any:
    with standing_in_for_torchvision():
        return torchmetrics.detection.MeanAveragePrecision()


NOT_RUN = {"GpuInfo": Lack("an NVIDIA GPU, and pynvml", ignite.GpuInfo, (ModuleNotFoundError, RuntimeError))}
if importlib.util.find_spec("pycocotools") is None:
    lack = Lack("pycocotools, with which torchmetrics computes it", detecting, ModuleNotFoundError)
    NOT_RUN |= dict.fromkeys(DETECTION, lack)
else:
    RECIPES |= DETECTION


def names_of_ignite() -> dict[int, set[str]]:
    """Return the names of each public metric of Ignite; some have two."""
    packages = {"": ignite.__all__} | {
        f"{name}.": list(vars(importlib.import_module(f"ignite.metrics.{name}"))) for name in SUBPACKAGES
    }
    names: dict[int, set[str]] = {}
    for prefix, inside in packages.items():
        for name in inside:
            value = found(f"{prefix}{name}", ignite)
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                names.setdefault(id(value), set()).add(f"{prefix}{name}")
    return names


def close(expected: Any, actual: Any, recipe: Recipe) -> bool:
    """Tell whether two values are of one structure, and their numbers near."""
    if isinstance(expected, Mapping):
        return expected.keys() == actual.keys() and all(close(expected[key], actual[key], recipe) for key in expected)
    if isinstance(expected, list | tuple):
        return len(expected) == len(actual) and all(close(*pair, recipe) for pair in zip(expected, actual, strict=True))
    one, other = (torch.as_tensor(value, dtype=torch.float64) for value in (expected, actual))
    return one.shape == other.shape and torch.allclose(one, other, rtol=recipe.rtol, atol=recipe.atol)


def test_every_metric_of_ignite_has_a_row() -> None:
    """A name that Ignite makes public is found in the table, once."""
    listed = [row.ignite for row in ROWS]
    assert [] == [names for names in names_of_ignite().values() if not names & set(listed)]
    assert sorted(set(listed)) == sorted(listed)


def test_every_row_has_a_recipe() -> None:
    """A row is run, or it is said why it cannot be; and nothing is run that is no row."""
    assert {row.ignite for row in ROWS} == {*RECIPES, *NOT_RUN}
    assert set() == RECIPES.keys() & NOT_RUN.keys()


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.ignite in RECIPES and row.ignite != "Frequency"], ids=lambda row: row.ignite
)
def test_a_row_gives_ignites_value(row: Row) -> None:
    """Ignite's metric and its counterpart have the same value after a run over the same outputs."""
    recipe = RECIPES[row.ignite]
    with recipe.during():
        expected, actual = recipe.ignite(row, recipe), recipe.here(row, recipe)
    assert close(expected, actual, recipe), (expected, actual)


def test_frequency_is_ignites() -> None:
    """Both count the same outputs in the same time."""
    row = next(row for row in ROWS if row.ignite == "Frequency")
    both = [found(row.ignite, ignite)(), found(row.here, ours)()]
    for metric in both:
        metric.reset()
    for output in (100, 50):
        time.sleep(0.05)
        for metric in both:
            metric.update(output)
    expected, actual = (metric.compute() for metric in both)
    assert expected == pytest.approx(actual, rel=0.05)


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_is_not_run_cannot_be(name: str) -> None:
    """A row is left out only where what it needs is not there; its counterpart is a name that there is."""
    row = next(row for row in ROWS if row.ignite == name)
    with pytest.raises(NOT_RUN[name].error):
        NOT_RUN[name].attempt()
    assert "(" in row.here or inspect.isclass(found(row.here, ours))


@pytest.mark.parametrize("row", [row for row in ROWS if "(" not in row.here], ids=lambda row: row.ignite)
def test_the_notes_say_whose_memory_grows(row: Row) -> None:
    """The table says of a metric that it keeps all outputs where its docstring does."""
    first = (inspect.getdoc(found(row.here, ours)) or "").partition("\n\n")[0].lower()
    assert ("memory grows" in first or "keep all" in first) == ("keeps all outputs" in row.notes), first


def code_in(notes: str, start: str) -> str:
    return next(code for code in re.findall(r"`([^`]+)`", notes) if code.startswith(start))


@pytest.mark.parametrize(
    ("settings", "here"),
    [
        ({"average": "micro", "smooth": "smooth2"}, "torchmetrics.text.BLEUScore(n_gram=4, smooth=True)"),
        ({}, None),
    ],
)
def test_other_settings_of_bleu(settings: dict[str, str], here: str | None) -> None:
    """The notes on BLEU are true: of smoothing, and of the average of the sentences' scores."""
    row = next(row for row in ROWS if row.ignite == "Bleu")
    row = attrs.evolve(row, here=here or code_in(row.notes, "Loss("))
    recipe = Recipe(WORDS, called(ngram=4, **settings), convert=joined_words, rtol=1e-4)
    expected, actual = in_ignites_engine(row, recipe), in_our_engine(row, recipe)
    assert close(expected, actual, recipe), (expected, actual)
    assert expected > 0
