"""Configuration of a synthetic data set: numbers of people and pictures, and degrees of difficulty."""

from __future__ import annotations

from dataclasses import dataclass, fields

from resight.errors import UsageError

DIALS = ("misalign", "occlude", "lighting", "resolution", "lookalikes", "clutter")


@dataclass(frozen=True)
class SynthConfig:
    """One data set of synthetic people.  Equal configurations give equal bytes on one machine and version.

    Counts: `train_share` of the `identities` are to train on, the others to test with; `images` is per identity and
    camera; distractors and junk go to the gallery.  Dials run from 0 (easy) to 1 (hard):

    misalign    how far a box is from the person: shifted, too tight, too loose
    occlude     how often and how much things and passers-by stand before the person
    lighting    how differently cameras are lit, exposed and tinted, and how this wavers within a camera
    resolution  how few pixels a person has: about 190 of height at 0, 40 at 1
    lookalikes  share of identities who dress like somebody else of their split
    clutter     how much stands and walks about around the person, and how unlike the cameras' places are
    """

    seed: int = 0
    identities: int = 80
    cameras: int = 4
    images: int = 4
    train_share: float = 0.5
    distractors: int = 60
    junk: int = 40
    misalign: float = 0.25
    occlude: float = 0.25
    lighting: float = 0.4
    resolution: float = 0.4
    lookalikes: float = 0.3
    clutter: float = 0.3
    samples: int = 16  # light paths per pixel
    seen: float = 0.8  # chance that a camera sees an identity; at least two do
    environments: str = ""  # folder of panoramas for light and background; none: a drawn sky
    garments: str = ""  # folder of MakeHuman's assets for clothes, hair and shoes; none: our own alone

    def __post_init__(self) -> None:
        least = {
            "seed": 0,
            "identities": 4,
            "cameras": 2,
            "images": 1,
            "distractors": 0,
            "junk": 0,
            "samples": 1,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UsageError(f"synth: {name} is {getattr(self, name)}, expected {low} or more.")
        for name in ("train_share", "seen", *DIALS):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"synth: {name} is {getattr(self, name)}, expected a number from 0 to 1.")

    @property
    def train_identities(self) -> int:
        return min(max(round(self.identities * self.train_share), 2), self.identities - 2)

    def as_dict(self) -> dict[str, int | float | str]:
        """Name -> value of every field, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_EASY = {
    "misalign": 0.1,
    "occlude": 0.0,
    "lighting": 0.3,
    "resolution": 0.25,
    "lookalikes": 0.2,
    "clutter": 0.1,
}

PRESETS: dict[str, SynthConfig] = {
    "sample": SynthConfig(seed=5),
    "misaligned": SynthConfig(**{**_EASY, "misalign": 0.9}),  # type: ignore[arg-type]
    "occluded": SynthConfig(**{**_EASY, "occlude": 0.9}),  # type: ignore[arg-type]
    "cluttered": SynthConfig(**{**_EASY, "clutter": 0.9}),  # type: ignore[arg-type]
    "lookalike": SynthConfig(**{**_EASY, "lookalikes": 0.9}),  # type: ignore[arg-type]
    "school": SynthConfig(  # many people, little of each: what models/trained/synth_small learned from
        seed=101,
        identities=1000,
        cameras=10,
        images=1,
        train_share=1.0,
        distractors=0,
        junk=0,
        samples=4,
        misalign=0.3,
        occlude=0.2,
        lighting=0.8,
        resolution=0.4,
        lookalikes=0.15,
        clutter=0.5,
    ),
    "streets": SynthConfig(  # many people in many unlike cameras: what the recipe synth_base learns from
        seed=211,
        identities=1500,
        cameras=26,
        images=1,
        seen=0.4,
        train_share=1.0,
        distractors=0,
        junk=0,
        samples=4,
        misalign=0.35,
        occlude=0.3,
        lighting=0.9,
        resolution=0.3,
        lookalikes=0.15,
        clutter=0.8,
    ),
    "hard": SynthConfig(misalign=0.7, occlude=0.7, lighting=0.9, resolution=0.6, lookalikes=0.6, clutter=0.7),
}
