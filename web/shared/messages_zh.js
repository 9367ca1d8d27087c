// @ts-check
// What the server says in English, in Simplified Chinese, by the keys of its messages.

/** @type {Record<string, string>} */
export const CHINESE_MESSAGES = {
  // What a sampling run did.
  steps_done: "共 {steps} 步：计算 {computed} 步，跳过 {skipped} 步",
  seconds: "用时 {seconds} 秒",
  faster_than_all: "用时 {seconds} 秒，比计算全部步快约 {speedup} 倍",
  faster_than_own: "用时 {seconds} 秒，比您设置的 {own} 步快约 {speedup} 倍",
  cache_size: "缓存 {size}",
  levels_kept: "{steps} 步中保留 {kept} 步",
  all_levels_kept: "未连接计划：保留全部噪波水平。",
  no_schedule: "未连接计划：每一步都运行模型。",
  seen_elsewhere: "统计信息见“应用OTCache”节点",
  nothing_sampled: "没有进行采样",

  // What to know of it.
  nothing_to_skip:
    "没有可跳过的步：此次采样的每一步都已计算。约 {worth} 步以上缓存才有收益；为少步数设计的模型不会受益。",
  too_short: "缓存未启用：此次采样为 {steps} 步，少于 {least} 步时直接减少采样步数效果相同。为少步数设计的模型不会从缓存中受益。",
  taken_as_part: "按计划（共 {steps} 步）的第 {first} 至 {last} 步执行。",
  fitted: "计划为 {made_for} 步，已按此次采样的 {steps} 步重新适配。",
  other_levels: "此次采样的噪波水平与校准时不同（调度器或 shift 不同）：模型调用仍放在校准时的噪波水平上。",
  sampler_adapts: "每一步都已计算：此采样器根据误差自行选择步，而估计出的步不会显示误差。要节省时间，请换用其他采样器。",
  sampler_reads_conds: "每一步都已计算：此采样器（CFG++）在每一步都要读取模型未加引导的预测，而估计出的步没有这项结果。要节省时间，请换用其他采样器。",
  sampler_keeps_memory: "每一步都已计算：此采样器逐段生成视频，模型会记住每一次调用。要节省时间，请换用其他采样器。",
  sampler_unknown: "此采样器不在测量过的采样器之列，因此跳过的步沿用上一次模型调用的结果：这是最稳妥的估计，但不是最接近的。",
  unknown_adds_noise: "从其设置看，它会在各步之间加入噪波，能跳过的更少。",
  unknown_asks_between: "它还会在各步的噪波水平之间调用模型。",
  sampler_adds_noise: "每一步都已计算：此采样器在各步之间加入噪波，减少模型调用的影响最为明显。若仍想节省时间，请设置“调用次数”，或换用其他采样器。",
  sampler_keeps_levels: "采样步保持采样器自己的设置：只有已知不加入噪波的采样器才使用更细的步。",
  anchor_not_used: "{anchor} 是以 cfg {cfg} 校准的：此处不使用。",
  anchor_used: "依据锚点 {anchor}。",
  anchor_of_few: "{anchor} 只用少量提示词（{prompts} 条）校准，{calls} 次调用自身所示更多：此处不使用。",
  anchor_above: "{anchor} 至少需要 {least} 次调用：此处不使用。",
  other_architecture: "此锚点适用于 {architecture}，而当前模型是 {model}：其中的步并非为该模型选取。请换用其他锚点，或自行校准。",
  other_sampler: "与锚点校准时不同：校准时的采样器为 {sampler}。",
  other_cfg: "与锚点校准时不同：校准时的 cfg 为 {made}，此处为 {cfg}。",
  other_scheduler: "与锚点校准时不同：校准时的调度器为 {scheduler}。",
  not_finite: "模型在第 {step} 步返回了 NaN 或无穷大，之后的结果无法挽回：请检查模型、精度和 VAE。",
  moved_level: "第 {step} 步应在噪波水平 {sigma} 运行，实际却在 {level} 运行，跳过的步可能有误：请移除在采样器内部改变噪波水平的节点。",

  // Anchors.
  anchor_is: "{name}（{architecture}），{steps} 步",
  anchor_budgets: "锚点 {anchor} 次调用，参考 {reference} 次调用",
  anchor_made: "校准设置：{sampler}、{scheduler}、cfg {cfg}{size}",
  anchor_found: "经搜索，{metric} 由 {warm} 降至 {best}",
  calibrated_with: "由“校准OT锚点”校准（OTCache {version}）",
  saved_as: "已保存为 {file}",
  anchor_missing: "锚点“{name}”未安装：请把它的文件放入 ComfyUI 的 models/{folder} 文件夹，或换用其他锚点。",
  other_weights: "此锚点是在另一个 {kind} 模型上校准的（权重或精度不同）：其中的步可能不适合当前模型。请与完整采样的图像比较，或自行校准。",
  unknown_weights: "此锚点未注明是在哪个 {kind} 模型上校准的：其中的步可能不适合当前模型。请与完整采样的图像比较，或自行校准。",

  // What runs teach.
  straight_on: "先前的图像表明模型一路向前：您的 {own} 步只需 {calls} 次调用。",
  learned: "已从该模型的 {count} 张图像中学习。",
  teaches: "本次采样让 OTCache 了解了该模型：{enough} 张图像中的第 {count} 张。",
  teaches_on: "本次采样让 OTCache 了解了该模型：至今共 {count} 张图像。",
  not_kept: "本次采样学到的内容无法保存：{error}",
  nothing_learned: "“{name}”不是已学习的内容：它可能已被清除。",

  // Predictions that cannot be made.
  budget_above_steps: "预算不能超过步数 {steps}，当前为 {budget}：请降低预算或增加步数。",
  budget_below_anchor: "此锚点的预算不能低于 {least}，当前为 {budget}：锚点是以 {anchor} 次模型调用搜索得到的，更低的预算没有依据。请提高预算，或以更低的预算校准锚点。",
  target_without_curve: "目标 {target} 需要带有保真度曲线的锚点，而此锚点没有：请把目标设为 0 并选择预算，或校准一个锚点。",
  target_too_low: "目标损失不能低于 {least}（{high} 次模型调用时的预期值），当前为 {target}：请提高目标，或选择高于 {high} 的预算。",

  // Schedules that are edited.
  calls_of_steps: "{steps} 步中调用模型 {budget} 次，{estimator}",
  mask_too_long: "掩码最多 {most} 个字符，当前为 {count} 个：每一步只写一个 0 或 1。",
  mask_other_character: "掩码只能包含 0 和 1（空格、逗号和方括号会被忽略），当前含有 {character}：运行模型的步写 1，跳过的步写 0。",
  mask_step_count: "掩码应有 1 至 {most} 步，当前为 {steps} 步：请为采样器的每一步写一个 0 或 1。",
  mask_first_step: "掩码必须以 1 开头，当前以 0 开头：在第一步之前没有可用于估计的信息。如果该掩码用 1 表示跳过，请把 0 和 1 互换。",
  mask_other_steps: "掩码的步数必须与计划相同（{schedule_steps} 步），当前为 {steps} 步：请写出 {schedule_steps} 步的掩码，清空掩码，或把计划改为 {steps} 步。",

  // Comparisons.
  lpips: "LPIPS {loss}（{net}，越低越接近）",

  // Calibrations.
  stage_full_runs: "完整采样",
  stage_search: "锚点搜索",
  stage_rho: "选择 rho",
  stage_fidelity: "测量保真度",
  starts: "开始校准",
  goes_on: "从中断处继续，数据位于 {place}",
  cost: "{prompts} 条提示词约需 {likely} 次模型调用，最多 {most} 次（论文的方法：{paper} 次）",
  calibrated_loss: "{budget} 次调用时的 {metric}：{warm} 降至 {best}（降低 {gain} %），共试 {trials} 个计划",
  calibrated_cost: "rho {rho}，模型调用 {calls} 次（论文搜索方法的 {share} %）",
};
