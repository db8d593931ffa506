"""k-reciprocal re-ranking: printed values, limits, and the sparse form against the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.errors import EvaluationError, UsageError
from resight.evaluation import (
    Labels,
    Reranked,
    Reranking,
    evaluate_distances,
    evaluate_features,
    nearest,
    rerank,
    sweep_reranking,
)
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.k_reciprocal import lists_for
from tests.evaluation.dense_reranking import dense_rerank
from tests.evaluation.examples import G2, LABELS2, Q2, unit

PAPER_4_2 = [
    [0.00415061, 0.24671558, 0.16142294, 0.95573854, 0.905832, 1.0, 0.9499919, 0.79522216, 0.785165],
    [0.9439605, 0.80949646, 1.0, 0.00310891, 0.27286735, 0.2830526, 0.9237909, 0.93726504, 0.5114238],
    [0.9650866, 0.97223186, 0.86575824, 0.9929639, 0.83304167, 0.7986922, 0.00428259, 0.26848495, 0.78987324],
]
PAPER_6_3 = [
    [0.00415061, 0.32417458, 0.01514367, 0.83584785, 0.729454, 0.8874701, 0.7590622, 0.584381, 0.52806205],
    [0.8240698, 0.5876808, 0.8801093, 0.00310891, 0.29663134, 0.16956127, 0.7711414, 0.7356112, 0.4539801],
    [0.7741568, 0.73062027, 0.7151006, 0.8403144, 0.5626058, 0.5994977, 0.00428259, 0.24330574, 0.5700234],
]


def crowd(seed: int = 0, queries: int = 60, gallery: int = 240, dim: int = 16) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(queries, dim)), rng.normal(size=(gallery, dim))


def test_example_2_paper() -> None:
    np.testing.assert_allclose(rerank(Q2, G2, k1=4, k2=2), PAPER_4_2, atol=1e-6)
    np.testing.assert_allclose(rerank(Q2, G2, k1=6, k2=3), PAPER_6_3, atol=1e-6)


def test_example_2_order_changes() -> None:
    np.testing.assert_array_equal(np.argsort(rerank(Q2, G2, k1=4, k2=2)[2]), [6, 7, 8, 5, 4, 2, 0, 1, 3])
    np.testing.assert_array_equal(np.argsort(rerank(Q2, G2, k1=6, k2=3)[1]), [3, 5, 4, 8, 1, 7, 6, 0, 2])


def test_example_2_where_a_tie_decides() -> None:
    """Gallery items 0 and 6 are equally far from item 8.  The printed values stand on 6 coming first."""
    gallery = unit(G2)
    gallery[6] += 1e-5 * unit(np.ones((1, 3)))[0]
    without_expansion = [0.017775, 0.400158, 0.228974, 0.955739, 0.854448, 1, 0.949992, 0.759459, 0.757043]
    np.testing.assert_allclose(rerank(Q2, gallery, k1=5, k2=1)[0], without_expansion, atol=1e-5)
    defaults = [0.004151, 0.106202, 0.015144, 0.443399, 0.393492, 0.507808, 0.438130, 0.273084, 0.275382]
    np.testing.assert_allclose(rerank(Q2, gallery)[0], defaults, atol=1e-5)


def test_example_2_other_toolkits() -> None:
    torchreid = [0.000057, 0.174498, 0.152470, 0.918007, 0.841223, 1, 0.908320, 0.719106, 0.710876]
    np.testing.assert_allclose(rerank(Q2, G2, k1=4, k2=2, variant="torchreid")[0], torchreid, atol=1e-6)
    fastreid = [0.003859, 0.264452, 0.137472, 0.937745, 0.891350, 0.978892, 0.932402, 0.818812, 0.768454]
    np.testing.assert_allclose(rerank(Q2, G2, k1=4, k2=2, variant="fastreid")[0], fastreid, atol=1e-6)
    jaccard = [0, 0.298701, 0.176277, 1, 1, 1, 1, 1, 0.940049]
    np.testing.assert_allclose(rerank(Q2, G2, 4, 2, 0, variant="fastreid")[0], jaccard, atol=1e-6)


def test_fastreid_is_what_its_own_code_gives() -> None:
    """Values of fast-reid 1.3 (compute_jaccard_distance on unit vectors, mixed with 1 - cosine), rows 0 and 7."""
    theirs = {
        0: [0.555591, 0.985191, 0.83628, 0.897509, 1.029289, 1.009634, 0.968453, 0.932212, 0.903562, 0.792491],
        7: [0.910989, 1.05161, 0.929312, 0.960576, 0.848071, 1.059341, 0.931637, 1.12205, 0.883527, 0.836648],
    }
    ours = rerank(*crowd(), 20, 6, 0.3, variant="fastreid")
    for row, values in theirs.items():
        np.testing.assert_allclose(ours[row, :10], values, atol=1e-6)
    assert ours.mean() == pytest.approx(0.9431561, abs=1e-6)
    first = [0.664809, 1.045444, 0.942391, 0.990561, 1.032149, 1.023919]
    np.testing.assert_allclose(rerank(*crowd(), 7, 3, 0.3, variant="fastreid")[0, :6], first, atol=1e-6)


@pytest.mark.parametrize("offset", [1_000.0, 10_000.0, -3e6])
@pytest.mark.parametrize("variant", ["paper", "torchreid", "fastreid"])
def test_an_offset_of_all_features_changes_nothing(variant: Any, offset: float) -> None:
    q, g = (side / 10 for side in crowd(queries=20, gallery=80))
    here = rerank(q, g, 8, 3, variant=variant, metric="euclidean")
    np.testing.assert_allclose(
        rerank(q + offset, g + offset, 8, 3, variant=variant, metric="euclidean"), here, atol=1e-6
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("variant", ["paper", "torchreid", "fastreid"])
@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 1), (3, 9), (1, 1), (400, 3)])
def test_sparse_equals_dense(k1: int, k2: int, variant: Any, metric: Any) -> None:
    q, g = crowd(queries=12, gallery=40) if k1 > 100 else crowd()  # longer lists than items
    if metric == "euclidean":
        q, g = q / 10, g / 10  # fast-reid's variant mixes raw distances: keep them near 1
    ours = rerank(q, g, k1, k2, variant=variant, metric=metric)
    np.testing.assert_allclose(ours, dense_rerank(q, g, k1, k2, variant=variant, metric=metric), atol=1e-6)


@pytest.mark.parametrize("lam", [0, 0.3, 1])
@pytest.mark.parametrize("variant", ["paper", "torchreid", "fastreid"])
def test_sparse_equals_dense_on_example_2(variant: Any, lam: float) -> None:
    for k1, k2 in ((4, 2), (6, 3), (4, 1)):
        ours = rerank(Q2, G2, k1, k2, lam, variant)
        np.testing.assert_allclose(ours, dense_rerank(Q2, G2, k1, k2, lam, variant), atol=1e-6)


def test_lambda_one_is_the_original_distance() -> None:
    q, g = crowd()
    distance = nearest(q, np.concatenate((q, g)), 300)[0]
    alone = rerank(q, g, lam=1)
    in_order = np.take_along_axis(alone, nearest(q, g, 240)[1], axis=1)
    assert (np.diff(in_order, axis=1) >= -1e-7).all()
    np.testing.assert_allclose(alone.min(axis=1) * distance[:, -1], nearest(q, g, 1)[0][:, 0], atol=1e-6)


def test_most_items_share_nothing_with_the_query() -> None:
    q, g = crowd()
    jaccard = rerank(q, g, k1=5, k2=1, lam=0)
    assert (jaccard == 1).mean() > 0.8
    assert jaccard.min() >= 0


def test_twins_and_all_the_same() -> None:
    same = np.ones((4, 3))
    np.testing.assert_allclose(rerank(same[:2], same, k1=2, k2=1, lam=1), 0)
    assert np.isfinite(rerank(same[:2], same, k1=2, k2=2)).all()
    q, g = crowd()
    g[5] = q[3]
    assert rerank(q, g)[3].argmin() == 5


@pytest.mark.parametrize("memory", [2**23 + 60_000, 2**25, 2**28])  # the first keeps no table of distances
def test_memory_changes_nothing(memory: int) -> None:
    q, g = crowd()
    np.testing.assert_allclose(rerank(q, g, memory=memory), rerank(q, g), atol=2e-6)


def test_too_little_memory_is_a_sentence() -> None:
    q, g = crowd()
    with pytest.raises(EvaluationError, match="re-ranking 300 pictures in 8 MiB cannot be done"):
        rerank(q, g, memory=2**23)
    joint = Joint(q, g, "cosine")
    lists = lists_for(joint, [Reranking()])
    with pytest.raises(EvaluationError, match="choose smaller k1 and k2"):  # the lists have room, the weights have not
        Reranked(joint, lists, Reranking(), lists.nbytes + 10_000)


def test_alone_or_in_a_batch_under_gallery_only() -> None:
    q, g = crowd()
    together = rerank(q, g, context="gallery_only")
    for row in (0, 31):
        alone = rerank(q[row : row + 1], g, context="gallery_only")
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)
    assert not np.allclose(together, rerank(q, g), atol=1e-3)


def test_gallery_only_of_one_query_resembles_the_whole_context() -> None:
    """With a single query there are no other queries to leave out; only the gallery's view of it differs."""
    q, g = crowd(queries=1)
    ours, whole = rerank(q, g, context="gallery_only")[0], rerank(q, g)[0]
    assert np.corrcoef(ours, whole)[0, 1] > 0.95


def test_gallery_only_with_a_tiny_gallery() -> None:
    assert np.isfinite(rerank(Q2, G2, k1=20, k2=6, context="gallery_only")).all()


def test_evaluated_without_the_matrix() -> None:
    q, g = crowd()
    rng = np.random.default_rng(1)
    labels = (rng.integers(1, 9, 60), rng.integers(0, 9, 240), rng.integers(0, 3, 60), rng.integers(0, 3, 240))
    report = evaluate_features(q, g, *labels, rerank=Reranking(k1=10, k2=3))
    assert report.rerank == "k-reciprocal paper 10/3/0.3"
    assert report.mAP == pytest.approx(evaluate_distances(rerank(q, g, 10, 3), *labels).mAP, abs=1e-7)


def test_a_sweep_is_the_single_runs() -> None:
    q, g = crowd()
    rng = np.random.default_rng(1)
    labels = (rng.integers(1, 9, 60), rng.integers(0, 9, 240), rng.integers(0, 3, 60), rng.integers(0, 3, 240))
    results = sweep_reranking(q, g, Labels.of(*labels), k1=(5, 20), k2=(1, 6), lam=(0, 0.3, 1))
    assert len(results) == 12
    for setting, report in results:
        alone = evaluate_features(q, g, *labels, rerank=setting)
        assert report.mAP == pytest.approx(alone.mAP, abs=1e-6)
        assert report.rerank == str(setting)


def test_reranked_example_still_perfect() -> None:
    assert evaluate_features(Q2, G2, *LABELS2, rerank=Reranking()).mAP == 1


def test_wrong_parameters() -> None:
    wrong: tuple[dict[str, Any], ...] = ({"k1": 0}, {"k2": 0}, {"lam": 1.5}, {"variant": "own"}, {"context": "none"})
    for parameters in wrong:
        with pytest.raises(UsageError):
            rerank(Q2, G2, **parameters)
    with pytest.raises(EvaluationError, match="hold NaN"):
        rerank(Q2 * np.nan, G2)
    with pytest.raises(EvaluationError, match="dimensions"):
        rerank(Q2[:, :2], G2)
