"""Folders of Cohere Transcribe that are damaged, or say what cannot be computed: refused, with what is wrong and where."""

import pytest
from safetensors.torch import load_file, save_file

from tests.test_interop_cohere import CLASS_NAMES, TINY, WEIGHTS, edit, nemo_form, read, same
from tests.test_interop_refusals import refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "canary"}, "config.json.model_type: 'canary' cannot be imported; only 'cohere_asr' can"),
        ({"hidden_act": "tanh"}, "config.json.hidden_act: 'tanh' cannot be imported; known are silu, swish, relu, gelu"),
        ({"num_key_value_heads": 1}, "config.json.num_key_value_heads: 1 cannot be imported; only 3 can"),
        ({"head_dim": 16}, "config.json.head_dim: 16 cannot be imported; only 8 can"),
        ({"rotary": 1}, r"config.json.rotary: this importer does not know the setting \(1\)"),
        ({"vocab_size": 300}, r"token_embedding.weight is \(324, 24\), .*config.json says vocab_size 300"),
        ({"max_position_embeddings": 5}, r"pos_enc is \(60, 24\), .*config.json says max_position_embeddings 5"),
        ({"hidden_size": 48, "head_dim": 16}, r"token_embedding.weight is \(324, 24\), not \(324, 48\) as the settings"),
        ({"num_hidden_layers": 3}, "transf_decoder._decoder.layers.2.first_sub_layer.query_net.weight is missing"),
        ({"eos_token_id": 2}, "config.json.eos_token_id: 2 cannot be imported; only 3 or"),
        ({"supported_languages": ["ar", "en"]}, "the model was not made for Mandarin, there is no 'zh' in"),
        ({"encoder_config": []}, r"config.json: encoder_config: is no section of settings, but \[\]"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(change, message, copy):
    folder = copy(TINY)
    edit(folder / "config.json", **change)
    refused("cohere", folder, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "wav2vec2"}, "encoder_config.model_type: 'wav2vec2' cannot be imported; only 'parakeet_encoder'"),
        ({"subsampling_conv_stride": 4}, "encoder_config.subsampling_conv_stride: 4 cannot be imported; only 2 can"),
        ({"subsampling_factor": 6}, "subsampling_factor 6 cannot be imported; only powers of two can"),
        ({"subsampling_conv_kernel_size": 4}, "subsampling_conv_kernel_size 4 cannot be imported; only odd ones can"),
        ({"subsampling_factor": 4}, "tensors that this importer knows no place for: encoder.pre_encode.conv.5.bias"),
        ({"subsampling_conv_channels": 8}, r"pre_encode.conv.0.weight is \(4, 1, 3, 3\), not \(8, 1, 3, 3\) as the settings"),
        ({"conv_kernel_size": 8}, "encoder.kernel must be odd, is 8"),
        ({"num_mel_bins": 80}, "preprocessor_config.json.feature_size: 128 cannot be imported; only 80 can"),
        ({"num_hidden_layers": 1}, "tensors that this importer knows no place for: encoder.layers.1"),
        ({"novelty": 1}, r"encoder_config.novelty: this importer does not know the setting \(1\)"),
        ({"convolution_bias": False}, "knows no place for: encoder.layers.0.conv.depthwise_conv.bias"),
    ],
)  # fmt: skip
def test_settings_of_the_encoder_that_do_not_fit_are_refused(change, message, copy):
    folder = copy(TINY)
    edit(folder / "config.json", "encoder_config", **change)
    refused("cohere", folder, message)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        (
            "encoder",
            {"subsampling": "striding"},
            "encoder.subsampling: 'striding' cannot be imported; only 'dw_striding'",
        ),
        ("encoder", {"att_context_size": [70, 1]}, r"att_context_size: \[70, 1\] cannot be imported"),
        ("encoder", {"untie_biases": False}, "encoder.untie_biases: False cannot be imported; only True can"),
        ("encoder", {"novelty": 1}, r"encoder.novelty: this importer does not know the setting \(1\)"),
        ("preprocessor", {"normalize": "all_features"}, "preprocessor.normalize: 'all_features' cannot be imported"),
        ("head", {"num_layers": 2}, "head.num_layers: 2 cannot be imported; only 1 can"),
    ],
)
def test_settings_in_nemos_words_that_cannot_be_computed(section, change, message, copy):
    folder = copy(TINY)
    nemo_form(folder)
    edit(folder / "config.json", section, **change)
    refused("cohere", folder, message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"<|zh|>"', '"<|zz|>"', r"tokenizer.json: has no token <\|zh\|>; is it of a Cohere Transcribe model\?"),
        ('"type": "BPE"', '"type": "WordPiece"', "model.type 'WordPiece' cannot be imported; known are BPE and Unigram"),
        ('"type": "Prepend"', '"type": "Lowercase"', "normalizer 'Lowercase' cannot be imported; known are those of Sent"),
        ('"pre_tokenizer": null', '"pre_tokenizer": {"type": "ByteLevel"}', "pre_tokenizer 'ByteLevel' cannot be imported"),
        ('"merges": [', '"merges": [7, ', "tokenizer.json: holds no tokens and merges as tokenizers writes them"),
        ('"今": ', '"今": 1', "the ids of model.vocab are not 0 to 323, each once"),
    ],
)  # fmt: skip
def test_tokens_that_do_not_fit_are_refused(old, new, message, copy):
    path = copy(TINY) / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    refused("cohere", path.parent, message)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "[]", "config.json: is no section of settings"),
        ("config.json", "{", "config.json: not JSON"),
        ("tokenizer.json", "[]", "tokenizer.json: is no tokenizer as tokenizers writes it"),
        ("tokenizer.model", "no model", "tokenizer.model: not a SentencePiece model"),
        (
            "preprocessor_config.json",
            '{"sampling_rate": 8000}',
            "sampling_rate: 8000 cannot be imported; only 16000 can",
        ),
        ("preprocessor_config.json", '{"win_length": 1024}', "features.fft_size 512 is shorter than a frame of 1024"),
        ("generation_config.json", '{"suppress_tokens": [324]}', "suppress_tokens is no list of ids"),
        (WEIGHTS, "not a checkpoint", "model.safetensors: damaged or not safetensors"),
        (WEIGHTS, None, r"holds no weights of Cohere Transcribe .* \(model.safetensors or pytorch_model.bin\)"),
        ("tokenizer.json", None, "tokenizer.json: is missing"),
        ("config.json", None, "config.json: is missing"),
    ],
)
def test_damaged_and_missing_files_are_named(file, content, message, copy):
    path = copy(TINY) / file
    path.write_text(content) if content is not None else path.unlink()
    refused("cohere", path.parent, message)


def test_an_output_layer_of_its_own_where_it_should_be_tied_is_refused(copy):
    folder = copy(CLASS_NAMES)
    tensors = load_file(folder / WEIGHTS)
    embedding = tensors["model.decoder.embed_tokens.weight"]
    save_file(tensors | {"proj_out.weight": embedding + 1}, folder / WEIGHTS)
    refused("cohere", folder, "proj_out.weight is not the embedding, to which it should be tied")
    save_file(tensors | {"proj_out.weight": embedding.clone()}, folder / WEIGHTS)
    same(read(folder), CLASS_NAMES)


def test_without_a_projection_both_widths_must_be_one(copy):
    folder = copy(TINY)
    tensors = {name: t for name, t in load_file(folder / WEIGHTS).items() if "encoder_decoder_proj" not in name}
    save_file(tensors, folder / WEIGHTS)
    refused("cohere", folder, r"the widths of encoder \(16\) and decoder \(24\) differ, and there is no projection")
