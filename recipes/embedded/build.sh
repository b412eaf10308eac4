#!/usr/bin/env bash
# Makes the embedded model from recordings and texts; started again, it goes on where it was interrupted.
#
#     recipes/embedded/build.sh SPEECH TEXTS...
#
# The third and the fourth stage need what neural.txt lists (python -m pip install -r recipes/embedded/neural.txt), and npm for its voices.
set -euo pipefail
speech=$1
shift
python recipes/embedded/prepare.py "$speech" "$@" --out data/embedded
asr train recipes/embedded/base.toml --out exp/embedded-first --threads 2
python recipes/embedded/synthesize.py "$speech" data/embedded --model exp/embedded-first
asr train recipes/embedded/second.toml --out exp/embedded --threads 1

third=data/embedded-third
python recipes/embedded/prepare.py "$speech" "$@" --out $third --joined 0
python recipes/embedded/synthesize.py "$speech" $third --model exp/embedded --share 0.4 --seed 3
python recipes/embedded/nonspeech.py $third
mkdir -p data/kokoro
test -d data/kokoro/voices || npm pack --silent kokoro-js@1.2.1 --pack-destination data/kokoro
test -d data/kokoro/voices || tar xzf data/kokoro/kokoro-js-1.2.1.tgz -C data/kokoro --strip-components 1 package/voices
python recipes/embedded/neural.py $third --voices data/kokoro/voices
asr train recipes/embedded/third.toml --out exp/embedded-third --threads 1

fourth=data/embedded-fourth
python recipes/embedded/prepare.py "$speech" "$@" --out $fourth --joined 0
python recipes/embedded/synthesize.py "$speech" $fourth --model exp/embedded-third --kinds words strings spliced formant --share 0.5 --seed 4
python recipes/embedded/nonspeech.py $fourth
python recipes/embedded/neural.py $fourth --voices data/kokoro/voices --number 1660 --seed 9
asr train recipes/embedded/fourth.toml --out exp/embedded-fourth --threads 1

asr model export exp/embedded-fourth --out asr/pretrained/embedded --card asr/pretrained/embedded/README.md --force
asr train-lm $fourth/text.txt $fourth/aishell.jsonl --out $fourth/lm.arpa --order 3 --prune 0 --force
asr model add-lm asr/pretrained/embedded $fourth/lm.arpa --force
asr tune asr/pretrained/embedded $fourth/dev_sentences.jsonl --decode beam=10 --decode ctc_weight=2 --decode length_power=1 --decode length_bonus=0
python recipes/embedded/report.py embedded $fourth
