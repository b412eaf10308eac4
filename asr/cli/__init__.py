"""The `asr` command."""

from asr.cli.app import app, main

__all__ = ["app", "main"]
