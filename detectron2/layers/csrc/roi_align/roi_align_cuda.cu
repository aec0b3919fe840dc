// ROIAlign on CUDA, and its registration. One thread an output value; the backward pass adds atomically, so the
// last bits of its sums vary from run to run.

#include <cuda_runtime.h>

#include <algorithm>
#include <limits>

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "geometry.h"
#include "tensors.h"

extern "C" AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace detectron2 {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 65536;

struct FeatureShape {
  int64_t batch;
  int64_t channels;
  int64_t height;
  int64_t width;
};

// Calls visit(pixel offset in the plane, weight) for the four pixels of every sample of one bin.
template <typename T, typename F>
__device__ void visit_bin(
    const SampledAxis<T>& axis_y, const SampledAxis<T>& axis_x, int64_t bin_y, int64_t bin_x,
    const FeatureShape& shape, const F& visit) {
  const SampleRange rows = axis_y.samples_inside(bin_y, shape.height);
  const SampleRange columns = axis_x.samples_inside(bin_x, shape.width);
  const T share = T(1) / (axis_y.samples * axis_x.samples);
  for (double i = rows.begin; i < rows.end; ++i) {
    const LinearTap<T> y(axis_y.position(bin_y, static_cast<T>(i)), shape.height);
    if (!y.inside) {
      continue;
    }
    for (double j = columns.begin; j < columns.end; ++j) {
      const LinearTap<T> x(axis_x.position(bin_x, static_cast<T>(j)), shape.width);
      if (!x.inside) {
        continue;
      }
      visit(y.low * shape.width + x.low, y.weight_low * x.weight_low * share);
      visit(y.low * shape.width + x.high, y.weight_low * x.weight_high * share);
      visit(y.high * shape.width + x.low, y.weight_high * x.weight_low * share);
      visit(y.high * shape.width + x.high, y.weight_high * x.weight_high * share);
    }
  }
}

template <typename T>
__global__ void forward_kernel(
    const T* input, const T* rois, int64_t count, FeatureShape shape, RoiAlignSpec spec, T* output) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const int64_t bin_x = i % spec.pooled_w;
    const int64_t bin_y = i / spec.pooled_w % spec.pooled_h;
    const int64_t channel = i / (spec.pooled_w * spec.pooled_h) % shape.channels;
    const T* roi = rois + i / (spec.pooled_w * spec.pooled_h * shape.channels) * 5;
    const SampledAxis<T> axis_x(roi[1], roi[3], spec.pooled_w, spec);
    const SampledAxis<T> axis_y(roi[2], roi[4], spec.pooled_h, spec);
    if (!axis_x.finite() || !axis_y.finite() || !(roi[0] >= T(0) && roi[0] < static_cast<T>(shape.batch))) {
      output[i] = static_cast<T>(NAN);  // a kernel cannot raise; a check of the loss will find it
      continue;
    }
    const T* plane = input + (static_cast<int64_t>(roi[0]) * shape.channels + channel) * shape.height * shape.width;
    T sum = T(0);
    visit_bin(axis_y, axis_x, bin_y, bin_x, shape, [&](int64_t at, T weight) { sum += weight * plane[at]; });
    output[i] = sum;
  }
}

template <typename T>
__global__ void backward_kernel(
    const T* grad, const T* rois, int64_t count, FeatureShape shape, RoiAlignSpec spec, T* grad_input) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const int64_t bin_x = i % spec.pooled_w;
    const int64_t bin_y = i / spec.pooled_w % spec.pooled_h;
    const int64_t channel = i / (spec.pooled_w * spec.pooled_h) % shape.channels;
    const T* roi = rois + i / (spec.pooled_w * spec.pooled_h * shape.channels) * 5;
    const SampledAxis<T> axis_x(roi[1], roi[3], spec.pooled_w, spec);
    const SampledAxis<T> axis_y(roi[2], roi[4], spec.pooled_h, spec);
    if (!axis_x.finite() || !axis_y.finite() || !(roi[0] >= T(0) && roi[0] < static_cast<T>(shape.batch))) {
      continue;
    }
    T* plane = grad_input + (static_cast<int64_t>(roi[0]) * shape.channels + channel) * shape.height * shape.width;
    const T value = grad[i];
    visit_bin(axis_y, axis_x, bin_y, bin_x, shape, [&](int64_t at, T weight) { atomicAdd(plane + at, weight * value); });
  }
}

// The launches stand in functions of their own: commas of `<<<>>>` break the dispatch macros.
template <typename T>
void launch_forward(
    const Tensor& input, const Tensor& rois, const FeatureShape& shape, const RoiAlignSpec& spec, const Tensor& output,
    cudaStream_t stream) {
  const int64_t count = output.numel();
  const int blocks = static_cast<int>(std::min(kMaxBlocks, (count + kThreads - 1) / kThreads));
  forward_kernel<T><<<blocks, kThreads, 0, stream>>>(
      input.const_data_ptr<T>(), rois.const_data_ptr<T>(), count, shape, spec, output.mutable_data_ptr<T>());
  STD_TORCH_CHECK(cudaGetLastError() == cudaSuccess, "roi_align: the CUDA kernel did not start");
}

template <typename T>
void launch_backward(
    const Tensor& grad, const Tensor& rois, const FeatureShape& shape, const RoiAlignSpec& spec,
    const Tensor& grad_input, cudaStream_t stream) {
  const int64_t count = grad.numel();
  const int blocks = static_cast<int>(std::min(kMaxBlocks, (count + kThreads - 1) / kThreads));
  backward_kernel<T><<<blocks, kThreads, 0, stream>>>(
      grad.const_data_ptr<T>(), rois.const_data_ptr<T>(), count, shape, spec, grad_input.mutable_data_ptr<T>());
  STD_TORCH_CHECK(cudaGetLastError() == cudaSuccess, "roi_align: the CUDA kernel did not start");
}

cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

Tensor roi_align_forward_cuda(
    const Tensor& input, const Tensor& rois, double spatial_scale, int64_t pooled_h, int64_t pooled_w,
    int64_t sampling_ratio, bool aligned) {
  const RoiAlignSpec spec{spatial_scale, pooled_h, pooled_w, sampling_ratio, aligned};
  check_input(input);
  check_rois(rois, spec);
  const torch::stable::accelerator::DeviceGuard guard(input.get_device_index());
  const ScalarType type = compute_type(input);
  const Tensor features = torch::stable::contiguous(cast(input, type));
  const Tensor boxes = torch::stable::contiguous(cast(rois, type));
  const Tensor output = torch::stable::new_empty(features, {rois.size(0), input.size(1), pooled_h, pooled_w});
  if (output.numel() > 0) {
    const FeatureShape shape{input.size(0), input.size(1), input.size(2), input.size(3)};
    type == ScalarType::Double
        ? launch_forward<double>(features, boxes, shape, spec, output, current_stream(input))
        : launch_forward<float>(features, boxes, shape, spec, output, current_stream(input));
  }
  return cast(output, input.scalar_type());
}

Tensor roi_align_backward_cuda(
    const Tensor& grad, const Tensor& rois, double spatial_scale, int64_t pooled_h, int64_t pooled_w, int64_t batch,
    int64_t channels, int64_t height, int64_t width, int64_t sampling_ratio, bool aligned) {
  const RoiAlignSpec spec{spatial_scale, pooled_h, pooled_w, sampling_ratio, aligned};
  check_rois(rois, spec);
  check_grad(grad, rois, channels, spec);
  const torch::stable::accelerator::DeviceGuard guard(grad.get_device_index());
  const ScalarType type = compute_type(grad);
  const Tensor gradient = torch::stable::contiguous(cast(grad, type));
  const Tensor boxes = torch::stable::contiguous(cast(rois, type));
  const Tensor grad_input = torch::stable::new_zeros(gradient, {batch, channels, height, width});
  if (grad.numel() > 0 && grad_input.numel() > 0) {
    const FeatureShape shape{batch, channels, height, width};
    type == ScalarType::Double
        ? launch_backward<double>(gradient, boxes, shape, spec, grad_input, current_stream(grad))
        : launch_backward<float>(gradient, boxes, shape, spec, grad_input, current_stream(grad));
  }
  return cast(grad_input, grad.scalar_type());
}

}  // namespace
}  // namespace detectron2

STABLE_TORCH_LIBRARY_IMPL(detectron2, CUDA, library) {
  library.impl("roi_align_forward", TORCH_BOX(&detectron2::roi_align_forward_cuda));
  library.impl("roi_align_backward", TORCH_BOX(&detectron2::roi_align_backward_cuda));
}
