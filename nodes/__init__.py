"""The pack's nodes, one file per family."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .anchors import LoadAnchor, SaveAnchor
from .auto import Auto
from .calibrate import CalibrateAnchor
from .calibration_prompts import CalibrationPrompts
from .compare import CompareImages
from .demo_model import DemoModel
from .edit import EditSchedule
from .library.files import register_folders
from .page.routes import register_routes
from .sampler import ApplySchedule, Sampler
from .schedule import PredictSchedule
from .shared.renamed import RENAMED, register_renamed
from .sigmas import Sigmas

NODES: list[type[io.ComfyNode]] = [
    Auto,
    LoadAnchor,
    PredictSchedule,
    EditSchedule,
    Sampler,
    ApplySchedule,
    Sigmas,
    CalibrationPrompts,
    CalibrateAnchor,
    SaveAnchor,
    CompareImages,
    DemoModel,
]


class OTCacheExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def on_load(self) -> None:
        register_folders()
        await register_renamed(RENAMED)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_folders()  # older hosts do not call on_load
        register_routes()
        return NODES
