"""Writing and verifying `manifest.toml`: the one description of a pack (docs/pack.md)."""

import hashlib
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .flattened import FlattenedConfig
from .presets import StagePreset
from .stages import AutoregressiveConfig

FORMAT = 1
MANIFEST = "manifest.toml"
MODEL_CARD = "MODEL_CARD.md"


def stage_section(stage: StagePreset, graph: str) -> dict[str, Any]:
    """The `[[stage]]` of a stage whose graph lies in the file `graph`."""
    config = stage.config
    kinds = {AutoregressiveConfig: "autoregressive", FlattenedConfig: "flattened"}
    kind = kinds.get(type(config), "parallel")
    section: dict[str, Any] = {
        "id": stage.id,
        "kind": kind,
        "graph": graph,
        "writes": stage.writes,
        "first_codebook": stage.first_codebook,
        "codebooks": config.codebooks,
        "cardinality": config.cardinality,
    }
    if kind != "parallel":
        if stage.condition_stream:
            section["condition"] = {"stream": stage.condition_stream}
        if kind == "flattened":
            section["window"] = config.window
        elif stage.condition_stream:
            section["condition"]["offsets"] = list(config.condition_offsets)
        section |= {
            "context": config.context,
            "layers": config.temporal.layers,
            "heads": config.cached_heads if kind == "autoregressive" else config.temporal.kv_heads,
            "head_dim": config.temporal.head_dim,
        }
    section |= {"candidates": config.candidates, "temperature": stage.temperature, "top_p": stage.top_p}
    held = asdict(stage.held) if stage.held else {}
    return section | {name: part for name, part in held.items() if part is not None}


def file_section(path: Path) -> dict[str, Any]:
    """The `[[file]]` of a file that has been written."""
    content = path.read_bytes()
    return {"name": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def to_toml(manifest: dict[str, Any]) -> str:
    """Scalars first, then `[table]`s with their sub-tables, then `[[array]]`s; anything deeper is written inline."""
    lines: list[str] = []
    for key, value in manifest.items():
        if not isinstance(value, dict) and not _is_tables(value):
            lines.append(f"{key} = {_inline(value)}")
    for key, value in manifest.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]"]
            lines += [f"{k} = {_inline(v)}" for k, v in value.items() if not isinstance(v, dict)]
            for name, table in value.items():
                if isinstance(table, dict):
                    lines.append(f"[{key}.{name}]")
                    lines += [f"{k} = {_inline(v)}" for k, v in table.items()]
        elif _is_tables(value):
            for table in value:
                lines += ["", f"[[{key}]]"]
                lines += [f"{k} = {_inline(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_inline(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(_inline(v) for v in value) + "]"


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a pack."""
    manifest = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{folder / MANIFEST}: format {manifest.get('format')}, expected {FORMAT}")
    return manifest


def understood(folder: Path) -> list[str]:
    """The hashes of manifests whose takes play with the pack in this folder, its own last."""
    return [*read(folder).get("same_tokens", []), hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()]


def problems(folder: Path) -> list[str]:
    """What is wrong with the files of a pack: missing, of another size or hash, or not listed. Empty is good."""
    manifest = read(folder)
    found = []
    for entry in manifest["file"]:
        path = folder / entry["name"]
        if not path.is_file():
            found.append(f"{entry['name']}: missing")
        elif file_section(path) != entry:
            found.append(f"{entry['name']}: not the file that the manifest describes")
    listed = {entry["name"] for entry in manifest["file"]} | {MANIFEST}
    found += [f"{path.name}: not listed" for path in sorted(folder.iterdir()) if path.name not in listed]
    graphs = [stage["graph"] for stage in manifest.get("stage", [])]
    graphs += [manifest["codec"]["encoder"]["graph"], manifest["codec"]["decoder"]["graph"]]
    if "semantic" in manifest:
        graphs.append(manifest["semantic"]["graph"])
    return found + [f"{name}: named but not listed" for name in graphs if name not in listed]
