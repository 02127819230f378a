"""Write a pack: stage graphs, tokenizers, manifest and model card.

python -m segue_training.pack --preset tiny --random --out DIR
python -m segue_training.pack --preset second --work WORK --data DATA --out DIR [--tokenizers]
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import torch

from . import card, flattened, manifest
from .checkpoint import Progress, checkpoint_path, load
from .export_tokenizers import DECODER, Tokenizers, export_random, export_trained
from .presets import PRESETS, Preset
from .quantize import ship_decoder, ship_stage, ship_tokenizer
from .stage_graph import export
from .stages import Stage, StageConfig, build

VERSION = "0.2.6"


def random_stages(preset: Preset, seed: int) -> dict[str, Stage | flattened.FlattenedStage]:
    """Untrained models, the same for the same seed."""
    torch.manual_seed(seed)
    return {stage.id: _random(stage.config).eval() for stage in preset.stages}


def _random(config: StageConfig | flattened.FlattenedConfig) -> Stage | flattened.FlattenedStage:
    return flattened.FlattenedStage(config) if isinstance(config, flattened.FlattenedConfig) else build(config)


def _graph(stage: Stage | flattened.FlattenedStage) -> onnx.ModelProto:
    return flattened.export(stage) if isinstance(stage, flattened.FlattenedStage) else export(stage)


def trained_stages(preset: Preset, work: Path) -> tuple[dict[str, Stage], dict[str, Progress]]:
    """Averaged weights and progress of every stage."""
    found = {stage.id: load(checkpoint_path(work, stage.id)) for stage in preset.stages}
    for stage in preset.stages:
        # How tokens are drawn is decided when a pack is made, not when a stage is trained.
        names = ("candidates", "guidance", "rests", "tilted", "eagerness")
        drawn = {name: getattr(stage.config, name) for name in names if hasattr(stage.config, name)}
        if replace(found[stage.id].config, **drawn) != stage.config:
            raise ValueError(f"the checkpoint of {stage.id} was not trained with preset {preset.name}")
        found[stage.id].config = stage.config
    return {key: value.stage() for key, value in found.items()}, {key: value.progress for key, value in found.items()}


def kept(follows: Path, made: Tokenizers) -> Tokenizers:
    """The tokenizers of a pack as it stores them, with what its card says of them: what came back by `from_pack` would be rounded
    once more. Of those that were made from the same weights only what they say of themselves is taken."""
    graphs = {}
    for name, graph in made.graphs.items():
        graphs[name] = onnx.load(follows / name)
        onnx.helper.set_model_props(graphs[name], {entry.key: entry.value for entry in graph.metadata_props})
    return replace(made, graphs=graphs, notes=card.tokenizer_notes((follows / manifest.MODEL_CARD).read_text(encoding="utf-8")))


def write_pack(
    out: Path,
    preset: Preset,
    stages: dict[str, Stage | flattened.FlattenedStage],
    tokenizers: Tokenizers,
    model_card: str,
    data: Path | None,
    random: bool,
    follows: Path | None = None,
    stored: bool = False,
) -> None:
    """Write all files, the manifest last; whatever was in `out` is replaced. `follows`: a pack whose takes play with this one.
    `stored`: the tokenizers have the form already in which packs hold them. Raises ValueError if `follows` has other tokenizers."""
    known = manifest.understood(follows) if follows else []
    before = {name: (follows / name).read_bytes() for name in tokenizers.graphs if follows and name != DECODER}
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    names: list[str] = []

    def write(name: str, model: onnx.ModelProto) -> str:
        onnx.save(model, out / name)
        names.append(name)
        return name

    for name, graph in tokenizers.graphs.items():
        ship = ship_decoder if name == DECODER else ship_tokenizer
        write(name, graph if stored else ship(graph))
    sections = [
        manifest.stage_section(stage, write(f"stage_{stage.id}.onnx", ship_stage(_graph(stages[stage.id]))))
        for stage in preset.stages
        if stage.id in stages
    ]
    for name, graph in before.items():
        if (out / name).read_bytes() != graph:
            raise ValueError(f"{follows} has another {name}: what its takes hold means something else")
    (out / manifest.MODEL_CARD).write_text(model_card, encoding="utf-8")
    described = {
        "format": manifest.FORMAT,
        **({"same_tokens": known} if known else {}),
        "name": preset.name,
        "version": VERSION,
        "title": preset.title,
        "license": "CC0-1.0" if random else card.LICENSE,
        "credits": card.credits(preset, data),
        "training_data": card.training_data(data),
        "audio": tokenizers.audio | ({"loudness": preset.loudness.described()} if preset.loudness else {}),
        "codec": tokenizers.codec,
        "semantic": tokenizers.semantic,
        "stage": sections,
        "file": [manifest.file_section(out / name) for name in (*names, manifest.MODEL_CARD)],
    }
    (out / manifest.MANIFEST).write_text(manifest.to_toml(described), encoding="utf-8")
    found = manifest.problems(out)
    if found:
        raise RuntimeError(f"the pack just written is broken: {found}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--random", action="store_true", help="untrained weights")
    source.add_argument("--work", type=Path, help="folder with checkpoints/")
    parser.add_argument("--tokenizers", action="store_true", help="no stages: for `table`, which needs none")
    parser.add_argument("--data", type=Path, help="folder with midi/LICENSES.tsv, for credits")
    parser.add_argument("--follows", type=Path, help="a pack with the same tokenizers: its takes play with this one")
    parser.add_argument("--keep-tokenizers", action="store_true", help="those of --follows, as they are stored: see `from_pack`")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.keep_tokenizers and not arguments.follows:
        parser.error("--keep-tokenizers are those of --follows")
    preset = PRESETS[arguments.preset]
    if arguments.random:
        tokenizers, progress = export_random(preset.name, arguments.seed), {}
        stages = random_stages(preset, arguments.seed)
    else:
        if arguments.data is None:
            parser.error("a trained pack needs --data for its credits")
        tokenizers = export_trained(arguments.work, half=False)
        stages, progress = ({}, {}) if arguments.tokenizers else trained_stages(preset, arguments.work)
    if arguments.keep_tokenizers:
        tokenizers = kept(arguments.follows, tokenizers)
    text = card.model_card(preset, VERSION, arguments.data, progress, tokenizers.notes, arguments.random)
    write_pack(arguments.out, preset, stages, tokenizers, text, arguments.data, arguments.random, arguments.follows, arguments.keep_tokenizers)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    print(f"{arguments.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
