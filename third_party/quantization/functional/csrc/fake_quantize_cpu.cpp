// Fake quantization on the CPU: one pass forward, one pass backward, deterministic for any number of threads.
//
// Work is split into fixed tasks: pieces of one (outer, group) row, or, where groups alternate from value to value,
// some outer rows.

#include "fake_quantize_cpu.h"

#include <torch/csrc/stable/ops.h>

#include <cmath>
#include <vector>

#include "kernels.h"
#include "plan.h"

namespace quantization {
namespace {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kLargestLevel = 1 << 22;  // up to which round_small holds

Tensor as_float(const Tensor& tensor) {
  return tensor.scalar_type() == ScalarType::Float ? tensor : torch::stable::to(tensor, ScalarType::Float);
}

Tensor as_type(const Tensor& tensor, ScalarType type) {
  return tensor.scalar_type() == type ? tensor : torch::stable::to(tensor, type);
}

// The order of dimensions in memory that x has, or that it is brought into.
MemoryFormat memory_format(const Tensor& x) {
  if (x.is_contiguous() || x.dim() != 4) {
    return MemoryFormat::Contiguous;
  }
  const int64_t channels = x.size(1), row = channels * x.size(3);
  const bool last = x.stride(1) == 1 && x.stride(3) == channels && x.stride(2) == row && x.stride(0) == row * x.size(2);
  return last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
}

Tensor empty_like(const Tensor& x, MemoryFormat format) {
  return torch::stable::empty(
      x.sizes(), ScalarType::Float, std::nullopt, std::nullopt, std::nullopt,
      x.dim() == 4 ? std::optional<MemoryFormat>(format) : std::nullopt);
}

// Splits the dimensions at `axis` into outer and inner ones, in their order in memory.
void find_extents(Plan& plan, const Tensor& x, int64_t axis, MemoryFormat format) {
  const bool last = format == MemoryFormat::ChannelsLast;
  const int64_t order_of_last[] = {0, 2, 3, 1};
  bool before = true;
  for (int64_t i = 0; i < x.dim(); ++i) {
    const int64_t dim = last ? order_of_last[i] : i;
    if (dim == axis) {
      before = false;
    } else {
      (before ? plan.outer : plan.inner) *= x.size(dim);
    }
  }
  plan.inner *= x.size(axis) / plan.groups();
}

Plan make_plan(
    const Tensor& x, MemoryFormat format, const Tensor& step, const Tensor& zero_point, int64_t low, int64_t high,
    std::optional<int64_t> axis, bool half) {
  STD_TORCH_CHECK(
      -kLargestLevel <= low && low <= high && high <= kLargestLevel, "fake_quantize: levels ", low, " to ", high,
      " are not in order within 2^22");
  STD_TORCH_CHECK(step.numel() == zero_point.numel(), "fake_quantize: step and zero-point differ in number");
  STD_TORCH_CHECK(axis.has_value() || step.numel() == 1, "fake_quantize: several steps need an axis");
  const Tensor steps = torch::stable::contiguous(as_float(step));
  const Tensor zeros = torch::stable::contiguous(as_float(zero_point));
  Plan plan;
  plan.low = static_cast<float>(low);
  plan.high = static_cast<float>(high);
  plan.half = half ? 0.5f : 0.0f;
  for (int64_t i = 0; i < step.numel(); ++i) {
    plan.steps.push_back(steps.const_data_ptr<float>()[i]);
    plan.zeros.push_back(std::nearbyint(zeros.const_data_ptr<float>()[i]));
  }
  if (plan.groups() == 1) {
    plan.inner = x.numel();
    return plan;
  }
  const int64_t dim = *axis < 0 ? *axis + x.dim() : *axis;
  STD_TORCH_CHECK(
      dim >= 0 && dim < x.dim() && plan.groups() > 0 && x.size(dim) % plan.groups() == 0, "fake_quantize: ", plan.groups(),
      " groups do not divide the channels");
  find_extents(plan, x, dim, format);
  return plan;
}

// Sums for the gradients of step and zero-point.
struct Sums {
  double step = 0;
  double clipped = 0;

  void operator+=(const Sums& other) {
    step += other.step;
    clipped += other.clipped;
  }
};

void forward(const Plan& plan, const float* x, float* y) {
  for_each_task(
      plan,
      [&](int64_t, int64_t group, int64_t first, int64_t count) {
        const Levels levels = plan.levels_of(group);
        int64_t i = first;
        for (; i + kLanes <= first + count; i += kLanes) {
          store(quantize(load(x + i), levels), y + i);
        }
        store(quantize(load(x + i, first + count - i), levels), y + i, first + count - i);
      },
      [&](int64_t, int64_t first, int64_t end) {
        for_each_alternating(plan, first, end, [&](int64_t i, int64_t group, int64_t count) {
          store(quantize(load(x + i, count), plan.levels_from(group, count)), y + i, count);
        });
      });
}

template <bool kClipGradientOnly>
Sums differentiate_run(const float* grad, const float* x, float* grad_x, int64_t count, const Levels& levels) {
  LaneSum step, clipped;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Shares shares = differentiate<kClipGradientOnly>(load(grad + i), load(x + i), levels);
    store(shares.x, grad_x + i);
    step += shares.step;
    clipped += shares.clipped;
  }
  Sums sums{step.total(), clipped.total()};
  const Shares shares = differentiate<kClipGradientOnly>(load(grad + i, count - i), load(x + i, count - i), levels);
  store(shares.x, grad_x + i, count - i);
  for (int64_t lane = 0; lane < count - i; ++lane) {
    sums += {shares.step[lane], shares.clipped[lane]};
  }
  return sums;
}

template <bool kClipGradientOnly>
std::vector<Sums> backward(const Plan& plan, const float* grad, const float* x, float* grad_x) {
  const int64_t groups = plan.groups();
  std::vector<Sums> parts(plan.tasks() * (plan.alternating() ? groups : 1));
  for_each_task(
      plan,
      [&](int64_t task, int64_t group, int64_t first, int64_t count) {
        parts[task] = differentiate_run<kClipGradientOnly>(
            grad + first, x + first, grad_x + first, count, plan.levels_of(group));
      },
      [&](int64_t task, int64_t first, int64_t end) {
        for_each_alternating(plan, first, end, [&](int64_t i, int64_t group, int64_t count) {
          const Shares shares = differentiate<kClipGradientOnly>(
              load(grad + i, count), load(x + i, count), plan.levels_from(group, count));
          store(shares.x, grad_x + i, count);
          for (int64_t lane = 0; lane < count; ++lane) {
            parts[task * groups + group + lane] += {shares.step[lane], shares.clipped[lane]};
          }
        });
      });
  std::vector<Sums> sums(groups);
  for (size_t i = 0; i < parts.size(); ++i) {
    sums[plan.alternating() ? i % groups : i / plan.pieces() % groups] += parts[i];
  }
  return sums;
}

}  // namespace

Tensor fake_quantize_cpu(
    const Tensor& x, const Tensor& step, const Tensor& zero_point, int64_t low, int64_t high,
    std::optional<int64_t> axis, bool half, double, bool) {
  const MemoryFormat format = memory_format(x);
  const Plan plan = make_plan(x, format, step, zero_point, low, high, axis, half);
  const Tensor values = torch::stable::contiguous(as_float(x), format);
  const Tensor output = empty_like(x, format);
  forward(plan, values.const_data_ptr<float>(), output.mutable_data_ptr<float>());
  return as_type(output, x.scalar_type());
}

std::tuple<Tensor, Tensor, Tensor> fake_quantize_backward_cpu(
    const Tensor& grad, const Tensor& x, const Tensor& step, const Tensor& zero_point, int64_t low, int64_t high,
    std::optional<int64_t> axis, bool half, double gradient_factor, bool clip_gradient_only) {
  STD_TORCH_CHECK(grad.numel() == x.numel(), "fake_quantize: the gradient has not the shape of the input");
  const MemoryFormat format = memory_format(x);
  const Plan plan = make_plan(x, format, step, zero_point, low, high, axis, half);
  const Tensor values = torch::stable::contiguous(as_float(x), format);
  const Tensor gradient = torch::stable::contiguous(as_float(grad), format);
  const Tensor grad_x = empty_like(x, format);
  const auto run = clip_gradient_only ? backward<true> : backward<false>;
  const std::vector<Sums> sums = run(
      plan, gradient.const_data_ptr<float>(), values.const_data_ptr<float>(), grad_x.mutable_data_ptr<float>());
  const Tensor grad_step = torch::stable::empty(step.sizes(), ScalarType::Float);
  const Tensor grad_zero = torch::stable::empty(zero_point.sizes(), ScalarType::Float);
  for (int64_t i = 0; i < plan.groups(); ++i) {
    grad_step.mutable_data_ptr<float>()[i] = static_cast<float>(sums[i].step * gradient_factor);
    grad_zero.mutable_data_ptr<float>()[i] =
        static_cast<float>(-plan.steps[i] * sums[i].clipped * gradient_factor);
  }
  return {
      as_type(grad_x, x.scalar_type()), as_type(grad_step, step.scalar_type()),
      as_type(grad_zero, zero_point.scalar_type())};
}

}  // namespace quantization
