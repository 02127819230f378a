"""Exports the codec and the semantic tokenizer to the three ONNX graphs of a pack.

python -m segue_training.export_tokenizers --work WORK --out DIR [--half]
python -m segue_training.export_tokenizers --random full --out DIR
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx
import torch

from .codec import CHANNELS, Codec, CodecConfig
from .phases import REMEMBERED_SECONDS
from .quantize import store_half
from .render import LEVEL_DBFS
from .semantic import SemanticConfig, SemanticTokenizer
from .spectrum import SIDE, Analysis
from .tokenizer_graphs import decoder_graph, encoder_graph, semantic_graph
from .train_codec import load_codec
from .train_semantic import load_tokenizer

ENCODER, DECODER, SEMANTIC = "codec_encoder.onnx", "codec_decoder.onnx", "semantic_tokenizer.onnx"

TINY_CODEC = CodecConfig(
    sample_rate=24000,
    hop=480,
    books=4,
    coarse_books=2,
    cardinality=32,
    dim=32,
    layers=1,
    kernel=3,
    hidden=16,
    latent=16,
    analyses=(Analysis(960, 481, 480), Analysis(480, 100, 0, SIDE)),
    window=960,
    sub_hop=240,
    stereo_bands=8,
)
TINY_SEMANTIC = SemanticConfig(
    sample_rate=24000,
    hop=960,
    cardinality=32,
    dim=32,
    layers=1,
    layer=1,
    projected=16,
    kernel=3,
    bands_per_semitone=1,
    note_dim=32,
    note_layers=1,
    note_levels=1,
    note_rests=7,
    analysis=Analysis(1920, 481, 960),
)
CONFIGURATIONS = {
    "full": (CodecConfig(), SemanticConfig()),
    "tiny": (TINY_CODEC, replace(TINY_SEMANTIC, codebooks=2, cardinality=96, note_books=1)),
    "tiny-rows": (TINY_CODEC, TINY_SEMANTIC),
}


@dataclass(frozen=True, slots=True)
class Tokenizers:
    """The three graphs by file name, and the manifest's sections about them."""

    graphs: dict[str, onnx.ModelProto]
    audio: dict[str, Any]
    codec: dict[str, Any]
    semantic: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def memory(config: CodecConfig) -> int:
    """Frames of past that the decoder's output depends on: its phases', of levels that depend on the blocks' past."""
    return math.ceil(REMEMBERED_SECONDS * config.sample_rate / config.hop) + config.layers * (config.kernel - 1)


def describe(codec: Codec, tokenizer: SemanticTokenizer, half: bool, notes: list[str]) -> Tokenizers:
    """Graphs and manifest sections of a codec and a semantic tokenizer; `half`: large weights stored in fp16."""
    with torch.no_grad():
        graphs = {
            ENCODER: encoder_graph(codec),
            DECODER: decoder_graph(codec),
            SEMANTIC: semantic_graph(tokenizer),
        }
    for model in graphs.values():
        onnx.checker.check_model(model)
    if half:
        graphs = {name: store_half(model) for name, model in graphs.items()}
    config, semantic = codec.config, tokenizer.config
    return Tokenizers(
        graphs=graphs,
        audio={"sample_rate": config.sample_rate, "channels": CHANNELS, "level_dbfs": LEVEL_DBFS},
        codec={
            "hop": config.hop,
            "codebooks": config.books,
            "cardinality": config.cardinality,
            "encoder": {"graph": ENCODER, "analysis": [asdict(analysis) for analysis in config.analyses]},
            "decoder": {
                "graph": DECODER,
                "synthesis": [asdict(synthesis) for synthesis in config.syntheses],
                "memory": memory(config),
            },
        },
        semantic={
            "hop": semantic.hop,
            "codebooks": semantic.codebooks,
            "cardinality": semantic.cardinality,
            "graph": SEMANTIC,
            "analysis": [asdict(semantic.analysis)],
        },
        notes=notes,
    )


@torch.no_grad()
def lively(codec: Codec) -> Codec:
    """An untrained codec made to tell sounds apart and to play levels that change: one that did not would be played as an
    endless tone."""
    for head in (codec.decoder.mid, codec.decoder.side):
        torch.nn.init.normal_(head.straight.weight, std=1.7 * codec.config.dim**-0.5)
    frames = 20 * codec.config.cardinality
    loudness = torch.rand(1, 2, frames, 1).square().expand(-1, -1, -1, codec.config.hop).flatten(2)
    spectra = codec.analyse(loudness * torch.randn(loudness.shape))
    codec.encoder.accustom(spectra)
    latents = codec.encoder(spectra)
    codec.quantizer.initialise(latents.flatten(0, 1))
    spread, middle = torch.std_mean(latents, dim=(0, 1))
    layer = codec.decoder.input
    torch.nn.init.normal_(layer.weight, std=codec.config.latent**-0.5)
    layer.weight /= spread
    layer.bias.copy_(-layer.weight @ middle)
    return codec


def export_random(name: str, seed: int) -> Tokenizers:
    """Untrained tokenizers of a named size, the same for the same seed."""
    torch.manual_seed(seed)
    codec_config, semantic_config = CONFIGURATIONS[name]
    codec, semantic = lively(Codec(codec_config).eval()), SemanticTokenizer(semantic_config).eval()
    if semantic_config.note_books:
        # So that it names a key now and then.
        torch.nn.init.normal_(semantic.notes.output.weight, std=2.0 * semantic_config.note_dim**-0.5)
    return describe(codec, semantic, False, [])


def codec_path(work: Path) -> Path:
    """The codec whose decoder was finished, if there is one, else the codec."""
    finished = work / "checkpoints" / "codec_finished.pt"
    return finished if finished.exists() else work / "checkpoints" / "codec.pt"


def training_notes(work: Path) -> list[str]:
    """What the checkpoints say about the training and its held-out figures, for the model card."""
    codec = torch.load(codec_path(work), map_location="cpu", weights_only=True)
    semantic = torch.load(work / "checkpoints" / "semantic.pt", map_location="cpu", weights_only=True)
    trained = torch.load(work / "checkpoints" / "codec.pt", map_location="cpu", weights_only=True)
    notes = [f"Codec: {trained['step']} steps in {trained['spent'] / 60:.0f} minutes."]
    if codec_path(work).name != "codec.pt":
        finish = f"{codec['step']} steps in {codec['spent'] / 60:.0f} minutes"
        notes.append(f"Its decoder then learnt alone, some of it from codes as the transformers write them: {finish}.")
    if codec["log"]:
        last = codec["log"][-1]
        config = codec["config"]
        for books in (config["books"], config["coarse_books"]):
            if f"mel_db_{books}" in last:
                mel, side = last[f"mel_db_{books}"], last[f"side_mel_db_{books}"]
                notes.append(f"Held-out, {books} codebooks: mel distance {mel:.2f} dB, of the side {side:.2f} dB.")
    scores = semantic["probe"]
    layer = semantic["config"]["layer"]
    text = f"Semantic tokenizer: layer {layer}, {semantic['config']['codebooks']} codebooks"
    if semantic["config"].get("note_books"):
        text += f", the first {semantic['config']['note_books']} of what is struck"
        if semantic.get("notes"):
            text += f" (learnt from notes; on held-out pieces right within a frame with F1 {semantic['notes']['f1']:.2f})"
    # One that came back from a pack has not been probed.
    if scores:
        text += (
            f"; a linear probe of the layer finds the keys struck within 0.4 s with F1 {scores[layer]:.2f} (from the "
            f"filterbank itself {scores[0]:.2f})"
        )
    notes.append(f"{text}.")
    return notes


def export_trained(work: Path, half: bool = True) -> Tokenizers:
    """The trained tokenizers of a work folder."""
    codec = load_codec(codec_path(work))
    return describe(codec, load_tokenizer(work / "checkpoints" / "semantic.pt"), half, training_notes(work))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--work", type=Path)
    source.add_argument("--random", choices=CONFIGURATIONS, help="untrained weights of this size")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", action="store_true", help="store large weights in half precision")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.work:
        found = export_trained(arguments.work, arguments.half)
    else:
        found = export_random(arguments.random, arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, model in found.graphs.items():
        onnx.save(model, arguments.out / name)
        print(f"{name}: {model.ByteSize() / 1e6:.2f} MB")
    for note in found.notes:
        print(note)


if __name__ == "__main__":
    main()
