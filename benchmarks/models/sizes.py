"""The smallest sizes that each architecture of the host can be built in."""

from __future__ import annotations

TEXT = 8
"""Width of the random text conditioning."""
TOKENS = 6

ATTENTION = {"hidden_size": 32, "num_heads": 2, "axes_dim": [4, 6, 6], "mlp_ratio": 2.0}
FLUX = {
    **ATTENTION, "image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": TEXT,
    "context_in_dim": TEXT, "depth": 1, "depth_single_blocks": 1, "theta": 10000, "patch_size": 2,
    "qkv_bias": True, "guidance_embed": True, "txt_ids_dims": [],
}  # fmt: skip
FLUX2 = FLUX | {
    "image_model": "flux2", "in_channels": 128, "out_channels": 128, "axes_dim": [4, 4, 4, 4],
    "theta": 2000, "patch_size": 1, "vec_in_dim": None, "qkv_bias": False, "mlp_silu_act": True,
    "global_modulation": True, "ops_bias": False, "default_ref_method": "index",
    "ref_index_scale": 10.0, "txt_ids_dims": [3],
}  # fmt: skip
# The host fixes the number of modulations at 344, which is 19 double and 38 single blocks.
CHROMA = {
    **ATTENTION, "image_model": "chroma", "in_channels": 64, "out_channels": 64,
    "context_in_dim": TEXT, "depth": 19, "depth_single_blocks": 38, "theta": 10000,
    "patch_size": 2, "qkv_bias": True, "in_dim": 64, "out_dim": 32, "hidden_dim": 16,
    "n_layers": 1, "vec_in_dim": None, "txt_ids_dims": [],
}  # fmt: skip
CHROMA_RADIANCE = CHROMA | {  # on pixels
    "image_model": "chroma_radiance", "in_channels": 3, "out_channels": 3, "patch_size": 4,
    "nerf_hidden_size": 8, "nerf_mlp_ratio": 2, "nerf_depth": 1, "nerf_max_freqs": 2,
    "nerf_tile_size": 0, "nerf_final_head_type": "conv", "nerf_embedder_dtype": None,
    "use_x0": True, "use_sequential_txt_ids": False,
}  # fmt: skip
LONGCAT = FLUX | {"guidance_embed": False, "vec_in_dim": None, "txt_ids_dims": [1, 2]}
KREA_2 = {
    "image_model": "krea2", "features": 64, "tdim": 32, "txtdim": TEXT // 2, "txtlayers": 2,
    "heads": 2, "kvheads": 1, "txtheads": 1, "txtkvheads": 1, "multiplier": 2, "layers": 1,
    "patch": 2, "channels": 16,
}  # fmt: skip
KANDINSKY_5 = {
    "image_model": "kandinsky5", "model_dim": 32, "ff_dim": 32, "time_dim": 32,
    "visual_embed_dim": 132, "axes_dims": (4, 6, 6), "in_text_dim": TEXT, "in_text_dim2": TEXT,
    "num_text_blocks": 1, "num_visual_blocks": 1,
}  # fmt: skip
KANDINSKY_5_IMAGE = KANDINSKY_5 | {"visual_embed_dim": 64}
QWEN = {
    "image_model": "qwen_image", "in_channels": 64, "num_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": TEXT, "axes_dims_rope": (4, 6, 6),
}  # fmt: skip
LUMINA2 = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 32, "n_layers": 1,
    "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "axes_dims": [4, 6, 6],
    "axes_lens": [512, 64, 64], "cap_feat_dim": TEXT, "qk_norm": True, "multiple_of": 32,
    "ffn_dim_multiplier": 1.0,
}  # fmt: skip
Z_IMAGE = LUMINA2 | {  # its modulation is 256 wide in any case
    "dim": 256, "axes_dims": [32, 48, 48],
    "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
    "rope_theta": 256.0,
}  # fmt: skip
IDEOGRAM_4 = {
    "image_model": "ideogram4", "in_channels": 128, "num_layers": 1, "num_attention_heads": 2,
    "attention_head_dim": 16, "intermediate_size": 32, "adaln_dim": 16, "llm_features_dim": TEXT,
    "mrope_section": [4, 2, 2],
}  # fmt: skip
ERNIE = {
    "image_model": "ernie", "hidden_size": 32, "num_attention_heads": 2, "num_layers": 1,
    "ffn_hidden_size": 32, "text_in_dim": TEXT, "rope_axes_dim": (4, 6, 6),
}  # fmt: skip
OMNIGEN_2 = {
    "image_model": "omnigen2", "hidden_size": 32, "num_layers": 1, "num_refiner_layers": 1,
    "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 32, "axes_dim_rope": [4, 6, 6],
    "axes_lens": [64, 64, 64], "text_feat_dim": TEXT, "timestep_scale": 1000.0,
}  # fmt: skip
BOOGU = {
    "image_model": "boogu", "hidden_size": 32, "num_layers": 1, "num_double_stream_layers": 1,
    "num_refiner_layers": 1, "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 32,
    "axes_dim_rope": [4, 6, 6], "axes_lens": [64, 64, 64], "instruction_feat_dim": TEXT,
}  # fmt: skip
COGVIDEOX = {
    "image_model": "cogvideox", "num_attention_heads": 2, "attention_head_dim": 16,
    "time_embed_dim": 16, "text_embed_dim": TEXT, "num_layers": 1, "sample_width": 8,
    "sample_height": 8, "sample_frames": 9, "use_rotary_positional_embeddings": True,
}  # fmt: skip
HIDREAM_O1_TIME = 151673
"""The word of its vocabulary in whose place it reads the noise level."""
HIDREAM_O1 = {  # on pixels; its vocabulary is the host's
    "image_model": "hidream_o1", "text_config_overrides": {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "rope_dims": [2, 1, 1],
    }, "vision_config_overrides": {
        "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "depth": 1,
        "num_position_embeddings": 16,
    },
}  # fmt: skip
LENS = {
    "image_model": "lens", "num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2,
    "enc_hidden_dim": TEXT // 2, "axes_dims_rope": (4, 6, 6), "selected_layer_index": (0, 1),
}  # fmt: skip
MAGE_FLOW = {
    "image_model": "mage_flow", "in_channels": 128, "num_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": TEXT, "axes_dims_rope": (4, 6, 6),
}  # fmt: skip
JOY_IMAGE = {
    "image_model": "joyimage", "hidden_size": 32, "num_attention_heads": 2, "text_dim": TEXT,
    "mlp_width_ratio": 2.0, "num_layers": 1, "rope_dim_list": [4, 6, 6],
}  # fmt: skip
PIXEL_DIT = {  # on pixels
    "image_model": "pixeldit_t2i", "num_groups": 2, "hidden_size": 32, "pixel_hidden_size": 8,
    "pixel_attn_hidden_size": 32, "pixel_num_groups": 2, "patch_depth": 1, "pixel_depth": 1,
    "patch_size": 4, "txt_embed_dim": TEXT, "txt_max_length": 16,
}  # fmt: skip
HUNYUAN = {
    **ATTENTION, "image_model": "hunyuan_video", "in_channels": 16, "out_channels": 16,
    "vec_in_dim": TEXT, "context_in_dim": TEXT, "depth": 1, "depth_single_blocks": 1, "theta": 256,
    "patch_size": [1, 2, 2], "qkv_bias": True, "guidance_embed": True, "byt5": False,
    "meanflow": False, "meanflow_sum": False, "use_cond_type_embedding": False,
    "vision_in_dim": None,
}  # fmt: skip
HUNYUAN_15 = HUNYUAN | {
    "in_channels": 65, "out_channels": 32, "vec_in_dim": None, "patch_size": [1, 1, 1],
    "guidance_embed": False, "use_cond_type_embedding": True, "vision_in_dim": TEXT,
}  # fmt: skip
HUNYUAN_IMAGE = HUNYUAN | {
    "in_channels": 64, "out_channels": 64, "vec_in_dim": None, "patch_size": [1, 1],
    "guidance_embed": False, "axes_dim": [8, 8],
}  # fmt: skip
WAN = {
    "image_model": "wan2.1", "model_type": "t2v", "in_dim": 16, "out_dim": 16, "dim": 32,
    "ffn_dim": 32, "num_heads": 2, "num_layers": 1, "freq_dim": 16, "text_dim": TEXT,
}  # fmt: skip
VACE = WAN | {"model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}
LTXV = {
    "image_model": "ltxv", "in_channels": 128, "cross_attention_dim": 32, "attention_head_dim": 16,
    "num_attention_heads": 2, "caption_channels": TEXT, "num_layers": 1,
}  # fmt: skip
LTXAV = LTXV | {  # its text is as wide as two captions
    "image_model": "ltxav",
    "caption_channels": TEXT // 2,
    "audio_cross_attention_dim": 32,
    "audio_attention_head_dim": 16,
    "audio_num_attention_heads": 2,
    "connector_attention_head_dim": 16,
    "connector_num_attention_heads": 2,
    "connector_num_layers": 1,
}
MINIMAX_H3 = {
    "image_model": "minimax_h3", "hidden_size": 32, "num_layers": 1, "token_refiner_num_layers": 1,
    "num_attention_heads": 2, "attention_head_dim": 16, "ffn_hidden_size": 32, "latents_dim": 24,
    "audio_latents_dim": 32, "text_dim": TEXT, "timestep_input_dim": 16,
    "time_embed_hidden_size": 32, "time_embed_dim": 16, "rope_inv_freq_len": 2,
}  # fmt: skip
SD3 = {
    "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 1, "num_blocks": 1,
    "input_size": None, "adm_in_channels": TEXT, "qk_norm": "rms", "num_patches": 256,
    "pos_embed_max_size": 16, "pos_embed_scaling_factor": None, "context_embedder_config": {
        "target": "torch.nn.Linear", "params": {"in_features": TEXT, "out_features": 64},
    },
}  # fmt: skip
AURA = {
    "cond_seq_dim": TEXT, "dim": 32, "global_conddim": 32, "n_heads": 2, "n_layers": 2,
    "n_double_layers": 1, "max_seq": 256,
}  # fmt: skip
HIDREAM = {
    "image_model": "hidream", "attention_head_dim": 16, "num_attention_heads": 2,
    "axes_dims_rope": [8, 4, 4], "caption_channels": [TEXT, TEXT], "text_emb_dim": TEXT,
    "max_resolution": [32, 32], "in_channels": 16, "out_channels": 16, "patch_size": 2,
    "num_layers": 1, "num_single_layers": 1, "llama_layers": [0, 1], "num_routed_experts": 2,
    "num_activated_experts": 1,
}  # fmt: skip
COSMOS = {
    "image_model": "cosmos", "max_img_h": 32, "max_img_w": 32, "max_frames": 16, "in_channels": 16,
    "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1, "model_channels": 32,
    "num_blocks": 1, "num_heads": 2, "crossattn_emb_channels": TEXT, "pos_emb_cls": "rope3d",
    "block_x_format": "THWBD", "affline_emb_norm": True, "use_adaln_lora": True,
    "adaln_lora_dim": 8, "extra_per_block_abs_pos_emb": True,
    "extra_per_block_abs_pos_emb_type": "learnable",
}  # fmt: skip
COSMOS_2 = {
    "image_model": "cosmos_predict2", "max_img_h": 32, "max_img_w": 32, "max_frames": 16,
    "in_channels": 16, "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1,
    "model_channels": 32, "num_blocks": 1, "num_heads": 2, "crossattn_emb_channels": TEXT,
    "pos_emb_cls": "rope3d", "pos_emb_learnable": True, "use_adaln_lora": True,
    "adaln_lora_dim": 8, "rope_enable_fps_modulation": False,
}  # fmt: skip
ANIMA = COSMOS_2 | {"image_model": "anima", "pos_emb_learnable": False}
PIXART = {
    "image_model": "pixart_sigma", "input_size": 8, "patch_size": 2, "in_channels": 4,
    "hidden_size": 32, "depth": 1, "num_heads": 2, "caption_channels": TEXT,
    "micro_condition": False, "model_max_length": 16,
}  # fmt: skip
MOCHI = {
    "image_model": "mochi_preview", "in_channels": 12, "hidden_size_x": 32, "hidden_size_y": 32,
    "depth": 1, "num_heads": 2, "t5_feat_dim": TEXT, "t5_token_length": 16, "qk_norm": True,
    "qkv_bias": False, "out_bias": True, "patch_embed_bias": True, "timestep_mlp_bias": True,
    "timestep_scale": 1000.0, "use_t5": True, "learn_sigma": False, "rope_theta": 10000.0,
    "posenc_preserve_area": True, "attend_to_padding": False, "mlp_ratio_x": 384.0,
    "mlp_ratio_y": 2.0, "patch_size": 2,  # the host fixes the width of its MLP at 32 * 384
}  # fmt: skip
ACE = {
    "audio_model": "ace", "num_layers": 1, "inner_dim": 32, "attention_head_dim": 16,
    "num_attention_heads": 2, "mlp_ratio": 2.0, "text_embedding_dim": TEXT,
    "lyric_encoder_vocab_size": 32, "lyric_hidden_size": 1024, "ssl_latent_dims": [8, 8],
    "max_position": 1024,
}  # fmt: skip
ACE_15 = {
    "audio_model": "ace1.5", "hidden_size": 32, "text_hidden_dim": TEXT, "num_dit_layers": 2,
    "num_lyric_layers": 1, "num_timbre_layers": 1, "num_tokenizer_layers": 1, "num_heads": 2,
    "num_kv_heads": 1, "head_dim": 16, "intermediate_size": 32, "fsq_dim": 32,
    "encoder_hidden_size": 32, "encoder_intermediate_size": 32, "encoder_num_heads": 2,
}  # fmt: skip
UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32,
    "num_res_blocks": [1], "channel_mult": [1], "transformer_depth": [1],
    "transformer_depth_output": [1, 1], "transformer_depth_middle": 1, "context_dim": TEXT,
    "num_heads": 2, "use_spatial_transformer": True, "use_linear_in_transformer": False,
    "use_temporal_attention": False, "adm_in_channels": None, "legacy": False,
}  # fmt: skip
SDXL_POOLED = 1280
SDXL = UNET | {
    "model_channels": 64, "use_linear_in_transformer": True, "num_classes": "sequential",
    "adm_in_channels": SDXL_POOLED + 6 * 256,
}  # fmt: skip
