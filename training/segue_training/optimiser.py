"""Muon for the matrices, AdamW for everything else, one schedule for both."""

from __future__ import annotations

import math

import torch
from torch import nn

ADAMW_RATE = 1e-3
MUON_RATE = 2e-3
NEWTON_SCHULZ_STEPS = 3
"""Of the usual five: of matrices so large they are what costs."""
WARM_UP_STEPS = 100
LAST_RATE = 0.03


class Optimiser:
    """Both optimisers as one. Rates warm up over steps, then fall with a cosine of the time spent."""

    def __init__(self, model: nn.Module, rate: float = 1.0) -> None:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trained if parameter.ndim == 2]
        chosen = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in trained if id(parameter) not in chosen]
        self.rate = rate
        self.parameters = [*matrices, *others]
        self.muon = torch.optim.Muon(
            matrices,
            lr=MUON_RATE,
            weight_decay=1e-3,
            momentum=0.95,
            ns_steps=NEWTON_SCHULZ_STEPS,
            adjust_lr_fn="match_rms_adamw",
        )
        self.adamw = torch.optim.AdamW(others, lr=ADAMW_RATE, betas=(0.8, 0.99), weight_decay=1e-3, fused=True)

    def step(self, loss: torch.Tensor, step: int, progress: float) -> float:
        """Backward pass and update; `progress` 0..1 is the share of the training's time. Returns the gradient norm.
        A step whose gradient is not finite changes nothing."""
        factor = min(1.0, (step + 1) / WARM_UP_STEPS)
        factor *= LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        for optimiser, rate in ((self.muon, MUON_RATE), (self.adamw, ADAMW_RATE)):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor * self.rate
        self.muon.zero_grad()
        self.adamw.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.parameters, 2.0))
        if math.isfinite(norm):
            self.muon.step()
            self.adamw.step()
        return norm

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])
