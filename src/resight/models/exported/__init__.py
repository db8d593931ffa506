"""Exported models read back: an ONNX, OpenVINO or pt2 file with its `proof.json` is an Embedder like any other.

    model = resight.load_model("runs/first/export/onnx-fp32/model.onnx")

Reading lives here, among the models, and writing in `resight.export`: `load_model` reaches this package by the ending
of a file, whereas writing needs data sets and evaluation for its proof and so stands above both.  No runtime is
imported before a file of its kind is opened.
"""

from resight.models.exported.description import Description, Precision
from resight.models.exported.model import ExportedModel, is_exported, open_exported
from resight.models.exported.proof_file import PROOF, Proof, digest

__all__ = [
    "PROOF",
    "Description",
    "ExportedModel",
    "Precision",
    "Proof",
    "digest",
    "is_exported",
    "open_exported",
]
