"""Trains the acoustic codec on rendered audio; resumes where it stopped.

python -m segue_training.train_codec --work WORK --minutes 90
python -m segue_training.train_codec --work WORK --minutes 20 --finish
python -m segue_training.train_codec --work WORK --minutes 90 --begin-from OTHER/checkpoints/codec_finished.pt

Beside its levels, what is decoded is compared by what it tells of its notes (`listener`): run `train_notes` first. The
second form goes on from the finished codec and trains its decoder alone: codes already made stay valid. It also learns to
play codes as the transformers write them (`retell`), where there are some: half of the clips are then played from those. The
third form begins with a codec that has learnt, all of which goes on learning: codes change, and what was made of them is to be made anew.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch

from .audio_data import Clips, evaluation_clips
from .checkpoint import write
from .codec import Codec, CodecConfig, Levels
from .listener import Listener, misheard
from .losses import coherence_of, figures, level_distance
from .optimiser import Optimiser
from .phases import band_of_bin
from .retell import RETOLD, Retold
from .semantic import SemanticConfig
from .spectrum import Analysis, analyse, to_level, to_magnitude

BATCH = 12
CLIP_FRAMES = 56
BEGINNING, END = 8, 2
"""Frames of a clip whose levels are not compared: the network has heard too little before them, windows reach beyond the end."""
LISTENER = SemanticConfig()
GAIN_DB = 6.0
UNQUANTISED_STEPS = 200
INITIAL_LATENTS = 24000
SAVE_SECONDS = 120.0
EVALUATE_SECONDS = 480.0
SIDE_WEIGHT = 0.4
COHERENCE_WEIGHT = 0.1
COMMITMENT_WEIGHT = 0.1
MISHEARD_WEIGHT = 1.0
FINISH_RATE = 0.4
AGAIN_RATE = 0.5
"""Of a codec that has learnt already."""
RETOLD_CLIPS = 0.5
"""Share of the clips of the finish that are played from retold codes."""


def load_codec(path: Path) -> Codec:
    """The codec of a checkpoint, ready for use."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    codec = Codec(CodecConfig.from_dict(state["config"]))
    codec.load_state_dict(state["model"])
    return codec.eval()


@torch.no_grad()
def evaluate(codec: Codec, clips: torch.Tensor, books: int, listener: Listener) -> dict[str, float]:
    """Mean figures over clips [N, channels, L] decoded from the first `books` codebooks, how much they mislead the listener,
    and the least codebook use."""
    codec.eval()
    totals: dict[str, float] = {}
    hop, edge = codec.config.hop, codec.edge
    clips = clips[..., : clips.shape[-1] // hop * hop]
    used = []
    for clip in clips:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            codes = codec.encode(clip[None])
        used.append(codes[0].clone())
        codes[..., books:] = codec.config.cardinality
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = codec.decoder(codec.quantizer.decode(codes))
        decoded = codec.synthesise(levels, clip.shape[-1])[0]
        for name, value in figures(clip[:, edge:-edge], decoded[:, edge:-edge]).items():
            totals[name] = totals.get(name, 0.0) + value / len(clips)
        notes = misheard(listener.hear(clip[None, 0]), listener.hear(decoded[None, 0]))
        totals["misheard"] = totals.get("misheard", 0.0) + float(notes) / len(clips)
    codes = torch.cat(used)
    use = [len(codes[:, book].unique()) / codec.config.cardinality for book in range(codec.config.books)]
    codec.train()
    return {**totals, "codebook_use": min(use[:books])}


def true_levels(codec: Codec, audio: torch.Tensor) -> Levels:
    """What the decoder should give: mid and side [B, 2, L] → levels of the whole frames in L. A clip's first and last
    sub-frames see silence outside."""
    config = codec.config
    window = Analysis(config.window, config.bins, config.placed + config.window - config.sub_hop)
    mid, side = (torch.view_as_complex(analyse(signal, window, config.sub_hop)) for signal in audio.unbind(1))
    band = band_of_bin(config.bins, config.stereo_bands, config.sample_rate)
    coherence = coherence_of(mid, side, band, config.stereo_bands, config.sub_frames)
    return Levels(to_level(mid.abs(), config.floor), to_level(side.abs(), config.floor), coherence)


class Batch(NamedTuple):
    """Clips, and all that is to be known of them before anything is learnt from them."""

    true: Levels
    """The levels of all clips."""
    notes: torch.Tensor
    """What the listener hears in them, log odds."""
    spectra: list[torch.Tensor]
    """What the encoder hears of the clips that are played from their own codes: the first of them."""
    told: torch.Tensor
    """Retold codes [clips, CLIP_FRAMES, books] of the others, the last of them."""


class Training:
    """One training: the codec, its optimisers and how far they are."""

    def __init__(self, work: Path, minutes: float, finish: bool, begin_from: Path | None = None) -> None:
        self.minutes, self.finish = minutes, finish
        self.path = work / "checkpoints" / ("codec_finished.pt" if finish else "codec.pt")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.clips = Clips(work / "audio", seed=int(time.time()))
        self.listener = Listener(work, LISTENER)
        self.held_out = evaluation_clips(work / "validation_audio", 20.0, 10.0, 48000, every=3)
        self.step, self.spent, self.log = 0, 0.0, []
        learnt = work / "checkpoints" / "codec.pt" if finish else begin_from
        self.codec = load_codec(learnt) if learnt else Codec()
        self.again = learnt is not None
        self.retold: Retold | None = None
        if finish:
            self.codec.encoder.requires_grad_(False)
            if (work / RETOLD).exists():
                self.retold = Retold(work, seed=int(time.time()))
        self.optimiser = Optimiser(self.codec, FINISH_RATE if finish else AGAIN_RATE if begin_from else 1.0)
        if self.path.exists():
            self.resume()
        elif not self.again:
            self.codec.encoder.accustom(self.codec.analyse(self.draw()))
        self.ahead = ThreadPoolExecutor(max_workers=1)
        self.coming: Future[Batch] = self.ahead.submit(self.prepare)

    def draw(self, clips: int = BATCH) -> torch.Tensor:
        """Mid and side of random clips [clips, 2, CLIP_FRAMES · hop]."""
        return self.clips.draw(clips, CLIP_FRAMES * self.codec.config.hop, GAIN_DB)

    def resume(self) -> None:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.codec.load_state_dict(state["model"])
        if state["optimiser"] is not None:
            self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.spent, self.log = state["step"], state["spent"], state["log"]

    def save(self) -> None:
        state = {
            "config": self.codec.config.to_dict(),
            "model": self.codec.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "log": self.log,
        }
        write(self.path, state)

    def initialise_codebooks(self) -> None:
        """k-means of the latents of the encoder as it is."""
        latents: list[torch.Tensor] = []
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            while sum(len(part) for part in latents) < INITIAL_LATENTS:
                latents.append(self.codec.encoder(self.codec.analyse(self.draw())).flatten(0, 1).float())
        self.codec.quantizer.initialise(torch.cat(latents))

    def books_kept(self, batch: int) -> torch.Tensor:
        """Books per clip: half keep all, a quarter the coarse ones, a quarter any number."""
        books = self.codec.config.books
        choice = torch.rand(batch)
        kept = torch.where(choice < 0.5, books, self.codec.config.coarse_books)
        return torch.where(choice < 0.25, torch.randint(1, books + 1, (batch,)), kept)

    @torch.no_grad()
    def prepare(self) -> Batch:
        """The next batch. It needs nothing that is learnt, so it is made on a thread of its own, which saves a third of a step."""
        config = self.codec.config
        others = int(BATCH * RETOLD_CLIPS) if self.retold else 0
        audio = self.draw(BATCH - others)
        spectra, told = self.codec.analyse(audio), torch.zeros(0, CLIP_FRAMES, config.books, dtype=torch.long)
        if self.retold:
            sound, told = self.retold.draw(others, CLIP_FRAMES, config.hop)
            audio = torch.cat([audio, sound])
        return Batch(true_levels(self.codec, audio), self.listener.hear(audio[:, 0]), spectra, told)

    def next_batch(self) -> Batch:
        """The one that was prepared; the one behind it is begun."""
        batch = self.coming.result()
        self.coming = self.ahead.submit(self.prepare)
        return batch

    def reconstruct(self, batch: Batch) -> tuple[Levels, torch.Tensor]:
        """The levels of a batch's clips as they are decoded, and the commitment loss."""
        codec = self.codec
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents = codec.encoder(batch.spectra)
        commitment = torch.zeros(())
        if self.again or self.step >= UNQUANTISED_STEPS:
            latents, commitment, _ = codec.quantizer(latents.float(), self.books_kept(len(latents)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return codec.decoder(latents), commitment

    def play(self, batch: Batch) -> Levels:
        """For the finish: the levels of a batch's clips as the decoder plays them, from their own codes and from retold ones."""
        codec = self.codec
        with torch.no_grad():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                latents = codec.encoder(batch.spectra)
            codes = codec.quantizer.encode(latents.float())
            kept = self.books_kept(len(codes))[:, None, None]
            codes = torch.where(torch.arange(codec.config.books) < kept, codes, codec.config.cardinality)
            latents = codec.quantizer.decode(torch.cat([codes, batch.told]))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return codec.decoder(latents)

    def train_step(self, progress: float) -> dict[str, float]:
        """One update on one batch of clips."""
        if self.step == UNQUANTISED_STEPS and not self.again:
            self.initialise_codebooks()
        config, batch = self.codec.config, self.next_batch()
        if self.finish:
            played, commitment = self.play(batch), torch.zeros(())
        else:
            played, commitment = self.reconstruct(batch)
        compared = slice(BEGINNING * config.sub_frames, (CLIP_FRAMES - END) * config.sub_frames)
        true, found = (Levels(*(x[:, compared] for x in levels)) for levels in (batch.true, played))
        mid = level_distance(true.mid, found.mid, config.floor)
        side = level_distance(true.side, found.side, config.floor)
        coherence = (true.coherence - found.coherence).abs().mean()
        notes = misheard(batch.notes, self.listener.hear(self.codec.played_mid(played.mid)))
        parts = {"mid": mid, "side": side, "coherence": coherence, "commitment": commitment, "misheard": notes}
        if len(batch.told):
            # What cannot be foretold is easily played as nothing: how loud the retold clips are, against the true ones.
            loudness, meant = (
                to_magnitude(levels.mid[-len(batch.told) :].detach(), config.floor).square().mean()
                for levels in (found, true)
            )
            parts["retold_level_db"] = 10 * torch.log10((loudness + 1e-9) / (meant + 1e-9))
        loss = mid + SIDE_WEIGHT * side + COHERENCE_WEIGHT * coherence
        loss = loss + COMMITMENT_WEIGHT * commitment + MISHEARD_WEIGHT * notes
        gradient = self.optimiser.step(loss, self.step, progress)
        self.step += 1
        return {name: float(value.detach()) for name, value in parts.items()} | {"gradient": gradient}

    def report(self, parts: dict[str, float]) -> None:
        """Measures the codec on the held-out clips and writes the figures to the log."""
        books = self.codec.config.books
        entry = {"minutes": round(self.spent / 60, 2), "step": self.step, **{k: round(v, 4) for k, v in parts.items()}}
        for kept in (books, self.codec.config.coarse_books):
            measured = evaluate(self.codec, self.held_out, kept, self.listener)
            entry |= {f"{name}_{kept}": round(value, 3) for name, value in measured.items()}
        self.log.append(entry)
        print(entry, flush=True)

    def run(self) -> None:
        """Trains until the minutes are spent."""
        self.codec.train()
        if self.again and self.step == 0:
            self.report({})
        budget = self.minutes * 60
        saved = measured = clock = time.monotonic()
        parts: dict[str, float] = {}
        while self.spent < budget:
            parts = self.train_step(self.spent / budget)
            now = time.monotonic()
            self.spent, clock = self.spent + now - clock, now
            if self.step in (5, 50, 100, 200, 400) or self.step % 500 == 0:
                print(f"{self.spent:.0f} s, step {self.step}: {parts}", flush=True)
            if now - measured > EVALUATE_SECONDS:
                self.report(parts)
                measured = clock = time.monotonic()
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = clock = time.monotonic()
        self.report(parts)
        self.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--finish", action="store_true", help="train only the decoder of the finished codec")
    parser.add_argument("--begin-from", type=Path, help="a checkpoint whose codec goes on learning, if there is none of WORK's")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    if arguments.finish and arguments.begin_from:
        parser.error("--finish begins with WORK's own codec")
    Training(arguments.work, arguments.minutes, arguments.finish, arguments.begin_from).run()


if __name__ == "__main__":
    main()
