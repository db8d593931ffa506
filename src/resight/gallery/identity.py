"""Which vectors a gallery holds: their width, metric and the model they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resight.errors import GalleryError, UsageError


def identity(model: Any, dim: int | None, metric: str | None, fingerprint: str | None) -> dict[str, Any]:
    """What the caller says about the vectors."""
    if metric not in (None, "cosine", "euclidean"):
        raise UsageError(f"metric={metric!r}; choose cosine or euclidean.")
    if dim is not None and not 1 <= dim <= 32_768:
        raise UsageError(f"dim={dim}; a vector has 1 to 32768 numbers.")
    said = {"dim": dim, "metric": metric, "fingerprint": fingerprint}
    if model is not None:
        name = getattr(model, "fingerprint", None)
        theirs = {"dim": model.embedding_dim, "metric": model.metric, "fingerprint": name() if callable(name) else None}
        said = {key: theirs[key] if value is None else value for key, value in said.items()}
    return {key: value for key, value in said.items() if value is not None}


def check_identity(folder: Path, settings: dict[str, Any], wanted: dict[str, Any]) -> None:
    if wanted.get("fingerprint", settings["fingerprint"]) != settings["fingerprint"]:
        raise other_model(folder, settings["fingerprint"], wanted["fingerprint"])
    for key in ("dim", "metric"):
        if wanted.get(key, settings[key]) != settings[key]:
            raise GalleryError(f"{folder} holds vectors of {key} {settings[key]}; {wanted[key]} was asked for.")


def other_model(folder: Path, mine: str, theirs: str) -> GalleryError:
    return GalleryError(
        f"{folder} was made with another model ({mine[:12] or 'vectors of your own'}; this one is "
        f"{theirs[:12] or 'unnamed'}), and vectors of two models cannot be compared. Use that model, or embed the "
        f"gallery again with this one: resight gallery reembed {folder} --model MODEL"
    )
