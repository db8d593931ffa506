"""Inference: embed pictures, evaluate, search and verify."""

from resight.inference.baselines import RawPixels, StripeHistogram
from resight.inference.device import resolve_device
from resight.inference.embeddings import Vectors
from resight.inference.evaluate import embed_samples, evaluate
from resight.inference.extractor import Extractor
from resight.inference.result import Expansion, Result

__all__ = [
    "Expansion",
    "Extractor",
    "RawPixels",
    "Result",
    "StripeHistogram",
    "Vectors",
    "embed_samples",
    "evaluate",
    "resolve_device",
]
