"""Punctuation for text that has none: a small network says which mark stands behind each character."""
