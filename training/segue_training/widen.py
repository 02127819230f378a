"""Begins the 48 kHz stereo codec with a trained 24 kHz mono one (Segue's first: 2048- and 4096-point analyses, 3840- and
480-point syntheses, 8 books, as in the history of this folder).

A window of twice the length at twice the rate has the same bins: the mono codec's weights hold for the mid below 12 kHz.
What is new (above 12 kHz, the side, four more books) begins with nothing.
"""

from __future__ import annotations

from math import pi
from pathlib import Path

import torch

from .codec import Codec, CodecConfig

NARROW_BOOKS = 8
NARROW_BINS = (1025, 600)
LONG_BINS, SHORT_BINS, SUB_FRAMES = 1921, 241, 4
LATER_SAMPLES = 1440
"""How much later, at 48 kHz, the long synthesis window lies than that of the mono codec (70 ms before its frame)."""
QUIET = -3.0
"""Natural log of the magnitude with which new bins begin, before their head's offset."""


def load_widened(path: Path) -> Codec:
    """The new codec with the weights of the mono codec at `path` in their places."""
    narrow = torch.load(path, map_location="cpu", weights_only=True)["model"]
    codec = Codec(CodecConfig())
    wide = codec.state_dict()
    for name, value in narrow.items():
        if wide[name].shape == value.shape:
            wide[name] = value
        elif name.startswith("quantizer."):
            wide[name][:NARROW_BOOKS] = value
    wide["encoder.input.weight"] = _input(narrow["encoder.input.weight"], wide["encoder.input.weight"])
    for part in ("weight", "bias"):
        for head, bins, sub_frames in ((0, LONG_BINS, 1), (1, SHORT_BINS, SUB_FRAMES)):
            name = f"decoder.heads.{head}.linear.{part}"
            wide[name] = _head(narrow[name], wide[name], bins, sub_frames, LATER_SAMPLES if head == 0 else 0)
    for head in (2, 3):
        wide[f"decoder.heads.{head}.linear.bias"] += QUIET / 2
    codec.load_state_dict(wide)
    return codec


def _input(narrow: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
    """The first two analyses are the mono codec's (its Nyquist bin aside); the others begin with no weight."""
    result = torch.zeros_like(wide)
    first, second = (2 * bins for bins in NARROW_BINS)
    result[:, : first - 2] = narrow[:, : first - 2]
    result[:, first - 2 : first - 2 + second] = narrow[:, first:]
    return result


def _head(narrow: torch.Tensor, wide: torch.Tensor, bins: int, sub_frames: int, later: int) -> torch.Tensor:
    """Rows (sub-frame, log magnitude | cosine | sine, bin): the mono codec's, their phase turned as far as a steady
    partial turns in `later` samples; new bins quiet."""
    old = narrow.view(sub_frames, 3, bins, *narrow.shape[1:])
    new = wide.view(sub_frames, 3, -1, *wide.shape[1:]).clone()
    if narrow.ndim == 1:
        new[:, 0] = QUIET
    kept = min(bins, new.shape[2])
    new[:, :, :kept] = old[:, :, :kept]
    if later:
        angle = 2 * pi * later / 7680 * torch.arange(kept)
        angle = angle.view(-1, *[1] * (narrow.ndim - 1))
        cosine, sine = old[:, 1, :kept], old[:, 2, :kept]
        new[:, 1, :kept] = cosine * angle.cos() - sine * angle.sin()
        new[:, 2, :kept] = cosine * angle.sin() + sine * angle.cos()
    return new.reshape(wide.shape)
