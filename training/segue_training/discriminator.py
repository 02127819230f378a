"""Multi-resolution, multi-band STFT discriminators for the end of the codec's training (after EnCodec, Défossez 2022, and
DAC, Kumar 2023), small enough for a CPU."""

from __future__ import annotations

import torch
from torch import nn
import torch.nn.functional as F

from .spectrum import hann

BAND_EDGES_HZ = (0.0, 1500.0, 4500.0, 16000.0)
"""Each band has judges of its own: what a partial looks like at 300 Hz says little about the hiss at 10 kHz."""
SAMPLE_RATE = 48000


class BandDiscriminator(nn.Module):
    """2-D convolutions over (time, frequency) of one band of a complex spectrum, its magnitude compressed."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(inputs, channels, (3, 9), padding=(1, 4)),
                *(nn.Conv2d(channels, channels, (3, 9), stride=(1, 2), padding=(1, 4)) for _ in range(3)),
                nn.Conv2d(channels, channels, 3, padding=1),
            ]
        )
        self.judge = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Band [B, inputs, T, bins] → judgement [B, 1, T, F] and the features of each layer."""
        features = []
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for layer in self.layers:
                x = F.leaky_relu(layer(x), 0.1)
                features.append(x)
            return self.judge(x).float(), features


class SpectrumDiscriminator(nn.Module):
    """One resolution: a judge for each band of mid and side together."""

    def __init__(self, n_fft: int, signals: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        edges = [round(hz / SAMPLE_RATE * n_fft) for hz in BAND_EDGES_HZ]
        # A band narrower than a judge's field is left to the other resolutions.
        self.bands = [(low, high) for low, high in zip(edges, edges[1:]) if high - low >= 16]
        self.judges = nn.ModuleList(BandDiscriminator(2 * signals, channels) for _ in self.bands)

    def forward(self, audio: torch.Tensor) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
        """Signals [B, signals, L] → a judgement and features per band."""
        window, length = hann(self.n_fft), audio.shape[-1]
        spectrum = torch.stft(audio.reshape(-1, length), self.n_fft, self.n_fft // 4, window=window, return_complex=True)
        x = torch.view_as_real(spectrum / self.n_fft**0.5)
        x = x / (x.square().sum(-1, keepdim=True) + 1e-6).pow(0.35)
        x = x.view(*audio.shape[:2], *x.shape[1:]).permute(0, 1, 4, 3, 2).flatten(1, 2)
        return [judge(x[..., low:high]) for judge, (low, high) in zip(self.judges, self.bands, strict=True)]


class Discriminator(nn.Module):
    """Several resolutions, each with its bands."""

    def __init__(
        self, resolutions: tuple[int, ...] = (8192, 2048, 512), signals: int = 2, channels: int = 12
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SpectrumDiscriminator(n_fft, signals, channels) for n_fft in resolutions)

    def forward(self, audio: torch.Tensor) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
        return [judgement for part in self.parts for judgement in part(audio)]

    def own_loss(self, real: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
        """Hinge loss of the discriminator itself."""
        losses = [
            F.relu(1 - good).mean() + F.relu(1 + bad).mean()
            for (good, _), (bad, _) in zip(self(real), self(decoded.detach()), strict=True)
        ]
        return torch.stack(losses).mean()

    def codec_losses(self, real: torch.Tensor, decoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the codec minimises: (adversarial, feature matching), the latter relative to the features' size."""
        with torch.no_grad():
            targets = self(real)
        adversarial, matching = [], []
        for (bad, features), (_, wanted) in zip(self(decoded), targets, strict=True):
            adversarial.append(F.relu(1 - bad).mean())
            for a, b in zip(features, wanted, strict=True):
                matching.append((a.float() - b.float()).abs().mean() / (b.float().abs().mean() + 1e-4))
        return torch.stack(adversarial).mean(), torch.stack(matching).mean()
