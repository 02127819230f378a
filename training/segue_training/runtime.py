"""A pack at work, in numpy and ONNX Runtime alone: docs/pack.md in its shortest form, the reference of the engine."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from . import manifest
from .token_data import condition_window


FRAMES_AT_ONCE = 500
"""How many frames a graph is given in one run, so that memory stays small; its states carry on from run to run."""


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

    def __init__(self, session: onnxruntime.InferenceSession, described: dict[str, Any]) -> None:
        self._session, self.described = session, described
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
        """frames [T, C] → [until, C]. `condition(positions)` gives cond [S, W] of absolute frames, or is None."""
        books, context = self.described["codebooks"], self.described["context"]
        begin = np.full((1, books), self.described["cardinality"])
        frames = frames.astype(np.int64)
        self.total = 0
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
            if condition is not None:
                inputs["cond"] = condition(np.arange(len(frames) - len(codes) + 1, len(frames) + 1))[None]
            sampled, log_prob = self.run(inputs)
            frames = np.concatenate([frames, sampled[None]])
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
        codec = self.manifest["codec"]
        syntheses = codec["decoder"]["synthesis"]
        self.decoder.reset()
        runs = [self.decoder.run(codes=codes[None, i : i + at_once]) for i in range(0, len(codes), at_once)]
        heard = {"mid": np.zeros(len(codes) * codec["hop"]), "side": np.zeros(len(codes) * codec["hop"])}
        for index, synthesis in enumerate(syntheses):
            spectrum = np.concatenate([run[f"spectrum_{index}"] for run in runs], axis=1)
            window = {key: synthesis[key] for key in ("n_fft", "hop", "offset")}
            heard[synthesis.get("channel", "mid")] += synthesise(spectrum, len(codes) * codec["hop"], **window)
        if self.channels == 1:
            return heard["mid"]
        return np.stack([heard["mid"] + heard["side"], heard["mid"] - heard["side"]], axis=1)

    def continue_prompt(
        self, prompt: np.ndarray, seconds: float, dials: dict[str, Dials], seed: int, acoustic_only: bool = False
    ) -> Continuation:
        """prompt [N] or [N, C] at the pack's rate → what follows it.

        `acoustic_only`: without the semantic stage; the stages that it conditions are told that all of it is unknown.
        """
        gain = self.gain(prompt)
        known, semantic = self.encode(prompt * gain), self.semantic(prompt * gain)
        hop, semantic_hop = self.manifest["codec"]["hop"], self.manifest["semantic"]["hop"]
        ratio = semantic_hop // hop
        wanted = -(-(len(prompt) + int(seconds * self.sample_rate)) // hop) + 4
        timings = {key: Timing() for key in self.stages}
        codes = known
        for index, (key, stage) in enumerate(self.stages.items()):
            random = np.random.default_rng([seed, index])
            if stage["kind"] == "parallel":
                codes = self._parallel(key, codes, known, dials[key], random, timings[key])
                continue
            runner = Autoregressive(self._sessions[key], stage)
            if stage["writes"] == "semantic" and acoustic_only:
                semantic = np.full_like(semantic, self.manifest["semantic"]["cardinality"])
                continue
            if stage["writes"] == "semantic":
                until = (wanted - 1) // ratio + 4
                semantic = runner.generate(semantic, until, None, dials[key], random, timings[key])
                continue
            condition = None
            if "condition" in stage:
                offsets, unknown = tuple(stage["condition"]["offsets"]), self.manifest["semantic"]["cardinality"]
                condition = partial(condition_window, semantic, ratio=ratio, offsets=offsets, unknown=unknown)
            books = stage["codebooks"]
            codes = runner.generate(known[:, :books], wanted, condition, dials[key], random, timings[key])
        return Continuation(self.audible(prompt, codes, seconds), codes, semantic, len(known), timings)

    def audible(self, prompt: np.ndarray, codes: np.ndarray, seconds: float) -> np.ndarray:
        """The sound of what follows a prompt [N] or [N, C]: codes [T, Q] of both → [seconds · rate], or [.., 2] of a
        stereo pack, at the prompt's level."""
        audio = self.decode(codes) / self.gain(prompt)
        return audio[len(prompt) : len(prompt) + int(seconds * self.sample_rate)]

    def _parallel(
        self, key: str, codes: np.ndarray, known: np.ndarray, dials: Dials, random: np.random.Generator, timing: Timing
    ) -> np.ndarray:
        """codes [T, given] and the prompt's known books → [T, given + C]."""
        stage = self.stages[key]
        graph = Stateful(self._sessions[key])
        first, books = stage["first_codebook"], stage["codebooks"]
        clock = time.perf_counter()
        shape = (1, len(codes), books, stage["candidates"])
        found = graph.run(codes=codes[None, :, :first], **dials.inputs(shape, random))
        timing.total_ms = (time.perf_counter() - clock) * 1e3
        timing.steps = len(codes)
        sampled = found["sampled"][0]
        sampled[: len(known)] = known[:, first : first + books]
        timing.log_probs += found["log_prob"][0, len(known) :].mean(axis=1).tolist()
        return np.concatenate([codes[:, :first], sampled], axis=1)
