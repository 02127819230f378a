"""The model card of a pack: what it is, what it learnt from, whom to thank, and how well it does."""

import csv
from collections import Counter
from pathlib import Path

from .checkpoint import Progress
from .dataset import SOURCE_SHARES
from .presets import Preset

LICENSE = "CC-BY-SA-4.0"

PIANOS = {
    "salamander": "Salamander Grand Piano V3 (Yamaha C5), Alexander Holm, CC BY 3.0",
    "splendid": "Splendid Grand Piano (Steinway, sampled on Akai), public domain",
    "upright": "Upright Piano KW (Kawai), FreePats, CC0",
    "fluid": "FluidR3 GM (Yamaha grand), Frank Wen and others, MIT",
    "bright": "MuseScore General (bright grand), S. Christian Collins, Frank Wen and others, MIT",
    "mellow": "MuseScore General (grand), S. Christian Collins, Frank Wen and others, MIT",
    "modelled": "Ten pianos that nobody built (segue_training.modelled), MIT OR Apache-2.0",
}
ROOMS = (
    "EMT 140 plate impulse responses, Greg Hopkins, CC BY",
    "Room impulse responses, OpenAIR, CC BY 4.0",
)


def training_data(data: Path | None) -> list[str]:
    """One line per source of MIDI, counted from LICENSES.tsv: files, hours, licences."""
    if data is None:
        return []
    files, seconds, licences = Counter(), Counter(), {}
    with (data / "midi" / "LICENSES.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            source = row["path"].split("/")[0]
            if source not in SOURCE_SHARES:
                continue
            files[source] += 1
            seconds[source] += float(row["seconds"] or 0)
            licences.setdefault(source, set()).add(row["licence"].split(" (")[0])
    return [
        f"{source}: {files[source]} pieces, {seconds[source] / 3600:.1f} h, {', '.join(sorted(licences[source]))}"
        for source in sorted(files, key=lambda s: -seconds[s])
    ]


def credits(preset: Preset, data: Path | None) -> list[str]:
    """Those whose work is inside the weights."""
    if data is None:
        return []
    composers = (
        "POP909 (music-x-lab; Wang et al. 2020), MIT",
        "piano-midi.de (Bernd Krueger), CC BY-SA 3.0 DE",
        "GiantMIDI-Piano (ByteDance; Kong et al. 2020), CC BY 4.0",
        "Mutopia Project and its typesetters, public domain, CC BY and CC BY-SA",
    )
    return [*composers, *(PIANOS[piano] for piano in preset.pianos), *ROOMS]


TOKENIZERS = "## Tokenizers"


def tokenizer_notes(text: str) -> list[str]:
    """What a model card says of the tokenizers; that of an untrained pack says nothing."""
    section = text.partition(f"{TOKENIZERS}\n\n")[2].partition("\n\n")[0]
    return section.split("\n") if section else []


def model_card(
    preset: Preset, version: str, data: Path | None, stages: dict[str, Progress], tokenizers: list[str], random: bool
) -> str:
    """MODEL_CARD.md. Every figure comes from `stages` and `tokenizers`, which come from checkpoints."""
    lines = [f"# {preset.title} ({preset.name} {version})", ""]
    if random:
        lines += [
            "**Untrained.** Random weights that obey docs/pack.md: for tests and for measuring speed, not for music.",
            "",
            "Licence: CC0-1.0. No training data.",
        ]
        return "\n".join(lines) + "\n"
    lines += [
        "Continues a piano recording: semantic tokens, coarse acoustic tokens, fine acoustic tokens, audio; the chain "
        "of AudioLM (Borsos et al. 2022, arXiv:2209.03143), made small enough to run on one core of a laptop.",
        "",
        f"Licence of the weights: {LICENSE}. They derive from CC BY-SA performances; share alike.",
        "",
    ]
    if not stages:
        lines += ["**Tokenizers only**: nothing in it can continue anything yet. For measuring what tokens keep.", ""]
    lines += [
        "## Stages",
        "",
        "| stage | parameters | steps | tokens (frames) seen | hours of music seen | minutes of training "
        "| held-out cross-entropy, nats per token |",
        "|---|---|---|---|---|---|---|",
    ]
    rates = {"semantic": 25, "coarse": 50, "fine": 50}
    for name, progress in stages.items():
        losses = ", ".join(f"{book} {loss:.3f}" for book, loss in progress.validation.items())
        hours = progress.frames / rates[name] / 3600
        lines.append(
            f"| {name} | {progress.parameters / 1e6:.2f} M | {progress.steps} | {progress.frames / 1e6:.2f} M "
            f"| {hours:.0f} | {progress.minutes:.0f} | {losses} |"
        )
    lines += [
        "",
        "Frames are counted with repetitions. Held-out pieces share no composition with the training set.",
        "Two CPU cores, no GPU.",
        "",
        TOKENIZERS,
        "",
        *tokenizers,
        "",
        "## Training data",
        "",
    ]
    lines += [f"- {line}" for line in training_data(data)]
    lines += [
        "",
        "MIDI was rendered with sampled pianos in measured rooms, transposed by up to 5 semitones, with the tempo "
        "changed by up to 12 %, and humanised where it was flat; the semantic stage also learnt from notes that were never "
        "rendered. The copyright of the songs behind POP909 is not ours: "
        "the model was trained on performances of them and no rendering of one is shipped.",
        "",
        "## Credits",
        "",
    ]
    lines += [f"- {line}" for line in credits(preset, data)]
    lines += [
        "",
        "## Limits",
        "",
        "Solo piano only; classical and pop, jazz is weak. Rendered pianos were heard in training, so a noisy or far "
        "recording is continued less well. Trained for minutes, not weeks: harmony wanders after some bars, "
        "and the codec colours the sound.",
    ]
    return "\n".join(lines) + "\n"
