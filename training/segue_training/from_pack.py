"""A pack → checkpoints, so that a training goes on where its work folder is gone.

python -m segue_training.from_pack --pack PACK --work WORK --preset second

Weights come back as they shipped (8 bits, half precision); what is not in a pack (optimisers, the codebooks' averages, the
heads of the semantic tokenizer's own training) begins anew. `train_codec` and `train_stage` then resume from there, tokens
are made anew by `tokenize`. Stages that the pack lacks are left out.
"""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from .checkpoint import Checkpoint, Progress, checkpoint_path, save, write
from .codec import Codec, Widened
from .export_tokenizers import CONFIGURATIONS, DECODER, ENCODER, SEMANTIC
from .manifest import MANIFEST
from .presets import PRESETS, Preset
from .quantizer import ResidualQuantizer
from .semantic import SemanticTokenizer
from .stages import AutoregressiveStage, ParallelStage, build
from .train_codec import UNQUANTISED_STEPS
from .train_notes import NAME as NOTES
from .transformer import RMSNorm, Transformer

Weights = dict[str, Tensor]


def read_weights(path: Path) -> Weights:
    """The weights of a shipped graph in float32 under the names they were exported with."""
    graph = onnx.load(path).graph
    stored = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    found = {name.removesuffix("_half"): array for name, array in stored.items() if array.dtype.kind == "f"}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            size = {attribute.name: attribute.i for attribute in node.attribute}
            blocks = (stored[node.input[1]].astype(np.float32) - 128.0) * stored[node.input[2]].reshape(size["N"], -1, 1)
            found[node.input[1].removesuffix("_Q8")] = blocks.reshape(size["N"], -1)[:, : size["K"]].T
    for name in [name for name in stored if name.endswith("_bytes")]:
        matrix = name.removesuffix("_bytes")
        blocks = stored[name].astype(np.float32) * found.pop(f"{matrix}_scales").astype(np.float32)
        found[matrix] = blocks.reshape(stored[f"{matrix}_shape"])
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in found.items()}


@torch.no_grad()
def _linear(layer: nn.Linear, weights: Weights, name: str) -> None:
    layer.weight.copy_(weights[f"{name}.weight"].t())
    if layer.bias is not None:
        layer.bias.copy_(weights[f"{name}.bias"])


@torch.no_grad()
def _affine(layer: nn.Module, weights: Weights, name: str) -> None:
    layer.weight.copy_(weights[f"{name}.weight"])
    layer.bias.copy_(weights[f"{name}.bias"])


def _widened(layer: Widened, weights: Weights, name: str) -> None:
    for part in ("straight", "into", "out"):
        _linear(getattr(layer, part), weights, f"{name}.{part}")


@torch.no_grad()
def _blocks(layers: nn.ModuleList, weights: Weights, prefix: str = "block") -> None:
    for index, block in enumerate(layers):
        name = f"{prefix}_{index}"
        _affine(block.depthwise, weights, f"{name}.depthwise")
        _affine(block.norm, weights, f"{name}.norm")
        _linear(block.expand, weights, f"{name}.expand")
        # The layer scale was folded into it.
        _linear(block.project, weights, f"{name}.project")
        block.scale.fill_(1.0)


@torch.no_grad()
def _codebooks(quantizer: ResidualQuantizer, books: list[Tensor], counts: float) -> None:
    """`counts`: how often each entry is taken to have been used lately."""
    quantizer.codebooks.copy_(torch.stack(books))
    quantizer.counts.fill_(counts)
    quantizer.sums.copy_(quantizer.codebooks * counts)


@torch.no_grad()
def read_codec(codec: Codec, encoder: Weights, decoder: Weights) -> None:
    """Both graphs' weights into a codec of their size."""
    codec.encoder.centre.copy_(encoder["centre"])
    codec.encoder.spread.copy_(encoder["spread"])
    _widened(codec.encoder.input, encoder, "input")
    _blocks(codec.encoder.blocks, encoder)
    _affine(codec.encoder.norm, encoder, "norm")
    _linear(codec.encoder.output, encoder, "output")
    # As many as a batch of training gives each.
    _codebooks(codec.quantizer, [encoder[f"codebook_{book}"].t() for book in range(codec.config.books)], 1.0)
    _linear(codec.decoder.input, decoder, "input")
    _blocks(codec.decoder.blocks, decoder)
    _affine(codec.decoder.norm, decoder, "norm")
    _widened(codec.decoder.mid, decoder, "mid")
    _widened(codec.decoder.side, decoder, "side")
    _linear(codec.decoder.coherence, decoder, "coherence")


def read_semantic(tokenizer: SemanticTokenizer, weights: Weights) -> None:
    """The graph's weights into a tokenizer of its size."""
    _linear(tokenizer.network.input, weights, "input")
    _blocks(tokenizer.network.blocks, weights)
    _linear(tokenizer.project, weights, "project")
    books = [weights[f"centroids_{book}"].t() for book in range(tokenizer.quantizer.books)]
    _codebooks(tokenizer.quantizer, books, 1.0)
    if tokenizer.config.note_books:
        notes = tokenizer.notes
        notes.centre.copy_(weights["note_centre"])
        notes.spread.copy_(weights["note_spread"])
        _linear(notes.input, weights, "note_input")
        _blocks(notes.blocks, weights, "note_block")
        _affine(notes.norm, weights, "note_norm")
        _linear(notes.output, weights, "note_output")


@torch.no_grad()
def _gain(norm: RMSNorm, weights: Weights, name: str) -> None:
    norm.gain.copy_(weights[f"{name}.gain"])


@torch.no_grad()
def _transformer(model: Transformer, weights: Weights, name: str, query: float = 1.0) -> None:
    """`query`: what the questions were scaled by."""
    for index, block in enumerate(model.blocks):
        for part in ("qkv", "out", "up", "down"):
            getattr(block, part).weight.copy_(weights[f"{name}.{index}.{part}"].t())
        block.qkv.weight[: block.shape.heads * block.shape.head_dim] /= query
        _gain(block.attention_norm, weights, f"{name}.{index}.attention_norm")
        _gain(block.mlp_norm, weights, f"{name}.{index}.mlp_norm")
    _gain(model.norm, weights, f"{name}.norm")


@torch.no_grad()
def _autoregressive(stage: AutoregressiveStage, weights: Weights) -> None:
    own = len(stage.embedding.table)
    stage.embedding.table.copy_(weights["embedding.table"][:own])
    if stage.condition is not None:
        stage.condition.table.copy_(weights["embedding.table"][own:])
    _transformer(stage.temporal, weights, "temporal")
    stage.heads.copy_(torch.stack([weights[f"head.{level}"].t() for level in range(len(stage.heads))]))
    if stage.depth is not None:
        _transformer(stage.depth, weights, "depth", query=stage.config.depth.head_dim**-0.5)
        stage.depth_in.weight.copy_(weights["depth_in"].t())
        # What a level adds was folded into its table.
        stage.level.zero_()
        stage.level[0] = weights["depth.start"].flatten()
        for level in range(1, len(stage.heads)):
            stage.depth_embedding[level - 1] = weights[f"depth.table.{level}"]


@torch.no_grad()
def _parallel(stage: ParallelStage, weights: Weights) -> None:
    stage.embedding.table.copy_(weights["embedding.table"])
    for index, block in enumerate(stage.blocks):
        name = f"block.{index}"
        block.taps.copy_(torch.stack([weights[f"{name}.tap.{k}"].flatten() for k in range(len(block.taps))]))
        _gain(block.norm, weights, f"{name}.norm")
        for part in ("up", "down"):
            getattr(block, part).weight.copy_(weights[f"{name}.{part}"].t())
    for index, level in enumerate(stage.levels):
        name = f"level.{index}"
        _gain(level.norm, weights, f"{name}.norm")
        _gain(level.out_norm, weights, f"{name}.out_norm")
        for part in ("up", "down"):
            getattr(level, part).weight.copy_(weights[f"{name}.{part}"].t())
        level.head.copy_(weights[f"{name}.head"].t())
        if index < len(stage.level_embedding):
            stage.level_embedding[index] = weights[f"{name}.table"]


def read_stage(stage: AutoregressiveStage | ParallelStage, weights: Weights) -> None:
    """The graph's weights into a stage of its size."""
    (_autoregressive if isinstance(stage, AutoregressiveStage) else _parallel)(stage, weights)


def from_pack(pack: Path, work: Path, preset: Preset, size: str = "full") -> list[str]:
    """Writes the checkpoints, none of which may be there yet; returns their names. A pack of other sizes than the preset's
    raises a `RuntimeError` or a `KeyError`."""
    folder = work / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    described = tomllib.loads((pack / MANIFEST).read_text(encoding="utf-8"))
    stages = [stage for stage in preset.stages if stage.id in {section["id"] for section in described.get("stage", [])}]
    paths = [folder / "codec.pt", folder / "semantic.pt", *(checkpoint_path(work, stage.id) for stage in stages)]
    if found := [str(path) for path in paths if path.exists()]:
        raise FileExistsError(f"would be overwritten: {', '.join(found)}; choose an empty work folder")
    codec_config, semantic_config = CONFIGURATIONS[size]
    codec, ear = Codec(codec_config), read_weights(pack / SEMANTIC)
    # A pack holds the blocks up to the layer that was clustered.
    layers = sum(name.startswith("block_") and name.endswith(".expand.weight") for name in ear)
    books = {"codebooks": described["semantic"].get("codebooks", 1)}
    clusters = sum(name.startswith("centroids_") and name.endswith(".half_square") for name in ear)
    books["note_books"] = books["codebooks"] - clusters
    tokenizer = SemanticTokenizer(replace(semantic_config, layers=layers, layer=layers, **books))
    read_codec(codec, read_weights(pack / ENCODER), read_weights(pack / DECODER))
    read_semantic(tokenizer, ear)
    begun = {"step": UNQUANTISED_STEPS + 1, "spent": 0.0, "log": []}
    write(paths[0], {"config": codec_config.to_dict(), "model": codec.state_dict(), "optimiser": None} | begun)
    write(paths[1], {"config": tokenizer.config.to_dict(), "model": tokenizer.state_dict(), "probe": []})
    if tokenizer.config.note_books:
        # It listens to what the codec's training decodes (`listener`). How well it hears is not in the pack.
        begun = {"optimiser": None, "step": 0, "spent": 0.0, "figures": {}}
        write(folder / NOTES, {"model": tokenizer.notes.state_dict()} | begun)
    for preset_stage, path in zip(stages, paths[2:], strict=True):
        stage = build(preset_stage.config)
        read_stage(stage, read_weights(pack / f"stage_{preset_stage.id}.onnx"))
        state = {name: value.clone() for name, value in stage.state_dict().items()}
        save(path, Checkpoint(preset_stage.config, state, Progress(), {"model": state, "optimisers": None}))
    return [path.name for path in paths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--preset", choices=PRESETS, default="second")
    arguments = parser.parse_args()
    for name in from_pack(arguments.pack, arguments.work, PRESETS[arguments.preset]):
        print(name)


if __name__ == "__main__":
    main()
