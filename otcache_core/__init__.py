"""The OTCache method, without a host: numpy, scipy, torch, optuna and lpips, never ComfyUI.

What a user of the method needs is here by name; `docs/architecture.md` says where each part lives.
Optuna, cmaes and lpips are imported when they are first used.
"""

from .calibration.calibrate import Report, calibrate
from .calibration.run import Runner
from .calibration.settings import Settings
from .documents.anchor import Anchor, load_anchor, save_anchor
from .documents.schedule import Schedule
from .errors import EvaluationError, OTCacheError
from .graph import (
    PairCosts,
    TripleCosts,
    shortest_path_over_pairs,
    shortest_path_over_triples,
)
from .measures.perceptual import LPIPS, psnr, ssim
from .run_time.run_plan import fit_to_run
from .run_time.velocity import VelocityCache
from .search.anchor_search import search_anchor
from .search.settings import SearchSettings, paper_search
from .trajectory import Trajectory, TrajectoryRecorder
from .transport import Prediction, predict_schedule
from .version import __version__

__all__ = [
    "LPIPS",
    "Anchor",
    "EvaluationError",
    "OTCacheError",
    "PairCosts",
    "Prediction",
    "Report",
    "Runner",
    "Schedule",
    "SearchSettings",
    "Settings",
    "Trajectory",
    "TrajectoryRecorder",
    "TripleCosts",
    "VelocityCache",
    "__version__",
    "calibrate",
    "fit_to_run",
    "load_anchor",
    "paper_search",
    "predict_schedule",
    "psnr",
    "save_anchor",
    "search_anchor",
    "shortest_path_over_pairs",
    "shortest_path_over_triples",
    "ssim",
]
