"""Residual vector quantisation: k-means initialisation, exponential moving averages, restart of dead codes."""

from __future__ import annotations

import torch
from torch import nn


def nearest(vectors: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """Index [N] of the nearest codebook row (Euclidean) for each of `vectors` [N, d]."""
    return (vectors @ codebook.t() * 2.0 - codebook.square().sum(1)).argmax(1)


def k_means(vectors: torch.Tensor, clusters: int, iterations: int, generator: torch.Generator) -> torch.Tensor:
    """Centroids [clusters, d] of `vectors` [N, d]; empty clusters restart at random vectors."""
    choice = torch.randperm(len(vectors), generator=generator)
    if len(vectors) < clusters:
        choice = torch.randint(len(vectors), (clusters,), generator=generator)
    centroids = vectors[choice[:clusters]].clone()
    for _ in range(iterations):
        assigned = nearest(vectors, centroids)
        counts = torch.bincount(assigned, minlength=clusters).to(vectors)
        sums = torch.zeros_like(centroids).index_add_(0, assigned, vectors)
        restart = vectors[torch.randint(len(vectors), (clusters,), generator=generator)]
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], restart)
    return centroids


class ResidualQuantizer(nn.Module):
    """`books` codebooks of `cardinality` vectors of `dim`; book i quantises what the books before it left over."""

    def __init__(self, books: int, cardinality: int, dim: int, decay: float = 0.99) -> None:
        super().__init__()
        self.books, self.cardinality, self.decay = books, cardinality, decay
        self.register_buffer("codebooks", torch.randn(books, cardinality, dim) * 0.1)
        self.register_buffer("counts", torch.ones(books, cardinality))
        self.register_buffer("sums", torch.zeros(books, cardinality, dim))

    @torch.no_grad()
    def initialise(self, latents: torch.Tensor, kept: int = 0, seed: int = 0, iterations: int = 10) -> None:
        """k-means of each book on what the earlier books leave of `latents` [N, dim]; the first `kept` stay as they are."""
        generator = torch.Generator().manual_seed(seed)
        residual = latents.float()
        for book in range(self.books):
            if book < kept:
                residual = residual - self.codebooks[book][nearest(residual, self.codebooks[book])]
                continue
            centroids = k_means(residual, self.cardinality, iterations, generator)
            self.codebooks[book] = centroids
            self.counts[book] = 1.0
            self.sums[book] = centroids
            residual = residual - centroids[nearest(residual, centroids)]

    def encode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents [B, T, dim] → codes [B, T, books]."""
        residual, codes = latents, []
        for book in range(self.books):
            codebook = self.codebooks[book]
            code = (torch.matmul(residual, codebook.t()) * 2.0 - codebook.square().sum(1)).argmax(-1)
            residual = residual - codebook[code]
            codes.append(code)
        return torch.stack(codes, dim=-1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes [B, T, books] → the sum of their vectors [B, T, dim]; the code `cardinality` stands for zero."""
        absent = torch.zeros_like(self.codebooks[:, :1])
        tables = torch.cat([self.codebooks, absent], dim=1)
        total = tables[0][codes[..., 0]]
        for book in range(1, self.books):
            total = total + tables[book][codes[..., book]]
        return total

    def forward(self, latents: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Training: latents [B, T, dim], number of books kept per item `kept` [B] → quantised latents with
        straight-through gradient, commitment loss, codes [B, T, books]. Updates the codebooks in training mode."""
        batch, frames, dim = latents.shape
        flat = latents.detach().float().reshape(-1, dim)
        keep = kept.repeat_interleave(frames)
        residual, total, codes = flat, torch.zeros_like(flat), []
        for book in range(self.books):
            code = nearest(residual, self.codebooks[book])
            chosen = self.codebooks[book][code]
            if self.training:
                self.update(book, residual, code)
            total = total + chosen * (book < keep)[:, None]
            residual = residual - chosen
            codes.append(code)
        quantised = total.view(batch, frames, dim)
        commitment = (latents.float() - quantised).square().mean()
        return latents + (quantised - latents).detach(), commitment, torch.stack(codes, 1).view(batch, frames, -1)

    @torch.no_grad()
    def update(self, book: int, residual: torch.Tensor, code: torch.Tensor) -> None:
        """Moves a book towards the vectors assigned to it; codes that fell out of use restart at random vectors."""
        share = len(residual) / self.cardinality
        counts = torch.bincount(code, minlength=self.cardinality).to(residual)
        sums = torch.zeros_like(self.sums[book]).index_add_(0, code, residual)
        self.counts[book].mul_(self.decay).add_(counts, alpha=1.0 - self.decay)
        self.sums[book].mul_(self.decay).add_(sums, alpha=1.0 - self.decay)
        self.codebooks[book] = self.sums[book] / self.counts[book].clamp(min=1e-4)[:, None]
        dead = self.counts[book] < 0.03 * share
        amount = int(dead.sum())
        if amount:
            fresh = residual[torch.randint(len(residual), (amount,))]
            self.codebooks[book][dead] = fresh
            self.counts[book][dead] = 0.1 * share
            self.sums[book][dead] = fresh * (0.1 * share)
