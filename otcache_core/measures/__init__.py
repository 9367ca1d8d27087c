"""Distances between pictures: LPIPS with its true weights, SSIM and PSNR."""
