"""Kokoro-82M (Apache-2.0) in PyTorch, many sentences at a time: what a GPU needs to say a hundred hours in minutes.

The network is that of StyleTTS 2 (Li et al. 2023, arXiv:2306.07691) with the generator of iSTFTNet (Kaneko et al. 2022,
arXiv:2203.02395); its weights come from the published ONNX file, in which most are 8-bit integers. There is no masking: sentences
of a batch must have equally many phonemes to be timed, and equally many frames to be made sound of.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from kokoro_weights import FRAME, RATE, Weights, published_file
from torch import Tensor, nn

HALF = 128
"""Numbers in each half of a voice: how it sounds, how it speaks."""
ALBERT = "/encoder/bert/encoder/albert_layer_groups.0/albert_layers.0/"
GENERATOR = "/decoder/decoder/generator/"
HEADS, BERT_LAYERS = 12, 12
TIMED = 640
"""Features of a phoneme that say how it is spoken; the others say what."""
HARMONICS, SINE, VOICED_HERTZ = 9, 0.1, 10
FFT, HOP = 20, 5
UPSAMPLING = (10, 6)
LOUDER = 1.5
"""The published file does not divide by the sum of the squared windows."""


class Linear(nn.Module):
    def __init__(self, weights: Weights, node: str, bias: str):
        super().__init__()
        self.weight = nn.Parameter(weights.product(node))
        self.bias = nn.Parameter(weights.tensor(bias))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Convolution(nn.Module):
    """A convolution (B, C, T), with `up` a transposed one."""

    def __init__(self, weights: Weights, node: str, up: bool = False, **settings: int):
        super().__init__()
        tensors = weights.convolution(node)
        self.weight = nn.Parameter(tensors["weight"])
        self.bias = None if tensors["bias"] is None else nn.Parameter(tensors["bias"])
        self.apply_to = F.conv_transpose1d if up else F.conv1d
        if not up and "padding" not in settings:
            settings["padding"] = (self.weight.shape[2] - 1) // 2 * settings.get("dilation", 1)
        self.settings = settings

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_to(x, self.weight, self.bias, **self.settings)


def normed(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Instance norm over time (B, C, T), scaled and shifted (B, C, 1), in float32."""
    variance, mean = torch.var_mean(x.float(), 2, correction=0, keepdim=True)
    return (x - mean) * (torch.rsqrt(variance + 1e-5) * (1 + scale)) + shift


def normed_snake(x: Tensor, scale: Tensor, shift: Tensor, alpha: Tensor) -> Tensor:
    """x + sin²(αx)/α (Ziyin et al. 2020, arXiv:2006.08195) of what is normed."""
    y = normed(x, scale, shift)
    sine = torch.sin(alpha * y)
    return (y + sine * sine / alpha).to(x.dtype)


class AdaptiveNorm(nn.Module):
    """Instance norm over time (B, C, T), scaled and shifted as the style (B, 128) says."""

    def __init__(self, weights: Weights, node: str):
        super().__init__()
        name = node.strip("/").replace("/", ".")
        name = name if name.startswith("decoder") else name.replace("encoder.", "encoder.predictor.", 1)
        self.fc = Linear(weights, node + "/fc/Gemm_MatMul", name + ".fc.bias")

    def scale_and_shift(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """Each (B, C, 1)."""
        return self.fc(style)[:, :, None].chunk(2, 1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return normed(x, *self.scale_and_shift(style)).to(x.dtype)


class StyleBlock(nn.Module):
    """Two convolutions behind adaptive norms, and a shortcut; some double the frames."""

    def __init__(self, weights: Weights, node: str, doubles: bool = False):
        super().__init__()
        self.norm1, self.norm2 = AdaptiveNorm(weights, node + "/norm1"), AdaptiveNorm(weights, node + "/norm2")
        self.conv1, self.conv2 = (Convolution(weights, f"{node}/conv{i}/Conv") for i in (1, 2))
        has_shortcut = f"{node}/conv1x1/Conv_quant_float" in weights.nodes
        self.shortcut = Convolution(weights, node + "/conv1x1/Conv") if has_shortcut else nn.Identity()
        self.pool = None
        if doubles:
            pool = node + "/pool/ConvTranspose"
            channels = weights.convolution(pool)["weight"].shape[0]
            self.pool = Convolution(weights, pool, True, stride=2, padding=1, output_padding=1, groups=channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm1(x, style), 0.2)
        if self.pool is not None:
            x, y = x.repeat_interleave(2, 2), self.pool(y)
        y = F.leaky_relu(self.norm2(self.conv1(y), style), 0.2)
        return (self.shortcut(x) + self.conv2(y)) / math.sqrt(2)


class SnakeBlock(nn.Module):
    """Three times two convolutions behind adaptive norms and snakes, each pair with a shortcut."""

    normed_snake = staticmethod(normed_snake)

    def __init__(self, weights: Weights, node: str):
        super().__init__()
        name = node.strip("/").replace("/", ".")
        self.norms1, self.norms2 = (
            nn.ModuleList(AdaptiveNorm(weights, f"{node}/adain{k}.{i}") for i in range(3)) for k in (1, 2)
        )
        self.alphas1, self.alphas2 = (
            nn.ParameterList(weights.tensor(f"{name}.alpha{k}.{i}") for i in range(3)) for k in (1, 2)
        )
        self.convs1 = nn.ModuleList(
            Convolution(weights, f"{node}/convs1.{i}/Conv", dilation=dilation) for i, dilation in enumerate((1, 3, 5))
        )
        self.convs2 = nn.ModuleList(Convolution(weights, f"{node}/convs2.{i}/Conv") for i in range(3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        for i in range(3):
            y = self.convs1[i](self.activated(x, self.norms1[i], self.alphas1[i], style))
            x = x + self.convs2[i](self.activated(y, self.norms2[i], self.alphas2[i], style))
        return x

    def activated(self, x: Tensor, norm: AdaptiveNorm, alpha: Tensor, style: Tensor) -> Tensor:
        return self.normed_snake(x, *norm.scale_and_shift(style), alpha)


class Bert(nn.Module):
    """ALBERT: one layer, applied twelve times. Phonemes (B, N) → (B, N, 768)."""

    def __init__(self, weights: Weights):
        super().__init__()
        name, short = ALBERT.strip("/").replace("/", "."), "encoder.bert."
        self.words = nn.Parameter(weights.embedding(short + "embeddings.word_embeddings.weight"))
        places = weights.embedding(short + "embeddings.position_embeddings.weight")
        kinds = weights.embedding(short + "embeddings.token_type_embeddings.weight")
        self.places = nn.Parameter(places + kinds[0])
        self.norm = _layer_norm(weights, short + "embeddings.LayerNorm", eps=1e-12)
        self.into = Linear(
            weights,
            "/encoder/bert/encoder/embedding_hidden_mapping_in/MatMul",
            short + "encoder.embedding_hidden_mapping_in.bias",
        )
        parts = ("attention/query", "attention/key", "attention/value", "attention/dense", "ffn", "ffn_output")
        self.query, self.key, self.value, self.dense, self.wide, self.narrow = (
            Linear(weights, f"{ALBERT}{part}/MatMul", f"{name}.{part.replace('/', '.')}.bias") for part in parts
        )
        self.attention_norm = _layer_norm(weights, f"{name}.attention.LayerNorm", eps=1e-12)
        self.full_norm = _layer_norm(weights, f"{name}.full_layer_layer_norm", eps=1e-12)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.into(self.norm(self.words[tokens] + self.places[: tokens.shape[1]]))
        for _ in range(BERT_LAYERS):
            q, k, v = (part(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
            heard = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = self.attention_norm(x + self.dense(heard))
            x = self.full_norm(x + self.narrow(F.gelu(self.wide(x), approximate="tanh")))
        return x


class TextEncoder(nn.Module):
    """What is said. Phonemes (B, N) → (B, N, 512)."""

    def __init__(self, weights: Weights):
        super().__init__()
        node, name = "/encoder/text_encoder", "encoder.text_encoder."
        self.embedding = nn.Parameter(weights.embedding(name + "embedding.weight"))
        self.convs = nn.ModuleList(Convolution(weights, f"{node}/cnn.{i}/cnn.{i}.0/Conv") for i in range(3))
        self.norms = nn.ModuleList(
            _layer_norm(weights, f"{name}cnn.{i}.1", ("gamma", "beta"), eps=1e-5) for i in range(3)
        )
        self.lstm = weights.lstm(node + "/lstm")

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding[tokens]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x.mT).mT), 0.2)
        return self.lstm(x)[0]


class Timing(nn.Module):
    """How long each phoneme lasts."""

    def __init__(self, weights: Weights):
        super().__init__()
        node, name = "/encoder/predictor/", "encoder.predictor."
        self.bert = Bert(weights)
        self.into = Linear(weights, "/encoder/bert_encoder/MatMul", "encoder.bert_encoder.bias")
        self.lstms = nn.ModuleList(weights.lstm(f"{node}text_encoder/lstms.{i}") for i in (0, 2, 4))
        self.styles = nn.ModuleList(
            Linear(weights, f"{node}text_encoder/lstms.{i}/fc/Gemm_MatMul", f"{name}text_encoder.lstms.{i}.fc.bias")
            for i in (1, 3, 5)
        )
        self.lstm = weights.lstm(node + "lstm")
        self.durations = Linear(
            weights, node + "duration_proj/linear_layer/MatMul", name + "duration_proj.linear_layer.bias"
        )

    def forward(self, tokens: Tensor, style: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """Phonemes (B, N), how to speak (B, 128), tempo (B,) → features (B, N, 640) and frames of each phoneme (B, N)."""
        beside = style[:, None].expand(-1, tokens.shape[1], -1)
        x = torch.cat([self.into(self.bert(tokens)), beside], 2)
        for lstm, to_style in zip(self.lstms, self.styles, strict=True):
            y = lstm(x)[0]
            scale, shift = to_style(style)[:, None].chunk(2, 2)
            x = torch.cat([(1 + scale) * F.layer_norm(y, y.shape[2:]) + shift, beside], 2)
        frames = self.durations(self.lstm(x)[0]).sigmoid().sum(2) / speed[:, None]
        return x, frames.round().clamp(min=1).long()


class Contour(nn.Module):
    """Pitch or energy, two values a frame: (B, 512, T) → (B, 2 T)."""

    def __init__(self, weights: Weights, name: str):
        super().__init__()
        self.blocks = nn.ModuleList(StyleBlock(weights, f"/encoder/{name}.{i}", doubles=i == 1) for i in range(3))
        self.out = Convolution(weights, f"/encoder/{name}_proj/Conv")

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, style)
        return self.out(x)[:, 0]


class Generator(nn.Module):
    """Sound: hidden (B, 512, 2 T) and pitch (B, 2 T) → samples (B, 600 T)."""

    def __init__(self, weights: Weights):
        super().__init__()
        self.source = nn.Parameter(weights.tensor(weights.nodes[GENERATOR + "m_source/l_linear/MatMul"].input[1])[:, 0])
        self.source_bias = nn.Parameter(weights.tensor("decoder.decoder.generator.m_source.l_linear.bias"))
        self.noise_convs = nn.ModuleList(
            [
                Convolution(weights, GENERATOR + "noise_convs.0/Conv", stride=6, padding=3),
                Convolution(weights, GENERATOR + "noise_convs.1/Conv", padding=0),
            ]
        )
        self.noise_blocks = nn.ModuleList(SnakeBlock(weights, f"{GENERATOR}noise_res.{i}") for i in range(2))
        self.ups = nn.ModuleList(
            Convolution(weights, f"{GENERATOR}ups.{i}/ConvTranspose", True, stride=rate, padding=rate // 2)
            for i, rate in enumerate(UPSAMPLING)
        )
        self.blocks = nn.ModuleList(SnakeBlock(weights, f"{GENERATOR}resblocks.{i}") for i in range(6))
        self.last = Convolution(weights, GENERATOR + "conv_post/Conv")
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)

    def forward(self, x: Tensor, pitch: Tensor, style: Tensor) -> Tensor:
        # The source's phase is a sum over all samples: bfloat16 is too coarse for it.
        with torch.autocast(x.device.type, enabled=False):
            source = self._source(pitch.float())
        for i, (up, conv, block) in enumerate(zip(self.ups, self.noise_convs, self.noise_blocks, strict=True)):
            voice = block(conv(source), style)
            x = up(F.leaky_relu(x, 0.1))
            if i == 1:
                x = F.pad(x, (1, 0), "reflect")
            x = x + voice
            x = sum(block(x, style) for block in self.blocks[3 * i : 3 * i + 3]) / 3
        magnitude, phase = self.last(F.leaky_relu(x, 0.01)).float().chunk(2, 1)
        spectrum = torch.polar(magnitude.exp(), torch.sin(phase))
        return LOUDER * torch.istft(spectrum, FFT, HOP, window=self.window)

    def _source(self, pitch: Tensor) -> Tensor:
        """Spectra of the voice before the vocal tract, magnitudes and phases: (B, 22, 120 T + 1)."""
        each = FRAME // 2  # samples for one value of the pitch
        turns = pitch[:, None] * torch.arange(1, HARMONICS + 1, device=pitch.device)[:, None] / RATE
        phase = 2 * math.pi * each * turns.frac().double().cumsum(2)
        phase = F.interpolate(phase, scale_factor=float(each), mode="linear")
        voiced = (pitch > VOICED_HERTZ).repeat_interleave(each, 1)
        sines = SINE * phase.sin().float() * voiced[:, None]
        wave = torch.tanh(torch.einsum("bht,h->bt", sines, self.source) + self.source_bias)
        spectrum = torch.stft(wave, FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        return torch.cat([spectrum.abs(), spectrum.angle()], 1)


class Kokoro(nn.Module):
    """The synthesiser."""

    def __init__(self):
        super().__init__()
        weights = Weights(published_file())
        self.timing, self.text = Timing(weights), TextEncoder(weights)
        self.shared = weights.lstm("/encoder/shared")
        self.pitch, self.energy = Contour(weights, "F0"), Contour(weights, "N")
        node = "/decoder/decoder/"
        self.pitch_conv, self.energy_conv = (
            Convolution(weights, f"{node}{name}_conv/Conv", stride=2) for name in ("F0", "N")
        )
        self.short = Convolution(weights, node + "asr_res/asr_res.0/Conv")
        self.encode = StyleBlock(weights, node + "encode")
        self.decode = nn.ModuleList(StyleBlock(weights, f"{node}decode.{i}", doubles=i == 3) for i in range(4))
        self.generator = Generator(weights)
        self.requires_grad_(False).eval()

    def fuse(self) -> None:
        """Compiles norm and snake to one kernel: as several they take longer than the convolutions."""
        SnakeBlock.normed_snake = staticmethod(torch.compile(normed_snake, dynamic=True))

    def time(self, tokens: Tensor, styles: Tensor, speeds: Tensor) -> tuple[Tensor, Tensor]:
        """Phonemes (B, N), voices (B, 256), tempos (B,) → features (B, N, 1152) and frames of each phoneme (B, N)."""
        features, frames = self.timing(tokens, styles[:, HALF:], speeds)
        return torch.cat([features, self.text(tokens)], 2), frames

    def curves(self, features: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Features of each frame (B, T, 1152), voices (B, 256) → pitch and energy, each (B, 2 T)."""
        shared, manner = self.shared(features[..., :TIMED])[0].mT, styles[:, HALF:]
        return self.pitch(shared, manner), self.energy(shared, manner)

    def sound(self, features: Tensor, pitch: Tensor, energy: Tensor, styles: Tensor) -> Tensor:
        """Features of each frame (B, T, 1152), pitch and energy (B, 2 T), voices (B, 256) → samples at 24 kHz (B, 600 T)."""
        said, voice = features[..., TIMED:].mT, styles[:, :HALF]
        curves = [self.pitch_conv(pitch[:, None]), self.energy_conv(energy[:, None])]
        x = self.encode(torch.cat([said, *curves], 1), voice)
        short = self.short(said)
        for block in self.decode:
            x = block(torch.cat([x, short, *curves], 1), voice)
        return self.generator(x, pitch, voice)


def expand_to_frames(features: Iterable[Tensor], frames: Iterable[Tensor], n_frames: int) -> Tensor:
    """Of each sentence features (N, D) and frames (N,) → (B, n_frames, D); the last phoneme, silence, fills what is left."""
    rows = []
    for of_phonemes, each in zip(features, frames, strict=True):
        each = each.clone()
        each[-1] += n_frames - each.sum()
        rows.append(of_phonemes.repeat_interleave(each, 0, output_size=n_frames))
    return torch.stack(rows)


def _layer_norm(
    weights: Weights, name: str, parts: tuple[str, str] = ("weight", "bias"), eps: float = 1e-5
) -> nn.Module:
    weight, bias = (weights.tensor(f"{name}.{part}") for part in parts)
    norm = nn.LayerNorm(len(weight), eps)
    norm.weight.data, norm.bias.data = weight, bias
    return norm
