"""Rows of tokens as trees: which node stands where, whom it sees, and which rows share one."""

import random

from asr.recognition.token_tree import as_tree, grouped_by_beginning, side_by_side


def test_a_tree_by_hand():
    asked = as_tree([[9, 1, 2, 3], [9, 1, 2], [9, 1, 4, 2, 3], [9, 5]])
    assert asked.ids.tolist() == [[9, 1, 2, 4, 2]]  # neither 3 nor 5: nobody asks what comes behind a row
    assert asked.places == [[0, 1, 2], [0, 1], [0, 1, 3, 4], [0]]
    assert asked.depths.tolist() == [[0, 1, 2, 2, 3]]
    assert asked.sees.int().tolist() == [
        [[[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 1, 1]]]
    ]


def test_rows_side_by_side_by_hand():
    asked = side_by_side([[9, 1, 2, 3], [9, 5]])
    assert asked.ids.tolist() == [[9, 1, 2], [9, 0, 0]]
    assert asked.places == [[0, 1, 2], [3]]
    assert asked.depths is None and asked.sees is None


def drawn(numbers):
    """Rows of a few tokens that begin with 9: many begin alike, some are the same, or begin as another one is."""
    return [[9, *(numbers.randrange(3) for _ in range(numbers.randrange(9)))] for _ in range(numbers.randrange(1, 25))]


def test_every_node_of_a_tree_sees_what_its_row_begins_with_and_each_beginning_is_there_once():
    numbers = random.Random(1)
    for _ in range(50):
        rows = [row for row in drawn(numbers) if len(row) > 1] or [[9, 1]]
        asked = as_tree(rows)
        (tokens,) = asked.ids.tolist()
        assert len(tokens) == len({tuple(row[:end]) for row in rows for end in range(1, len(row))})
        for row, places in zip(rows, asked.places, strict=True):
            for end, place in enumerate(places, 1):
                seen = asked.sees[0, 0, place].nonzero()[:, 0].tolist()
                assert [tokens[i] for i in seen] == row[:end]
                assert seen[-1] == place and asked.depths[0, place] == end - 1


def test_rows_that_begin_alike_come_together_and_no_tree_is_too_large():
    assert grouped_by_beginning([[9, 1, 2, 3], [9, 5, 5], [9, 1, 2, 4], [9, 5, 6]], 5) == [[0, 2], [1, 3]]
    numbers = random.Random(2)
    for most in (1, 5, 12, 100):
        rows = drawn(numbers)
        groups = grouped_by_beginning(rows, most)
        assert sorted(i for group in groups for i in group) == list(range(len(rows)))
        for group in groups:
            nodes = {tuple(rows[i][:end]) for i in group for end in range(1, len(rows[i]) + 1)}
            assert len(nodes) <= most or len(group) == 1
    assert grouped_by_beginning([], 5) == []
