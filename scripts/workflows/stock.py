"""How ComfyUI's own templates sample today's models: what savings are counted against.

Read off the package that `PACKAGE` names, which ComfyUI 0.33.0 comes with. Where a template has
a switch for a few-step LoRA, both of its ways are here, the LoRA's among `FEW_STEPS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from otcache_core.pace import falls_evenly

PACKAGE = ("comfyui_workflow_templates", "0.11.44")

ANCESTRAL = "euler_ancestral"
ADDS_NOISE = (ANCESTRAL, "er_sde", "dpmpp_2m_sde_gpu")
"""Samplers of these templates that add noise between steps."""


@dataclass(frozen=True)
class Stock:
    """One model as its template samples it.

    Attributes:
        model: As people call it.
        template: The template's file, without its ending.
        steps: Of a run, or of each part of one that two models share.
        sampler: Its name in the host.
        scheduler: Likewise, or the node that makes the noise levels.
        shift: Of the model's noise levels; empty where the template leaves it alone.
        guidance: cfg, or the distilled guidance of models that have it.
        architecture: The small model of its class that is sampled here.
        about: What else there is to say, in a few words.
    """

    model: str
    template: str
    steps: tuple[int, ...]
    sampler: str
    scheduler: str
    shift: str
    guidance: str
    architecture: str
    about: str = ""

    @property
    def adds_noise(self) -> bool:
        """Whether its sampler adds noise between steps."""
        return self.sampler in ADDS_NOISE

    @property
    def of_higher_order(self) -> bool:
        """Whether its sampler is of higher order than Euler."""
        return self.sampler != "euler"

    @property
    def even(self) -> bool:
        """Whether its levels fall evenly in the model's time."""
        return falls_evenly(self.scheduler)


STOCK = (
    Stock("Z-Image", "image_z_image", (25,), "res_multistep", "simple", "3", "cfg 4", "Z-Image"),
    Stock("Qwen-Image 2512", "image_qwen_Image_2512", (50,), "euler", "simple", "3.1", "cfg 4",
          "Qwen-Image"),
    Stock("Qwen-Image", "image_qwen_image", (20,), "euler", "simple", "3.1", "cfg 4",
          "Qwen-Image", "50 steps are its makers' own number"),
    Stock("Qwen-Image-Edit 2511", "image_qwen_image_edit_2511", (40,), "euler", "simple", "3.1",
          "cfg 4", "Qwen-Image-Edit"),
    Stock("JoyAI-Image-Edit", "image_joyai_image_edit", (40,), "euler", "normal", "", "cfg 4",
          "JoyAI-Image-Edit"),
    Stock("FLUX.1 dev", "flux_dev_full_text_to_image", (20,), "euler", "simple", "",
          "distilled, 3.5", "FLUX.1 dev"),
    Stock("FLUX.1 Krea dev", "flux1_krea_dev", (20,), "euler", "simple", "", "distilled, 3.5",
          "FLUX.1 dev"),
    Stock("FLUX.1 Kontext dev", "flux_kontext_dev_basic", (20,), "euler", "simple", "",
          "distilled, 2.5", "FLUX.1 Kontext"),
    Stock("FLUX.2 dev", "image_flux2_text_to_image", (20,), "euler", "Flux2Scheduler", "",
          "distilled, 4", "FLUX.2"),
    Stock("FLUX.2 klein base", "image_flux2_klein_text_to_image", (20,), "euler",
          "Flux2Scheduler", "", "cfg 5", "FLUX.2"),
    Stock("SDXL", "sdxl_simple_example", (25,), "euler", "normal", "", "cfg 8", "SDXL",
          "without the refiner, whose 5 of the 25 steps would be left alone"),
    Stock("Chroma", "image_chroma_text_to_image", (26,), "euler", "beta", "1", "cfg 3.5",
          "Chroma"),
    Stock("Chroma Radiance", "image_chroma1_radiance_text_to_image", (30,), "euler",
          "BetaSamplingScheduler", "1", "cfg 3.5", "Chroma Radiance"),
    Stock("LongCat-Image", "image_longcat_text_to_image", (20,), "euler", "simple", "", "cfg 4",
          "LongCat-Image"),
    Stock("Ideogram 4", "image_ideogram4_t2i", (20,), "euler", "Ideogram4Scheduler", "", "cfg 7",
          "Ideogram 4", "cfg 3 at the end; of its two models the node takes the positive one"),
    Stock("ERNIE-Image", "image_ernie_image", (20,), "euler", "simple", "", "cfg 4",
          "ERNIE-Image"),
    Stock("Anima base", "image_anima_base_v1", (30,), "euler", "simple", "", "cfg 4", "Anima"),
    Stock("Lens", "image_lens_t2i", (20,), "euler", "simple", "1.15", "cfg 5", "Lens"),
    Stock("Mage-Flow", "image_mage_flow_t2i_int8", (30,), "euler", "simple", "", "cfg 5",
          "Mage-Flow"),
    Stock("OmniGen 2", "image_omnigen2_t2i", (20,), "euler", "simple", "", "cfg 5 and 2",
          "OmniGen 2", "its guider has three sides: a call is all of them"),
    Stock("Boogu-Image-Edit", "image_boogu_image_0_1_edit", (25,), "dpmpp_2m", "simple", "3.16",
          "cfg 3.5", "Boogu-Image-Edit"),
    Stock("NetaYume Lumina", "image_netayume_lumina_t2i", (30,), "res_multistep", "simple", "4",
          "cfg 4", "Lumina 2"),
    Stock("HiDream I1 full", "hidream_i1_full", (50,), "uni_pc", "simple", "3", "cfg 5",
          "HiDream"),
    Stock("HiDream O1", "image_hidream_o1", (40,), "dpmpp_2m_sde_gpu", "normal", "", "cfg 5",
          "HiDream O1"),
    Stock("PixelDiT", "image_pixeldit_t2i", (30,), "er_sde", "simple", "", "cfg 4", "PixelDiT"),
    Stock("Kandinsky 5 image", "image_kandinsky5_t2i", (50,), "euler", "simple", "3", "cfg 3.5",
          "Kandinsky 5 image"),
    Stock("Kandinsky 5 video", "video_kandinsky5_t2v", (50,), ANCESTRAL, "beta", "5", "cfg 5",
          "Kandinsky 5 video"),
    Stock("Wan 2.2 14B, two experts", "video_wan2_2_14B_t2v", (10, 10), "euler", "simple", "5",
          "cfg 3.5", "Wan 2.1 t2v", "one node behind each expert"),
    Stock("Wan 2.2 5B", "video_wan2_2_5B_ti2v", (20,), "uni_pc", "simple", "8", "cfg 5",
          "Wan 2.2 5B"),
    Stock("HunyuanVideo 1.5", "video_hunyuan_video_1.5_720p_t2v", (20,), "euler", "simple", "7",
          "cfg 6", "HunyuanVideo 1.5", "50 steps are its makers' own number"),
    Stock("HunyuanVideo", "hunyuan_video_text_to_video", (20,), "euler", "simple", "7",
          "distilled, 6", "HunyuanVideo"),
    Stock("MiniMax H3, video and sound", "video_minimax_h3_t2v", (20,), "res_multistep", "simple",
          "", "none", "MiniMax H3 (video and audio)"),
    Stock("LTX-2, video and sound", "video_ltx2_t2v", (20,), ANCESTRAL, "LTXVScheduler", "",
          "cfg 4", "LTX-Video with audio", "its second pass has 3 steps: left alone"),
    Stock("ACE-Step 1.5 XL base", "audio_ace_step1_5_xl_base", (50,), "euler", "simple", "3",
          "cfg 6", "ACE-Step 1.5 (audio)"),
)  # fmt: skip
"""Models whose templates take enough steps for caching to pay."""

FEW_STEPS = {
    "Z-Image Turbo": ("image_z_image_turbo", 8),
    "Krea 2 Turbo": ("image_krea2_turbo_t2i", 8),
    "ERNIE-Image Turbo": ("image_ernie_image_turbo", 8),
    "Anima with its turbo LoRA": ("image_anima_base_v1", 8),
    "Lens Turbo": ("image_lens_turbo_t2i", 4),
    "Mage-Flow Turbo": ("image_mage_flow_turbo_t2i_int8", 4),
    "Boogu-Image Turbo": ("image_boogu_image_0_1_turbo_t2i", 4),
    "FLUX.1 schnell": ("flux_schnell_full_text_to_image", 4),
    "FLUX.2 klein": ("image_flux2_klein_text_to_image", 4),
    "FLUX.2 dev with its turbo LoRA": ("image_flux2_text_to_image", 8),
    "Qwen-Image with its lightning LoRA": ("image_qwen_image", 8),
    "Qwen-Image 2512 and Edit with their lightning LoRAs": ("image_qwen_Image_2512", 4),
    "Wan 2.2 14B with its lightning LoRAs": ("video_wan2_2_14B_t2v", 4),
    "Wan 2.1 VACE with the CausVid LoRA": ("video_wan_vace_14B_t2v", 4),
    "MiniMax H3 with its turbo LoRA": ("video_minimax_h3_t2v", 6),
    "LTX-2.3 and LTX-2.5": ("video_ltx2_3_t2v", 8),
    "ACE-Step 1.5 turbo": ("audio_ace_step_1_5_split", 8),
}
"""Those whose templates take too few: the template, and its steps."""
