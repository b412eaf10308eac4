"""Files that name other files, addresses or ports are refused, and nothing but their own bytes is opened."""

import socket
import threading

import numpy as np
import pytest

from asr.audio.reading import Recording, audio_duration, read_samples
from asr.errors import AudioError
from tests.sounds import encode, sine, write_wav

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "hls with a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n',
    "hls with a map": '#EXTM3U\n#EXT-X-MAP:URI="{target}"\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n',
    "hls with variants": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\n{target}\n",
    "ffconcat": "ffconcat version 1.0\nfile {target}\n",
    "ffconcat, not safe": "ffconcat version 1.0\noption safe 0\nfile '{target}'\n",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "xspf": '<?xml version="1.0"?>\n<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList/></playlist>',
    "redirect": "[Reference]\nRef1={target}\n",
}
SUFFIXES = ["", ".m3u8", ".mp3", ".wav", ".sdp"]


@pytest.fixture
def listener():
    """A port of this machine, and the list of those who came."""
    came: list = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    ended = threading.Event()

    def listen():
        while not ended.is_set():
            try:
                came.append(server.accept())
            except TimeoutError:
                continue

    thread = threading.Thread(target=listen)
    thread.start()
    yield server.getsockname()[1], came
    ended.set()
    thread.join()
    for one, _ in came:
        one.close()
    server.close()


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_playlists_are_refused_whatever_they_point_at(tmp_path, listener, kind, suffix, monkeypatch):
    port, came = listener
    monkeypatch.chdir(tmp_path)
    secret = write_wav(tmp_path / "secret.wav", sine(1))
    targets = [str(secret), "secret.wav", f"file:{secret}", f"concat:{secret}", f"subfile,,start,0,end,0,,:{secret}"]
    targets += [f"http://127.0.0.1:{port}/a.mp3", f"tcp://127.0.0.1:{port}", f"crypto:{secret}", f"cache:{secret}"]
    for target in targets if "{target}" in PLAYLISTS[kind] else targets[:1]:
        path = tmp_path / f"hostile{suffix}"
        path.write_text(PLAYLISTS[kind].format(target=target, port=port))
        for read in (read_samples, audio_duration):
            with pytest.raises(AudioError, match="hostile.*: is a playlist that points elsewhere, not a recording"):
                read(path)
    assert not came


@pytest.mark.parametrize(
    "beginning", [b"", b"\0", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\x00", b"RIFF\0\0\0\0WAVE", b"\n\n  "]
)
def test_a_playlist_behind_other_bytes_opens_nothing(tmp_path, listener, beginning):
    port, came = listener
    secret = write_wav(tmp_path / "secret.wav", sine(1))
    for kind in ("hls", "ffconcat, not safe", "sdp"):
        for target in (str(secret), f"http://127.0.0.1:{port}/"):
            (tmp_path / "a.mp3").write_bytes(beginning + PLAYLISTS[kind].format(target=target, port=port).encode())
            try:
                assert not np.any(read_samples(tmp_path / "a.mp3"))
            except AudioError:
                pass
    assert not came


def test_names_that_are_protocols_are_names_of_files(tmp_path, monkeypatch, listener):
    port, came = listener
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "secret.wav", sine(1))
    for name in (
        "concat:secret.wav",
        "file:secret.wav",
        "subfile,,start,0,end,9000,,:secret.wav",
        f"tcp://127.0.0.1:{port}",
    ):
        with pytest.raises(AudioError, match="no such file"):
            read_samples(name)
    assert not came


def test_samples_that_a_film_says_are_in_another_file_are_not_read_from_there(tmp_path):
    """A mov can keep its samples elsewhere: its data reference then is an alias, without the mark of this very file."""
    secret = write_wav(tmp_path / "secret.wav", sine(1))
    content = encode(tmp_path / "a.mov", np.zeros(16000, np.float32), 16000, "pcm_f32le").read_bytes()
    place = content.index(b"url \0\0\0\1")
    (tmp_path / "b.mov").write_bytes(content[:place] + b"alis\0\0\0\0" + content[place + 8 :])
    assert secret.exists()
    try:
        assert not read_samples(tmp_path / "b.mov").any()
    except AudioError:
        pass


@pytest.mark.parametrize("kind", ["hls", "hls with a key", "hls with a map", "ffconcat", "ffconcat, not safe", "sdp"])
def test_even_a_playlist_that_is_let_in_gets_nothing(tmp_path, listener, kind, monkeypatch):
    """The second wall: no protocol is allowed, and what a format asks for is refused."""
    port, came = listener
    monkeypatch.setattr("asr.audio.demuxers.DEMUXERS", ["hls", "concat", "sdp", "rtp", "wav", "mp3"])
    secret = write_wav(tmp_path / "secret.wav", sine(1))
    for target in (str(secret), "secret.wav", f"file:{secret}", f"http://127.0.0.1:{port}/a.mp3"):
        (tmp_path / "a.m3u8").write_text(PLAYLISTS[kind].format(target=target, port=port))
        with pytest.raises(AudioError):
            read_samples(tmp_path / "a.m3u8")
    assert not came


def test_subtitles_beside_a_film_and_resources_beside_a_recording_stay_closed(tmp_path):
    """libsndfile looks for ._name beside a file of Sound Designer, which it knows by the suffix alone."""
    write_wav(tmp_path / "._a.sd2", sine(1))
    (tmp_path / "a.sd2").write_bytes(b"\1\2\3\4" * 1000)
    with pytest.raises(AudioError, match=r"a\.sd2: not recognised as audio"):
        Recording(tmp_path / "a.sd2")


def test_pictures_are_not_decoded(tmp_path):
    """A film of a kilobyte can say that its pictures are of gigabytes."""
    import av

    from asr.audio.demuxers import open_container, sound_decoders

    assert not {"png", "h264", "mjpeg", "hevc", "srt"} & set(sound_decoders())
    assert {"aac", "mp3float", "flac", "libopus", "amrnb", "wmav2", "pcm_s16le", "alac", "ac3"} <= set(sound_decoders())
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        video = container.add_stream("png", rate=1, width=64, height=64, pix_fmt="rgba")
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 4), np.uint8), format="rgba")
        container.mux(video.encode(picture))
        frame = av.AudioFrame.from_ndarray(np.full((1, 16000), 500, np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(audio.encode(frame))
    assert len(read_samples(tmp_path / "a.mov")) == 16000
    with open(tmp_path / "a.mov", "rb") as file, open_container(file) as opened:
        assert opened.streams.video[0].codec_context.pix_fmt is None  # nobody has looked


def test_a_suffix_helps_where_a_long_tag_hides_what_is_behind_it(tmp_path):
    content = encode(tmp_path / "1.aac", sine(2, 44100), 44100, "aac").read_bytes()
    size = 300_000
    digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    (tmp_path / "a.aac").write_bytes(b"ID3\3\0\0" + digits + bytes(size) + content)
    assert len(read_samples(tmp_path / "a.aac")) / 16000 == pytest.approx(2, abs=0.1)
