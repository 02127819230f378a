"""A pack at work, in numpy and ONNX Runtime alone: docs/pack.md in its shortest form, the reference of the engine."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from . import manifest
from .held import Held
from .loudness import held
from .token_data import condition_window


FRAMES_AT_ONCE = 500
"""How many frames a graph is given in one run, so that memory stays small; its states carry on from run to run."""
CHUNK_FRAMES = 32
LULL_DB, LULL_SECONDS = -25.0, 1.2
"""So much softer than its prompt for so long, and a continuation goes back to its prompt: the engine's `recall`."""


def channels_of(audio: np.ndarray, channels: int) -> np.ndarray:
    """audio [N] or [N, C] → [N, channels]: folded to its mean for one channel, repeated where it has only one."""
    audio = audio[:, None] if audio.ndim == 1 else audio
    if channels == 1:
        return audio.mean(axis=1, keepdims=True)
    return np.repeat(audio, channels, axis=1) if audio.shape[1] == 1 else audio


def signal(audio: np.ndarray, channel: str) -> np.ndarray:
    """audio [N, 1 or 2] → what an analysis of that `channel` looks at [N]: mid = (L + R) / 2, side = (L − R) / 2."""
    if channel == "mid":
        return audio.mean(axis=1)
    if channel == "side" and audio.shape[1] == 2:
        return (audio[:, 0] - audio[:, 1]) / 2
    raise ValueError(f"channel {channel!r} of a sound of {audio.shape[1]}")


def analyse(
    audio: np.ndarray, hop: int, frames: range, n_fft: int, bins: int, look_ahead: int, channel: str = "mid"
) -> np.ndarray:
    """audio [N, C] → spectrum [1, len(frames), bins, 2]; samples before 0 and behind N are silence."""
    begin = (frames.start + 1) * hop + look_ahead - n_fft
    end = frames.stop * hop + look_ahead
    known = signal(audio[max(0, begin) : max(0, end)], channel)
    before = min(max(0, -begin), end - begin)
    padded = np.concatenate([np.zeros(before), known, np.zeros(end - begin - before - len(known))])
    places = (np.arange(len(frames)) * hop)[:, None] + np.arange(n_fft)
    spectrum = np.fft.rfft(padded[places] * _hann(n_fft))[:, :bins] / np.sqrt(n_fft)
    return np.stack([spectrum.real, spectrum.imag], axis=-1)[None].astype(np.float32)


def known_frames(audio: np.ndarray, hop: int, analyses: list[dict[str, Any]]) -> int:
    """How many frames of audio [N, …] are fully known: the furthest look-ahead of the analyses is within it."""
    return max(0, (len(audio) - max(a["look_ahead"] for a in analyses)) // hop)


def synthesise(spectrum: np.ndarray, samples: int, n_fft: int, hop: int, offset: int) -> np.ndarray:
    """spectrum [1, S, bins, 2] → audio [samples] from sample 0 on; bins that are not given are zero."""
    window = _hann(n_fft)
    pieces = np.fft.irfft(spectrum[0, ..., 0] + 1j * spectrum[0, ..., 1], n_fft) * np.sqrt(n_fft) * window
    added = np.zeros(len(pieces) * hop + n_fft)
    for index, piece in enumerate(pieces):
        added[index * hop : index * hop + n_fft] += piece
    steady = np.array([(window[phase::hop] ** 2).sum() for phase in range(hop)])
    added /= np.resize(steady, len(added))
    placed = np.zeros(samples)
    source = added[max(0, -offset) :][: samples - max(0, offset)]
    placed[max(0, offset) : max(0, offset) + len(source)] = source
    return placed


def _hann(n_fft: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


@dataclass
class Dials:
    """How a stage is sampled."""

    temperature: float
    top_p: float

    def inputs(self, shape: tuple[int, ...], random: np.random.Generator) -> dict[str, np.ndarray]:
        """noise, inv_temperature and top_p of one run."""
        greedy = self.temperature == 0
        noise = np.zeros(shape) if greedy else random.gumbel(size=shape)
        return {
            "noise": noise.astype(np.float32),
            "inv_temperature": np.array(1 if greedy else 1 / self.temperature, np.float32),
            "top_p": np.array(1 if greedy else self.top_p, np.float32),
        }


@dataclass
class Timing:
    """What a stage did and how long it took."""

    steps: int = 0
    prefill_ms: float = 0.0
    total_ms: float = 0.0
    log_probs: list[float] = field(default_factory=list)

    @property
    def ms_per_step(self) -> float:
        return self.total_ms / max(1, self.steps)


class Stateful:
    """A graph whose `state_*` are carried from run to run."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._state = {
            i.name: np.zeros(i.shape, np.float32) for i in self._session.get_inputs() if i.name.startswith("state_")
        }

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """One chunk."""
        found = dict(zip(self._outputs, self._session.run(None, inputs | self._state), strict=True))
        self._state = {name: found[f"next_{name}"] for name in self._state}
        return found


class Autoregressive:
    """An autoregressive stage with its caches, each one buffer bound as both past and present."""

    def __init__(self, session: onnxruntime.InferenceSession, described: dict[str, Any], rate: float) -> None:
        """`rate`: its frames a second."""
        self._session, self.described, self._rate = session, described, rate
        self._held: Held | None = None
        self.total = 0
        self._binding = session.io_binding()
        shape = (1, described["heads"], described["context"], described["head_dim"])
        self._kept = []
        for layer in range(described["layers"]):
            for kind in ("key", "value"):
                cache = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
                self._kept.append(cache)
                self._binding.bind_ortvalue_input(f"past_{kind}_{layer}", cache)
                self._binding.bind_ortvalue_output(f"present_{kind}_{layer}", cache)

    def run(self, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """codes [1, S, C] and the rest → the sampled frame [C] and its log-probabilities [C]."""
        self.total += inputs["codes"].shape[1]
        inputs["total"] = np.array(self.total, np.int32)
        inputs["seqlens_k"] = np.array([self.total - 1], np.int32)
        for name, value in inputs.items():
            self._binding.bind_cpu_input(name, np.ascontiguousarray(value))
        self._binding.bind_output("sampled")
        self._binding.bind_output("log_prob")
        self._session.run_with_iobinding(self._binding)
        sampled, log_prob = self._binding.get_outputs()[-2:]
        return sampled.numpy()[0], log_prob.numpy()[0]

    def generate(
        self, frames: np.ndarray, until: int, condition: Any, dials: Dials, random: np.random.Generator, timing: Timing
    ) -> np.ndarray:
        """frames [T, C] → [until, C], going on where it stopped: those given at first are its prompt. `condition(positions)` gives
        cond [S, W] of absolute frames, or is None."""
        books, context = self.described["codebooks"], self.described["context"]
        begin = np.full((1, books), self.described["cardinality"])
        frames = frames.astype(np.int64)
        if self._held is None and "density" in self.described:
            self._held = Held(self.described, self._rate, frames)
        while len(frames) < until:
            clock = time.perf_counter()
            fresh = self.total == 0 or self.total == context
            if fresh:
                self.total = 0
                kept = frames[max(0, len(frames) - context // 2) :] if len(frames) >= context else frames
                codes = np.concatenate([begin, kept])
            else:
                codes = frames[-1:]
            inputs = {"codes": codes[None]} | dials.inputs((1, books, self.described["candidates"]), random)
            if self._held is not None and dials.temperature > 0:
                # The first codebook's last candidate is the rest; what is added to its noise is added to its log-probability.
                inputs["noise"][0, 0, -1] += self._held.calm
            if self._held is not None and self._held.tilt is not None:
                inputs["tilt"] = self._held.tilt[None] * np.float32(dials.temperature > 0)
            if condition is not None:
                inputs["cond"] = condition(np.arange(len(frames) - len(codes) + 1, len(frames) + 1))[None]
            sampled, log_prob = self.run(inputs)
            frames = np.concatenate([frames, sampled[None]])
            if self._held is not None:
                self._held.hear(sampled)
            elapsed = (time.perf_counter() - clock) * 1e3
            if fresh:
                timing.prefill_ms += elapsed
            else:
                timing.steps += 1
                timing.total_ms += elapsed
            timing.log_probs.append(float(log_prob.mean()))
        return frames


@dataclass
class Continuation:
    """Everything that a run made."""

    audio: np.ndarray
    """What follows the prompt, at the pack's rate and the prompt's level: [N], or [N, 2] of a stereo pack."""
    codes: np.ndarray
    """[T, Q] of prompt and continuation"""
    semantic: np.ndarray
    prompt_frames: int
    timings: dict[str, Timing]
    recalls: int
    """How often it fell silent and went back to its prompt."""


class Pack:
    """A verified pack with its sessions."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        found = manifest.problems(folder)
        if found:
            raise ValueError(f"{folder}: {found}")
        self.manifest = manifest.read(folder)
        self.folder, self._threads = folder, threads
        self.sample_rate = self.manifest["audio"]["sample_rate"]
        self.channels = self.manifest["audio"]["channels"]
        codec = self.manifest["codec"]
        self.encoder = Stateful(self._session(codec["encoder"]["graph"]))
        self.decoder = Stateful(self._session(codec["decoder"]["graph"]))
        semantic = self.manifest.get("semantic")
        self.tokenizer = Stateful(self._session(semantic["graph"])) if semantic else None
        self.stages = {stage["id"]: stage for stage in self.manifest["stage"]}
        self._sessions = {key: self._session(stage["graph"]) for key, stage in self.stages.items()}

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(self.folder / name), options, ["CPUExecutionProvider"])

    def dials(self) -> dict[str, Dials]:
        """The defaults of the manifest."""
        return {key: Dials(stage["temperature"], stage["top_p"]) for key, stage in self.stages.items()}

    def gain(self, prompt: np.ndarray) -> float:
        """What brings the prompt [N] or [N, C], all its channels together, to the pack's level, within ±40 dB."""
        level = 20 * np.log10(np.sqrt(np.mean(channels_of(prompt, self.channels) ** 2)) + 1e-12)
        return 10 ** (np.clip(self.manifest["audio"]["level_dbfs"] - level, -40, 40) / 20)

    def encode(self, audio: np.ndarray, at_once: int = FRAMES_AT_ONCE) -> np.ndarray:
        """Levelled audio [N] or [N, C] → codes [T, Q] of all frames that are fully known."""
        codec = self.manifest["codec"]
        return self._tokens(self.encoder, audio, codec["hop"], codec["encoder"]["analysis"], "codes", at_once)

    def semantic(self, audio: np.ndarray, at_once: int = FRAMES_AT_ONCE) -> np.ndarray:
        """Levelled audio [N] or [N, C] → semantic tokens [T, K] that are fully known."""
        described = self.manifest["semantic"]
        assert self.tokenizer is not None
        found = self._tokens(self.tokenizer, audio, described["hop"], described["analysis"], "tokens", at_once)
        return found.reshape(len(found), -1)

    def spectra(
        self, audio: np.ndarray, hop: int, analyses: list[dict[str, Any]], frames: range | None = None
    ) -> dict[str, np.ndarray]:
        """What a graph with these analyses is fed of levelled audio [N] or [N, C]; all fully known frames by default."""
        audio = channels_of(audio, self.channels)
        frames = range(known_frames(audio, hop, analyses)) if frames is None else frames
        return {f"spectrum_{i}": analyse(audio, hop, frames, **a) for i, a in enumerate(analyses)}

    def _tokens(
        self, graph: Stateful, audio: np.ndarray, hop: int, analyses: list[dict[str, Any]], name: str, at_once: int
    ) -> np.ndarray:
        frames = known_frames(audio, hop, analyses)
        graph.reset()
        found = []
        for begin in range(0, max(1, frames), at_once):
            some = range(begin, min(frames, begin + at_once))
            found.append(graph.run(**self.spectra(audio, hop, analyses, some))[name][0])
        return np.concatenate(found)

    def decode(self, codes: np.ndarray, at_once: int = FRAMES_AT_ONCE) -> np.ndarray:
        """Codes [T, Q] → levelled audio, [T · hop] of a mono pack, [T · hop, 2] of a stereo one."""
        self.decoder.reset()
        runs = [self.decoder.run(codes=codes[None, i : i + at_once]) for i in range(0, len(codes), at_once)]
        syntheses = self.manifest["codec"]["decoder"]["synthesis"]
        names = [f"spectrum_{index}" for index in range(len(syntheses))]
        return self.synthesise([np.concatenate([run[name] for run in runs], axis=1) for name in names])

    def synthesise(self, spectra: list[np.ndarray]) -> np.ndarray:
        """What the decoder gave for T frames, one spectrum per synthesis → levelled audio [T · hop] or [T · hop, 2]."""
        codec = self.manifest["codec"]
        heard = {}
        for synthesis, spectrum in zip(codec["decoder"]["synthesis"], spectra, strict=True):
            window = {key: synthesis[key] for key in ("n_fft", "hop", "offset")}
            samples = spectrum.shape[1] * synthesis["hop"]
            channel = synthesis.get("channel", "mid")
            heard[channel] = heard.get(channel, 0) + synthesise(spectrum, samples, **window)
        if self.channels == 1:
            return heard["mid"]
        return np.stack([heard["mid"] + heard["side"], heard["mid"] - heard["side"]], axis=1)

    def runner(self, key: str) -> "Autoregressive | Stateful":
        """A stage at its beginning."""
        stage, session = self.stages[key], self._sessions[key]
        if stage["kind"] == "parallel":
            return Stateful(session)
        section = self.manifest["semantic" if stage["writes"] == "semantic" else "codec"]
        return Autoregressive(session, stage, self.sample_rate / section["hop"])

    def continue_prompt(
        self, prompt: np.ndarray, seconds: float, dials: dict[str, Dials], seed: int, acoustic_only: bool = False
    ) -> Continuation:
        """prompt [N] or [N, C] at the pack's rate → what follows it.

        `acoustic_only`: without the semantic stage; the stages that it conditions are told that all of it is unknown.
        """
        gain = self.gain(prompt)
        known, semantic = self.encode(prompt * gain), self.semantic(prompt * gain)
        hop = self.manifest["codec"]["hop"]
        ratio = self.manifest["semantic"]["hop"] // hop
        wanted = -(-(len(prompt) + int(seconds * self.sample_rate)) // hop) + 4
        timings = {key: Timing() for key in self.stages}
        whole, whole_semantic = known, semantic
        lull, recalls = Lull(self), 0
        lull.hear(known, prompt=True)
        while len(whole) < wanted:
            # From the prompt, at first and whenever the thread was lost.
            begun = len(whole)
            chain = Chain(self, known, semantic, dials, [seed, recalls] if recalls else [seed], timings, acoustic_only)
            while len(whole) < wanted and not (lull.is_long and (len(whole) - len(known)) % ratio == 0):
                fresh = chain.advance(CHUNK_FRAMES)
                whole = np.concatenate([whole, fresh])
                lull.hear(fresh)
            kept = len(semantic) + (begun - len(known)) // ratio
            whole_semantic = np.concatenate([whole_semantic[:kept], chain.semantic[len(semantic) :]])
            lull.end()
            recalls += 1
        audio = self.audible(prompt, whole, seconds)
        return Continuation(audio, whole, whole_semantic, len(known), timings, recalls - 1)

    def audible(self, prompt: np.ndarray, codes: np.ndarray, seconds: float) -> np.ndarray:
        """The sound of what follows a prompt [N] or [N, C]: codes [T, Q] of both → [seconds · rate], or [.., 2] of a
        stereo pack, at the prompt's level."""
        audio = self.decode(codes)[len(prompt) : len(prompt) + int(seconds * self.sample_rate)]
        described = self.manifest["audio"]
        if "loudness" in described:
            audio = held(audio, self.sample_rate, described["level_dbfs"], described["loudness"])
        return audio / self.gain(prompt)


class Chain:
    """The stages at work: they take a prompt's tokens in and play on, chunk by chunk."""

    def __init__(
        self,
        pack: "Pack",
        known: np.ndarray,
        semantic: np.ndarray,
        dials: dict[str, Dials],
        seed: list[int],
        timings: dict[str, Timing],
        acoustic_only: bool,
    ) -> None:
        self.codes, self.semantic = known, semantic
        described = pack.manifest["semantic"]
        self._stages, self._dials, self._timings, self._acoustic_only = pack.stages, dials, timings, acoustic_only
        self._ratio, self._unknown = described["hop"] // pack.manifest["codec"]["hop"], described["cardinality"]
        self._random = {key: np.random.default_rng([*seed, index]) for index, key in enumerate(pack.stages)}
        self._runners = {key: pack.runner(key) for key in pack.stages}
        if acoustic_only:
            self.semantic = np.full_like(semantic, self._unknown)
        for key, stage in pack.stages.items():
            if stage["kind"] == "parallel":
                self._parallel(key, known)

    def advance(self, frames: int) -> np.ndarray:
        """So many more frames of codes [frames, Q]."""
        done, until = len(self.codes), len(self.codes) + frames
        rows = np.zeros((until, 0), np.int64)
        for key, stage in self._stages.items():
            how = (self._dials[key], self._random[key], self._timings[key])
            first, books = stage["first_codebook"], stage["codebooks"]
            if stage["writes"] == "semantic":
                if not self._acoustic_only:
                    reach = (until - 1) // self._ratio + 4
                    self.semantic = self._runners[key].generate(self.semantic, reach, None, *how)
                continue
            before = self.codes[:, first : first + books]
            if stage["kind"] == "parallel":
                made = np.concatenate([before, self._parallel(key, rows[done:])])
            else:
                made = self._runners[key].generate(before, until, self._condition(stage), *how)
            rows = np.concatenate([rows, made], axis=1)
        self.codes = rows
        return rows[done:]

    def _condition(self, stage: dict[str, Any]) -> Any:
        if "condition" not in stage:
            return None
        offsets = tuple(stage["condition"]["offsets"])
        return partial(condition_window, self.semantic, ratio=self._ratio, offsets=offsets, unknown=self._unknown)

    def _parallel(self, key: str, rows: np.ndarray) -> np.ndarray:
        """The lower books of the next frames [T, given or more] → theirs [T, C]."""
        stage, timing = self._stages[key], self._timings[key]
        clock = time.perf_counter()
        noise = self._dials[key].inputs((1, len(rows), stage["codebooks"], stage["candidates"]), self._random[key])
        found = self._runners[key].run(codes=rows[None, :, : stage["first_codebook"]], **noise)
        timing.total_ms += (time.perf_counter() - clock) * 1e3
        timing.steps += len(rows)
        timing.log_probs += found["log_prob"][0].mean(axis=1).tolist()
        return found["sampled"][0]


class Lull:
    """How long what is played has been too soft to be heard: a twin of the engine's that hears a little later."""

    EDGE = 8
    """Frames at the end of what has been decoded whose windows are not complete."""

    def __init__(self, pack: "Pack") -> None:
        self._pack = pack
        self._spectra: list[list[np.ndarray]] = [[] for _ in pack.manifest["codec"]["decoder"]["synthesis"]]
        pack.decoder.reset()
        self._quiet = 0
        self._least = pack.manifest["audio"]["level_dbfs"] + LULL_DB

    def hear(self, codes: np.ndarray, prompt: bool = False) -> None:
        """Decodes the next frames; of a `prompt` nothing is expected."""
        found = self._pack.decoder.run(codes=codes[None])
        window = len(codes) + 2 * self.EDGE
        for index, kept in enumerate(self._spectra):
            spectrum = np.concatenate([*kept, found[f"spectrum_{index}"]], axis=1)
            per_frame = found[f"spectrum_{index}"].shape[1] // len(codes)
            kept[:] = [spectrum[:, -window * per_frame :]]
        if prompt:
            return
        audio = self._pack.synthesise([kept[0] for kept in self._spectra])
        hop = self._pack.manifest["codec"]["hop"]
        audio = audio[-(len(codes) + self.EDGE) * hop : -self.EDGE * hop].reshape(len(codes), -1)
        for level in 10 * np.log10(np.mean(audio.astype(np.float64) ** 2, axis=1) + 1e-12):
            self._quiet = self._quiet + 1 if level < self._least else 0

    def end(self) -> None:
        """Something is going to be heard."""
        self._quiet = 0

    @property
    def is_long(self) -> bool:
        """Whether it has to end."""
        hop = self._pack.manifest["codec"]["hop"]
        return self._quiet * hop >= LULL_SECONDS * self._pack.sample_rate
