// How a tensor lies in memory, which step each of its values has, and how work on it is split.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <vector>

#include "kernels.h"

namespace quantization {

constexpr int64_t kTaskSize = 16384;  // values: 64 KiB of each tensor

// A dense tensor as (outer, groups, inner), a group being what shares a step.
struct Plan {
  int64_t outer = 1;
  int64_t inner = 1;
  std::vector<float> steps;
  std::vector<float> zeros;
  float low;
  float high;
  float half;

  int64_t groups() const { return static_cast<int64_t>(steps.size()); }
  bool alternating() const { return inner == 1 && groups() > 1; }
  int64_t pieces() const { return (inner + kTaskSize - 1) / kTaskSize; }
  int64_t rows_a_task() const { return std::max<int64_t>(1, kTaskSize / groups()); }
  int64_t tasks() const {
    return alternating() ? (outer + rows_a_task() - 1) / rows_a_task() : outer * groups() * pieces();
  }

  Levels levels(Vector step, Vector zero) const {
    return {step, zero, zero - splat(half), splat(half), splat(low), splat(high)};
  }
  Levels levels_of(int64_t group) const { return levels(splat(steps[group]), splat(zeros[group])); }
  Levels levels_from(int64_t group, int64_t count) const {
    return levels(load(&steps[group], count), load(&zeros[group], count));
  }
};

// Calls run(task, group, first value, values) for each piece of a row, or alternate(task, first value, end), both ends
// of a row, where groups alternate.
template <typename Run, typename Alternate>
void for_each_task(const Plan& plan, const Run& run, const Alternate& alternate) {
  const int64_t task_size = plan.alternating() ? kTaskSize : std::clamp<int64_t>(plan.inner, 1, kTaskSize);
  torch::stable::parallel_for(0, plan.tasks(), 2 * kTaskSize / task_size, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      if (plan.alternating()) {
        const int64_t row = task * plan.rows_a_task();
        alternate(task, row * plan.groups(), std::min(row + plan.rows_a_task(), plan.outer) * plan.groups());
        continue;
      }
      const int64_t row = task / plan.pieces();
      const int64_t first = task % plan.pieces() * kTaskSize;
      run(task, row % plan.groups(), row * plan.inner + first, std::min(kTaskSize, plan.inner - first));
    }
  });
}

// Calls work(first value, group, values) for up to kLanes values at a time.
template <typename Work>
void for_each_alternating(const Plan& plan, int64_t first, int64_t end, const Work& work) {
  for (; first < end; first += plan.groups()) {
    for (int64_t group = 0; group < plan.groups(); group += kLanes) {
      work(first + group, group, std::min(kLanes, plan.groups() - group));
    }
  }
}

}  // namespace quantization
