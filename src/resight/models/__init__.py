"""Models: one file per paper, one row per model in `registry`.

model = models.build("strong_baseline", num_ids=751, backbone="resnet18")
out = model(images)                # ReIDOutput
vectors = model.embed(images)      # (B, D)
"""

from resight.models.base import ModelOptions, ModelSpec, PairScores, ReIDModel
from resight.models.complexity import CLASSICAL, Complexity, classical, complexity_of
from resight.models.ensemble import Ensemble
from resight.models.files.file_header import earlier_options
from resight.models.files.model_file import (
    load_model,
    load_weights,
    read_model,
    save_model,
    trained,
    trained_card,
)
from resight.models.registry import MODELS, PRESETS, available, build, options_of, probe

__all__ = [
    "CLASSICAL",
    "MODELS",
    "PRESETS",
    "Complexity",
    "Ensemble",
    "ModelOptions",
    "ModelSpec",
    "PairScores",
    "ReIDModel",
    "available",
    "build",
    "classical",
    "complexity_of",
    "earlier_options",
    "load_model",
    "load_weights",
    "options_of",
    "probe",
    "read_model",
    "save_model",
    "trained",
    "trained_card",
]
