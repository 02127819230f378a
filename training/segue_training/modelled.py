"""Pianos that nobody built: random strings, hammers and soundboards, to teach that no two pianos sound alike.

Four sampled pianos are few: a codec knows by heart where their partials lie, and decodes a fifth one worse (RESULTS.md, "Magnitudes
without phases"). Domain randomisation as Tobin et al. 2017 (arXiv:1703.06907) have it for pictures: a model need not sound like
a good piano, but it must differ where pianos differ: stiffness and tuning of the strings, where and how hard they are struck,
how a soundboard takes their partials, how these beat and die. Sources: Fletcher and Rossing, The Physics of Musical
Instruments, ch. 12; Young 1952 for inharmonicity; Weinreich 1977 for the two slopes of a decay.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from .midi import HIGHEST_KEY, LOWEST_KEY
from .sfz import Region

VELOCITIES = (36, 64, 96, 127)
SECONDS = 7.0
PARTIALS = 48
HIGHEST_HZ = 15000.0
BLOCK = 512
ATTACK_SECONDS = 0.0015
KNOTS = 36
"""Of the soundboard's curve, from 20 Hz to 20 kHz."""


class Instrument:
    """All that is the same for every key of one piano."""

    def __init__(self, seed: int, sample_rate: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.sample_rate = sample_rate
        self.treble_stiffness = np.exp(rng.uniform(np.log(4e-4), np.log(1.2e-3)))
        self.bass_stiffness = np.exp(rng.uniform(np.log(0.6e-4), np.log(4e-4)))
        self.tuned = rng.uniform(-10.0, 10.0)
        self.struck_at = rng.uniform(0.09, 0.14)
        self.slope = rng.uniform(0.3, 1.1)
        self.hardness = np.exp(rng.uniform(np.log(450.0), np.log(1600.0)))
        self.harder = rng.uniform(1.2, 2.6)
        self.rings = np.exp(rng.normal(0.0, 0.3))
        self.damps = np.exp(rng.uniform(np.log(0.3), np.log(1.6)))
        self.detuned = rng.uniform(0.15, 1.2)
        self.board = rng.normal(0.0, rng.uniform(2.0, 5.0), (2, KNOTS))
        self.board[1] = self.board[0] + 0.4 * self.board[1]
        self.jitter = rng.uniform(1.0, 4.0)
        self.knock = rng.uniform(-34.0, -16.0)
        self.knocked = np.exp(rng.uniform(np.log(60.0), np.log(700.0), 14)), rng.uniform(0.02, 0.12, 14)
        self.hiss = np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
        self.width = rng.uniform(0.0, 0.8)

    def frequencies(self, key: int) -> np.ndarray:
        """Of a key's partials, in Hz."""
        stiffness = self.treble_stiffness * np.exp(0.0926 * (key - 69)) + self.bass_stiffness * np.exp(-0.0847 * (key - 40))
        cents = self.tuned + self.rng.normal(0.0, 1.5) + 18.0 * np.sign(key - 60) * (abs(key - 60) / 48.0) ** 3
        n = np.arange(1, PARTIALS + 1)
        return 440.0 * 2.0 ** ((key - 69 + cents / 100.0) / 12.0) * n * np.sqrt((1 + stiffness * n**2) / (1 + stiffness))

    def on_board(self, hz: np.ndarray) -> np.ndarray:
        """How loud the soundboard plays these frequencies, left and right [2, n]."""
        place = np.log(np.maximum(hz, 20.0) / 20.0) / np.log(1000.0) * (KNOTS - 1)
        return 10.0 ** (np.stack([np.interp(place, np.arange(KNOTS), curve) for curve in self.board]) / 20.0)

    def key(self, key: int) -> Iterator[np.ndarray]:
        """One key at each of `VELOCITIES`, stereo float32 [n, 2]."""
        rng, hz = self.rng, self.frequencies(key)
        n = np.arange(1, len(hz) + 1)
        keep = hz < HIGHEST_HZ
        hz, n = hz[keep], n[keep]
        comb = np.abs(np.sin(np.pi * n * self.struck_at)) + 0.08
        uneven = 10.0 ** (rng.normal(0.0, self.jitter, (2, len(n))) / 20.0)
        pan = self.width * np.clip((key - 62) / 44.0 + rng.normal(0.0, 0.1), -1.0, 1.0)
        sides = np.array([[1.0 - 0.5 * pan], [1.0 + 0.5 * pan]])
        loud = comb / n**self.slope * self.on_board(hz) * uneven * sides
        # Loss per second: of the air and the bridge, and more of what is high.
        slow = 6.9 / (self.rings * 14.0 * 2.0 ** (-(key - 36) / 17.0)) * (1.0 + self.damps * (hz / 1500.0) ** 1.3)
        slow = slow * np.exp(rng.normal(0.0, 0.25, len(n)))
        strings = 1 if key < 32 else 2 if key < 44 else 3
        cents = rng.normal(0.0, self.detuned, (max(strings, 2), 1))
        shares = np.array([[1.0], [10.0 ** (rng.uniform(-16.0, -6.0) / 20.0)], [0.5]])[: len(cents)]
        losses = slow * np.array([[rng.uniform(2.0, 4.0)], [1.0], [rng.uniform(1.0, 2.0)]])[: len(cents)]
        turns = 2 * np.pi * hz * 2.0 ** (cents / 1200.0)
        rate = ((-losses + 1j * turns) / self.sample_rate).reshape(-1)
        starts = np.exp(2j * np.pi * rng.random((2, len(n)))) * loud
        begin = (starts[:, None, :] * shares).reshape(2, -1)
        # Enough of the string's phases in common that both ears hear one attack.
        begin[1] = np.abs(begin[1]) * np.exp(1j * (np.angle(begin[0]) + rng.normal(0.0, 0.9, begin.shape[1])))
        for velocity in VELOCITIES:
            soft = np.exp(-((hz / (self.hardness * (velocity / 64.0) ** self.harder * 2.0 ** ((key - 48) / 28.0))) ** 0.9))
            yield self.sound(rate, begin * np.tile(soft, len(cents)), key, velocity)

    def sound(self, rate: np.ndarray, begin: np.ndarray, key: int, velocity: int) -> np.ndarray:
        """Decaying partials (`rate`, and what they begin with on either side) and the knock of the key."""
        blocks = int(SECONDS * self.sample_rate) // BLOCK
        within = np.exp(np.outer(rate, np.arange(BLOCK))).astype(np.complex64)
        between = np.exp(np.outer(np.arange(blocks) * BLOCK, rate))
        out = np.stack([((between * side).astype(np.complex64) @ within).real.reshape(-1) for side in begin], 1)
        out = out / (np.abs(out).max() + 1e-9)
        time = np.arange(int(0.4 * self.sample_rate)) / self.sample_rate
        modes, lasts = self.knocked
        level = 10.0 ** ((self.knock + self.rng.normal(0.0, 2.0)) / 20.0) * (1.4 if key > 76 else 1.0)
        for side in range(2):
            gains = self.rng.normal(0.0, 1.0, len(modes))
            ring = (gains[:, None] * np.sin(2 * np.pi * modes[:, None] * time) * np.exp(-time / lasts[:, None])).sum(0)
            noise = lfilter([self.hiss], [1.0, self.hiss - 1.0], self.rng.normal(0.0, 1.0, len(time)))
            hiss = noise / (noise.std() + 1e-9) * np.exp(-time / 0.015) * velocity / 127.0
            out[: len(time), side] += level * (ring / 3.0 + hiss)
        rise = int(ATTACK_SECONDS * self.sample_rate)
        out[:rise] *= np.linspace(0.0, 1.0, rise)[:, None]
        return (out * (velocity / 127.0)).astype(np.float32)


def modelled_notes(seed: int, sample_rate: int) -> Iterator[tuple[int, Region, np.ndarray]]:
    """Every key of the piano of a seed at each of `VELOCITIES`, as `piano.build_bank` takes them."""
    instrument = Instrument(seed, sample_rate)
    lower = dict(zip(VELOCITIES, (1, *(velocity + 1 for velocity in VELOCITIES)), strict=False))
    for key in range(LOWEST_KEY, HIGHEST_KEY + 1):
        release = 0.25 if key < 89 else 2.0
        for velocity, audio in zip(VELOCITIES, instrument.key(key), strict=True):
            region = Region(Path(f"modelled-{seed}"), key, key, lower[velocity], velocity, key, 0.0, release, 60.0)
            yield key, region, audio
