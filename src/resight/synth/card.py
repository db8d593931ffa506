"""The data card that lies beside a made data set."""

from __future__ import annotations

from resight.synth.config import DIALS, PRESETS, SynthConfig


def card(config: SynthConfig, counts: dict[str, int]) -> str:
    """Markdown: what this is, how it was made, what is in it, what it is not for."""
    dials = "\n".join(f"| {name} | {getattr(config, name):g} |" for name in DIALS)
    tested = config.identities - config.train_identities
    splits = "\n".join(f"| {split} | {count:,} |" for split, count in sorted(counts.items()))
    return f"""# Synthetic people

Pictures of people who do not exist, as several surveillance cameras might have taken them, for person
re-identification. Made by `resight synth`; nobody was photographed and no picture of anybody was used.

## Made with

`resight synth {_options(config)} OUT`

| dial (0 easy, 1 hard) | |
| --- | --- |
{dials}

Equal options and versions give equal bytes on one machine; `manifest.sha256` lists the hash of every picture
(`sha256sum --check manifest.sha256`).

## What is in it

{config.cameras} cameras, {config.identities} identities: {config.train_identities} to train on, {tested} to test with.
Every identity is seen by at least two cameras. The query holds one picture per test identity and camera. In the gallery
person 0000 marks {config.distractors} boxes around nobody of the data set, and -1 marks {config.junk} boxes too badly
placed to be evaluated.

| split | pictures |
| --- | --- |
{splits}

Names follow Market-1501: person, camera, sequence, frame, box. `attributes.csv` has a row per picture: who, where and
when; the person's attributes (`attr.*`, those of Market-1501 counted from 0); the view (degrees; 0 from the front); the
share of the person that is visible; the overlap of the box with the tight one; what stands in the way; exposure,
colour gains, blur, noise and JPEG quality; the wardrobe, which look-alikes share; and the dials.

## Limits

Bodies, clothes, places and light are drawn from small ranges set by eye. The mix of sexes, ages, skin and clothes
follows no population, and identities keep their clothes. Scores on these pictures say how methods compare under
known difficulties; they do not say how well a method recognises real people.

## Terms

Apache-2.0.
"""


def _options(config: SynthConfig) -> str:
    plain = PRESETS["sample"]  # what the command starts from
    changed = [(name, value) for name, value in config.as_dict().items() if value != getattr(plain, name)]
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in changed) or "--preset sample"
