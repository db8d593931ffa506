"""The verdict: arrays in, numbers out.  Usable alone, on anybody's features or distances.

    report = evaluate_distances(D, q_pids, g_pids, q_cams, g_cams)
    print(report)  # mAP, R1, R5, R10, mINP and the conditions they hold under

Everything beyond the two evaluate functions starts from a `Case`: distances from anywhere, and who is who.
"""

from resight.evaluation.all_shots import all_shots
from resight.evaluation.calibration import Calibration, Operating
from resight.evaluation.case import Case
from resight.evaluation.changes import compare_changes
from resight.evaluation.cuhk03_classic import SingleShot, single_shot
from resight.evaluation.expansion import expand
from resight.evaluation.fitting import calibrate
from resight.evaluation.identification import OpenSet, open_set
from resight.evaluation.multi_query import pool_queries
from resight.evaluation.neighbours import nearest
from resight.evaluation.pairs import Pairs, labelled_pairs
from resight.evaluation.protocol import PROTOCOLS, Protocol
from resight.evaluation.ranked import RankedItem, RankedList, ranked_lists
from resight.evaluation.report import Counts, Report
from resight.evaluation.reranking import Reranked, Reranking, rerank
from resight.evaluation.resampling import Comparison, Interval, compare, confidence
from resight.evaluation.sweep import evaluate_reranked, sweep_reranking
from resight.evaluation.synergy import read_submission, write_submission
from resight.evaluation.tables import CameraPairs, PersonScore, by_person, camera_pairs
from resight.evaluation.verdict import evaluate_distances, evaluate_features, judge
from resight.evaluation.verification import Roc, error_rates, roc

__all__ = [
    "PROTOCOLS",
    "Calibration",
    "CameraPairs",
    "Case",
    "Comparison",
    "Counts",
    "Interval",
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
    "evaluate_reranked",
    "expand",
    "judge",
    "labelled_pairs",
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
