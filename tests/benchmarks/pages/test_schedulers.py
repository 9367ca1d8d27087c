"""The ratios of the node behind another scheduler, by hand."""

from __future__ import annotations

from benchmarks.pages.schedulers import schedulers_table


def test_the_node_is_held_against_as_many_steps_and_against_those_its_default_replaces():
    plain = {
        "plain euler, 8 steps": 0.08, "plain euler, 11 steps": 0.05,
        "plain euler, 16 steps": 0.02, "plain euler, 20 steps": 0.0125,
        "plain res_multistep, 16 steps": 0.04, "plain res_multistep, 20 steps": 0.01,
        "plain euler, 30 steps": 0.01, "plain euler, 40 steps": 0.01,
        "plain res_multistep, 30 steps": 0.01, "plain res_multistep, 40 steps": 0.01,
    }  # fmt: skip
    ours = {
        "OTCache, 8 calls": 0.04, "OTCache, 11 calls": 0.06,
        "OTCache, its default for 16 euler steps": 0.01,
        "OTCache, its default for 20 euler steps": 0.01,
        "OTCache, its default for 16 res_multistep steps": 0.01,
        "OTCache, its default for 20 res_multistep steps": 0.02,
        "OTCache, its default for 30 euler steps": 0.003,
        "OTCache, its default for 40 euler steps": 0.001,
        "OTCache, its default for 30 res_multistep steps": 0.02,
        "OTCache, its default for 40 res_multistep steps": 0.004,
    }  # fmt: skip
    ways = [{"way": way, "lpips": lpips} for way, lpips in (plain | ours).items()]
    more = [
        {"way": "plain res_multistep, 20 steps", "lpips": 0.02},
        {"way": "OTCache, its default for 20 res_multistep steps", "lpips": 0.01},
    ]
    setting = {"model": "demo", "cfg": 5.0, "scheduler": "beta", "ways": ways}
    setting["on_more_pictures"] = more
    table = schedulers_table({"settings": [setting]})

    (row,) = table.splitlines()[2:3]
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    default = ["0.50 / 0.25", "0.80 / 0.50*", "0.30 / 2.00", "0.10 / 0.40"]
    assert cells == ["`demo`", "beta", "5", "0.0125", "0.50", "1.20", *default]
