"""Pixels to vectors, and vectors to a verdict."""

from resight.embedding.extractor import Extractor, resolve_device
from resight.embedding.reference import RawPixels, StripeHistogram
from resight.embedding.result import Expansion, Result
from resight.embedding.vectors import Vectors
from resight.embedding.verdict import embed_samples, evaluate

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
