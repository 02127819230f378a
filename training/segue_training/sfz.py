"""The subset of SFZ that sampled pianos need: regions by key and velocity, headers, #define and #include."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HEADER_OR_OPCODE = re.compile(r"<(\w+)>|([\w$]+)=")
NAMES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
DEFAULT_RELEASE = 0.2
LONGEST_RELEASE = 0.8


@dataclass(frozen=True, slots=True)
class Region:
    """One sample and the keys and velocities it answers (bounds included).

    `volume` is in dB, `release` in seconds, `velocity_tracking` the SFZ amp_veltrack in per cent.
    """

    sample: Path
    low_key: int
    high_key: int
    low_velocity: int
    high_velocity: int
    key_centre: int
    volume: float
    release: float
    velocity_tracking: float


def key_number(text: str) -> int:
    """A MIDI key from a number or a name such as c#4 (c4 = 60)."""
    try:
        return int(text)
    except ValueError:
        match = re.fullmatch(r"([a-gA-G])([#b]?)(-?\d+)", text.strip())
        if match is None:
            raise ValueError(f"not a key: {text!r}") from None
        name, accidental, octave = match.groups()
        return NAMES[name.lower()] + {"": 0, "#": 1, "b": -1}[accidental] + 12 * (int(octave) + 1)


def expand(path: Path, root: Path, definitions: dict[str, str]) -> str:
    """The text of a file without comments, its #define and #include applied in order."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        line = line.split("//", 1)[0]
        define = re.match(r"\s*#define\s+(\$\w+)\s+(\S+)", line)
        if define:
            definitions[define.group(1)] = define.group(2)
            continue
        for name in sorted(definitions, key=len, reverse=True):
            line = line.replace(name, definitions[name])
        include = re.match(r'\s*#include\s+"([^"]+)"', line)
        if include:
            lines.append(expand(root / include.group(1), root, definitions))
        else:
            lines.append(line)
    return "\n".join(lines)


def sections(text: str) -> list[tuple[str, dict[str, str]]]:
    """Headers with their opcodes, in order. A value ends where the next opcode or header begins."""
    result: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        marks = list(HEADER_OR_OPCODE.finditer(line))
        for mark, following in zip(marks, [*marks[1:], None]):
            if mark.group(1):
                result.append((mark.group(1), {}))
            elif result:
                end = following.start() if following else len(line)
                result[-1][1][mark.group(2)] = line[mark.end() : end].strip()
    return result


def find_sample(folder: Path, name: str) -> Path | None:
    """The sample's file, its name compared without regard to case."""
    path = folder / name.replace("\\", "/")
    if path.exists():
        return path
    if path.parent.is_dir():
        for candidate in path.parent.iterdir():
            if candidate.name.lower() == path.name.lower():
                return candidate
    return None


def read_regions(path: Path) -> list[Region]:
    """The attack regions of an instrument, without those that need a controller (resonance) or a release trigger."""
    inherited: dict[str, dict[str, str]] = {"control": {}, "global": {}, "master": {}, "group": {}}
    regions = []
    for header, opcodes in sections(expand(path, path.parent, {})):
        if header in inherited:
            inherited[header] = opcodes
            if header == "global":
                inherited["master"], inherited["group"] = {}, {}
            if header == "master":
                inherited["group"] = {}
            continue
        if header != "region":
            continue
        merged = {**inherited["global"], **inherited["master"], **inherited["group"], **opcodes}
        if merged.get("trigger", "attack") != "attack" or any(name.startswith("locc") for name in merged):
            continue
        sample = find_sample(path.parent, inherited["control"].get("default_path", "") + merged.get("sample", ""))
        if sample is None:
            raise FileNotFoundError(f"{path.name}: sample {merged.get('sample')!r}")
        key = merged.get("key")
        low = key_number(merged.get("lokey", key or "0"))
        high = key_number(merged.get("hikey", key or "127"))
        regions.append(
            Region(
                sample=sample,
                low_key=low,
                high_key=high,
                low_velocity=int(merged.get("lovel", 1)),
                high_velocity=int(merged.get("hivel", 127)),
                key_centre=key_number(merged.get("pitch_keycenter", key or "60")),
                volume=float(merged.get("volume", 0)) + float(merged.get("group_volume", 0)),
                release=min(float(merged.get("ampeg_release", DEFAULT_RELEASE)), LONGEST_RELEASE),
                velocity_tracking=float(merged.get("amp_veltrack", 100)),
            )
        )
    return regions
