#!/usr/bin/env bash
# Makes the embedded model from recordings and texts; started again, it goes on where it was interrupted.
#
#     recipes/embedded/build.sh SPEECH TEXTS...
set -euo pipefail
speech=$1
shift
python recipes/embedded/prepare.py "$speech" "$@" --out data/embedded
asr train recipes/embedded/base.toml --out exp/embedded-first --threads 2
python recipes/embedded/synthesize.py "$speech" data/embedded --model exp/embedded-first
asr train recipes/embedded/second.toml --out exp/embedded --threads 1
asr model export exp/embedded --out asr/pretrained/embedded --card asr/pretrained/embedded/README.md --force
python recipes/embedded/report.py embedded data/embedded
