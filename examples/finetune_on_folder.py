"""Fine-tune the packaged weights on a folder per person, then evaluate before and after.

    python examples/finetune_on_folder.py my_people/ runs/mine

`my_people/` holds a folder for each person, at least a few dozen.  Cameras are unknown here, so any other picture of
the person counts as a match; name them in the file names and use `camera=` to evaluate across cameras.
"""

from __future__ import annotations
