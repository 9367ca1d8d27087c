"""``python -m benchmarks NAME``: runs one benchmark, or lists them."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "prediction": "time of a stage-3 prediction, by budget and with a cold cache",
    "calibration": "what each way of searching the anchor spends and finds; regret of prediction",
    "effort": "what more effort of a calibration buys, on held-out prompts of three models",
    "ablations": "the paper's ablations: search by prompt, starts, rho and the anchor's budget",
    "workers": "trials per second of a calibration with one worker and with two",
    "architectures": "budget, full run and clean-up on every architecture, built small",
    "samplers": "error of each way to skip a step, for every sampler of the host",
    "presets": "error of every preset on the bundled model",
    "transfer": "error of one anchor at other step counts, shifts, schedulers and denoise",
    "auto": "the node OTCache at 20 steps beside plain steps and EasyCache, on every model",
    "schedulers": "the node OTCache behind another scheduler, at three scales of guidance",
    "drawn": "the node OTCache in settings drawn by chance, which nothing was tuned on",
    "fidelity": "distance to the full run at equal calls, beside everything else, on every model",
    "speed": "what the pack costs beside the model: time of a step, memory, start-up; on the CPU",
    "gpu": "full-size FLUX, Qwen-Image and HunyuanVideo with random weights; needs a GPU",
}


def main() -> int:
    """Command line; the exit code is 2 for an unknown name."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in BENCHMARKS:
        print("usage: python -m benchmarks NAME, with NAME one of")
        for known, what in BENCHMARKS.items():
            print(f"  {known:13} {what}")
        return 2
    importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
