"""What tokenizing and decoding cost, and whether chunks decode as the whole does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .runtime import Pack, channels_of

CHUNK_SECONDS = 0.08


@dataclass(frozen=True)
class Cost:
    """× real time on one thread, median: at once with the transforms in numpy (the engine does them in Rust), the graphs
    alone, and in chunks with transforms."""

    encode: float
    semantic: float
    both: float
    decode: float
    encode_graph: float
    semantic_graph: float
    both_graph: float
    decode_graph: float
    encode_chunked: float
    semantic_chunked: float
    both_chunked: float
    decode_chunked: float
    chunked_error_db: float
    """Level of (decoded in chunks − decoded at once) against the decoded"""


def measure(pack: Pack, audio: np.ndarray, repeats: int) -> Cost:
    """Times levelled audio [N, C] at the pack's rate: at once, and in chunks of 80 ms."""
    codec, semantic = pack.manifest["codec"], pack.manifest.get("semantic")
    seconds = len(audio) / pack.sample_rate
    codes = pack.encode(audio)
    frames = max(1, round(CHUNK_SECONDS * pack.sample_rate / codec["hop"]))
    spectra = pack.spectra(audio, codec["hop"], codec["encoder"]["analysis"])
    found = {
        "encode_graph": _median(lambda: pack.encoder.run(**spectra), repeats),
        "decode_graph": _median(lambda: pack.decoder.run(codes=codes[None]), repeats),
        "semantic_graph": 0.0,
        "encode": _median(lambda: pack.encode(audio), repeats),
        "encode_chunked": _median(lambda: pack.encode(audio, frames), repeats),
        "decode": _median(lambda: pack.decode(codes), repeats),
        "decode_chunked": _median(lambda: pack.decode(codes, frames), repeats),
        "semantic": 0.0,
        "semantic_chunked": 0.0,
    }
    if semantic:
        fewer = max(1, round(CHUNK_SECONDS * pack.sample_rate / semantic["hop"]))
        seen = pack.spectra(audio, semantic["hop"], semantic["analysis"])
        found["semantic_graph"] = _median(lambda: pack.tokenizer.run(**seen), repeats)
        found["semantic"] = _median(lambda: pack.semantic(audio), repeats)
        found["semantic_chunked"] = _median(lambda: pack.semantic(audio, fewer), repeats)
    for way in ("", "_graph", "_chunked"):
        found[f"both{way}"] = found[f"encode{way}"] + found[f"semantic{way}"]
    speeds = {name: seconds / value if value else float("nan") for name, value in found.items()}
    whole, chunked = (channels_of(pack.decode(codes, at_once), pack.channels) for at_once in (len(codes), frames))
    error = 10 * np.log10((np.mean((whole - chunked) ** 2) + 1e-30) / np.mean(whole**2))
    return Cost(chunked_error_db=float(error), **speeds)


def _median(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return float(np.median(times))
