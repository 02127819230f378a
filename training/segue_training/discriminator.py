"""A small multi-resolution STFT discriminator for the end of the codec's training (after EnCodec, Défossez 2022)."""

from __future__ import annotations

import torch
from torch import nn
import torch.nn.functional as F

from .spectrum import hann


class SpectrumDiscriminator(nn.Module):
    """2-D convolutions over (time, frequency) of one resolution's complex spectrum, its magnitude compressed."""

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(2, channels, (3, 9), padding=(1, 4)),
                *(nn.Conv2d(channels, channels, (3, 9), stride=(1, 2), padding=(1, 4)) for _ in range(3)),
                nn.Conv2d(channels, channels, 3, padding=1),
            ]
        )
        self.judge = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Audio [B, L] → judgement [B, 1, T, F] and the features of each layer."""
        spectrum = torch.stft(audio, self.n_fft, self.n_fft // 4, window=hann(self.n_fft), return_complex=True)
        x = torch.view_as_real(spectrum / self.n_fft**0.5).permute(0, 3, 2, 1)
        x = x / (x.square().sum(1, keepdim=True) + 1e-5).pow(0.35)
        features = []
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for layer in self.layers:
                x = F.leaky_relu(layer(x), 0.1)
                features.append(x)
            return self.judge(x).float(), features


class Discriminator(nn.Module):
    """Several resolutions, each a judge of its own."""

    def __init__(self, resolutions: tuple[int, ...] = (4096, 1024, 256), channels: int = 12) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SpectrumDiscriminator(n_fft, channels) for n_fft in resolutions)

    def forward(self, audio: torch.Tensor) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
        return [part(audio) for part in self.parts]

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
