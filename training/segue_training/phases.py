"""Phases for magnitudes: how the partials and attacks of a sound run on, told from how its magnitudes lie beside each other.

Sources: Průša and Søndergaard 2016 (Real-time spectrogram inversion using phase gradient heap integration), Průša and
Holighaus 2017 (Phase vocoder done right). For a Gaussian window the phase's derivative in time is told by the log magnitude's
in frequency and the other way round; a Hann window is nearly one. Where theirs spread from loud bins to quiet ones by a
heap, here every bin climbs to the top of its own hill, which many bins do at once: the top goes on from the sub-frame
before, the hillside follows the top. On recordings of a piano the spectral convergence is within 1 dB of the heap's.

Where the tops are and how far they turn is told by levels that are steadied: a partial stays where it is as long as it sounds,
and decoded levels flicker, so that a hill would lean now to one side and now to the other and its top jump to and fro. That
is heard as notes struck again (RESULTS.md, "Steady hills").

A top that rises is struck: it begins anew, in phase with all else that is struck at that moment. So an attack stays one,
and a stream forgets: two that began at different times agree after a few seconds (`REMEMBERED_SECONDS`), so that a take can be
gone on from without decoding it from its beginning.

The derivative in time needs the sub-frame that follows, so what comes out is `DELAY` sub-frames late. `phase_graph` is
the same as an ONNX graph.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .spectrum import HIGHEST_LEVEL, to_magnitude

if TYPE_CHECKING:
    from .codec import CodecConfig, Levels

DELAY = 1
GAUSSIAN = 0.25645
"""γ / n² of the Gaussian window nearest to a Hann window of length n (Průša, Balazs and Søndergaard 2017, table I)."""
BELOW = -1e3
"""No level is so low."""
DOUBLINGS = 6
"""A hill is at most 2^DOUBLINGS bins wide on either side; a wider one has several tops."""
STRUCK = 0.35
"""A top that is so much louder than in the sub-frame before begins anew (nepers: 3 dB). With 5 dB a few notes fewer are heard that nobody
struck, but a stream forgets too slowly."""
STEADY = 0.08
"""How far steadied levels go towards those of the sub-frame …"""
RISEN = 0.6
"""… unless these are so much louder (nepers): then all the way, for something else sounds."""
SHARPER = 2.0
"""How much what bends downwards is raised before tops are looked for: what is decoded is blurred, and has three tops where there
should be four."""
REMEMBERED_SECONDS = 4.0
"""What was decoded so long ago hardly changes what sounds now (0.8 s at sixteen places, four of recordings and four of renderings: −63 dB in the
median, −36 dB at worst; 3 s: −62 and −25; 2 s: −59 and −24)."""
TURN = 2 * math.pi


class State(NamedTuple):
    """What the next sub-frames need of those before, of [B, ·, ·]; all zero at the start of a stream."""

    mid: Tensor
    """levels of the last two sub-frames"""
    side: Tensor
    """levels of the last"""
    coherence: Tensor
    """of the last"""
    steady: Tensor
    """levels of the last one given, steadied, [B, 1, bins]"""
    phase: Tensor
    """of the last one given, [B, 1, bins]"""


def slope(x: Tensor) -> Tensor:
    """Half the difference of both neighbours along the last axis; beyond the ends lies what the end is."""
    padded = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
    return (padded[..., 2:] - padded[..., :-2]) / 2


def tops(levels: Tensor) -> Tensor:
    """The top of the hill that each bin of [..., bins] lies on: its index."""
    low = torch.full_like(levels[..., :1], BELOW)
    left = torch.cat([low, levels[..., :-1]], dim=-1)
    right = torch.cat([levels[..., 1:], low], dim=-1)
    down = (left > levels) & (left >= right)
    up = (right > levels) & ~down
    found = torch.arange(levels.shape[-1]) + up.long() - down.long()
    for _ in range(DOUBLINGS):
        found = found.gather(-1, found)
    return found


def steadied(levels: Tensor, last: Tensor) -> Tensor:
    """Levels [B, S, bins], steadied ones of the sub-frame before [B, bins] → steadied levels [B, S, bins]."""
    found = []
    for level in levels.unbind(1):
        louder = level - last
        last = torch.where(louder > RISEN, level, last + STEADY * louder)
        found.append(last)
    return torch.stack(found, 1)


def sharpened(levels: Tensor) -> Tensor:
    """Levels [..., bins] with hills where they bend downwards, so that a partial on the side of a louder one has one too."""
    below = torch.cat([levels[..., :1], levels[..., :-1]], dim=-1)
    above = torch.cat([levels[..., 1:], levels[..., -1:]], dim=-1)
    return levels + SHARPER * (2 * levels - below - above)


def wrapped(phase: Tensor) -> Tensor:
    """To within [−π, π)."""
    return phase - TURN * torch.floor(phase / TURN + 0.5)


def stereo_signs(bands: int) -> Tensor:
    """[bands]: whether what of the side does not go with the mid runs ahead of it or behind, alternating, so that
    neither ear is ahead on the whole."""
    return 1.0 - 2.0 * (torch.arange(bands) % 2)


def band_of_bin(bins: int, bands: int, sample_rate: int) -> Tensor:
    """[bins]: which of the bands, equally wide in mel, a bin belongs to."""
    mel = torch.log1p(torch.linspace(0.0, sample_rate / 2, bins) / 700.0)
    return (mel / mel[-1] * bands).long().clamp(max=bands - 1)


class Phases:
    """Turns levels into the spectra that docs/pack.md's synthesis wants."""

    def __init__(self, config: CodecConfig) -> None:
        self.floor, self.bins, self.bands = config.floor, config.bins, config.stereo_bands
        bins = torch.arange(self.bins, dtype=torch.float64)
        # A partial in the middle of its bin turns so far from one sub-frame to the next.
        self.middle = wrapped(TURN * config.sub_hop * bins / config.window).float()
        self.per_slope = config.sub_hop / (GAUSSIAN * config.window)
        self.per_rise = GAUSSIAN * config.window / config.sub_hop
        # Phases are told at the middle of a window, the synthesis begins at its first sample.
        self.sign = (1.0 - 2.0 * (bins % 2)).float()
        self.band = band_of_bin(self.bins, self.bands, config.sample_rate)
        self.ahead = stereo_signs(self.bands)

    def start(self, batch: int) -> State:
        """Silence."""
        silent = torch.zeros(batch, 2, self.bins)
        return State(silent, silent[:, :1], torch.zeros(batch, 1, self.bands), silent[:, :1], silent[:, :1])

    def stream(self, levels: Levels, state: State | None) -> tuple[tuple[Tensor, Tensor], State]:
        """Levels of S sub-frames → spectra of mid and side [B, S, bins, 2], of the sub-frames before each, and the next
        state."""
        state = self.start(len(levels.mid)) if state is None else state
        mid = torch.cat([state.mid, levels.mid.clamp(0.0, HIGHEST_LEVEL)], 1)
        side = torch.cat([state.side, levels.side.clamp(0.0, HIGHEST_LEVEL)], 1)
        coherence = torch.cat([state.coherence, levels.coherence], 1)
        steady = steadied(mid[:, 1:-1], state.steady[:, 0])
        phase = self.integrate(mid, steady, state.phase[:, 0])
        following = State(mid[:, -2:], side[:, -1:], coherence[:, -1:], steady[:, -1:], phase[:, -1:])
        cosine, sine = phase.cos() * self.sign, phase.sin() * self.sign
        loud = to_magnitude(mid[:, 1:-1], self.floor)
        rest = (1.0 - coherence[:, :-1].square()).clamp(min=0.0).sqrt() * self.ahead
        with_mid, across = coherence[:, :-1][..., self.band], rest[..., self.band]
        wide = to_magnitude(side[:, :-1], self.floor)
        sides = (wide * (with_mid * cosine - across * sine), wide * (with_mid * sine + across * cosine))
        return (torch.stack([loud * cosine, loud * sine], -1), torch.stack(sides, -1)), following

    def mid(self, levels: Tensor) -> Tensor:
        """Levels of mid [B, S, bins] → its spectra as `stream` gives them at the start of a stream. The gradient reaches the
        magnitudes alone."""
        start = self.start(len(levels))
        mid = torch.cat([start.mid, levels.clamp(0.0, HIGHEST_LEVEL)], 1)
        with torch.no_grad():
            phase = self.integrate(mid, steadied(mid[:, 1:-1], start.steady[:, 0]), start.phase[:, 0])
        loud = to_magnitude(mid[:, 1:-1], self.floor) * self.sign
        return torch.stack([loud * phase.cos(), loud * phase.sin()], -1)

    def integrate(self, mid: Tensor, steady: Tensor, last: Tensor) -> Tensor:
        """Levels [B, S + 2, bins], those of all but the first and the last steadied, phases [B, bins] of the first → phases
        [B, S, bins] of all but the first and the last."""
        ahead = self.middle + slope(steady) * self.per_slope
        rise = -self.per_rise * (mid[:, 2:] - mid[:, :-2]) / 2
        between = wrapped((rise[..., 1:] + rise[..., :-1]) / 2)
        across = torch.cat([torch.zeros_like(rise[..., :1]), between.cumsum(-1)], dim=-1)
        top = tops(sharpened(steady))
        moved = ahead.gather(-1, top) + across - across.gather(-1, top)
        struck = (mid[:, 1:-1] - mid[:, :-2]).gather(-1, top) > STRUCK
        moved = torch.where(struck, across, moved)
        found = []
        for frame in range(steady.shape[1]):
            last = wrapped(last.gather(-1, top[:, frame]) * ~struck[:, frame] + moved[:, frame])
            found.append(last)
        return torch.stack(found, 1)
