"""Targets, a file for each area: what it defines in its dict TARGETS is found by itself."""
