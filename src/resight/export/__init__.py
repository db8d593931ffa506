"""A model as one file for any runtime, with the proof that it is still the same model.

exported = export_model(model, "runs/first/export/onnx-fp32", to="onnx")
again = resight.load_model(exported.path)      # an Embedder: Extractor, evaluate and every verb take it
"""

from resight.export.export import Exported, export_model
from resight.export.gates import DEFAULT_GATES, Gates
from resight.export.writers import FORMATS

__all__ = ["DEFAULT_GATES", "FORMATS", "Exported", "Gates", "export_model"]
