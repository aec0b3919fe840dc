// Entry point of the CPU kernel; what it computes is written in histogram.py.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <tuple>

namespace quantization {

// Counts, and the least and greatest value of each channel.
std::tuple<torch::stable::Tensor, torch::stable::Tensor, torch::stable::Tensor> histogram_cpu(
    const torch::stable::Tensor& x, double width, int64_t half, int64_t axis);

}  // namespace quantization
