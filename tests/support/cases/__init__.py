"""The cases of all native metrics, family by family."""

from support.cases import averages, classification, confusion, curves, distributions, images, regression, squared_error
from support.metric_cases import MetricCase

CASES: list[MetricCase] = [
    *averages.CASES,
    *classification.CASES,
    *confusion.CASES,
    *curves.CASES,
    *distributions.CASES,
    *images.CASES,
    *regression.CASES,
    *squared_error.CASES,
]
