"""`proof.json`: what was checked before an exported file got its name, and the hashes of that file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from resight.errors import CheckpointError
from resight.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

PROOF = "proof.json"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The measurements and gates of one export.

    files: name -> sha256.  gates: name -> {"value", "bound", "passed"}.  The other fields hold what was measured.
    """

    fingerprint: str
    format: str
    precision: str
    files: Mapping[str, str]
    gates: Mapping[str, Mapping[str, Any]]
    batches: Mapping[str, float] = field(default_factory=dict)  # batch size -> minimum agreement
    picture_sizes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    crops: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return bool(self.gates) and all(gate["passed"] is True for gate in self.gates.values())

    def save(self, path: Path) -> None:
        text = json.dumps({"passed": self.passed} | asdict(self), indent=1) + "\n"
        write_text(path, text)

    @classmethod
    def load(cls, path: Path) -> Proof:
        """Raises CheckpointError where there is no proof, or not one of ours."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found.pop("passed")
            return cls(**found)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"there is no {path}. An exported model is loaded with the proof made on export; copy {PROOF} from "
                f"where the file comes from, or export the model again."
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{path} is not a proof of resight export ({error}). Export again.") from error


def check_proof(path: Path) -> Proof:
    """The proof beside an exported file.  Raises CheckpointError where it is missing, failed or of another file."""
    proof = Proof.load(path.with_name(PROOF))
    if not proof.passed or path.name not in proof.files:
        raise CheckpointError(
            f"{path.with_name(PROOF)} is about {', '.join(proof.files)}"
            f"{'' if proof.passed else ', which did not pass its gates'}; it is no proof of {path.name}. Export "
            f"the model again."
        )
    changed = [name for name, known in proof.files.items() if digest(path.with_name(name)) != known]
    if changed:
        raise CheckpointError(
            f"{', '.join(changed)} in {path.parent} is missing, or not the file that {PROOF} is about. Copy it again "
            f"together with its proof, or export the model again."
        )
    return proof


def digest(path: Path) -> str:
    """sha256 of a file; an empty text where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
