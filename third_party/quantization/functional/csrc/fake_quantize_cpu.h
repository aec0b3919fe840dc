// Entry points of the CPU kernels; what they compute is written in fake_quantize.py and eager.py.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

namespace quantization {

torch::stable::Tensor fake_quantize_cpu(
    const torch::stable::Tensor& x, const torch::stable::Tensor& step, const torch::stable::Tensor& zero_point,
    int64_t low, int64_t high, std::optional<int64_t> axis, bool half, double gradient_factor,
    bool clip_gradient_only);

// Gradients of x, step and zero_point.
std::tuple<torch::stable::Tensor, torch::stable::Tensor, torch::stable::Tensor> fake_quantize_backward_cpu(
    const torch::stable::Tensor& grad, const torch::stable::Tensor& x, const torch::stable::Tensor& step,
    const torch::stable::Tensor& zero_point, int64_t low, int64_t high, std::optional<int64_t> axis, bool half,
    double gradient_factor, bool clip_gradient_only);

}  // namespace quantization
