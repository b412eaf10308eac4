"""Transcripts made ready to read: what is done to them after recognition and before they are written."""
