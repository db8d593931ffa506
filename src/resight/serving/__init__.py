"""The HTTP service and its page, and a client: find a person in a gallery.

Needs the extra `serve`.  Nothing listens beyond this machine unless told to, and then only with keys.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resight.serving.app import create_app
    from resight.serving.client import Client
    from resight.serving.keys import Keys
    from resight.serving.limits import Limits

_WHERE = {"Client": "client", "Keys": "keys", "Limits": "limits", "create_app": "app"}

__all__ = ["Client", "Keys", "Limits", "create_app"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"resight.serving.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
