"""Hand-written gradients against PyTorch's own."""

import torch
import torch.nn.functional as F

from segue_training.fused import rms_norm, rotate
from segue_training.transformer import causal_attention, rotary_tables


def test_norm():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 16, dtype=torch.float64, requires_grad=True)
    gain = torch.randn(16, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(rms_norm(x, gain, 1e-5), F.rms_norm(x, (16,), gain, 1e-5))
    assert torch.autograd.gradcheck(lambda a, b: rms_norm(a, b, 1e-5), (x, gain))


def test_rotation():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64, requires_grad=True)
    cos, sin = rotary_tables(5, 8)
    turned = torch.view_as_complex(torch.stack(x.chunk(2, -1), -1)) * torch.complex(cos.double(), sin.double())
    assert torch.allclose(rotate(x, cos, sin), torch.cat((turned.real, turned.imag), -1))
    assert torch.autograd.gradcheck(lambda a: rotate(a, cos, sin), (x,))


def test_plain_attention_equals_the_fused_one():
    q, k, v = torch.randn(3, 2, 4, 50, 16)
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(causal_attention(q, k, v), fused, atol=1e-5)
