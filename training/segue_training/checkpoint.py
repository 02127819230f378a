"""Checkpoints: written so that a stop loses none, and for stages everything needed to resume, to export and to report."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .stages import Stage, StageConfig, build, config_from_dict, config_to_dict


@dataclass
class Progress:
    """What a training has done so far: the source of every figure in a model card."""

    steps: int = 0
    frames: int = 0
    """Frames of the stage's own stream that were trained on, repetitions counted."""
    minutes: float = 0.0
    budget_minutes: float = 0.0
    parameters: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    """Cross-entropy in nats per token, of the averaged weights on held-out pieces, by codebook."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One line per validation: minutes, frames, train, valid."""
    hours_available: float = 0.0


@dataclass
class Checkpoint:
    """A stage on disk."""

    config: StageConfig
    averaged: dict[str, torch.Tensor]
    progress: Progress
    resume: dict[str, Any]
    """Raw weights, optimiser states and random states; empty in an export-only checkpoint."""

    def stage(self) -> Stage:
        """The model with its averaged weights, in evaluation mode."""
        model = build(self.config)
        model.load_state_dict(self.averaged)
        return model.eval()


def checkpoint_path(work: Path, stage: str) -> Path:
    """Where the training of a stage keeps its checkpoint."""
    return work / "checkpoints" / f"stage_{stage}.pt"


def write(path: Path, state: dict[str, Any]) -> None:
    """Write beside, then rename: a reader or a crash never sees half a file, nor does another process that writes the same."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """See `write`."""
    state = {
        "config": config_to_dict(checkpoint.config),
        "averaged": checkpoint.averaged,
        "progress": vars(checkpoint.progress),
        "resume": checkpoint.resume,
    }
    write(path, state)


def load(path: Path) -> Checkpoint:
    """The inverse of `save`."""
    found = torch.load(path, map_location="cpu", weights_only=True)
    return Checkpoint(
        config_from_dict(found["config"]), found["averaged"], Progress(**found["progress"]), found["resume"]
    )
