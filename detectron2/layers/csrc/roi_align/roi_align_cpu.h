// ROIAlign on the CPU: the kernels behind detectron2::roi_align_forward and roi_align_backward.
#pragma once

#include <cstdint>

#include <torch/csrc/stable/tensor.h>

namespace detectron2 {

// input (N, C, H, W), rois (K, 5) of (image index, x0, y0, x1, y1) -> (K, C, pooled_h, pooled_w).
// float and double; other types are computed in float.
torch::stable::Tensor roi_align_forward_cpu(
    const torch::stable::Tensor& input, const torch::stable::Tensor& rois, double spatial_scale, int64_t pooled_h,
    int64_t pooled_w, int64_t sampling_ratio, bool aligned);

// grad (K, C, pooled_h, pooled_w) -> gradient of the input (batch, channels, height, width).
torch::stable::Tensor roi_align_backward_cpu(
    const torch::stable::Tensor& grad, const torch::stable::Tensor& rois, double spatial_scale, int64_t pooled_h,
    int64_t pooled_w, int64_t batch, int64_t channels, int64_t height, int64_t width, int64_t sampling_ratio,
    bool aligned);

}  // namespace detectron2
