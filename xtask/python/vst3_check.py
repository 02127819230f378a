"""Plays the built VST3 in pedalboard, a JUCE host: loads, passes audio, continues, keeps its state."""

import sys
import time

import numpy as np
import pedalboard
from pedalboard.io import AudioFile

RATE, BLOCK = 48_000, 512
LEAD, PROMPT, LENGTH = 4.0, 4.0, 4.0


def play(plugin, audio, press, down, up):
    """Holds a button down between two frames. Feeds blocks when a sound card would ask for them; returns what comes out."""
    # Looked up once: there are two thousand.
    button = plugin.parameters[press]
    out, begin = [], time.monotonic()
    for start in range(0, audio.shape[1], BLOCK):
        time.sleep(max(0.0, begin + start / RATE - time.monotonic()))
        button.raw_value = float(down <= start < up)
        out.append(plugin.process(audio[:, start : start + BLOCK], RATE, buffer_size=BLOCK, reset=False))
    return np.concatenate(out, axis=1)


def main(path, prompt_path):
    plugin = pedalboard.load_plugin(path)
    assert plugin.name == "Segue", plugin.name
    names = set(plugin.parameters)
    # The framework turns MIDI controllers into hidden parameters, 130 a channel.
    print("parameters:", ", ".join(sorted(name for name in names if not name.startswith("midi_ch_"))))
    wanted = {"capture_continue", "prompt_length", "continuation_length", "seed", "play"}
    assert wanted <= names, f"missing: {wanted - names}"

    with AudioFile(prompt_path).resampled_to(RATE) as file:
        prompt = file.read(int(RATE * PROMPT))
    silence = np.zeros((2, int(RATE * LEAD)), np.float32)
    after = np.zeros((2, int(RATE * (LENGTH + 1.5))), np.float32)
    audio = np.concatenate([silence, prompt, after], axis=1).astype(np.float32)
    trigger = silence.shape[1] + prompt.shape[1]

    plugin.continuation_length = f"{LENGTH:.1f} s"
    plugin.parameters["seed"].raw_value = 7 / 9999
    out = play(plugin, audio, "capture_continue", trigger, trigger + RATE // 4)
    passed = np.abs(out[:, :trigger] - audio[:, :trigger]).max()
    assert passed == 0.0, f"the input does not come through: {passed}"
    heard = out[:, trigger:]
    sounding = np.flatnonzero(np.abs(heard).max(axis=0) > 1e-6)
    assert sounding.size, "no continuation was heard"
    first, last = sounding[0] / RATE, sounding[-1] / RATE
    level = 10 * np.log10(np.mean(heard[:, sounding[0] : sounding[-1]] ** 2) / np.mean(prompt**2))
    print(f"continuation from {first:.3f} s to {last:.3f} s after the trigger, {level:+.1f} dB against the prompt")
    assert first < 2.0 and abs(last - LENGTH) < 0.2, (first, last)
    assert abs(level) < 12.0, level

    state = plugin.raw_state
    again = pedalboard.load_plugin(path)
    again.raw_state = state
    seed = round(again.parameters["seed"].raw_value * 9999)
    assert seed == 7, seed
    assert again.raw_state == state, "the state changes by being loaded and saved"
    # The take came along: it plays without a trigger, and without a prompt there is nothing it could be made from.
    quiet = np.zeros((2, int(RATE * (LENGTH + 5.0))), np.float32)
    replayed = play(again, quiet, "play", RATE * 4, RATE * 60)
    there = np.abs(replayed).max(axis=0) > 1e-6
    seconds = there.sum() / RATE
    print(f"reopened: {seconds:.1f} s of the take heard again")
    assert seconds > LENGTH - 1.5, seconds
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
