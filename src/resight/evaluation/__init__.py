"""Evaluation: mAP, CMC, mINP, ROC and significance, from features or distances.

    report = evaluate_distances(D, q_pids, g_pids, q_camids, g_camids)
    print(report)  # mAP, R1, R5, R10, mINP and the conditions they hold under

The other scores take an `EvaluationInput`: distances and labels.
"""

from resight.evaluation.breakdown import CameraPairs, PersonScore, by_person, camera_pairs
from resight.evaluation.calibration.calibration import Calibration, Operating
from resight.evaluation.calibration.fit import calibrate
from resight.evaluation.calibration.pairs import Pairs, labeled_pairs
from resight.evaluation.evaluate import EvaluationInput, evaluate_distances, evaluate_features, evaluate_input
from resight.evaluation.labels import Labels
from resight.evaluation.multi_query import pool_queries
from resight.evaluation.nearest_neighbors import nearest
from resight.evaluation.open_set import OpenSet, open_set
from resight.evaluation.protocol import Protocol
from resight.evaluation.ranked_lists import RankedItem, RankedList, ranked_lists
from resight.evaluation.report import Counts, Report
from resight.evaluation.rerank_grid_search import sweep_reranking
from resight.evaluation.reranking.k_reciprocal import Reranked, Reranking, rerank
from resight.evaluation.reranking.query_expansion import expand
from resight.evaluation.roc import Roc, error_rates, roc
from resight.evaluation.significance import Comparison, Interval, compare, compare_changes, confidence
from resight.evaluation.single_shot import SingleShot, all_shots, single_shot
from resight.evaluation.submission import read_submission, write_submission

__all__ = [
    "Calibration",
    "CameraPairs",
    "Comparison",
    "Counts",
    "EvaluationInput",
    "Interval",
    "Labels",
    "OpenSet",
    "Operating",
    "Pairs",
    "PersonScore",
    "Protocol",
    "RankedItem",
    "RankedList",
    "Report",
    "Reranked",
    "Reranking",
    "Roc",
    "SingleShot",
    "all_shots",
    "by_person",
    "calibrate",
    "camera_pairs",
    "compare",
    "compare_changes",
    "confidence",
    "error_rates",
    "evaluate_distances",
    "evaluate_features",
    "evaluate_input",
    "expand",
    "labeled_pairs",
    "nearest",
    "open_set",
    "pool_queries",
    "ranked_lists",
    "read_submission",
    "rerank",
    "roc",
    "single_shot",
    "sweep_reranking",
    "write_submission",
]
