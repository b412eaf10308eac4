#!/usr/bin/env bash
# Makes the embedded model from recordings and texts; started again, it goes on where it was interrupted.
#
#     recipes/embedded/build.sh SPEECH TEXTS...
#
# The stages from the third on need what neural.txt lists (python -m pip install -r recipes/embedded/neural.txt), and npm for its voices;
# the language model needs Debian's sunpinyin-utils and sunpinyin-data, the eighth stage a GPU.
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

fifth=data/embedded-fifth
python recipes/embedded/prepare.py "$speech" "$@" --out $fifth --joined 0
python recipes/embedded/neural.py $fifth --voices data/kokoro/voices --number 720 --seed 11
python recipes/embedded/neural.py $fifth --voices data/kokoro/voices --number 1889 --seed 13 --spread 1.3 --name spread
python recipes/embedded/synthesize.py "$speech" $fifth --model exp/embedded-fourth --kinds shuffled --share 2 --seed 5 \
    --neural $fourth/neural.jsonl $fifth/neural.jsonl $fifth/spread.jsonl
asr train recipes/embedded/fifth.toml --out exp/embedded-fifth --threads 1

tslminfo -v -p /usr/lib/*/sunpinyin/data/lm_sc.t3g > $fifth/lm_sc.txt
python recipes/embedded/opengram.py $fifth/lm_sc.txt /usr/lib/*/sunpinyin/data/pydict_sc.bin --out $fifth/opengram.txt
asr train-lm $fifth/text.txt $fifth/aishell.jsonl --out $fifth/texts.arpa --order 3 --prune 0 --force

sixth=data/embedded-sixth
python recipes/embedded/prepare.py "$speech" "$@" --out $sixth --joined 0
python recipes/embedded/covering.py $fifth/opengram.txt --tokens exp/embedded-fifth/tokens.txt \
    --said $fourth/neural.jsonl $fifth/neural.jsonl $fifth/spread.jsonl --out $sixth/covering.txt
head -n 100000 $fifth/opengram.txt >$sixth/wide.txt
python recipes/embedded/neural.py $sixth --voices data/kokoro/voices --texts $sixth/covering.txt --number 1580 --seed 19 --spread 1.3 --name covering
python recipes/embedded/synthesize.py "$speech" $sixth --model exp/embedded-fifth --kinds shuffled --longest 3 --share 2 --seed 7 \
    --neural $fourth/neural.jsonl $fifth/neural.jsonl $fifth/spread.jsonl $sixth/covering.jsonl
python recipes/embedded/synthesize.py "$speech" $sixth --model exp/embedded-fifth --kinds spliced --longest 3 --share 0.4 --seed 8
python recipes/embedded/synthesize.py "$speech" $sixth --model exp/embedded-fifth --kinds words syllables formant --texts $sixth/wide.txt --share 0.4 --seed 6
asr train recipes/embedded/sixth.toml --out exp/embedded-sixth --threads 1
python recipes/embedded/averaging.py exp/embedded-sixth exp/embedded-fifth --out exp/embedded-mean

seventh=data/embedded-seventh
python recipes/embedded/prepare.py "$speech" "$@" --out $seventh --joined 0
python recipes/embedded/covering.py $seventh/text.txt $sixth/wide.txt --tokens exp/embedded-mean/tokens.txt --order 2 --power 0.5 --drawn 60 \
    --number 15000 --seed 23 --said $fourth/neural.jsonl $fifth/neural.jsonl $fifth/spread.jsonl $sixth/covering.jsonl --out $seventh/covering.txt
python recipes/embedded/neural.py $seventh --voices data/kokoro/voices --texts $seventh/covering.txt --number 2940 --seed 23 --spread 1.3 --name covering
sed -n 100001,200000p $fifth/opengram.txt >$seventh/wide.txt
python recipes/embedded/synthesize.py "$speech" $seventh --model exp/embedded-mean --kinds shuffled --longest 3 --share 2 --seed 10 \
    --neural $fourth/neural.jsonl $fifth/neural.jsonl $fifth/spread.jsonl $sixth/covering.jsonl $seventh/covering.jsonl
python recipes/embedded/synthesize.py "$speech" $seventh --model exp/embedded-mean --kinds words syllables formant --texts $seventh/wide.txt --share 0.2 --seed 11
asr train recipes/embedded/seventh.toml --out exp/embedded-seventh --threads 1
python recipes/embedded/averaging.py exp/embedded-seventh exp/embedded-mean --out exp/embedded-mean-seventh

python recipes/embedded/opengram.py $fifth/lm_sc.txt /usr/lib/*/sunpinyin/data/pydict_sc.bin --texts 500000 --seed 3 --out $seventh/opengram.txt
asr train-lm $seventh/opengram.txt --out $seventh/opengram.arpa --order 3 --prune 0 --size 1650000 --force
python recipes/embedded/mixing.py $fifth/texts.arpa $seventh/opengram.arpa --share 0.5 --out $seventh/lm.arpa

eighth=data/embedded-eighth
python recipes/embedded/prepare.py "$speech" "$@" --out $eighth --joined 0
cover=(python recipes/embedded/covering.py $seventh/opengram.txt --tokens exp/embedded-mean-seventh/tokens.txt --order 2 --power 0.5 --drawn 8)
"${cover[@]}" --lengths 10 30 --number 130000 --seed 31 --out $eighth/covering.txt
"${cover[@]}" --lengths 16 30 --number 140000 --seed 32 --out $eighth/longer.txt
test -f $eighth/phonemes.jsonl ||
    python recipes/embedded/phonemes.py $eighth --texts $eighth/text.txt $eighth/text.txt $eighth/covering.txt $eighth/longer.txt --out $eighth/phonemes.jsonl
test -f $eighth/neural.jsonl ||
    python recipes/embedded/neural_batched.py $eighth/phonemes.jsonl $eighth --voices data/kokoro/voices --writers 12 --minutes 7
asr train recipes/embedded/eighth.toml --out exp/embedded-eighth --threads 1
asr train recipes/embedded/ninth.toml --out exp/embedded-ninth --threads 1
python recipes/embedded/averaging.py exp/embedded-ninth exp/embedded-eighth --shares 1 2 --out exp/embedded-mean-ninth

asr model export exp/embedded-mean-ninth --out asr/pretrained/embedded --card asr/pretrained/embedded/README.md --force
asr model add-lm asr/pretrained/embedded $seventh/lm.arpa --force
asr tune asr/pretrained/embedded $seventh/dev_sentences.jsonl --decode beam=40 --decode lm_weight=0.8 --decode length_power=1 --decode length_bonus=0
python recipes/embedded/report.py embedded $seventh
