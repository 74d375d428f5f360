"""The story, without a browser: post a script, lose the stream halfway, come back, and end with a video that plays."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import imageio_ffmpeg

from appdemo.following import Event, StoryError, read_stream, require
from appdemo.run_check import check_run

SCENES = 5
TERMINAL = {"completed", "failed", "cancelled"}
TIMEOUT_SECONDS = 60
SILENCE_DECIBELS = -60.0


def run_story(address: str, script: str, folder: Path) -> int:
    """Run the story against the API host at *address*; print each step, and return 0, or 1 with what was wrong."""
    try:
        with httpx2.Client(base_url=address, timeout=TIMEOUT_SECONDS) as client:
            _story(client, script, folder)
    except StoryError as exc:
        print(f"the story broke: {exc}")
        return 1
    print("the story holds")
    return 0


def _story(client: httpx2.Client, script: str, folder: Path) -> None:
    key = client.post("/api/guests").raise_for_status().json()["key"]
    client.headers["Authorization"] = f"Bearer {key}"
    request = {"actor": "media", "payload": {"operation": "script2video", "script": script, "title": "The lamp"}}
    posted = client.post("/api/tasks", json=request).raise_for_status()
    task = posted.headers["Location"]
    print(f"posted: {task}")
    events = _watch(client, task)
    require(events[-1].type == "completed", f"the task ended as {events[-1].type}: {events[-1].data}")
    again = client.get(f"{task}/stream", headers={"Last-Event-ID": events[-1].id or ""})
    require(again.status_code == 204, f"a finished stream answered {again.status_code}, not 204")
    video = _download(client, task, folder)
    _inspect(video, client.get(task).raise_for_status().json()["result"])
    check_run(client)


def _watch(client: httpx2.Client, task: str) -> list[Event]:
    seen: list[Event] = []
    for event in read_stream(client, task, None):
        seen.append(event)
        halfway = event.type == "content" and event.data["data"]["index"] == SCENES // 2
        if halfway or event.type in TERMINAL:
            break
    position = seen[-1].id
    print(f"stream dropped after event {position}; coming back with Last-Event-ID")
    seen += list(read_stream(client, task, position))
    first = seen[0].data["last_seq"] + 1 if seen[0].type == "snapshot" else 0
    numbers = [int(event.id) for event in seen if event.type != "snapshot" and event.id is not None]
    expected = list(range(first, first + len(numbers)))
    require(numbers == expected, f"the events are not each once and in order: {numbers}")
    print(f"{len(numbers)} events, each once and in order, numbers {numbers[0]} to {numbers[-1]}")
    return seen


def _download(client: httpx2.Client, task: str, folder: Path) -> Path:
    items = client.get("/api/contents", params={"task_id": task.rsplit("/", 1)[1]}).raise_for_status().json()["items"]
    roles = [item["role"] for item in items]
    require(roles.count("picture") == SCENES, f"{roles.count('picture')} pictures, not {SCENES}")
    require(roles.count("narration") == SCENES, f"{roles.count('narration')} narrations, not {SCENES}")
    url = next(item["url"] for item in items if item["role"] == "video")
    head = client.get(url, headers={"Range": "bytes=4-7"})
    require(head.status_code == 206 and head.content == b"ftyp", f"a range answered {head.status_code}")
    file = folder / "video.mp4"
    file.write_bytes(client.get(url).raise_for_status().content)
    print(f"{SCENES} pictures, {SCENES} narrations and a video of {file.stat().st_size:,} bytes")
    return file


def _inspect(video: Path, result: dict[str, Any]) -> None:
    """Decode the whole file with a decoder that is not the encoder's, and count what it sees and hears."""
    # Scene changes by the picture alone: key frames would only repeat what the encoder said.
    filters = ["-vf", "select='gt(scene,0.05)',showinfo", "-af", "volumedetect"]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-xerror",
        "-i",
        str(video),
        *filters,
        "-f",
        "null",
        "-",
    ]
    decoded = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    require(decoded.returncode == 0, f"the decoder refused the video:\n{decoded.stderr[-2000:]}")
    cuts = len(re.findall(r"Parsed_showinfo.* pts_time:", decoded.stderr))
    require(cuts == SCENES - 1, f"{cuts + 1} scenes were seen, not {SCENES}")
    volume = re.search(r"mean_volume: (-?[\d.]+) dB", decoded.stderr)
    require(volume is not None and float(volume[1]) > SILENCE_DECIBELS, "the video has no sound")
    print(f"decoded: {cuts + 1} scenes, {result['duration_seconds']} s, with sound")
