"""Files of a hub, fetched once and kept in its own cache."""

from __future__ import annotations

from pathlib import Path

from resight.errors import CheckpointError


def from_hub(name: str, file: str) -> Path:
    """The local copy of owner/name/FILE, or of `file` where `name` is owner/name alone.  Raises CheckpointError."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    owner, _, rest = name.partition("/")
    repository, _, inside = rest.partition("/")
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", inside or file))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{name} is no folder here, and the hub did not give {inside or file} either ({reason[:160]}). "
            f"Check the name and the network, or pass the path of a folder or file."
        ) from error
