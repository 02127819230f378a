"""What others take for the same: MusicGen-small and AudioLM as published, beside Segue, one after the other on the same cores.

    python -m segue_training.peers --xtask ../target/release/segue-xtask --out PEERS.md

A prompt of 4 s is continued for 8 s. The others have random weights of the published sizes: how fast they are does not
depend on what they have learnt.

- **MusicGen-small** (Copet et al. 2023, arXiv:2306.05284; sizes of `facebook/musicgen-small`) by `transformers`, as its
  `generate` does it: EnCodec at 32 kHz, T5-base, 24 layers of 1024, four codebooks of 2048 at 50 Hz in the delay pattern;
  without classifier-free guidance (faster) and with it (as published). It gives no sound before it is done.
- **AudioLM's piano recipe** (Borsos et al. 2022, section IV-E): two transformers of 12 layers of 1024, 16 heads; 25 semantic
  and 3 × 50 acoustic tokens of 2^14 a second, one after the other, with a KV cache in ONNX Runtime, in float32 and in the
  8-bit form of our packs. Only the transformers are counted, no tokenizer and no decoder. First sound: all semantic tokens,
  then those of the first 40 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .quantize import ship_stage
from .results import machine
from .stage_graph import export
from .stages import AutoregressiveConfig, AutoregressiveStage
from .transformer import TransformerShape

PROMPT, LENGTH = 4.0, 8.0
SEMANTIC_RATE, ACOUSTIC_RATE = 25, 150
CANDIDATES = 64


@dataclass(frozen=True)
class Figure:
    """One row: seconds from the trigger to the first sound and to the last."""

    name: str
    first: float
    whole: float

    def row(self, ours: float) -> str:
        """As a line of the table; `ours` is the speed of Segue."""
        speed = LENGTH / self.whole
        return f"| {self.name} | {self.first:.2f} | {self.whole:.2f} | {speed:.2f} | {ours / speed:.1f} |"


def audiolm(threads: int, layers: int, shipped: bool) -> Figure:
    """Both transformers, prompt and continuation."""
    shape = TransformerShape(1024, layers=layers, heads=16, head_dim=64)
    frames = [round((PROMPT + LENGTH) * SEMANTIC_RATE), round((PROMPT + LENGTH) * (SEMANTIC_RATE + ACOUSTIC_RATE))]
    parameters, times = 0, []
    for cardinality, context in zip((1024, 1 << 14), frames, strict=True):
        stage = AutoregressiveStage(AutoregressiveConfig(1, cardinality, context, CANDIDATES, shape))
        parameters += sum(p.numel() for p in stage.parameters())
        graph = export(stage)
        times.append(Row(ship_stage(graph) if shipped else graph, stage.config, threads))
    semantic, acoustic = times
    begun = time.monotonic()
    semantic.extend(round(PROMPT * SEMANTIC_RATE))
    for _ in range(round(LENGTH * SEMANTIC_RATE)):
        semantic.extend(1)
    # The second is conditioned on all semantic tokens, of prompt and continuation.
    acoustic.extend(round((PROMPT + LENGTH) * SEMANTIC_RATE + PROMPT * ACOUSTIC_RATE) - 1)
    first = 0.0
    for step in range(round(LENGTH * ACOUSTIC_RATE)):
        acoustic.extend(1)
        if step + 1 == round(0.04 * ACOUSTIC_RATE):
            first = time.monotonic() - begun
    form = "8-bit" if shipped else "float32"
    return Figure(f"AudioLM's piano recipe, {parameters / 1e6:.0f} M, {form}", first, time.monotonic() - begun)


class Row:
    """A row of tokens through a stage's graph, its cache bound in place."""

    def __init__(self, graph, config: AutoregressiveConfig, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.onnx"
            path.write_bytes(graph.SerializeToString())
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self._filled, self._config = 0, config
        shape = config.temporal
        for layer in range(shape.layers):
            for kind in ("key", "value"):
                cache = np.zeros((1, shape.heads, config.context, shape.head_dim), np.float32)
                value = onnxruntime.OrtValue.ortvalue_from_numpy(cache)
                self._binding.bind_ortvalue_input(f"past_{kind}_{layer}", value)
                self._binding.bind_ortvalue_output(f"present_{kind}_{layer}", value)
        self._random = np.random.default_rng(1)

    def extend(self, tokens: int) -> None:
        """Runs so many more positions."""
        self._filled += tokens
        inputs = {
            "codes": self._random.integers(0, self._config.cardinality, (1, tokens, 1)),
            "total": np.array(self._filled, np.int32),
            "seqlens_k": np.array([self._filled - 1], np.int32),
            "noise": self._random.gumbel(size=(1, 1, CANDIDATES)).astype(np.float32),
            "inv_temperature": np.array(1.0, np.float32),
            "top_p": np.array(0.95, np.float32),
        }
        for name, value in inputs.items():
            self._binding.bind_cpu_input(name, value)
        for name in ("sampled", "log_prob"):
            self._binding.bind_output(name)
        self._session.run_with_iobinding(self._binding)


def musicgen(threads: int, guidance: float) -> Figure:
    """`generate` on a prompt of sound and a few words."""
    # Not needed by anything else here, and slow to import.
    from transformers import EncodecConfig, MusicgenConfig, MusicgenForConditionalGeneration, T5Config
    from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

    torch.set_num_threads(threads)
    text = T5Config(d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12)
    codec = EncodecConfig(
        sampling_rate=32000,
        audio_channels=1,
        target_bandwidths=[2.2],
        upsampling_ratios=[8, 5, 4, 4],
        num_filters=64,
        codebook_size=2048,
        use_causal_conv=False,
        chunk_length_s=None,
    )
    decoder = MusicgenDecoderConfig(
        vocab_size=2048, num_hidden_layers=24, ffn_dim=4096, num_attention_heads=16, hidden_size=1024, num_codebooks=4
    )
    model = MusicgenForConditionalGeneration(MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder))
    model.eval()
    model.generation_config.decoder_start_token_id = 2048
    model.generation_config.pad_token_id = 2048
    words = torch.randint(1, 1000, (1, 8))
    sound = 0.1 * torch.randn(1, 1, round(PROMPT * 32000))
    begun = time.monotonic()
    with torch.inference_mode():
        made = model.generate(
            input_ids=words,
            attention_mask=torch.ones_like(words),
            input_values=sound,
            do_sample=True,
            guidance_scale=guidance,
            max_new_tokens=round(LENGTH * 50) + 3,
        )
    whole = time.monotonic() - begun
    seconds = made.shape[-1] / 32000
    if not PROMPT + LENGTH - 0.5 < seconds < PROMPT + LENGTH + 0.5:
        raise RuntimeError(f"{seconds:.1f} s were made, not {PROMPT + LENGTH:.0f}")
    parameters = sum(p.numel() for p in model.decoder.parameters())
    with_or_without = "with" if guidance > 1 else "without"
    return Figure(f"MusicGen-small, {parameters / 1e6:.0f} M, {with_or_without} guidance", whole, whole)


def segue(xtask: Path, prompt: Path) -> Figure:
    """The release build's engine with the pack that ships, everything counted."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [xtask, "render", "--prompt", prompt, "--out", Path(folder) / "out.wav", "--seconds", str(LENGTH)]
        subprocess.run([*command, "--prompt-seconds", str(PROMPT), "--json", report], check=True, capture_output=True)
        found = json.loads(report.read_text())
    first = found["ttfa_ms"] * 1e-3
    # Its speed is that of what comes after the first sound.
    return Figure(f"Segue, {found['pack']}", first, first + LENGTH / found["speed"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xtask", type=Path, required=True, help="target/release/segue-xtask of this checkout")
    parser.add_argument("--prompt", type=Path, required=True, help="a recording of 4 s or more")
    parser.add_argument("--threads", type=int, default=2, help="of the others; Segue decides for itself")
    parser.add_argument("--layers", type=int, default=12, help="of AudioLM's transformers")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    figures = [segue(arguments.xtask.resolve(), arguments.prompt)]
    for shipped in (True, False):
        figures.append(audiolm(arguments.threads, arguments.layers, shipped))
        print(figures[-1], flush=True)
    for guidance in (1.0, 3.0):
        figures.append(musicgen(arguments.threads, guidance))
        print(figures[-1], flush=True)
    ours = LENGTH / figures[0].whole
    lines = [
        f"{PROMPT:.0f} s of prompt, {LENGTH:.0f} s of continuation. "
        + machine(("onnxruntime", "torch", "transformers"), f"{arguments.threads} threads"),
        "",
        "| | first sound s | all of it s | × real time | Segue is so many times as fast |",
        "| --- | --- | --- | --- | --- |",
        *(figure.row(ours) for figure in figures),
    ]
    arguments.out.write_text("\n".join(lines) + "\n")
    print(arguments.out.read_text())


if __name__ == "__main__":
    main()
