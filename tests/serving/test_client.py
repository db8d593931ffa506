"""What the client refuses before it asks the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight import Client
from resight.errors import ImageError, ImageNotFoundError, UsageError


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://localhost", "http://[::1"])
def test_what_is_no_address_is_a_sentence(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a service"):
        Client(url)


def test_a_picture_that_cannot_be_read_is_a_sentence_before_anything_is_sent(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ImageNotFoundError, match=r"none.jpg cannot be opened"):
            client.search(tmp_path / "none.jpg")
        with pytest.raises(ImageError, match="is not a file"):
            client.embed([tmp_path])
