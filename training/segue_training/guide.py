"""A pack again, one of its stages guided by its condition: the weights as they shipped, another graph around them.

python -m segue_training.guide --pack PACK --stage coarse --guidance 2 --version 0.1.2 [--temperatures 1 0.8 0.6] --out OUT

Guidance is no matter of training (`stages.AutoregressiveConfig.guidance`), so a pack whose training is over can be given it.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import onnx

from . import manifest
from .from_pack import read_stage, read_weights
from .quantize import ship_stage
from .stage_graph import export
from .stages import AutoregressiveConfig, build
from .transformer import TransformerShape


def config_of(described: dict[str, Any], stage: dict[str, Any], graph: Path, guidance: float) -> AutoregressiveConfig:
    """What a shipped autoregressive stage was built with: the manifest's section, the sizes of its weights, and how many heads
    ask how many keys. Heads of a depth transformer are as wide as the others and share none."""
    weights = read_weights(graph)
    attention = next(node for node in onnx.load(graph).graph.node if node.op_type == "GroupQueryAttention")
    found = {attribute.name: attribute.i for attribute in attention.attribute}

    def shape(name: str, layers: int, shared: int) -> TransformerShape:
        width, columns = weights[f"{name}.0.qkv"].shape
        # Of `shared` parts questions there is one of keys and one of values.
        kv_heads = columns // stage["head_dim"] // (shared + 2)
        expansion = weights[f"{name}.0.up"].shape[1] // width
        return TransformerShape(width, layers, shared * kv_heads, stage["head_dim"], expansion, shared=shared)

    depth = sum(name.startswith("depth.") and name.endswith(".qkv") for name in weights)
    condition = described[stage["condition"]["stream"]] if "condition" in stage else {}
    return AutoregressiveConfig(
        stage["codebooks"],
        stage["cardinality"],
        stage["context"],
        stage["candidates"],
        shape("temporal", stage["layers"], found["num_heads"] // found["kv_num_heads"]),
        shape("depth", depth, 1) if depth else None,
        condition.get("cardinality", 0),
        tuple(stage["condition"]["offsets"]) if condition else (),
        condition.get("codebooks", 1),
        guidance=guidance,
    )


def guide(
    pack: Path, name: str, guidance: float, version: str, temperatures: list[float] | None, out: Path, same: tuple[str, ...] = ()
) -> None:
    """Writes the pack anew to `out`, which is replaced. `same`: hashes of yet older packs with the same tokenizers."""
    described = manifest.read(pack)
    stage = next(stage for stage in described["stage"] if stage["id"] == name)
    config = config_of(described, stage, pack / stage["graph"], guidance)
    model = build(config).eval()
    read_stage(model, read_weights(pack / stage["graph"]))
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(pack, out)
    onnx.save(ship_stage(export(model)), out / stage["graph"])
    stage["heads"] = config.cached_heads
    for section, temperature in zip(described["stage"], temperatures or []):
        section["temperature"] = temperature
    old, described["version"] = described["version"], version
    # Takes of the old pack play with the new one: its tokens mean the same.
    described.pop("same_tokens", None)
    described = {"format": described.pop("format"), "same_tokens": [*same, *manifest.understood(pack)]} | described
    text = (out / manifest.MODEL_CARD).read_text(encoding="utf-8")
    title, rest = text.replace(f"({described['name']} {old})", f"({described['name']} {version})").split("\n", 1)
    note = f"{version} holds the weights of {old}; its {name} stage is guided by its condition ({guidance:g})."
    (out / manifest.MODEL_CARD).write_text(f"{title}\n\n{note}\n{rest}", encoding="utf-8")
    described["file"] = [manifest.file_section(out / file["name"]) for file in described["file"]]
    (out / manifest.MANIFEST).write_text(manifest.to_toml(described), encoding="utf-8")
    if found := manifest.problems(out):
        raise RuntimeError(f"the pack just written is broken: {found}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--stage", default="coarse")
    parser.add_argument("--guidance", type=float, required=True)
    parser.add_argument("--version", required=True, help="of the pack that is written")
    parser.add_argument("--temperatures", type=float, nargs="+", help="of its stages, if not the old ones")
    parser.add_argument("--same-tokens", nargs="*", default=[], help="hashes of older manifests with the same tokenizers")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    guide(
        arguments.pack,
        arguments.stage,
        arguments.guidance,
        arguments.version,
        arguments.temperatures,
        arguments.out,
        tuple(arguments.same_tokens),
    )


if __name__ == "__main__":
    main()
