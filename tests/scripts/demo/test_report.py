"""What the demo makes of its measurements, and how it fails."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from scripts.demo import run as demo
from scripts.demo.report import Run, as_table, middle_mean, save_pictures, spread, summary
from scripts.host.client import PromptError


def _png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _runs():
    full = Run("full", 50, 50, seconds=[2.0, 1.0, 9.0, 3.0, 1.0])
    cached = Run("otcache_b10", 50, 10, seconds=[0.25, 0.9, 0.25, 0.1, 0.4])
    cached.lpips, cached.ssim, cached.psnr = [0.1, 0.2, 0.3], [0.5, 0.7, 0.9], [30.0, 40.0]
    return full, cached


def test_times_are_means_of_the_middle_and_distances_are_means():
    full, cached = _runs()
    # (1 + 2 + 3) / 3 = 2 and (0.25 + 0.25 + 0.4) / 3 = 0.3: 6.667 times as fast.
    # The third pair of pictures is identical and has no PSNR.
    assert summary(full, full) == {
        "name": "full", "steps": 50, "nfe": 50, "seconds": 2.0, "speedup": 1.0,
        "lpips": 0.0, "psnr": None, "ssim": 1.0,
    }  # fmt: skip
    assert summary(cached, full) == {
        "name": "otcache_b10", "steps": 50, "nfe": 10, "seconds": 0.3, "speedup": 6.667,
        "lpips": 0.2, "psnr": 35.0, "ssim": 0.7,
    }  # fmt: skip


def test_the_table_has_a_line_for_each_run():
    full, cached = _runs()
    assert as_table([summary(full, full), summary(cached, full)]).splitlines() == [
        "run          steps  nfe  seconds  speedup   LPIPS    SSIM  PSNR dB",
        "full            50   50    2.000    1.00x  0.0000  1.0000     same",
        "otcache_b10     50   10    0.300    6.67x  0.2000  0.7000    35.00",
    ]


def test_the_runs_are_those_of_the_report():
    names = ["full", "otcache_b15", "otcache_b10", "otcache_b8", "euler_10"]
    runs = demo.make_runs()
    assert [run.name for run in runs] == names
    assert [(run.steps, run.nfe) for run in runs] == [
        (50, 50),
        (50, 15),
        (50, 10),
        (50, 8),
        (10, 10),
    ]
    assert [run.is_full for run in runs] == [True, False, False, False, False]
    assert [run.has_schedule for run in runs] == [False, True, True, True, False]


def test_few_times_are_all_used():
    assert middle_mean([1.0, 3.0, 8.0]) == 4.0


def test_spread_is_the_distance_of_the_quartiles():
    assert spread([1.0, 1.0, 1.0, 1.0]) == 0.0
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((4.5 - 1.5) / 3)
    assert spread([1.0, 9.0]) == 0.0


def test_pictures_of_an_earlier_run_are_gone(tmp_path):
    runs = [Run("full", 50, 50, pictures=[_png(10), _png(20)]), Run("euler_10", 10, 10)]
    runs[1].pictures = [_png(30), _png(40)]
    (tmp_path / "full").mkdir()
    for name in ("07.png", "mine.png"):
        (tmp_path / "full" / name).write_bytes(b"old")
    save_pictures(tmp_path, runs, ["a house", "a cat"])
    assert {path.name for path in (tmp_path / "full").iterdir()} == {"00.png", "01.png", "mine.png"}
    assert (tmp_path / "euler_10" / "01.png").read_bytes() == _png(40)
    assert Image.open(tmp_path / "contact_sheet.png").width > 2 * 8 * 3


class _FailingServer:
    address = "http://nowhere"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def object_info(self):
        raise PromptError("node 10 (OTCacheSampler) failed")

    def log_tail(self, lines):
        return f"the last {lines} lines"


def test_a_failure_ends_with_its_message_and_the_servers_log(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(demo, "ComfyServer", _FailingServer)
    monkeypatch.setattr("sys.argv", ["demo"])
    monkeypatch.setenv("OTCACHE_DEMO", str(tmp_path / "out"))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert demo.main() == 1
    assert capsys.readouterr().err == (
        "the demo failed: node 10 (OTCacheSampler) failed\n"
        "The end of ComfyUI's log:\nthe last 40 lines\n"
    )
    assert not (tmp_path / "out").exists()


def test_the_report_is_written_as_promised(monkeypatch, tmp_path):
    full, cached = _runs()
    for run in (full, cached):
        run.pictures = [_png(10)] * 8
    told = [{"name": "20 steps", "calls": 20, "lpips": 0.002}]
    monkeypatch.setattr(demo, "run_one_node", lambda _comfy, _folder, prompts, hard=False: told)
    monkeypatch.setattr(demo, "Demo", lambda comfy: comfy)
    monkeypatch.setattr(demo, "measure", lambda _demo, _prompts: ([full, cached], _png(1)))
    comfy = type("Comfy", (), {"get_json": lambda *_: {"system": {"comfyui_version": "1.2.3"}}})()
    demo.run_demo(comfy, tmp_path / "new", 8)
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["comfyui"] == "1.2.3" and report["model"] == "OTCache Demo Model"
    assert report["one_node"] == report["hard"] == told
    assert report["runs"] == [summary(full, full), summary(cached, full)]
    assert (tmp_path / "new" / "schedule.png").read_bytes() == _png(1)
