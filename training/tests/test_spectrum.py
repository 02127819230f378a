"""Analysis and synthesis: frame placement, and perfect spectra give back the audio."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segue_training.codec import CodecConfig
from segue_training.spectrum import Analysis, Synthesis, analyse, left_right, mid_side, synthesise, window_sum

HOP = CodecConfig().hop


@pytest.mark.parametrize("synthesis", CodecConfig().syntheses)
def test_perfect_spectra_give_back_the_audio(synthesis: Synthesis) -> None:
    """An analysis placed as the synthesis is undone by it, away from the edges."""
    # Where its windows lie if it is not late.
    synthesis = replace(synthesis, bins=0, offset=CodecConfig().placed)
    frames = 40
    audio = torch.randn(2, frames * HOP, generator=torch.Generator().manual_seed(0))
    look_ahead = synthesis.offset + synthesis.n_fft - synthesis.hop
    spectrum = analyse(audio, Analysis(synthesis.n_fft, synthesis.bins, look_ahead), synthesis.hop)
    again = synthesise(spectrum, synthesis, audio.shape[1])
    edge = synthesis.n_fft
    assert torch.allclose(again[:, edge:-edge], audio[:, edge:-edge], atol=1e-5)


@pytest.mark.parametrize("analysis", CodecConfig().analyses)
def test_frames_look_where_the_contract_says(analysis: Analysis) -> None:
    """Each frame equals numpy's transform of the samples that docs/pack.md names."""
    audio = np.random.default_rng(1).normal(size=12 * HOP).astype(np.float32)
    spectrum = analyse(torch.from_numpy(audio)[None], analysis, HOP)[0]
    assert spectrum.shape == (12, analysis.bins, 2)
    padded = np.concatenate([np.zeros(8192, np.float32), audio, np.zeros(8192, np.float32)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(analysis.n_fft) / analysis.n_fft)
    for frame in (0, 5, 11):
        end = (frame + 1) * HOP + analysis.look_ahead + 8192
        expected = np.fft.rfft(padded[end - analysis.n_fft : end] * window)[: analysis.bins] / np.sqrt(analysis.n_fft)
        found = torch.view_as_complex(spectrum[frame].contiguous()).numpy()
        assert np.allclose(found, expected, atol=1e-5)


def test_a_sub_frame_covers_its_samples_only() -> None:
    """Sub-frame s sounds within [s·hop + offset, s·hop + offset + n_fft)."""
    synthesis = Synthesis(480, 120, -180)
    spectrum = torch.zeros(1, 40, synthesis.bins, 2)
    spectrum[0, 10, 3, 0] = 1.0
    audio = synthesise(spectrum, synthesis, 40 * 120)[0]
    sounding = audio.abs().nonzero()
    assert int(sounding.min()) >= 10 * 120 - 180
    assert int(sounding.max()) < 10 * 120 - 180 + 480


def test_window_sum_is_constant_for_these_hops() -> None:
    """A quarter hop of a squared Hann window sums to 3/2, an eighth to 3."""
    for synthesis in CodecConfig().syntheses:
        expected = 3 / 8 * synthesis.n_fft / synthesis.hop
        assert torch.allclose(window_sum(synthesis), torch.full((synthesis.hop,), expected), atol=1e-5)


def test_bins_that_are_not_given_are_silent() -> None:
    few, spectrum = Synthesis(480, 120, -180, 20), torch.randn(1, 8, 20, 2)
    padded = torch.nn.functional.pad(spectrum, (0, 0, 0, 241 - 20))
    assert torch.allclose(synthesise(spectrum, few, 960), synthesise(padded, Synthesis(480, 120, -180), 960), atol=1e-6)


def test_mid_and_side_give_back_both_channels() -> None:
    stereo = torch.randn(3, 2, 100)
    assert torch.allclose(left_right(mid_side(stereo)), stereo, atol=1e-6)
    assert torch.equal(mid_side(stereo)[:, 0], stereo.mean(1))


def test_synthesis_is_differentiable() -> None:
    synthesis = Synthesis(480, 120, -180)
    spectrum = torch.randn(1, 8, synthesis.bins, 2, requires_grad=True)
    synthesise(spectrum, synthesis, 960).square().sum().backward()
    assert spectrum.grad is not None and bool(spectrum.grad.abs().sum() > 0)
