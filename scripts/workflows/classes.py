"""What saved workflows spell out of the node classes that they have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeClass:
    """What of a node class a saved workflow spells out.

    Attributes:
        sockets: Inputs that are no widgets, as `name:TYPE` words.
        widgets: Inputs with a value, as `name:TYPE` words in the class's order; `!` after the type
            marks the widget of a seed, which has its "control after generate" beside it.
        outputs: As `name:TYPE` words.
    """

    sockets: str
    widgets: str
    outputs: str


_SAMPLER_WIDGETS = "cfg:FLOAT sampler_name:COMBO scheduler:COMBO"
CLASSES = {
    "MarkdownNote": NodeClass("", "text:TEXT", ""),
    "PrimitiveInt": NodeClass("", "value:INT!", "INT:INT"),
    "CLIPTextEncode": NodeClass("clip:CLIP", "text:TEXT", "CONDITIONING:CONDITIONING"),
    "VAEDecode": NodeClass("samples:LATENT vae:VAE", "", "IMAGE:IMAGE"),
    "ImageScaleBy": NodeClass("image:IMAGE", "upscale_method:COMBO scale_by:FLOAT", "IMAGE:IMAGE"),
    "PreviewImage": NodeClass("images:IMAGE", "", ""),
    "SaveImage": NodeClass("images:IMAGE", "filename_prefix:STRING", ""),
    "OTCacheDemoModel": NodeClass(
        "", "batch_size:INT", "model:MODEL clip:CLIP vae:VAE latent:LATENT"
    ),
    "OTCacheLoadAnchor": NodeClass(
        "model:MODEL", "anchor_name:COMBO inline_anchor:STRING", "anchor:OT_ANCHOR"
    ),
    "OTCachePredictSchedule": NodeClass(
        "anchor:OT_ANCHOR",
        "budget:INT rho:FLOAT anchor_rho:BOOLEAN steps:INT target_lpips:FLOAT",
        "schedule:OT_SCHEDULE picture:IMAGE",
    ),
    "OTCacheSampler": NodeClass(
        "model:MODEL positive:CONDITIONING negative:CONDITIONING latent_image:LATENT "
        "schedule:OT_SCHEDULE",
        f"seed:INT! steps:INT {_SAMPLER_WIDGETS} denoise:FLOAT",
        "latent:LATENT statistics:STRING",
    ),
    "OTCacheCompareImages": NodeClass(
        "image:IMAGE reference:IMAGE",
        "net:COMBO amplify:FLOAT",
        "lpips:FLOAT ssim:FLOAT psnr:FLOAT difference:IMAGE",
    ),
    "OTCacheCalibrationPrompts": NodeClass(
        "", "text:TEXT limit:INT source:COMBO", "prompts:STRING count:INT"
    ),
    "OTCacheCalibrateAnchor": NodeClass(
        "model:MODEL vae:VAE positive:CONDITIONING negative:CONDITIONING latent_image:LATENT",
        f"name:STRING steps:INT {_SAMPLER_WIDGETS} reference_budget:INT anchor_budget:INT "
        "trials:INT patience:INT seed:INT estimator:COMBO size:COMBO search:COMBO "
        "middle_budget:INT minutes:INT memo:COMBO",
        "anchor:OT_ANCHOR report:IMAGE report_json:STRING",
    ),
    "OTCacheSigmas": NodeClass("sigmas:SIGMAS schedule:OT_SCHEDULE", "", "kept_sigmas:SIGMAS"),
    "KSamplerSelect": NodeClass("", "sampler_name:COMBO", "SAMPLER:SAMPLER"),
    "BasicScheduler": NodeClass(
        "model:MODEL", "scheduler:COMBO steps:INT denoise:FLOAT", "SIGMAS:SIGMAS"
    ),
    "SamplerCustom": NodeClass(
        "model:MODEL positive:CONDITIONING negative:CONDITIONING sampler:SAMPLER sigmas:SIGMAS "
        "latent_image:LATENT",
        "add_noise:BOOLEAN noise_seed:INT! cfg:FLOAT",
        "output:LATENT denoised_output:LATENT",
    ),
    "KSampler": NodeClass(
        "model:MODEL positive:CONDITIONING negative:CONDITIONING latent_image:LATENT",
        f"seed:INT! steps:INT {_SAMPLER_WIDGETS} denoise:FLOAT",
        "LATENT:LATENT",
    ),
    "OTCacheAuto": NodeClass(
        "model:MODEL anchor:OT_ANCHOR", "calls:INT grid:COMBO", "cached_model:MODEL"
    ),
    "OTCacheApply": NodeClass("model:MODEL schedule:OT_SCHEDULE", "", "cached_model:MODEL"),
    "UNETLoader": NodeClass("", "unet_name:COMBO weight_dtype:COMBO", "MODEL:MODEL"),
    "CLIPLoader": NodeClass("", "clip_name:COMBO type:COMBO device:COMBO", "CLIP:CLIP"),
    "DualCLIPLoader": NodeClass(
        "", "clip_name1:COMBO clip_name2:COMBO type:COMBO device:COMBO", "CLIP:CLIP"
    ),
    "VAELoader": NodeClass("", "vae_name:COMBO", "VAE:VAE"),
    "ModelSamplingAuraFlow": NodeClass("model:MODEL", "shift:FLOAT", "MODEL:MODEL"),
    "ModelSamplingSD3": NodeClass("model:MODEL", "shift:FLOAT", "MODEL:MODEL"),
    "FluxGuidance": NodeClass(
        "conditioning:CONDITIONING", "guidance:FLOAT", "CONDITIONING:CONDITIONING"
    ),
    "EmptySD3LatentImage": NodeClass("", "width:INT height:INT batch_size:INT", "LATENT:LATENT"),
    "EmptyHunyuanLatentVideo": NodeClass(
        "", "width:INT height:INT length:INT batch_size:INT", "LATENT:LATENT"
    ),
    "KSamplerAdvanced": NodeClass(
        "model:MODEL positive:CONDITIONING negative:CONDITIONING latent_image:LATENT",
        f"add_noise:COMBO noise_seed:INT! steps:INT {_SAMPLER_WIDGETS} start_at_step:INT "
        "end_at_step:INT return_with_leftover_noise:COMBO",
        "LATENT:LATENT",
    ),
    "CheckpointLoaderSimple": NodeClass("", "ckpt_name:COMBO", "MODEL:MODEL CLIP:CLIP VAE:VAE"),
    "ConditioningZeroOut": NodeClass(
        "conditioning:CONDITIONING", "", "CONDITIONING:CONDITIONING"
    ),
    "EmptyLatentImage": NodeClass("", "width:INT height:INT batch_size:INT", "LATENT:LATENT"),
    "EmptyFlux2LatentImage": NodeClass("", "width:INT height:INT batch_size:INT", "LATENT:LATENT"),
    "EmptyHunyuanVideo15Latent": NodeClass(
        "", "width:INT height:INT length:INT batch_size:INT", "LATENT:LATENT"
    ),
    "Flux2Scheduler": NodeClass("", "steps:INT width:INT height:INT", "SIGMAS:SIGMAS"),
    "RandomNoise": NodeClass("", "noise_seed:INT!", "NOISE:NOISE"),
    "BasicGuider": NodeClass("model:MODEL conditioning:CONDITIONING", "", "GUIDER:GUIDER"),
    "CFGGuider": NodeClass(
        "model:MODEL positive:CONDITIONING negative:CONDITIONING", "cfg:FLOAT", "GUIDER:GUIDER"
    ),
    "SamplerCustomAdvanced": NodeClass(
        "noise:NOISE guider:GUIDER sampler:SAMPLER sigmas:SIGMAS latent_image:LATENT", "",
        "output:LATENT denoised_output:LATENT",
    ),
    "CreateVideo": NodeClass("images:IMAGE audio:AUDIO", "fps:FLOAT", "VIDEO:VIDEO"),
    "SaveVideo": NodeClass(
        "video:VIDEO", "filename_prefix:STRING format:COMBO codec:COMBO", ""
    ),
}  # fmt: skip
