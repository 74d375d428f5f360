"""Slides become an MP4 that a player can read: pictures, sound, key frames, and an end when it is told to stop."""

from __future__ import annotations

import array
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest

from appworker.providers.local.pictures.cards import Card, DrawnCards
from appworker.providers.local.video.slideshow import FRAMES_PER_SECOND, PAUSE_SECONDS, Slideshow
from appworker.providers.results import Slide, Speech

RATE = 22_050


class Stopped(Exception):  # noqa: N818  # it is what a test throws, no error of ours
    """Error that the callback raises when a test wants the work to end."""


def tone(seconds: float) -> Speech:
    """A square wave of 220 Hz: loud, and cheap to make."""
    samples = array.array("h", (8_000 if index % 100 < 50 else -8_000 for index in range(int(seconds * RATE))))
    return Speech(pcm=samples.tobytes(), sample_rate=RATE)


def slide(index: int, seconds: float, *, width: int = 640, height: int = 360) -> Slide:
    card = Card(text=f"Scene {index}", title=None, number=index + 1, total=9, seed=index, width=width, height=height)
    return Slide(picture=DrawnCards().draw(card), speech=tone(seconds))


def encode(slides: list[Slide], target: Path) -> float:
    return Slideshow().encode(slides, target, on_frame=lambda _done, _total: None)


def key_frame_seconds(file: Path) -> list[float]:
    with av.open(str(file)) as container:
        packets = container.demux(container.streams.video[0])
        return [
            float(packet.pts * packet.time_base)
            for packet in packets
            if packet.is_keyframe and packet.pts is not None and packet.time_base is not None
        ]


def sound(file: Path) -> bytes:
    with av.open(str(file)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)


def loudest(pcm: bytes, start: float, end: float) -> int:
    samples = array.array("h", pcm[int(start * RATE) * 2 : int(end * RATE) * 2])
    return max(abs(sample) for sample in samples)


def test_video_plays_in_browsers(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    encode([slide(0, 1)], target)

    with av.open(str(target)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.codec_context.width, video.codec_context.height) == (640, 360)
        assert audio.codec_context.name == "aac"
    head = target.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # it can be played before all of it is there


def test_every_slide_begins_with_key_frame(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    slides = [slide(index, seconds) for index, seconds in enumerate([1.0, 2.0, 0.5, 1.25, 3.0])]
    encode(slides, target)

    starts, now = [], 0.0
    for each in slides:
        starts.append(now)
        now += -(-(each.speech.duration_seconds + PAUSE_SECONDS) * FRAMES_PER_SECOND // 1) / FRAMES_PER_SECOND
    assert key_frame_seconds(target) == pytest.approx(starts, abs=0.01)


def test_picture_and_sound_have_told_length(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    seconds = encode([slide(0, 1.3), slide(1, 2.1)], target)

    with av.open(str(target)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == round(seconds * FRAMES_PER_SECOND)
    assert seconds == pytest.approx(1.3 + 2.1 + 2 * PAUSE_SECONDS, abs=0.2)
    assert len(sound(target)) / 2 / RATE == pytest.approx(seconds, abs=0.15)


def test_slide_sounds_while_shown_then_pauses(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    encode([slide(0, 1.5), slide(1, 1.5)], target)

    pcm = sound(target)
    assert loudest(pcm, 0.2, 1.4) > 4_000
    assert loudest(pcm, 1.7, 1.9) < 400
    assert loudest(pcm, 2.2, 3.4) > 4_000


def test_frames_show_slides(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    encode([slide(0, 0.5), slide(1, 0.5)], target)

    with av.open(str(target)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]  # type: ignore[no-untyped-call]
    middle = (320, 20)
    first, last = frames[0].getpixel(middle), frames[-1].getpixel(middle)
    assert isinstance(first, tuple)
    assert isinstance(last, tuple)
    assert max(abs(one - other) for one, other in zip(first, last, strict=True)) > 20


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    slides = [slide(0, 1), slide(1, 1)]

    seconds = Slideshow().encode(slides, tmp_path / "video.mp4", on_frame=lambda *now: seen.append(now))

    total = round(seconds * FRAMES_PER_SECOND)
    assert seen == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("stop_at", [1, 20])
def test_stop_in_callback_closes_file(tmp_path: Path, stop_at: int) -> None:
    stopped: list[float] = []

    def on_frame(done: int, _total: int) -> None:
        if done == stop_at:
            stopped.append(time.monotonic())
            raise Stopped

    target = tmp_path / "video.mp4"
    with pytest.raises(Stopped):
        Slideshow().encode([slide(0, 20)], target, on_frame=on_frame)

    assert time.monotonic() - stopped[0] < 0.5
    assert not open_files_under(tmp_path)


def test_long_narration_heeds_stop_between_frames(tmp_path: Path) -> None:
    slides = [slide(0, 120)]
    times = [time.monotonic()]

    Slideshow().encode(slides, tmp_path / "video.mp4", on_frame=lambda _done, _total: times.append(time.monotonic()))

    assert max(later - earlier for earlier, later in pairwise(times)) < 0.5


@pytest.mark.parametrize(("width", "height"), [(320, 180), (322, 182), (1920, 180), (1280, 720)])
def test_every_even_size_can_be_encoded(tmp_path: Path, width: int, height: int) -> None:
    target = tmp_path / "video.mp4"
    encode([slide(0, 0.5, width=width, height=height)], target)

    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (width, height)


def test_missing_extra_error_tells_installation() -> None:
    program = (
        "import sys; sys.modules['av'] = None\n"
        "from appworker.providers.local.video.slideshow import Slideshow\n"
        "Slideshow().check()\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "run `pip install 'appworker[video]'`" in done.stderr.splitlines()[-1]


def open_files_under(folder: Path) -> list[str]:
    """Return what this process holds open in *folder*; nothing on systems that do not tell."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return []
    names = [str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink()]
    return [name for name in names if name.startswith(str(folder))]
