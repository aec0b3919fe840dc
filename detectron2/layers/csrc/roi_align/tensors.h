// Checks and type conversions that the CPU and the CUDA entry points share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "geometry.h"

namespace detectron2 {

inline void check_rois(const torch::stable::Tensor& rois, const RoiAlignSpec& spec) {
  STD_TORCH_CHECK(rois.dim() == 2 && rois.size(1) == 5, "roi_align: boxes must be of shape (K, 5)");
  STD_TORCH_CHECK(spec.pooled_h > 0 && spec.pooled_w > 0, "roi_align: output_size must be positive");
}

inline void check_input(const torch::stable::Tensor& input) {
  STD_TORCH_CHECK(
      input.dim() == 4 && input.size(2) > 0 && input.size(3) > 0,
      "roi_align: input must be of shape (N, C, H, W) with pixels");
}

inline void check_grad(
    const torch::stable::Tensor& grad, const torch::stable::Tensor& rois, int64_t channels, const RoiAlignSpec& spec) {
  STD_TORCH_CHECK(
      grad.dim() == 4 && grad.size(0) == rois.size(0) && grad.size(1) == channels && grad.size(2) == spec.pooled_h &&
          grad.size(3) == spec.pooled_w,
      "roi_align: the gradient must be of the output's shape (K, C, pooled_h, pooled_w)");
}

// Double stays double; everything else is computed in float.
inline torch::headeronly::ScalarType compute_type(const torch::stable::Tensor& tensor) {
  using torch::headeronly::ScalarType;
  return tensor.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline torch::stable::Tensor cast(const torch::stable::Tensor& tensor, torch::headeronly::ScalarType type) {
  return tensor.scalar_type() == type ? tensor : torch::stable::to(tensor, type);
}

}  // namespace detectron2
