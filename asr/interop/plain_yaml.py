"""YAML as plain values: tags, which another program would build objects from, are left as text, and aliases stay small."""

import yaml

TAG = "!"
"""The key under which the tag of a tagged mapping stands."""
LARGEST = 1_000_000
"""Characters of a file; settings have thousands, a list of 20,000 tokens 200,000."""
DEEPEST = 100
"""Brackets within brackets."""
MOST_VALUES = 2_000_000
"""Values that a file stands for, each alias counted as all that it repeats."""


class _Plain(yaml.SafeLoader):
    """SafeLoader that does not stop at tags, and that gives up where lists lie in lists without end: it gets slow there."""

    def fetch_flow_collection_start(self, kind):
        if self.flow_level > DEEPEST:
            raise ValueError(f"lists and tables lie in each other more than {DEEPEST} deep")
        super().fetch_flow_collection_start(kind)


def _untagged(loader: _Plain, tag: str, node: yaml.Node):
    if isinstance(node, yaml.MappingNode):
        return {TAG: tag} | loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return f"!{tag} {node.value}".strip()


_Plain.add_multi_constructor("!", _untagged)
_Plain.add_multi_constructor("tag:yaml.org,2002:python/", _untagged)
# dates are no settings: as text they are refused by name where a setting is wanted, and no date can be a wrong one
_Plain.add_constructor("tag:yaml.org,2002:timestamp", _Plain.construct_yaml_str)


def load_yaml(text: str):
    """The values. Raises ValueError for what is far larger than settings, itself or by its aliases, and yaml.YAMLError."""
    if len(text) > LARGEST:
        raise ValueError(f"{len(text):,} characters are no settings")
    loader = _Plain(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES  # while it is being counted: a node that holds itself has no end
        inner = getattr(node, "value", None)
        parts = [part for pair in inner for part in pair] if isinstance(node, yaml.MappingNode) else inner
        counted = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(_count(part, known) for part in parts)
        known[id(node)] = counted
    if known[id(node)] >= MOST_VALUES:
        raise ValueError("by its aliases it stands for millions of values")
    return known[id(node)]
