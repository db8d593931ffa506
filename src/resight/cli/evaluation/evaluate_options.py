"""Options of `resight evaluate`: protocol, re-ranking, query expansion, memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from resight.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.evaluation import Protocol, Reranking
    from resight.evaluation.multi_query import Pool
    from resight.inference import Expansion

F = TypeVar("F", bound="Callable[..., Any]")

_RULES = ("ap_mode", "camera_rule", "no_match", "ties", "on_nan")
_OPTIONS = (
    click.option("--rerank", is_flag=True, help="Re-rank by k-reciprocal neighbors (Zhong et al., 2017)."),
    click.option("--k1", type=click.IntRange(min=1), multiple=True,
                 help="Re-ranking: neighbors that must be mutual.  Default: 20.  Several values of k1, k2 or lam: "
                 "each combination is evaluated, and a table kept."),
    click.option("--k2", type=click.IntRange(min=1), multiple=True,
                 help="Re-ranking: neighbors averaged.  Default: 6."),
    click.option("--lam", type=click.FloatRange(0, 1), multiple=True,
                 help="Re-ranking: share of the first distance.  Default: 0.3."),
    click.option("--variant", type=click.Choice(["paper", "torchreid", "fastreid"]), default="paper",
                 show_default=True, help="Whose re-ranking."),
    click.option("--context", type=click.Choice(["all", "gallery_only"]), default="all", show_default=True,
                 help="Re-ranking: whether other queries help."),
    click.option("--expand", is_flag=True, help="Average each query with its nearest gallery vectors first."),
    click.option("--expand-gallery", is_flag=True, help="Average gallery vectors likewise; both: as fast-reid."),
    click.option("--expand-k", type=click.IntRange(min=1), default=5, show_default=True,
                 help="Expansion: how many are averaged, itself included."),
    click.option("--alpha", type=click.FloatRange(min=0), default=3.0, show_default=True,
                 help="Expansion: weights are similarity to this power."),
    click.option("--ap-mode", type=click.Choice(["rectangle", "trapezoid"]),
                 help="Of today's toolkits, or of the first ones.  Rules not named are the data set's own."),
    click.option("--camera-rule", type=click.Choice(["cross", "any"]),
                 help="cross: the same person in the same camera does not count."),
    click.option("--separate-camera", is_flag=True, help="Leave out everything of the query's camera."),
    click.option("--no-match", type=click.Choice(["skip", "zero"]),
                 help="A query without a match in the gallery: left out, or zero."),
    click.option("--ties", type=click.Choice(["stable", "pessimistic", "expected", "merged"]),
                 help="The order of equal distances."),
    click.option("--on-nan", type=click.Choice(["raise", "worst"]),
                 help="Distances that are not numbers: refused, or ranked last."),
    click.option("--no-distractors", is_flag=True,
                 help="Identity 0 is a person, as in MSMT17, not a distractor."),
    click.option("--multi-query", type=click.Choice(["mean", "max"]),
                 help="Pool all query pictures of a person and camera into one vector (Market-1501)."),
    click.option("--single-shot", is_flag=True,
                 help="Also the CMC of one gallery picture a person, the exact mean over all draws (CUHK03 classic)."),
    click.option("--memory", type=click.IntRange(min=32), metavar="MIB",
                 help="Mebibytes that scoring may use beyond the vectors.  Default: 256, re-ranking 1024."),
)  # fmt: skip


def rules(function: F) -> F:
    """All of the options; they arrive as keyword arguments and make a `Chosen`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class Chosen:
    """The options as values.  sweep: k1, k2 and lambda where there is more than one re-ranking to try."""

    changes: dict[str, Any]
    rerank: Reranking | None
    sweep: tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]] | None
    base: Reranking
    expansion: Expansion | None
    multi_query: Pool | None
    single_shot: bool
    memory: int | None  # bytes

    @classmethod
    def of(cls, options: dict[str, Any]) -> Chosen:
        from resight.evaluation import Reranking
        from resight.inference import Expansion

        k1, k2, lam = options["k1"] or (20,), options["k2"] or (6,), options["lam"] or (0.3,)
        _refuse_idle(options)
        first = Reranking(k1[0], k2[0], lam[0], options["variant"], options["context"])
        several = len(k1) * len(k2) * len(lam) > 1
        sides = options["expand"], options["expand_gallery"]
        return cls(
            changes={name: options[name] for name in _RULES if options[name] is not None}
            | ({"separate_camera": True} if options["separate_camera"] else {})
            | ({"distractor": None} if options["no_distractors"] else {}),
            rerank=first if options["rerank"] and not several else None,
            sweep=(k1, k2, lam) if several else None,
            base=first,
            expansion=Expansion(options["expand_k"], options["alpha"], *sides) if any(sides) else None,
            multi_query=options["multi_query"],
            single_shot=options["single_shot"],
            memory=None if options["memory"] is None else options["memory"] * 2**20,
        )

    @property
    def slug(self) -> str:
        """What differs from a plain evaluation, as part of a folder's name; empty for a plain one."""
        parts = [f"{name}-{value}".replace("_", "-") for name, value in self.changes.items()]
        if self.rerank is not None:
            parts.append(f"rerank-{self.rerank.k1}-{self.rerank.k2}-{self.rerank.lam:g}")
            parts += [word for word in (self.rerank.variant, self.rerank.context) if word not in ("paper", "all")]
        if self.expansion is not None:
            sides = ("queries" if self.expansion.queries else "") + ("gallery" if self.expansion.gallery else "")
            parts.append(f"expand-{sides}-{self.expansion.k}-{self.expansion.alpha:g}")
        return "-".join(parts + ([f"multi-query-{self.multi_query}"] if self.multi_query else []))

    def protocol(self, base: Protocol) -> Protocol:
        """A data set's own rules with those asked for."""
        return replace(base, **self.changes)


def _refuse_idle(options: dict[str, Any]) -> None:
    """UsageError for an option that would have no effect."""
    reranks, expands = options["rerank"], options["expand"] or options["expand_gallery"]
    if not reranks and any(given(name) for name in ("k1", "k2", "lam", "variant", "context")):
        raise UsageError("--k1, --k2, --lam, --variant and --context say how to re-rank; add --rerank.")
    if not expands and any(given(name) for name in ("expand_k", "alpha")):
        raise UsageError("--expand-k and --alpha say how to expand; add --expand or --expand-gallery.")


def given(name: str) -> bool:
    """Whether the running command's parameter was named on the command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
