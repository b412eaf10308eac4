"""Sounds of animals, machines, weather and instruments, made by numbers: for the no-speech head, not for the model."""

import numpy as np
from nonspeech import level, noise

from asr.audio.reading import SAMPLE_RATE

KEYPAD = [(low, high) for low in (697, 770, 852, 941) for high in (1209, 1336, 1477)]
"""Hz of the two tones of each key of a telephone (DTMF)."""
RINGS = ((440, 480, 2, 4), (400, 450, 0.4, 0.2), (425, 425, 1, 4), (450, 450, 0.35, 0.35), (800, 1000, 0.05, 0.05))
"""Hz of two tones, and seconds for which they sound and are silent: how telephones ring here and there."""


def seconds_of(n: int) -> np.ndarray:
    return np.arange(n) / SAMPLE_RATE


def arch(n: int, power: float = 1.0) -> np.ndarray:
    """From nothing to 1 and back to nothing."""
    return np.sin(np.pi * np.arange(n) / n).clip(0) ** power


def spread(event, n: int, random: np.random.Generator, rate: tuple[float, float]) -> np.ndarray:
    """`rate` events a second, one at least, at any times. event: gives the samples (S,) of one."""
    out = np.zeros(n)
    for start in random.integers(-SAMPLE_RATE // 20, n, size=1 + int(random.uniform(*rate) * n / SAMPLE_RATE)):
        samples = random.uniform(0.2, 1) * event(random)
        first, last = max(0, start), min(n, start + len(samples))
        out[first:last] += samples[first - start : last - start]
    return out if out.any() else out + 0.01 * random.standard_normal(n)


def in_turn(event, n: int, random: np.random.Generator, gap: tuple[float, float]) -> np.ndarray:
    """Events one after the other, with so many seconds between them."""
    parts, length = [], 0
    while length < n:
        parts += [event(random), np.zeros(int(random.uniform(*gap) * SAMPLE_RATE))]
        length += len(parts[-2]) + len(parts[-1])
    first = random.integers(0, max(1, min(length - n, len(parts[0]) // 2) + 1))
    return np.concatenate(parts)[first : first + n] + 1e-4 * random.standard_normal(n)


def harmonic(hz: np.ndarray, tilt: float, random: np.random.Generator) -> np.ndarray:
    """A tone whose frequency (S,) changes, and its multiples, each `tilt` powers weaker than the one before."""
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE
    multiples = range(1, min(24, int(7600 / hz.max())) + 1)
    return sum(np.sin(k * phase + random.uniform(0, 6)) * random.uniform(0.3, 1) / k**tilt for k in multiples)


def resonant(samples: np.ndarray, hz: float, width: float) -> np.ndarray:
    """Samples with what lies around a frequency made stronger."""
    spectrum, f = np.fft.rfft(samples), np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * (0.1 + 1 / (1 + ((f - hz) / width) ** 2)), len(samples))


def struck(random: np.random.Generator, low: float, high: float, decay: tuple[float, float]) -> np.ndarray:
    """What was struck and dies away: partials that are no multiples of each other."""
    base, t = random.uniform(low, high), seconds_of(int(random.uniform(0.2, 2) * SAMPLE_RATE))
    partials = base * np.cumprod(np.append(1, random.uniform(1.15, 1.7, random.integers(1, 6))))
    dying = random.uniform(*decay)
    return sum(
        random.uniform(0.2, 1) * np.sin(2 * np.pi * hz * t) * np.exp(-t * dying * (1 + i))
        for i, hz in enumerate(partials)
        if hz < 7800
    ) * np.minimum(1, t * 500)


def stillness(n: int, random: np.random.Generator) -> np.ndarray:
    """A room in which nothing happens, as a microphone and its converter give it; now and then a click."""
    out = level(noise(n, random)) + random.uniform(0, 0.3) * np.sin(2 * np.pi * 50 * seconds_of(n))
    for _ in range(random.integers(0, 3)):
        out[random.integers(0, n)] += random.uniform(-20, 20)
    return np.round(out * random.uniform(1, 8))


def rain(n: int, random: np.random.Generator) -> np.ndarray:
    """Drops without number, some of them near."""
    near = spread(lambda r: struck(r, 1500, 5000, (60, 200))[:1600] * 0.3, n, random, (0, 20))
    return level(noise(n, random)) + random.uniform(0, 4) * near


def applause(n: int, random: np.random.Generator) -> np.ndarray:
    """Many or a few people clap."""

    def clap(r):
        t = seconds_of(int(0.06 * SAMPLE_RATE))
        return resonant(r.standard_normal(len(t)) * np.exp(-t * r.uniform(60, 250)), r.uniform(700, 2500), 400)

    return spread(clap, n, random, (2, 80))


def drums(n: int, random: np.random.Generator) -> np.ndarray:
    """A beat of drums with a skin, drums with snares, and cymbals."""

    def skin(r):
        t = seconds_of(int(r.uniform(0.15, 0.5) * SAMPLE_RATE))
        hz = r.uniform(50, 250) * (1 + r.uniform(0.2, 2) * np.exp(-t * r.uniform(10, 60)))
        return 2 * np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE) * np.exp(-t * r.uniform(6, 25))

    def snare(r):
        t = seconds_of(int(r.uniform(0.05, 0.3) * SAMPLE_RATE))
        tone = np.sin(2 * np.pi * r.uniform(150, 300) * t) * r.uniform(0, 1)
        return (tone + level(noise(len(t), r))) * np.exp(-t * r.uniform(12, 60))

    def either(r):
        return (skin if r.random() < 0.5 else snare)(r)

    beat = random.uniform(0.08, 0.4)
    return in_turn(either, n, random, (0, beat)) if random.random() < 0.5 else spread(either, n, random, (2, 8))


def bells(n: int, random: np.random.Generator) -> np.ndarray:
    """Bells, glasses, metal."""
    low = random.choice([200, 600, 1500])
    return spread(lambda r: struck(r, low, 2 * low, (1, 15)), n, random, (0.5, 5))


def plucked(n: int, random: np.random.Generator) -> np.ndarray:
    """Strings that are plucked, guitar or harp (Karplus and Strong 1983)."""

    def string(r):
        period = int(SAMPLE_RATE / (82 * 2 ** (r.integers(0, 36) / 12)))
        length, damping = int(r.uniform(0.2, 1.2) * SAMPLE_RATE), r.uniform(0.97, 0.999)
        turn = r.standard_normal(period)
        turns = [turn]
        for _ in range(length // period):
            turn = damping * 0.5 * (turn + np.roll(turn, 1))
            turns.append(turn)
        return np.concatenate(turns)

    return spread(string, n, random, (1, 8))


def keypad(n: int, random: np.random.Generator) -> np.ndarray:
    """Keys of a telephone, one after the other."""
    on, off = random.uniform(0.06, 0.4), random.uniform(0.03, 0.3)

    def key(r):
        t = seconds_of(int(on * SAMPLE_RATE))
        return sum(np.sin(2 * np.pi * hz * t) for hz in KEYPAD[r.integers(len(KEYPAD))]) * np.minimum(1, 500 * t)

    return in_turn(key, n, random, (off, off))


def ringing(n: int, random: np.random.Generator) -> np.ndarray:
    """A telephone rings, or is heard ringing at the other end."""
    one, other, on, off = RINGS[random.integers(len(RINGS))]
    t = seconds_of(n) + random.uniform(0, on)
    tones = np.sin(2 * np.pi * one * t) + np.sin(2 * np.pi * other * t)
    trembling = 1 + random.choice([0, 0.9]) * np.sign(np.sin(2 * np.pi * random.uniform(15, 30) * t))
    return tones * trembling * (t % (on + off) < on) + 1e-4 * random.standard_normal(n)


def engine(n: int, random: np.random.Generator) -> np.ndarray:
    """Something that fires, hacks or grinds, whose speed changes: a car, a helicopter, a drill."""
    t = seconds_of(n)
    points = random.integers(2, 5)
    speed = np.interp(t, np.linspace(0, t[-1] + 1e-3, points), random.uniform(0.7, 1.4, points))
    phase = np.cumsum(random.uniform(8, 160) * speed) / SAMPLE_RATE
    pulses = np.exp(-(phase % 1) * random.uniform(3, 20)) * (1 + 0.3 * np.sin(np.pi * phase))
    rough = level(noise(n, random)) * pulses + random.uniform(0, 2) * (pulses - pulses.mean())
    return resonant(rough, random.uniform(60, 1200), random.uniform(50, 500)) + 0.1 * level(noise(n, random))


def animals(n: int, random: np.random.Generator) -> np.ndarray:
    """One animal that barks, meows, lows, bleats or howls."""
    low, high, shortest, longest, rough, tremor = [
        (250, 900, 0.08, 0.3, 0.8, 0), (350, 1100, 0.3, 1.2, 0.1, 8), (80, 250, 0.6, 2, 0.2, 4),
        (180, 500, 0.3, 1.2, 0.3, 12), (300, 1000, 1, 3, 0.05, 3), (400, 1600, 0.1, 0.5, 0.4, 20),
    ][random.integers(6)]  # fmt: skip
    base, tilt, around = random.uniform(low, high), random.uniform(0.2, 1.2), random.uniform(400, 2500)
    depth, bend = random.uniform(0, 0.15), random.uniform(0.1, 0.5)

    def call(r):
        t = seconds_of(int(r.uniform(shortest, longest) * SAMPLE_RATE))
        place = t / t[-1]
        rising = 1 + bend * np.sin(np.pi * place ** r.uniform(0.5, 2)) - r.uniform(0, 0.3) * place
        hz = base * r.uniform(0.9, 1.1) * rising * (1 + depth * np.sin(2 * np.pi * tremor * t))
        voice = harmonic(hz, tilt, r)
        voice = level(voice) + rough * level(r.standard_normal(len(t))) * (1 + np.sin(2 * np.pi * hz * t))
        return level(resonant(voice, around, 500)) * arch(len(t), r.uniform(0.3, 1))

    return in_turn(call, n, random, (0.05, 0.8))


def insects(n: int, random: np.random.Generator) -> np.ndarray:
    """Crickets and cicadas: a high tone in quick pulses."""
    t = seconds_of(n)
    tone = np.sin(2 * np.pi * random.uniform(2500, 7000) * t) + random.uniform(0, 1) * random.standard_normal(n)
    quick = np.maximum(0, np.sin(2 * np.pi * random.uniform(15, 80) * t))
    return (
        tone * quick * (np.sin(2 * np.pi * random.uniform(0.3, 4) * t + random.uniform(0, 6)) > random.uniform(-1, 0.5))
    )


def whistling(n: int, random: np.random.Generator) -> np.ndarray:
    """Somebody whistles a tune: nearly pure tones that glide from note to note, and breath."""
    notes = 700 * 2 ** (random.integers(0, 18, 2 + 5 * n // SAMPLE_RATE) / 12)
    at = np.arange(len(notes)) / len(notes) * n
    hz = np.interp(np.arange(n), np.stack([at, at + 0.8 * n / len(notes)], 1).ravel(), notes.repeat(2))
    hz = hz * (1 + random.uniform(0, 0.02) * np.sin(2 * np.pi * random.uniform(4, 7) * seconds_of(n)))
    return np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE) + random.uniform(0, 0.1) * random.standard_normal(n)


def breaths(n: int, random: np.random.Generator) -> np.ndarray:
    """Somebody breathes, sniffs, snores or clears the throat, without a word."""

    def breath(r):
        t = seconds_of(int(r.uniform(0.1, 1) * SAMPLE_RATE))
        rough = 1 + r.uniform(0, 1) * np.sign(np.sin(2 * np.pi * r.uniform(20, 60) * t))
        air = level(noise(len(t), r)) * rough * arch(len(t), r.uniform(0.3, 2))
        return resonant(air, r.uniform(300, 3000), r.uniform(200, 1000))

    return in_turn(breath, n, random, (0.05, 1))


def signals(n: int, random: np.random.Generator) -> np.ndarray:
    """Data over a line: tones that change many times a second, as of modems and faxes; and what a game plays."""
    turns = random.uniform(8, 300)
    chosen = random.uniform(300, 3400, random.integers(2, 9))
    hz = chosen[random.integers(0, len(chosen), 1 + int(turns * n / SAMPLE_RATE))]
    wave = np.sin(2 * np.pi * np.cumsum(hz[(seconds_of(n) * turns).astype(int)]) / SAMPLE_RATE)
    return np.sign(wave) if random.random() < 0.3 else wave + random.uniform(0, 0.1) * random.standard_normal(n)


def scraping(n: int, random: np.random.Generator) -> np.ndarray:
    """A door that creaks, a chair, brakes: sticking and slipping, a pitch that wanders."""
    points = random.integers(3, 4 + 4 * n // SAMPLE_RATE)
    hz = random.uniform(60, 900) * 2 ** np.interp(
        np.arange(n), np.linspace(0, n, points), random.uniform(-1, 1, points)
    )
    slips = np.diff(np.floor(np.cumsum(hz * (1 + 0.3 * random.standard_normal(n))) / SAMPLE_RATE), prepend=0)
    out = sum(resonant(slips - slips.mean(), random.uniform(300, 5000), random.uniform(30, 300)) for _ in range(3))
    loud = np.interp(np.arange(n), np.linspace(0, n, points), random.uniform(0.1, 1, points))
    return level(out) * loud + 0.01 * random.standard_normal(n)


def speech_shaped(n: int, random: np.random.Generator) -> np.ndarray:
    """Noise with the spectrum of a voice, steady or swelling as syllables do."""
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    shape = (hz > 80) / (1 + (hz / random.uniform(300, 800)) ** 2) ** random.uniform(0.5, 0.9)
    steady = level(np.fft.irfft(np.fft.rfft(random.standard_normal(n)) * shape, n))
    points = 2 + int(random.uniform(3, 10) * n / SAMPLE_RATE)
    swell = np.interp(np.arange(n), np.linspace(0, n, points), random.uniform(-random.choice([0, 10, 25]), 0, points))
    return steady * 10 ** (swell / 20)


EVERYDAY = (
    stillness, rain, applause, drums, bells, plucked, keypad, ringing, engine, animals, insects, whistling, breaths, signals,
    scraping, speech_shaped,
)  # fmt: skip
"""All kinds."""
