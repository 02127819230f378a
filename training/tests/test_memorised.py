"""What is found of a piece in other pieces."""

import numpy as np

from segue_training.memorised import longest_shared, moments

STAGE = {"density": {"notes": [1, 177], "codebooks": 2}, "harmony": {"lowest": 21, "levels": 2}}
REST, UNKNOWN = 200, 5


def frames(keys, pause=3):
    """One chord of up to two keys every `pause` frames; another book beside them."""
    found = np.full((len(keys) * pause, 3), [REST, 0, UNKNOWN])
    for index, chord in enumerate(keys):
        for book, key in enumerate(sorted(chord, reverse=True)):
            found[index * pause, book] = 1 + 2 * key + (index % 2)
    return found


PIECE = [(10,), (14, 17), (12,), (12, 19), (20,), (13,), (11, 18), (30,), (29,), (10,)]


def runs(played, known, times=False):
    return longest_shared([moments(one, STAGE, times) for one in played], [moments(one, STAGE, times) for one in known])


def test_a_passage_is_found_in_any_key_however_hard_and_how_fast_it_is_played():
    higher = [tuple(key + 5 for key in chord) for chord in PIECE[2:8]]
    strange = [(40,), (3,), (44, 45)]
    # Its first moment is a step from nothing.
    assert runs([frames([*strange, *higher, *strange])], [frames(PIECE)]) == [5]
    slower = frames([*strange, *higher], pause=5)
    assert runs([slower], [frames(PIECE)]) == [5] and runs([slower], [frames(PIECE)], times=True) == [0]
    assert runs([frames(higher)], [frames(PIECE)], times=True) == [5]


def test_a_run_ends_where_a_piece_ends_and_each_has_its_own():
    one, two = frames(PIECE[:5]), frames(PIECE[5:])
    assert runs([frames(PIECE), two, frames([(1,), (80,)])], [one, two]) == [4, 4, 0]
    assert runs([frames([]), frames(PIECE[:1])], [one]) == [0, 0]
