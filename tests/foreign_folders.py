"""Folders of other toolkits, as tests read them."""

from pathlib import Path

import torch

from asr.interop.foreign import Foreign
from asr.interop.importing import IMPORTERS


def read_foreign(toolkit: str, folder: Path) -> Foreign:
    """What a toolkit's importer reads; nothing in the file of weights is left over."""
    foreign = IMPORTERS[toolkit](folder)
    foreign.tensors.finish()
    return foreign


def assert_same(foreign: Foreign, expected: Foreign) -> None:
    """The same table, settings, features and weights."""
    assert foreign.table.tokens == expected.table.tokens and foreign.config == expected.config
    assert foreign.features == expected.features
    assert foreign.weights.keys() == expected.weights.keys()
    assert all(torch.equal(foreign.weights[name], expected.weights[name]) for name in expected.weights)
