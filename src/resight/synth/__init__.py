"""Synthetic people: rendered data sets with identity, camera, attributes and difficulty of every picture.

`generate(PRESETS["sample"], "people")` renders a data set in the layout of Market-1501; `sample_root()` is the one
bundled with the package, for which nothing needs to be rendered.  Importing this needs no renderer.
"""

from __future__ import annotations

from resight.synth.config import DIALS, PRESETS, SynthConfig
from resight.synth.generate import Summary, generate, sample_root

__all__ = ["DIALS", "PRESETS", "Summary", "SynthConfig", "generate", "sample_root"]
