"""Text becomes speech, by the real library in a process of its own."""

from __future__ import annotations

import array
import io
import json
import os
import subprocess
import sys
import threading
import time
import wave
from itertools import pairwise
from pathlib import Path

import pytest

from appworker.errors import DiscardError, ProviderError, ProviderUnavailableError
from appworker.providers.local.speech import espeak
from appworker.providers.local.speech.espeak import CHILD, SHORTEST_SECONDS, EspeakSpeech
from appworker.providers.results import Speech

ENDLESS = """
import os, pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
written = pathlib.Path({pid_file!r} + ".new")
written.write_text(str(os.getpid()))
written.rename({pid_file!r})
while True:
    signal.pause()
"""

SENTENCE = "The lighthouse keeper woke before the gulls did."


class Stopped(Exception):  # noqa: N818  # it is what a test throws, no error of ours
    """Error that the check raises when a test wants the work to end."""


def speak(text: str, *, voice: str = "en", words_per_minute: int = 165) -> Speech:
    return EspeakSpeech().speak(text, voice=voice, words_per_minute=words_per_minute, check_stop=lambda: None)


def loudness(speech: Speech) -> int:
    return max(abs(sample) for sample in array.array("h", speech.pcm))


def test_sentence_sounds_for_its_spoken_length() -> None:
    speech = speak(SENTENCE)

    assert 2 < speech.duration_seconds < 5
    assert loudness(speech) > 5_000


def test_wav_file_holds_same_samples() -> None:
    speech = speak(SENTENCE)

    with wave.open(io.BytesIO(speech.wav())) as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        assert reader.getframerate() == speech.sample_rate
        assert reader.readframes(reader.getnframes()) == speech.pcm


def test_same_request_sounds_same() -> None:
    first = speak(SENTENCE)
    speak("Etwas ganz anderes!", voice="de", words_per_minute=300)

    assert speak(SENTENCE) == first


def test_more_words_per_minute_take_less_time() -> None:
    fast, slow = speak(SENTENCE, words_per_minute=300), speak(SENTENCE, words_per_minute=100)

    assert fast.duration_seconds < 0.6 * slow.duration_seconds


def test_voices_differ() -> None:
    assert speak(SENTENCE, voice="de").pcm != speak(SENTENCE, voice="en").pcm


@pytest.mark.parametrize("text", ["", " ", "\x00\x01\x7f", "\u200b", "\ud800"])
def test_soundless_text_gives_short_silence(text: str) -> None:
    speech = speak(text)

    assert speech.duration_seconds == SHORTEST_SECONDS
    assert loudness(speech) == 0


def test_nul_does_not_cut_text() -> None:
    assert speak(f"{SENTENCE}\x00{SENTENCE}").duration_seconds > 1.5 * speak(SENTENCE).duration_seconds


@pytest.mark.parametrize("text", ["😀🎉👩\u200d🚀", "Жили-были", "日本語", "a" * 3_000, "<speak><x", "[[h@'loU]]"])
def test_any_text_can_be_spoken(text: str) -> None:
    assert speak(text).duration_seconds >= SHORTEST_SECONDS


JAPANESE = "きょうはとてもいいてんきでそとをあるくのがたのしくて"
KOREAN = "다음의 내용은 오늘 아침에 일어난 일을 아주 길게 적은 글이며"
CHINESE = "今天天气非常好所以我们出去散步"
NUMBERS = " ".join(map(str, range(1_000, 1_010)))


@pytest.mark.parametrize(
    ("voice", "part", "times", "between"),
    [
        ("en", NUMBERS, 20, " "),
        ("en", "&%@" * 4, 20, " "),
        ("en", "x" * 25, 40, ""),
        ("ja", JAPANESE, 20, ""),
        ("ko", KOREAN, 20, " "),
        ("cmn", CHINESE, 30, ""),
        ("de", "1234567890" * 3, 10, ""),
    ],
    ids=["numbers", "signs", "one long word", "Japanese", "Korean", "Chinese", "one long number"],
)
@pytest.mark.parametrize("words_per_minute", [165, 450])
def test_long_text_takes_as_long_as_parts(
    voice: str, part: str, times: int, between: str, words_per_minute: int
) -> None:
    alone = speak(part, voice=voice, words_per_minute=words_per_minute).duration_seconds
    together = speak(between.join([part] * times), voice=voice, words_per_minute=words_per_minute).duration_seconds

    assert together > 0.9 * times * alone


def test_text_in_parts_sounds_as_whole() -> None:
    text = f"{SENTENCE} Dr. Jones, who saw it, said: three point one four (3.14) is not enough! " * 3
    program = "import sys; sys.path.insert(0, sys.argv.pop()); import espeak_child; espeak_child.CLAUSE_SECONDS = 1e9"

    assert speak(text).pcm == in_one_piece(text, program)


def in_one_piece(text: str, program: str) -> bytes:
    library, data = espeak._paths()
    request = {
        "command": "speak",
        "text": text.strip(),
        "voice_file": espeak._voice_file("en"),
        "words_per_minute": 165,
    }
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; espeak_child.main(*sys.argv[1:])", library, data.name, str(CHILD.parent)],
        input=json.dumps(request).encode(),
        capture_output=True,
        cwd=data.parent,
        check=True,
    )
    return done.stdout.partition(b"\n")[2]


@pytest.mark.parametrize("voice", ["fo", "kaa", "xex"])
def test_voice_without_data_is_none(voice: str) -> None:
    with pytest.raises(DiscardError, match=f"espeak-ng has no voice '{voice}' here"):
        EspeakSpeech().check_voice(voice)


def test_silence_for_text_with_letters_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    EspeakSpeech().check()
    mute = tmp_path / "mute.py"
    mute.write_text("import sys\nsys.stdout.buffer.write(b'{\"sample_rate\": 22050}\\n' + bytes(50_000))\n")
    monkeypatch.setattr(espeak, "CHILD", mute)

    with pytest.raises(DiscardError, match="voice: 'en' has no sound for the text; choose the voice of"):
        speak(SENTENCE)
    assert speak("...").duration_seconds > 1


def test_ten_thousand_characters_are_spoken() -> None:
    once = speak(SENTENCE).duration_seconds

    assert speak(f"{SENTENCE} " * (10_000 // len(SENTENCE))).duration_seconds > 150 * once


@pytest.mark.parametrize("voice", ["en", "EN", "en-gb", "en-us", "zh", "pt-br", "de"])
def test_languages_are_voices(voice: str) -> None:
    EspeakSpeech().check_voice(voice)

    assert loudness(speak("one, two, three", voice=voice)) > 1_000


@pytest.mark.parametrize(
    "voice", ["xx", "", "en+f3", "en\n", "\uff45\uff4e", "gmw/en", "../../../../../../../../dev/null"]
)
def test_unknown_language_is_final_failure(voice: str) -> None:
    with pytest.raises(DiscardError, match=r"voice: espeak-ng has no voice .* use a language such as en"):
        speak(SENTENCE, voice=voice)


def test_stop_ends_speech_soon_without_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    EspeakSpeech().check()
    endless, pid_file = tmp_path / "endless.py", tmp_path / "pid"
    endless.write_text(ENDLESS.format(pid_file=str(pid_file)))
    monkeypatch.setattr(espeak, "CHILD", endless)
    stopped_at: list[float] = []

    def check_stop() -> None:
        if pid_file.exists():
            stopped_at.append(time.monotonic())
            raise Stopped

    with pytest.raises(Stopped):
        EspeakSpeech().speak(SENTENCE, voice="en", words_per_minute=165, check_stop=check_stop)

    assert time.monotonic() - stopped_at[0] < 0.5
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_stop_is_checked_while_speaking() -> None:
    asked: list[float] = []

    EspeakSpeech().speak(
        "word " * 4_000, voice="en", words_per_minute=165, check_stop=lambda: asked.append(time.monotonic())
    )

    assert len(asked) > 1
    assert max(later - earlier for earlier, later in pairwise(asked)) < 0.5


def test_concurrent_threads_do_not_mix_voices() -> None:
    texts = [SENTENCE, "Something else entirely.", "A third text, with more words than the second one has."]
    alone = [speak(text) for text in texts]
    together: dict[int, Speech] = {}

    def work(index: int) -> None:
        together[index] = speak(texts[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [together[index] for index in range(len(texts))] == alone


def test_crash_of_library_is_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    EspeakSpeech().check()
    crashing = tmp_path / "crashing.py"
    crashing.write_text("import os\nos.abort()\n")
    monkeypatch.setattr(espeak, "CHILD", crashing)

    with pytest.raises(ProviderError, match=r"crashed on the text \(signal 6\); reword it"):
        speak(SENTENCE)


def test_speech_process_gets_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    EspeakSpeech().check()
    telling = tmp_path / "telling.py"
    telling.write_text("import os, sys\nsys.exit(' '.join(sorted(os.environ)))\n")
    monkeypatch.setattr(espeak, "CHILD", telling)
    monkeypatch.setenv("APP_MONGO_URI", "mongodb://name:secret@host")

    with pytest.raises(ProviderError) as caught:
        speak(SENTENCE)

    assert "APP_MONGO_URI" not in str(caught.value)


def test_library_in_very_deep_folder_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library, data = espeak._paths()
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    (deep / data.name).symlink_to(data, target_is_directory=True)
    monkeypatch.setattr(espeak, "_paths", lambda: (library, deep / data.name))

    assert loudness(speak(SENTENCE)) > 5_000


def test_missing_extra_error_tells_installation() -> None:
    program = (
        "import sys; sys.modules['espeakng_loader'] = None\n"
        "from appworker.providers.local.speech.espeak import EspeakSpeech\n"
        "EspeakSpeech().check()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=False
    )

    assert done.returncode == 1
    assert "run `pip install 'appworker[speech]'`" in done.stderr.splitlines()[-1]


def test_broken_library_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library, _ = espeak._paths()
    monkeypatch.setattr(espeak, "_paths", lambda: (library, tmp_path / "espeak-ng-data"))
    espeak._voice_files.cache_clear()

    with pytest.raises(ProviderUnavailableError, match="reinstall espeakng-loader"):
        EspeakSpeech().check()
