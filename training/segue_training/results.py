"""Markdown for `RESULTS.md`: tables, what was measured with, and chapters of which each pack has its own section."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MEASURED_WITH = ("onnxruntime", "visqol-python", "transkun")


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def lines(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    body = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in body) + "\n"


def verdict(met: bool | None) -> str:
    """Whether a goal is met, where that is known."""
    return "–" if met is None else "yes" if met else "**no**"


def package_version(name: str) -> str:
    """The installed version of a package, or "absent"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def machine(tools: tuple[str, ...] = MEASURED_WITH, threads: str = "one thread") -> str:
    """The processor, how much of it, and what is measured with."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", info)
    name = model.group(1) if model else platform.processor() or platform.machine()
    amx = ", AMX" if "amx_tile" in info else ""
    used = ", ".join(f"{tool} {package_version(tool)}" for tool in tools)
    return f"{name}, {os.cpu_count()} cores{amx}, {threads}; {used}"


def merged(text: str, title: str, introduction: str, name: str, new: str) -> str:
    """The file with the pack's section put in or replaced, under the chapter `title` with the introduction of today.

    A chapter is a `# ` heading and what follows it; other chapters, and other packs' sections of this one, stay.
    """
    chapters = [part for part in re.split(r"^(?=# )", text, flags=re.MULTILINE) if part.strip()]
    heading = f"# {title}\n"
    old = next((part for part in chapters if part.startswith(heading)), "")
    sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)[1:]
    others = [part.strip() + "\n" for part in sections if not part.startswith(f"## {name}\n")]
    chapter = "\n".join([heading, introduction.strip() + "\n", *others, new.strip() + "\n"])
    if old:
        chapters[chapters.index(old)] = chapter
    else:
        chapters.append(chapter)
    return "\n".join(part.strip() + "\n" for part in chapters)
