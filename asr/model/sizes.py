"""The largest networks that are built, whatever a file asks for."""

from asr.errors import ConfigError

MOST_SIZES = {
    "layers": 256,
    "reverse_layers": 256,
    "width": 65_536,
    "decoder_width": 65_536,
    "heads": 1024,
    "feed_forward": 1 << 20,
    "kernel": 10_000,
    "merge_kernel": 10_000,
    "gate_units": 1 << 20,
    "conv_expansion": 64,
    "channels": 65_536,
    "last_channels": 65_536,
    "stride": 1000,
    "frames": 10_000,
    "places": 1 << 20,
}
"""What a setting's name ends with → its largest value, each several times that of the largest models: beyond is a mistake, or a
trap."""


def check_size(name: str, value: int) -> None:
    """Raises ConfigError for a size that is below 1, or larger than any network's. `name`: of the setting, with its section."""
    most = MOST_SIZES[name.replace(" ", ".").rpartition(".")[2]]
    if value < 1:
        raise ConfigError(f"{name} must be at least 1, is {value}")
    if value > most:
        raise ConfigError(f"{name} must be at most {most:,}, is {value:,}")
