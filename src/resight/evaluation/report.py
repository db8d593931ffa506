"""Evaluation report: scores, per-query values, counts and the rules they were made under."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError
from resight.evaluation.protocol import Protocol

if TYPE_CHECKING:
    from resight.evaluation.labels import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of everything."""

    queries: int
    used: int  # queries with a match
    skipped: int  # queries without one
    gallery: int  # items given, all of them
    junk: int  # of these, boxes that are left out of the evaluation
    distractors: int  # of these, distractor boxes
    matches: int  # right answers over all queries
    zero_vectors: int = 0  # features of length zero, at cosine distance 1 from everything
    not_finite: int = 0  # under on_nan='worst': entries of a matrix, or feature vectors, that were put last


@dataclass(frozen=True, eq=False)
class Report:
    """Scores in [0, 1].  Per-query vectors are in the order of the queries, NaN where there is no match."""

    mAP: float  # noqa: N815 - as everybody writes it
    mINP: float  # noqa: N815
    cmc: FloatArray  # (R,) cmc[k - 1]: share of queries with a right answer among the first k
    ap: FloatArray  # (Q,)
    inp: FloatArray  # (Q,)
    first_match: FloatArray  # (Q,) rank of the first right answer, from 1
    num_valid: IntArray  # (Q,) right answers there are
    q_pids: IntArray  # (Q,)
    q_camids: IntArray  # (Q,)
    counts: Counts
    protocol: Protocol
    metric: str
    rerank: str = "no re-ranking"
    dataset: str = ""  # name and version

    def rank(self, k: int) -> float:
        """CMC at k.  Past the end of the curve its last value holds only if everything was found by then."""
        if k < 1:
            raise EvaluationError(f"rank({k}): ranks count from 1.")
        if k > len(self.cmc):
            raise EvaluationError(f"rank({k}) was not computed; ask for Protocol(max_rank={k}) or more.")
        return float(self.cmc[k - 1])

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """(Q,) queries that enter the averages: all of them under no_match='zero'."""
        return ~np.isnan(self.ap) | (self.protocol.no_match == "zero")

    def found(self, k: int) -> FloatArray:
        """(Q,) 1 where a right answer is among the first k.  Under ties='expected' by mean rank."""
        return np.asarray(self.first_match <= k, dtype=np.float64)

    def described(self, *, dataset: str | None = None, rerank: str | None = None) -> Report:
        """The same report with its data set and re-ranking named."""
        return replace(
            self,
            dataset=self.dataset if dataset is None else dataset,
            rerank=self.rerank if rerank is None else rerank,
        )

    def __str__(self) -> str:
        ranks = "  ".join(f"R{k} {self.rank(k):.2%}" for k in (1, 5, 10) if k <= len(self.cmc))
        conditions = [
            f"queries {self.counts.used}/{self.counts.queries}",
            f"{self.protocol.ap_mode} AP",
            self.metric,
            self.rerank,
            *([self.dataset] if self.dataset else []),
            *self._departures(),
        ]
        return f"mAP {self.mAP:.2%}  {ranks}  mINP {self.mINP:.2%}  ({', '.join(conditions)})"

    def _departures(self) -> list[str]:
        """Rules that differ from the usual ones, and must be seen beside the numbers."""
        plain, ours = asdict(Protocol()), asdict(self.protocol)
        silent = {"ap_mode", "max_rank", "on_nan", "junk", "distractor"}
        return [f"{name}={ours[name]}" for name in plain if name not in silent and ours[name] != plain[name]]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for JSON; NaN becomes None."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        record |= {name: _listed(value) for name, value in record.items() if isinstance(value, np.ndarray)}
        return record | {"counts": asdict(self.counts), "protocol": asdict(self.protocol)}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Report:
        """The inverse of `to_dict`.  Extra keys, such as a result record's, are ignored."""
        record = {_EARLIER.get(name, name): value for name, value in record.items()}
        missing = [name for name in _REQUIRED if name not in record]
        if missing:
            raise EvaluationError(f"this is no evaluation report: {', '.join(missing)} are missing.")
        values = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        values |= {name: np.array(record[name], dtype=np.float64) for name in _REAL}  # None becomes NaN
        values |= {name: np.array(record[name], dtype=np.int64) for name in _WHOLE}
        values |= {"counts": Counts(**record["counts"]), "protocol": Protocol.from_dict(record["protocol"])}
        return cls(**values)


_REAL = ("cmc", "ap", "inp", "first_match")
_WHOLE = ("num_valid", "q_pids", "q_camids")
_EARLIER = {"q_cams": "q_camids"}  # what earlier versions wrote
_REQUIRED = ("mAP", "mINP", "counts", "protocol", "metric", *_REAL, *_WHOLE)


def _listed(values: npt.NDArray[Any]) -> list[float | int | None]:
    return [None if value != value else value for value in values.tolist()]
