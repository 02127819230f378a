"""Results that took long, kept in a folder by a hash of what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Kept:
    """A folder of such results; a file that is there is complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, kind: str, sounds: list[np.ndarray], compute: Callable[[], Any]) -> Any:
        """The JSON value that `compute` gives for these sounds."""
        path = self._path(kind, sounds, ".json")
        if not path.exists():
            path.with_suffix(".tmp").write_text(json.dumps(compute()))
            path.with_suffix(".tmp").rename(path)
        return json.loads(path.read_text())

    def arrays(
        self, kind: str, sounds: list[np.ndarray], compute: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays that `compute` gives for these sounds."""
        path = self._path(kind, sounds, ".npz")
        if not path.exists():
            # numpy appends .npz to other names.
            temporary = path.with_suffix(".tmp.npz")
            np.savez_compressed(temporary, **compute())
            temporary.rename(path)
        with np.load(path) as found:
            return dict(found)

    def _path(self, kind: str, sounds: list[np.ndarray], suffix: str) -> Path:
        digest = hashlib.sha256(kind.encode())
        for sound in sounds:
            digest.update(np.ascontiguousarray(sound, np.float32).tobytes())
        return self._folder / f"{digest.hexdigest()[:24]}{suffix}"
