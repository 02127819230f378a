"""Sizes of the sequence models of each pack."""

from dataclasses import dataclass

from .flattened import FlattenedConfig
from .held import DensityConfig, HarmonyConfig, HeldConfig, PulseConfig
from .loudness import LoudnessConfig
from .midi import LOWEST_KEY
from .notes import KEYS
from .semantic import SemanticConfig, rest_tokens
from .stages import AutoregressiveConfig, ParallelConfig, StageConfig
from .transformer import TransformerShape


@dataclass(frozen=True)
class StagePreset:
    """A stage with the place it takes in the chain and the sampling it likes."""

    id: str
    config: StageConfig | FlattenedConfig
    writes: str
    first_codebook: int
    temperature: float
    top_p: float
    condition_stream: str | None = None
    held: HeldConfig | None = None


@dataclass(frozen=True)
class Preset:
    """All stages of a pack, in order."""

    name: str
    title: str
    stages: tuple[StagePreset, ...]
    pianos: tuple[str, ...] = ()
    """What it was trained on, as `card.PIANOS` knows them."""
    loudness: LoudnessConfig | None = None
    """How its loudness is held to its prompt's"""

    def stage(self, wanted: str) -> StagePreset:
        """The stage with this id."""
        return next(stage for stage in self.stages if stage.id == wanted)


def _chain(
    name: str,
    title: str,
    temporal: TransformerShape,
    depth: TransformerShape,
    fine: ParallelConfig,
    semantic_cardinality: int,
    context: int,
    pianos: tuple[str, ...] = (),
    semantic_books: int = 1,
    rests: tuple[int, int] | None = None,
    eagerness: float = 0.0,
    candidates: tuple[int, int] | None = None,
    dials: tuple[float, float, float, float] = (1.1, 1.1, 0.6, 0.95),
    guidance: float = 1.0,
    held: HeldConfig | None = None,
    loudness: LoudnessConfig | None = None,
) -> Preset:
    """Semantic → coarse (the books that fine is given) → fine. `candidates`: of semantic and coarse, if not as many as of fine;
    `dials`: the three temperatures, and top-p of all."""
    of_semantic, of_coarse = candidates or (fine.candidates, fine.candidates)
    several = depth if semantic_books > 1 else None
    semantic = AutoregressiveConfig(
        semantic_books,
        semantic_cardinality,
        context,
        of_semantic,
        temporal,
        several,
        rests=rests,
        tilted=held.density.codebooks if held is not None and held.harmony is not None else 0,
        eagerness=eagerness,
    )
    coarse = AutoregressiveConfig(
        fine.given,
        fine.cardinality,
        context,
        of_coarse,
        temporal,
        depth,
        semantic_cardinality,
        (0, 1, 2),
        semantic_books,
        guidance=guidance,
    )
    return Preset(
        name,
        title,
        (
            StagePreset("semantic", semantic, "semantic", 0, dials[0], dials[3], held=held),
            StagePreset("coarse", coarse, "acoustic", 0, dials[1], dials[3], condition_stream="semantic"),
            StagePreset("fine", fine, "acoustic", fine.given, dials[2], dials[3]),
        ),
        pianos,
        loudness,
    )


PRESETS = {
    "second": _chain(
        "second",
        "Second wind",
        temporal=TransformerShape(256, layers=6, heads=4, head_dim=64, dropout=0.0, shared=4),
        depth=TransformerShape(256, layers=2, heads=4, head_dim=64, dropout=0.0),
        fine=ParallelConfig(given=4, codebooks=8, cardinality=1024, candidates=64, width=128, blocks=3),
        semantic_cardinality=1024,
        context=512,
        pianos=("salamander", "splendid", "fluid", "bright"),
        semantic_books=6,
        rests=rest_tokens(SemanticConfig()),
        # Of coarse ones of the first pack 64 were the softest, and every continuation faded; all take two to four times as long to sort.
        # What a semantic stage might mean is fewer.
        candidates=(64, 256),
        # The codec and a guided coarse stage add notes that nobody meant: what is meant is calmer than it was learnt.
        eagerness=-0.5,
        dials=(0.9, 0.7, 0.3, 0.98),
        guidance=2.0,
        held=HeldConfig(
            DensityConfig((1, rest_tokens(SemanticConfig())[0]), codebooks=4, share=0.62, gain=3.5, most=2.5),
            HarmonyConfig(LOWEST_KEY, SemanticConfig().note_levels),
            PulseConfig(gain=2.7),
        ),
        loudness=LoudnessConfig(),
    ),
}


def _tiny(semantic_books: int) -> Preset:
    shape = TransformerShape(32, layers=1, heads=1, head_dim=32, expansion=2)
    fine = ParallelConfig(given=2, codebooks=2, cardinality=32, candidates=16, width=32, blocks=1, kernel=3, expansion=2)
    # Note tokens of one level.
    if semantic_books == 1:
        cardinality, rests, held = 32, None, None
    else:
        cardinality, rests = 96, (1 + KEYS, 96)
        held = HeldConfig(DensityConfig((1, 1 + KEYS), codebooks=1), HarmonyConfig(LOWEST_KEY, levels=1), PulseConfig())
    return _chain(
        "tiny",
        "Tiny",
        shape,
        shape,
        fine,
        cardinality,
        128,
        (),
        semantic_books,
        rests,
        eagerness=0.3,
        guidance=1.5,
        held=held,
        loudness=LoudnessConfig() if held else None,
    )


PRESETS["tiny"] = _tiny(semantic_books=2)


def _in_rows(name: str, title: str, like: Preset, temporal: TransformerShape, window: int, prefix: int) -> Preset:
    """AudioLM's form of it: the first stage, then one flattened stage for all codebooks of the others."""
    semantic, coarse, fine = like.stages
    books = coarse.config.codebooks + fine.config.codebooks
    config = FlattenedConfig(
        books,
        fine.config.cardinality,
        window,
        prefix + 1 + window * books,
        fine.config.candidates,
        temporal,
        semantic.config.cardinality,
    )
    stage = StagePreset("acoustic", config, "acoustic", 0, temperature=0.8, top_p=0.95, condition_stream="semantic")
    return Preset(name, title, (semantic, stage))


PRESETS["tiny-rows"] = _in_rows(
    "tiny-rows",
    "Tiny, in rows",
    _tiny(semantic_books=1),
    TransformerShape(32, layers=1, heads=1, head_dim=32, expansion=2),
    window=50,
    prefix=26,
)
