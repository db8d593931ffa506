"""API keys: random, kept as hashes, with a role and an expiry.

A key is `resight_ID_SECRET` with 256 random bits, so one round of SHA-256 is enough to keep it by: there is nothing to
guess from a word list.  The file is read again when it changes, so a key that is revoked stops working at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from resight.errors import UsageError
from resight.files import write_atomically

Role = Literal["search", "write", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
DAY = 86_400.0
SHAPE = re.compile(r"resight_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
NAME = re.compile(r"[\w .@-]{1,64}")


@dataclass(frozen=True)
class Key:
    """One key without its secret.  expires: seconds since 1970, None for never."""

    id: str
    name: str
    role: Role
    hash: str
    created: float
    expires: float | None = None

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class Keys:
    """The keys of a file.  Raises UsageError for a file that is none of ours."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._lock = threading.Lock()
        self._refresh()

    def __len__(self) -> int:
        return len(self.list())

    def list(self) -> list[Key]:
        """All keys, oldest first."""
        self._refresh()
        return sorted(self._keys.values(), key=lambda key: (key.created, key.id))

    def create(self, name: str, role: Role, days: float | None = None) -> str:
        """Make a key and return it; this is the only time it can be seen.

        Args:
            name: who uses it, for the audit log.
            role: "search" looks, "write" also adds and labels, "admin" also deletes and reads the audit log.
            days: until it expires; None for never.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"a key's name is 1 to 64 letters, digits, spaces or .@-_; found {name!r}.")
        if role not in ROLES:
            raise UsageError(f"there is no role {role!r}; choose {', '.join(ROLES)}.")
        if days is not None and not 0 < days < 36_500:
            raise UsageError(f"days={days}: a key is valid for more than 0 and less than 36,500 days.")
        self._refresh()
        id, secret, now = secrets.token_hex(4), secrets.token_urlsafe(32), time.time()
        expires = None if days is None else now + days * DAY
        self._keys[id] = Key(id, name, role, _hash(secret), now, expires)
        self._write()
        return f"resight_{id}_{secret}"

    def revoke(self, id: str) -> Key:
        """Remove a key by its id.  Raises UsageError where there is none."""
        self._refresh()
        if id not in self._keys:
            raise UsageError(f"{self.path} holds no key {id!r}; it holds {', '.join(self._keys) or 'none'}.")
        gone = self._keys.pop(id)
        self._write()
        return gone

    def find(self, given: str) -> Key | None:
        """The key that was given, if it is one of these and has not expired."""
        self._refresh()
        shape = SHAPE.fullmatch(given)
        key = self._keys.get(shape[1]) if shape else None
        right = hmac.compare_digest(key.hash if key else "", _hash(shape[2] if shape else ""))
        if key is None or not right or (key.expires is not None and key.expires <= time.time()):
            return None
        return key

    def _refresh(self) -> None:
        with self._lock:
            try:
                status = self.path.stat()
            except OSError:
                self._keys, self._stamp = {}, None  # no file, no key
                return
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            try:
                rows = json.loads(self.path.read_text(encoding="utf-8"))["keys"]
                self._keys = {row["id"]: Key(**row) for row in rows}
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{self.path} is not a file of keys. Make one: resight keys create NAME") from error
            self._stamp = stamp

    def _write(self) -> None:
        text = json.dumps({"keys": [asdict(key) for key in self._keys.values()]}, indent=1)

        def private(path: Path) -> None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
                handle.write(text)

        write_atomically(self.path, private)


def default_path() -> Path:
    """RESIGHT_KEYS, or `keys.json` in the folder the system keeps for settings."""
    from platformdirs import user_config_path

    chosen = os.environ.get("RESIGHT_KEYS")
    return Path(chosen).expanduser() if chosen else user_config_path("resight") / "keys.json"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
