"""What a run measures: attach a metric to an engine, find its value in `engine.state.metrics`."""

from __future__ import annotations

from ignite_signals.metrics import clustering, fairness, rec_sys, regression
from ignite_signals.metrics.accumulation import VariableAccumulation
from ignite_signals.metrics.accuracy import Accuracy
from ignite_signals.metrics.adapter import TorchMetricsAdapter, as_metric
from ignite_signals.metrics.average import Average
from ignite_signals.metrics.average_precision import AveragePrecision
from ignite_signals.metrics.classification_report import ClassificationReport
from ignite_signals.metrics.cohen_kappa import CohenKappa
from ignite_signals.metrics.confusion_matrix import (
    ConfusionMatrix,
    DiceCoefficient,
    IoU,
    JaccardIndex,
    cmAccuracy,
    cmPrecision,
    cmRecall,
    mIoU,
)
from ignite_signals.metrics.cosine_similarity import CosineSimilarity
from ignite_signals.metrics.entropy import Entropy
from ignite_signals.metrics.epoch_metric import EpochMetric
from ignite_signals.metrics.fbeta import Fbeta
from ignite_signals.metrics.frequency import Frequency
from ignite_signals.metrics.gan import FID, InceptionScore
from ignite_signals.metrics.geometric_average import GeometricAverage
from ignite_signals.metrics.gpu_info import GpuInfo
from ignite_signals.metrics.hsic import HSIC
from ignite_signals.metrics.js_divergence import JSDivergence
from ignite_signals.metrics.kl_divergence import KLDivergence
from ignite_signals.metrics.loss import Loss
from ignite_signals.metrics.matthews_corrcoef import MatthewsCorrCoef
from ignite_signals.metrics.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from ignite_signals.metrics.mean_absolute_error import MeanAbsoluteError
from ignite_signals.metrics.mean_average_precision import MeanAveragePrecision
from ignite_signals.metrics.mean_pairwise_distance import MeanPairwiseDistance
from ignite_signals.metrics.mean_squared_error import MeanSquaredError
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.metric_group import MetricGroup
from ignite_signals.metrics.metrics_lambda import MetricsLambda
from ignite_signals.metrics.multilabel_confusion_matrix import MultiLabelConfusionMatrix
from ignite_signals.metrics.mutual_information import MutualInformation
from ignite_signals.metrics.nlp import Perplexity
from ignite_signals.metrics.precision import Precision
from ignite_signals.metrics.precision_recall_curve import PrecisionRecallCurve
from ignite_signals.metrics.psnr import PSNR
from ignite_signals.metrics.rec_sys import NDCG, HitRate
from ignite_signals.metrics.recall import Recall
from ignite_signals.metrics.roc_auc import ROC_AUC, RocCurve
from ignite_signals.metrics.root_mean_squared_error import RootMeanSquaredError
from ignite_signals.metrics.running_average import RunningAverage
from ignite_signals.metrics.ssim import SSIM
from ignite_signals.metrics.top_k_categorical_accuracy import TopKCategoricalAccuracy
from ignite_signals.metrics.usage import (
    BatchFiltered,
    BatchWise,
    EpochWise,
    MetricUsage,
    RunningBatchWise,
    RunningEpochWise,
    SingleEpochRunningBatchWise,
)

__all__ = [
    "FID",
    "HSIC",
    "NDCG",
    "PSNR",
    "ROC_AUC",
    "SSIM",
    "Accuracy",
    "Average",
    "AveragePrecision",
    "BatchFiltered",
    "BatchWise",
    "ClassificationReport",
    "CohenKappa",
    "ConfusionMatrix",
    "CosineSimilarity",
    "DiceCoefficient",
    "Entropy",
    "EpochMetric",
    "EpochWise",
    "Fbeta",
    "Frequency",
    "GeometricAverage",
    "GpuInfo",
    "HitRate",
    "InceptionScore",
    "IoU",
    "JSDivergence",
    "JaccardIndex",
    "KLDivergence",
    "Loss",
    "MatthewsCorrCoef",
    "MaximumMeanDiscrepancy",
    "MeanAbsoluteError",
    "MeanAveragePrecision",
    "MeanPairwiseDistance",
    "MeanSquaredError",
    "Metric",
    "MetricGroup",
    "MetricUsage",
    "MetricsLambda",
    "MultiLabelConfusionMatrix",
    "MutualInformation",
    "Perplexity",
    "Precision",
    "PrecisionRecallCurve",
    "Recall",
    "RocCurve",
    "RootMeanSquaredError",
    "RunningAverage",
    "RunningBatchWise",
    "RunningEpochWise",
    "SingleEpochRunningBatchWise",
    "TopKCategoricalAccuracy",
    "TorchMetricsAdapter",
    "VariableAccumulation",
    "as_metric",
    "clustering",
    "cmAccuracy",
    "cmPrecision",
    "cmRecall",
    "fairness",
    "mIoU",
    "rec_sys",
    "regression",
]
