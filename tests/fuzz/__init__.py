"""Seeded, bounded fuzzers: mutated input for every reader, in a process of its own.

mutate.py     what is done to bytes, text, JSON and folders
target.py     what a target is; every file in targets/ holds a dict of them
worker.py     the process in which targets run: limits, measurements
engine.py     gives the worker its inputs and keeps those that failed, in failures/
__main__.py   the long run: `make fuzz MINUTES=30`
"""
