// Entry point of the CPU kernel; what it computes is written in histogram.py.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <tuple>

namespace quantization {

// Adds to the counts if all values are finite and have a bin; returns the least and greatest value of each channel.
std::tuple<torch::stable::Tensor, torch::stable::Tensor> add_to_histogram_cpu(
    const torch::stable::Tensor& counts, const torch::stable::Tensor& x, double width, int64_t axis);

}  // namespace quantization
