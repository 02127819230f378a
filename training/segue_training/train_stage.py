"""Train one stage on the token cache.

    python -m segue_training.train_stage --stage coarse --work WORK --minutes 45 --threads 1

The learning rate follows the minutes, not the steps, so that a run ends when it is told to on any machine. A run that
is stopped goes on from its last checkpoint when started again with the same command.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from .checkpoint import Checkpoint, Progress, checkpoint_path, load, save
from .codebooks import Codebooks, merged, tie, translate
from .objectives import CLEAN, Corruption, losses
from .presets import PRESETS
from .stages import Stage, StageConfig, build
from .token_data import Crops, Shards

FRAMES_PER_STEP = 2048
WARM_UP = 0.02
"""Share of the minutes over which the learning rate rises; it then falls as a cosine to a twentieth."""
MUON_RATE = 3e-3
ADAM_RATE = 3e-3
AVERAGE_DECAY = 0.998
BOOK_DECAY = {"semantic": 1.0, "coarse": 0.65, "fine": 0.65}
"""How much less each codebook's loss counts than the one's before it: later acoustic books are nearly noise to a small model,
and are heard less."""
LONGEST_TURN = 5.0
"""Minutes: what took longer than this between two steps was no training, the machine slept."""
CROPS_AT_FIRST, CROPS_AT_LAST = (0.50, 0.35, 0.15), (0.05, 0.35, 0.60)
"""How often a step takes crops of a quarter, a half and all of the context: short ones are cheaper, and nearby notes
come first anyway."""


def optimisers(stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) on the matrices inside blocks, AdamW on embeddings, heads, gains and taps."""
    matrices = [m.weight for m in stage.modules() if isinstance(m, nn.Linear)]
    inside = {id(weight) for weight in matrices}
    others = [p for p in stage.parameters() if id(p) not in inside]
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def rate_at(share: float) -> float:
    """The learning rate's factor after this share of the minutes."""
    if share < WARM_UP:
        return max(share / WARM_UP, 0.01)
    along = min(1.0, (share - WARM_UP) / (1 - WARM_UP))
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along))


def begin_with(stage: Stage, found: dict[str, torch.Tensor], before: Codebooks | None, now: Codebooks) -> None:
    """Takes what it can of the weights of a stage trained on other tokens.

    How to attend is much the same, so the blocks are taken. What a token means is known if the codebooks `before` are: then
    tables are taken too and translated to `now`.
    """
    own = stage.state_dict()
    blocks = ("temporal.", "depth.", "depth_in.", "blocks.")
    wanted = own if before is not None else [name for name in own if name.startswith(blocks)]
    taken = {name: found[name] for name in wanted if name in found and found[name].shape == own[name].shape}
    if not taken:
        raise ValueError("that checkpoint has no weight of the same size: begin without it")
    stage.load_state_dict(taken, strict=False)
    if before is not None:
        translate(stage, before, now)


class Trainer:
    """The state of a run and one method per thing that happens to it."""

    def __init__(
        self,
        stage_id: str,
        config: StageConfig,
        minutes: float,
        path: Path,
        codebooks: Codebooks | None = None,
        begin_from: Path | None = None,
        before: Codebooks | None = None,
    ) -> None:
        """Goes on from `path` if there is one. `codebooks`: of the tokens, if its tables are to know them; `before`: of those that
        `begin_from` was trained on."""
        self.stage_id, self.config, self.path = stage_id, config, path
        self.context = getattr(config, "context", 256)
        self.model = build(config)
        if begin_from is not None and not path.exists():
            begin_with(self.model, load(begin_from).averaged, before, codebooks)
        self.progress = Progress(budget_minutes=minutes, parameters=sum(p.numel() for p in self.model.parameters()))
        found = load(path) if path.exists() else None
        tied_before = found is not None and any("parametrizations." in name for name in found.resume["model"])
        if found is not None and not tied_before:
            self.model.load_state_dict(found.resume["model"])
        if codebooks is not None:
            tie(self.model, codebooks)
        if tied_before:
            self.model.load_state_dict(found.resume["model"])
        self.optimisers = optimisers(self.model)
        self.averaged = {name: value.clone() for name, value in merged(self.model).items()}
        if found is not None:
            # What came back from a pack has no optimisers, and those of free tables are no use to tied ones.
            if tied_before == (codebooks is not None):
                for optimiser, state in zip(self.optimisers, found.resume["optimisers"] or ()):
                    optimiser.load_state_dict(state)
            self.averaged, self.progress = found.averaged, found.progress
            self.progress.budget_minutes = minutes
        self.corruption = Corruption()

    def save(self) -> None:
        """Everything, so that a stopped run can go on."""
        resume = {"model": self.model.state_dict(), "optimisers": [o.state_dict() for o in self.optimisers]}
        save(self.path, Checkpoint(self.config, self.averaged, self.progress, resume))

    @property
    def share(self) -> float:
        """How much of the minutes has been used."""
        return self.progress.minutes / self.progress.budget_minutes

    def length(self) -> int:
        """Frames per crop in the next step."""
        shares = torch.tensor(CROPS_AT_FIRST).lerp(torch.tensor(CROPS_AT_LAST), min(1.0, self.share))
        return self.context // (4, 2, 1)[int(torch.multinomial(shares, 1))]

    def step(self, crops: Crops) -> float:
        """One update; returns the mean loss in nats per token."""
        length = self.length()
        batch = crops.batch(FRAMES_PER_STEP // length, length)
        factor = rate_at(self.share)
        for optimiser, rate in zip(self.optimisers, (MUON_RATE, ADAM_RATE), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16):
            each = losses(self.model, batch, self.corruption)
        weights = BOOK_DECAY[self.stage_id] ** torch.arange(len(each))
        (each @ (weights / weights.sum())).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.progress.steps += 1
        self.progress.frames += FRAMES_PER_STEP
        self._average()
        return each.mean().item()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(AVERAGE_DECAY, (1 + self.progress.steps) / (10 + self.progress.steps))
        now = merged(self.model)
        torch._foreach_lerp_(list(self.averaged.values()), [now[name] for name in self.averaged], 1 - decay)

    @torch.no_grad()
    def validate(self, crops: Crops) -> dict[str, float]:
        """Cross-entropy of the averaged weights on held-out pieces, by codebook and in the mean."""
        model = build(self.config)
        model.load_state_dict(self.averaged)
        model.eval()
        found = []
        for batch in crops.fixed(32, self.context):
            with torch.autocast("cpu", torch.bfloat16):
                found.append(losses(model, batch, CLEAN))
        each = torch.stack(found).mean(dim=0).tolist()
        first = getattr(self.config, "given", 0)
        named = {f"book {first + index}": value for index, value in enumerate(each)} if len(each) > 1 else {}
        return named | {"mean": sum(each) / len(each)}


def clock(progress: Progress) -> Iterator[None]:
    """Adds the time between turns to the minutes, until they are used up."""
    last = time.monotonic()
    while progress.minutes < progress.budget_minutes:
        yield
        now = time.monotonic()
        progress.minutes += min((now - last) / 60, LONGEST_TURN)
        last = now


def train(trainer: Trainer, work: Path, checkpoint_every: float = 2.0, validate_every: float = 4.0) -> None:
    """Until the minutes are used up; one line a minute."""
    training, held_out = Shards(work / "tokens" / "train"), Shards(work / "tokens" / "valid")
    held_out.refresh()
    progress = trainer.progress
    valid = Crops(held_out.excerpts, trainer.stage_id, trainer.config, seed=0) if held_out.excerpts else None
    crops = None
    recent: list[float] = []
    next_line = next_save = next_valid = progress.minutes
    for _ in clock(progress):
        if progress.minutes >= next_line or crops is None:
            if training.refresh() or crops is None:
                crops = Crops(training.excerpts, trainer.stage_id, trainer.config, seed=progress.steps)
                progress.hours_available = training.hours
            if recent:
                print(
                    f"{progress.minutes:6.1f} min  step {progress.steps}  {progress.frames / 1e6:.2f} M frames  "
                    f"of {training.hours:.1f} h  loss {sum(recent) / len(recent):.3f}",
                    flush=True,
                )
                recent.clear()
            next_line = progress.minutes + 1
        recent.append(trainer.step(crops))
        if progress.minutes >= next_valid and valid is not None and progress.steps > 20:
            _validate(trainer, valid, recent)
            next_valid = progress.minutes + validate_every
        if progress.minutes >= next_save + checkpoint_every:
            trainer.save()
            next_save = progress.minutes
    if valid is not None:
        _validate(trainer, valid, recent)
    trainer.save()


def _validate(trainer: Trainer, valid: Crops, recent: list[float]) -> None:
    progress = trainer.progress
    progress.validation = trainer.validate(valid)
    progress.history.append(
        {
            "minutes": progress.minutes,
            "frames": progress.frames,
            "valid": progress.validation["mean"],
            "train": sum(recent) / max(1, len(recent)),
        }
    )
    print("        held out: " + ", ".join(f"{k} {v:.3f}" for k, v in progress.validation.items()), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("semantic", "coarse", "fine"), required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--preset", choices=PRESETS, default="second")
    parser.add_argument("--begin-from", type=Path, help="begin with the blocks of this stage_*.pt")
    parser.add_argument("--tokens-of", type=Path, help="… and what it knows of the tokens in this folder, OLD/tokens/train")
    arguments = parser.parse_args()
    if arguments.tokens_of and not arguments.begin_from:
        parser.error("--tokens-of tells of --begin-from's tokens")
    torch.set_num_threads(arguments.threads)
    path = checkpoint_path(arguments.work, arguments.stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    config = PRESETS[arguments.preset].stage(arguments.stage).config
    codebooks = Codebooks.load(arguments.work / "tokens" / "train")
    before = Codebooks.load(arguments.tokens_of) if arguments.tokens_of else None
    trainer = Trainer(arguments.stage, config, arguments.minutes, path, codebooks, arguments.begin_from, before)
    train(trainer, arguments.work)


if __name__ == "__main__":
    main()
