"""Checks of pictures: each opened once for size, brightness, content hash, unusual modes, duplicates."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from resight.data.doctor.label_checks import Finding
from resight.data.doctor.near_duplicates import near_pairs, thumbnail
from resight.data.formats.filenames import counted, first_few
from resight.data.loading import decode
from resight.data.loading.base import default_workers
from resight.data.loading.image_formats import readable
from resight.errors import ImageError
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from resight.data.loading.base import Progress
    from resight.data.loading.decode import Pixels8
    from resight.types import Sample

SMALL = 16  # pixels; fewer on a side show no person


@dataclass(frozen=True)
class ImageFacts:
    """One picture: its size, mean gray level, hash of its bytes; or why it is unreadable."""

    sample: Sample
    reason: str | None = None
    width: int = 0
    height: int = 0
    brightness: float = 0.0
    digest: bytes = b""
    oddity: str | None = None  # something that had to be converted
    thumb: Pixels8 | None = None  # where near-duplicates are looked for


def inspect(samples: Sequence[Sample], progress: Progress | None = None, near: bool = False) -> list[ImageFacts]:
    """Open every picture: facts of each sample, in order; with thumbnails for `near`."""
    facts: list[ImageFacts] = []
    with ThreadPoolExecutor(default_workers()) as pool:
        for done, fact in enumerate(pool.map(partial(_look, near=near), samples), start=1):
            facts.append(fact)
            if progress is not None and (done % 64 == 0 or done == len(samples)):
                progress(done, len(samples))
    return facts


def _look(sample: Sample, near: bool) -> ImageFacts:
    try:
        data = decode.read(sample.path)
        pixels = decode.decode_bytes(data, str(sample.path))
    except ImageError as unreadable:
        return ImageFacts(sample, reason=str(unreadable))
    return ImageFacts(
        sample,
        width=pixels.shape[1],
        height=pixels.shape[0],
        brightness=float(pixels.mean()),
        digest=hashlib.sha256(data).digest(),
        oddity=None if decode.is_plain_jpeg(data) else _oddity(data),
        thumb=thumbnail(pixels) if near else None,
    )


def _oddity(data: bytearray) -> str | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=readable()) as image:
            if image.getexif().get(0x0112, 1) != 1:
                return "turned by EXIF"
            if getattr(image, "n_frames", 1) > 1:
                return "the first of several frames"
            return None if image.mode in ("RGB", "L") else f"mode {image.mode}"
    except Exception:  # pixels came out; Pillow raises whatever it meets behind them
        return "damaged behind its first frame"


def picture_findings(facts: Sequence[ImageFacts], near: bool = False) -> list[Finding]:
    """Findings from the facts of all pictures."""
    readable = [fact for fact in facts if fact.reason is None]
    findings = [*_unreadable(facts), *_odd(readable), *_small(readable), *_duplicates(readable)]
    return [*findings, *_near_duplicates(readable)] if near else findings


def _unreadable(facts: Sequence[ImageFacts]) -> Iterable[Finding]:
    lost = [fact.reason for fact in facts if fact.reason is not None]
    if lost:
        yield Finding(
            "warning",
            "unreadable",
            f"{len(lost):,} of {len(facts):,} pictures cannot be read. {lost[0]}",
            "They are left out wherever the set is used.",
        )


def _odd(facts: Sequence[ImageFacts]) -> Iterable[Finding]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        if fact.oddity is not None:
            kinds[fact.oddity].append(fact.sample.path.name)
    for kind, names in sorted(kinds.items()):
        are = counted(len(names), "picture is", "pictures are")
        yield Finding("note", "odd", f"{are} converted on reading ({kind}): {first_few(names)}.")


def _small(facts: Sequence[ImageFacts]) -> Iterable[Finding]:
    names = [fact.sample.path.name for fact in facts if min(fact.width, fact.height) < SMALL]
    if names:
        are = counted(len(names), "picture is", "pictures are")
        yield Finding("warning", "small", f"{are} under {SMALL} pixels on a side: {first_few(names)}.")


def _duplicates(facts: Sequence[ImageFacts]) -> Iterable[Finding]:
    same: dict[bytes, list[Sample]] = defaultdict(list)
    for fact in facts:
        same[fact.digest].append(fact.sample)
    twice = [group for group in same.values() if len({sample.path for sample in group}) > 1]
    passed = [group for group in twice if _passed_over(group)]
    rest = [group for group in twice if not _passed_over(group)]
    across = [group for group in rest if len({sample.split for sample in group}) > 1]
    tainted = [group for group in across if any(sample.split == "train" for sample in group)]
    torn = [group for group in rest if len({sample.pid for sample in group}) > 1]
    inside = [group for group in rest if len({(sample.split, sample.pid) for sample in group}) == 1]
    if tainted:
        yield Finding(
            "error",
            "duplicates",
            f"{counted(len(tainted), 'picture is', 'pictures are')} in train and in the test, byte for byte "
            f"({_pairs(tainted)}).",
            "Remove them from one of the two, or figures will flatter.",
        )
    elif across:
        yield Finding(
            "warning",
            "duplicates",
            f"{counted(len(across), 'picture is', 'pictures are')} query and gallery, byte for byte "
            f"({_pairs(across)}).",
            "Remove them from the gallery: finding a copy proves nothing.",
        )
    if torn:
        yield Finding(
            "warning",
            "two_persons",
            f"{counted(len(torn), 'picture stands', 'pictures stand')} under several persons ({_pairs(torn)}).",
            "One of the labels is wrong.",
        )
    if inside:
        have = counted(len(inside), "picture has copies", "pictures have copies")
        yield Finding("note", "copies", f"{have} in the same split ({_pairs(inside)}).")
    if passed:
        are = counted(len(passed), "picture is", "pictures are")
        what = f"{are} query and gallery, byte for byte, of one person by one camera ({_pairs(passed)})."
        yield Finding("note", "copies", what, "Nothing to do: a query's own camera does not count.")


def _passed_over(group: Sequence[Sample]) -> bool:
    """Whether copies are query and gallery of one person by one known camera: ranking leaves such a copy out."""
    splits = {sample.split for sample in group}
    seen = {(sample.pid, sample.camid) for sample in group}
    return splits == {"query", "gallery"} and len(seen) == 1 and min(seen)[1] != UNKNOWN_CAMERA


def _pairs(groups: Sequence[Sequence[Sample]]) -> str:
    return first_few([" = ".join(f"{sample.split}/{sample.path.name}" for sample in group[:2]) for group in groups])


def _near_duplicates(facts: Sequence[ImageFacts]) -> Iterable[Finding]:
    """Pictures of train and test that show the same shot, and are not byte for byte the same."""
    train = [fact for fact in facts if fact.thumb is not None and fact.sample.split == "train"]
    test = [fact for fact in facts if fact.thumb is not None and fact.sample.split != "train"]
    pairs = [
        (train[i].sample, test[j].sample)
        for i, j in (near_pairs(_thumbs(train), _thumbs(test)) if train and test else ())
        if train[i].digest != test[j].digest
    ]
    if pairs:
        yield Finding(
            "warning",
            "near_duplicates",
            f"{counted(len(pairs), 'pair', 'pairs')} of pictures of train and test look alike ({_pairs(pairs)}).",
            "Look at them: frames of one moment on both sides flatter the figures.",
        )


def _thumbs(facts: Sequence[ImageFacts]) -> NDArray[np.uint8]:
    return np.stack([fact.thumb for fact in facts if fact.thumb is not None])
