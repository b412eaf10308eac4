"""The settings of Cohere Transcribe in both forms of its config.json: that of transformers, and that of NeMo, as published."""

from dataclasses import dataclass, replace
from pathlib import Path

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import quoted
from asr.interop.checkpoints import read_json
from asr.interop.foreign import Settings

RATE = 16000
ACTIVATIONS = {"silu": "swish", "swish": "swish", "relu": "relu", "gelu": "gelu"}
"""Name of an activation there → here."""
STRIDE = 2
"""Of each convolution before the encoder."""
NO_MATTER = (
    "initializer_range use_cache dtype torch_dtype transformers_version architectures auto_map bos_token_id pad_token_id"
    " decoder_start_token_id dropout attention_dropout activation_dropout layerdrop dropout_positions max_length max_new_tokens"
    " num_beams suppress_tokens _name_or_path _attn_implementation_autoset attn_implementation return_dict output_hidden_states"
    " output_attentions torchscript gradient_checkpointing id2label label2id task_specific_params chunk_size_feed_forward"
    " problem_type batch_size sample_rate max_audio_clip_s overlap_chunk_second min_energy_window_samples"
    " use_loss_mask_for_prompt mask_prompt_loss language punctuation is_encoder_decoder log_softmax"
).split()
"""Settings of training, of how long recordings are cut, of the prompt, and ids that are found by the names of their tokens."""
NEMO_NO_MATTER = (
    "_target_ dropout dropout_pre_encoder dropout_emb dropout_att stochastic_depth_drop_prob stochastic_depth_mode"
    " stochastic_depth_start_layer subsampling_conv_chunking_factor att_context_probs reduction_position reduction_factor"
    " global_tokens global_tokens_spacing global_attn_separate use_pytorch_sdpa use_pytorch_sdpa_backends sync_max_audio_length"
    " pos_emb_max_len embedding_dropout ffn_dropout attn_score_dropout attn_layer_dropout learn_positional_encodings"
    " vocab_size model_name pretrained lm_head use_transformer_init num_layers activation hidden_size log_softmax"
    " num_token_types padding_idx"
).split()
"""The same of NeMo's sections; positions lie in the file of weights, learnt or not."""


@dataclass(frozen=True)
class Sizes:
    """What the settings say of the network."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    kernel: int
    activation: str
    biases: bool
    """Whether linear layers of the encoder have biases."""
    convolution_biases: bool
    """Whether the convolutions inside of its blocks have."""
    scaled: bool
    """Whether the encoder's input is multiplied by the root of its width."""
    n_mels: int
    factor: int
    channels: int
    first_kernel: int
    """Frames and bins that the convolutions before the encoder see."""
    vocabulary: int
    decoder: "DecoderSizes"


@dataclass(frozen=True)
class DecoderSizes:
    """The same of the decoder."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    activation: str
    places: int
    biases: bool
    """Whether the projections of its attention have biases."""
    tied: bool


def read_sizes(settings: Settings) -> Sizes:
    """Those of a config.json in either form. Raises CheckpointError with the setting that cannot be imported."""
    settings.require("model_type", "cohere_asr")
    settings.pass_over(*(name for name, value in settings.values.items() if value is None))
    languages = settings.get("supported_languages", ["zh"], list)
    if "zh" not in languages:
        raise CheckpointError(
            f"{settings.where}.supported_languages: the model was not made for Mandarin, there is no 'zh' in {quoted(languages)}"
        )
    if "encoder_config" not in settings.values and "transf_decoder" in settings.values:
        sizes = _of_nemo(settings)
    else:
        sizes = _of_transformers(settings)
    settings.pass_over(*NO_MATTER, "eos_token_id", "encoder", "transf_decoder", "head", "preprocessor")
    settings.finish()
    if sizes.factor < STRIDE or sizes.factor & (sizes.factor - 1):
        raise CheckpointError(
            f"{settings.where}: subsampling_factor {sizes.factor} cannot be imported; only powers of two can"
        )
    if sizes.first_kernel % 2 == 0:
        raise CheckpointError(
            f"{settings.where}: subsampling_conv_kernel_size {sizes.first_kernel} cannot be imported; only odd ones can"
        )
    return sizes


def _of_transformers(settings: Settings) -> Sizes:
    encoder = Settings(settings.get("encoder_config", {}), f"{settings.where}: encoder_config")
    encoder.require("model_type", "parakeet_encoder")
    encoder.require("subsampling_conv_stride", STRIDE)
    width, heads = encoder.get("hidden_size", 1280, int), encoder.get("num_attention_heads", 8, int)
    _require_plain_heads(encoder, width, heads)
    sizes = Sizes(
        width=width,
        layers=encoder.get("num_hidden_layers", 48, int),
        heads=heads,
        feed_forward=encoder.get("intermediate_size", 5120, int),
        kernel=encoder.get("conv_kernel_size", 9, int),
        activation=encoder.choose("hidden_act", "silu", ACTIVATIONS),
        biases=encoder.get("attention_bias", True, bool),
        convolution_biases=encoder.get("convolution_bias", True, bool),
        scaled=encoder.get("scale_input", False, bool),
        n_mels=encoder.get("num_mel_bins", 128, int),
        factor=encoder.get("subsampling_factor", 8, int),
        channels=encoder.get("subsampling_conv_channels", 256, int),
        first_kernel=encoder.get("subsampling_conv_kernel_size", 3, int),
        vocabulary=settings.get("vocab_size", 16384, int),
        decoder=_decoder_of_transformers(settings),
    )
    encoder.pass_over(*NO_MATTER, "max_position_embeddings")
    encoder.finish()
    return sizes


def _decoder_of_transformers(settings: Settings) -> DecoderSizes:
    width, heads = settings.get("hidden_size", 1024, int), settings.get("num_attention_heads", 8, int)
    _require_plain_heads(settings, width, heads)
    return DecoderSizes(
        width=width,
        layers=settings.get("num_hidden_layers", 8, int),
        heads=heads,
        feed_forward=settings.get("intermediate_size", 4096, int),
        activation=settings.choose("hidden_act", "relu", ACTIVATIONS),
        places=settings.get("max_position_embeddings", 1024, int),
        biases=settings.get("attention_bias", True, bool),
        tied=settings.get("tie_word_embeddings", False, bool),
    )


def _require_plain_heads(settings: Settings, width: int, heads: int) -> None:
    settings.require("num_key_value_heads", heads)
    settings.require("head_dim", width // max(1, heads))


def _of_nemo(settings: Settings) -> Sizes:
    encoder = Settings(settings.get("encoder", {}), f"{settings.where}: encoder")
    for name, *allowed in (
        ("subsampling", "dw_striding"),
        ("self_attention_model", "rel_pos"),
        ("conv_norm_type", "batch_norm"),
        ("causal_downsampling", False),
        ("conv_context_size", None),
        ("att_context_size", [-1, -1], None),
        ("att_context_style", "regular"),
        ("untie_biases", True),
        ("reduction", None),
    ):
        encoder.require(name, *allowed)
    width, biases = encoder.get("d_model", 1280, int), encoder.get("use_bias", True, bool)
    channels = encoder.get("subsampling_conv_channels", 256, int)
    encoder.require("feat_out", -1, 0, width)
    sizes = Sizes(
        width=width,
        layers=encoder.get("n_layers", 48, int),
        heads=encoder.get("n_heads", 8, int),
        feed_forward=width * encoder.get("ff_expansion_factor", 4, int),
        kernel=encoder.get("conv_kernel_size", 9, int),
        activation="swish",
        biases=biases,
        convolution_biases=biases,
        scaled=encoder.get("xscaling", False, bool),
        n_mels=encoder.get("feat_in", 128, int),
        factor=encoder.get("subsampling_factor", 8, int),
        channels=width if channels == -1 else channels,
        first_kernel=3,
        vocabulary=settings.get("vocab_size", 16384, int),
        decoder=_decoder_of_nemo(settings),
    )
    encoder.pass_over(*NEMO_NO_MATTER)
    encoder.finish()
    return sizes


def _decoder_of_nemo(settings: Settings) -> DecoderSizes:
    around = Settings(settings.get("transf_decoder", {}), f"{settings.where}: transf_decoder")
    decoder = Settings(around.get("config_dict", {}), f"{around.where}.config_dict")
    around.require("pre_ln_final_layer_norm", True)
    decoder.require("pre_ln_final_layer_norm", True)
    decoder.require("pre_ln", True)
    sizes = DecoderSizes(
        width=decoder.get("hidden_size", 1024, int),
        layers=decoder.get("num_layers", 8, int),
        heads=decoder.get("num_attention_heads", 8, int),
        feed_forward=decoder.get("inner_size", 4096, int),
        activation=decoder.choose("hidden_act", "relu", ACTIVATIONS),
        places=decoder.get("max_sequence_length", 1024, int),
        biases=True,
        tied=False,
    )
    head = Settings(settings.get("head", {}), f"{settings.where}: head")
    head.require("num_layers", 1)
    for section in (around, decoder, head):
        section.pass_over(*NEMO_NO_MATTER, "num_classes", "encoder")
        section.finish()
    return sizes


FEATURES = FeatureConfig(
    kind="stft",
    n_mels=128,
    low_hz=0.0,
    preemphasis=0.0,
    signal_preemphasis=0.97,
    sample_scale=1.0,
    steady_dither=1e-5,
    window="hann_symmetric",
    fft_size=512,
    edges="zero",
    filters="slaney",
    floor=2**-24,
    floor_added=True,
    whole_shifts=True,
    per_utterance=True,
)
"""NeMo's, as every Cohere Transcribe is published with them."""


def read_features(folder: Path, values: dict, n_mels: int) -> FeatureConfig:
    """What preprocessor_config.json says of them, or processor_config.json, or config.json in NeMo's form; else FEATURES."""
    for name, section in (("preprocessor_config.json", None), ("processor_config.json", "feature_extractor")):
        path = folder / name
        stated = read_json(path) if path.is_file() else None
        if section and isinstance(stated, dict):
            stated = stated.get(section)
        if stated is not None:
            return _stated(Settings(stated, f"{path}: {section}" if section else str(path)), n_mels)
    if isinstance(values.get("preprocessor"), dict):
        return _stated_by_nemo(Settings(values["preprocessor"], f"{folder / 'config.json'}: preprocessor"), n_mels)
    return replace(FEATURES, n_mels=n_mels)


def _stated(settings: Settings, n_mels: int) -> FeatureConfig:
    """Of transformers, or of the code that was published with the model, which calls two of them otherwise."""
    settings.require("feature_extractor_type", "CohereAsrFeatureExtractor")
    settings.require("feature_size", n_mels)
    settings.require("sampling_rate", RATE)
    settings.require("padding_value", 0.0)
    settings.require("normalize", "per_feature")
    return replace(
        FEATURES,
        n_mels=n_mels,
        frame_ms=settings.get("win_length", settings.get("n_window_size", 400, int), int) * 1000 / RATE,
        shift_ms=settings.get("hop_length", settings.get("n_window_stride", 160, int), int) * 1000 / RATE,
        fft_size=settings.get("n_fft", 512, int),
        signal_preemphasis=_emphasis(settings, "preemphasis" if "preemphasis" in settings.values else "preemph"),
        steady_dither=settings.get("dither", 1e-5, float),
    )


def _emphasis(settings: Settings, name: str) -> float:
    """Null is none, where others take a setting that is null for one that is absent."""
    return settings.get(name, 0.0 if name in settings.values else 0.97, float)


def _stated_by_nemo(settings: Settings, n_mels: int) -> FeatureConfig:
    for name, *allowed in (
        ("sample_rate", RATE),
        ("features", n_mels),
        ("normalize", "per_feature"),
        ("window", "hann"),
        ("log", True),
        ("log_zero_guard_type", "add"),
        ("frame_splicing", 1),
        ("mag_power", 2.0),
        ("mel_norm", "slaney"),
        ("lowfreq", 0),
        ("highfreq", None, RATE // 2),
        ("exact_pad", False),
        ("stft_exact_pad", False),
        ("pad_value", 0.0),
    ):
        settings.require(name, *allowed)
    return replace(
        FEATURES,
        n_mels=n_mels,
        frame_ms=settings.get("window_size", 0.025, float) * 1000,
        shift_ms=settings.get("window_stride", 0.01, float) * 1000,
        fft_size=settings.get("n_fft", 512, int),
        signal_preemphasis=_emphasis(settings, "preemph"),
        steady_dither=settings.get("dither", 1e-5, float),
        floor=settings.get("log_zero_guard_value", 2**-24, float),
    )
