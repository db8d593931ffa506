"""How fast a recipe trains on this machine: the real training step on made-up pictures.

speed = measure(prepared("hacnn_market1501", precision="bf16"), steps=20)
print(speed.images_per_s, speed.waiting, speed.peak_memory_gib)
print(table([speed]))
"""

from __future__ import annotations

from resight.bench.flops import peak_of, training_flops
from resight.bench.isolated import peak_memory
from resight.bench.speed import Speed, measure, measure_alone, prepared
from resight.bench.synthetic_data import MadeUpPixels, made_up
from resight.bench.tables import table

__all__ = [
    "MadeUpPixels",
    "Speed",
    "made_up",
    "measure",
    "measure_alone",
    "peak_memory",
    "peak_of",
    "prepared",
    "table",
    "training_flops",
]
