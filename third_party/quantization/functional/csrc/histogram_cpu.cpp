// Counting values in bins, and the extremes of channels, on the CPU: one pass, the same result for any number of threads.

#include "histogram_cpu.h"

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "kernels.h"

namespace quantization {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kBlock = 1024;     // values whose bins are found before they are counted
constexpr int64_t kGrain = 1 << 17;  // values a thread should have at least, for its own counts to pay
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What one thread has seen. Neighbouring values are often alike: two sets of counts keep one increment from waiting
// for the one before. `bad` is zero until a value of the channel is not finite.
struct Seen {
  Seen(int64_t bins, int64_t channels)
      : even(bins), odd(bins), low(channels, kInfinity), high(channels, -kInfinity), bad(channels) {}

  std::vector<uint32_t> even, odd;
  std::vector<float> low, high, bad;
  int64_t zeros = 0;

  void merge(const Seen& other) {
    for (size_t i = 0; i < even.size(); ++i) {
      even[i] += other.even[i];
      odd[i] += other.odd[i];
    }
    for (size_t c = 0; c < low.size(); ++c) {
      low[c] = std::min(low[c], other.low[c]);
      high[c] = std::max(high[c], other.high[c]);
      bad[c] += other.bad[c];
    }
    zeros += other.zeros;
  }
};

// Where each of four values counts, and -1 for those that are zero. NaN counts in the lowest bin.
inline Mask find_bins(Vector x, Vector inverse, Vector half, Mask& zeros) {
  zeros = x == Vector{};
  Vector u = x * inverse;
  u = u > -half ? u : -half;
  u = u < half - splat(1.0f) ? u : half - splat(1.0f);
  const Mask whole = __builtin_convertvector(u, Mask);  // towards zero
  return whole + (u < __builtin_convertvector(whole, Vector)) + __builtin_convertvector(half, Mask);
}

void count_block(const float* x, int64_t count, float inverse, float half, Seen& seen) {
  int32_t bins[kBlock + kLanes];
  Mask zeros{}, zero;
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t lanes = std::min(kLanes, count - i);
    const Mask found = find_bins(lanes == kLanes ? load(x + i) : load(x + i, lanes), splat(inverse), splat(half), zero);
    std::memcpy(bins + i, &found, sizeof(found));
    zeros += zero;
  }
  seen.zeros -= static_cast<int64_t>(zeros[0]) + zeros[1] + zeros[2] + zeros[3];
  seen.zeros -= (kLanes - count % kLanes) % kLanes;  // the lanes beyond the end were zero, too
  uint32_t *even = seen.even.data(), *odd = seen.odd.data();
  int64_t i = 0;
  for (; i + 1 < count; i += 2) {
    ++even[bins[i]];
    ++odd[bins[i + 1]];
  }
  if (i < count) {
    ++even[bins[i]];
  }
}

// Takes values of one channel, or of four, into the extremes at `channel`.
inline void take(Vector value, int64_t channel, Seen& seen) {
  const Vector low = load(&seen.low[channel]), high = load(&seen.high[channel]);
  store(value < low ? value : low, &seen.low[channel]);
  store(value > high ? value : high, &seen.high[channel]);
  store(load(&seen.bad[channel]) + (value - value), &seen.bad[channel]);
}

inline void take(float value, int64_t channel, Seen& seen) {
  seen.low[channel] = std::min(seen.low[channel], value);
  seen.high[channel] = std::max(seen.high[channel], value);
  seen.bad[channel] += value - value;
}

// Extremes of values that belong to one channel.
void find_extremes(const float* x, int64_t count, int64_t channel, Seen& seen) {
  Vector low = splat(kInfinity), high = splat(-kInfinity), bad{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vector value = load(x + i);
    low = value < low ? value : low;
    high = value > high ? value : high;
    bad += value - value;
  }
  for (int64_t lane = 0; i > 0 && lane < kLanes; ++lane) {
    seen.low[channel] = std::min(seen.low[channel], low[lane]);
    seen.high[channel] = std::max(seen.high[channel], high[lane]);
    seen.bad[channel] += bad[lane];
  }
  for (; i < count; ++i) {
    take(x[i], channel, seen);
  }
}

// Extremes of rows of values, each of which belongs to a channel of its own.
void find_extremes_of_rows(const float* x, int64_t rows, int64_t channels, Seen& seen) {
  for (int64_t r = 0; r < rows; ++r, x += channels) {
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      take(load(x + c), c, seen);
    }
    for (; c < channels; ++c) {
      take(x[c], c, seen);
    }
  }
}

}  // namespace

std::tuple<Tensor, Tensor> add_to_histogram_cpu(const Tensor& counts, const Tensor& x, double width, int64_t axis) {
  const int64_t half = counts.numel() / 2;
  STD_TORCH_CHECK(
      width > 0 && counts.numel() % 2 == 1 && 0 < half && half <= (1 << 22) && counts.is_contiguous() &&
          counts.scalar_type() == ScalarType::Double,
      "add_to_histogram: ", counts.numel(), " counts in bins of width ", width);
  STD_TORCH_CHECK(0 <= axis && axis < x.dim() && x.numel() > 0, "add_to_histogram: no values along axis ", axis);
  const Tensor given = x.scalar_type() == ScalarType::Float ? x : torch::stable::to(x, ScalarType::Float);
  const Tensor values = torch::stable::contiguous(given);
  const int64_t channels = x.size(axis);
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < x.dim(); ++i) {
    inner *= x.size(i);
  }
  const int64_t row = std::max<int64_t>(inner == 1 ? channels : inner, 1);
  const int64_t rows_a_block = inner == 1 ? kBlock / std::min(row, kBlock) : 1;
  const float* data = values.const_data_ptr<float>();
  const float inverse = static_cast<float>(1.0 / width), reach = static_cast<float>(half * width);
  Seen all(0, 0);
  std::mutex mutex;
  torch::stable::parallel_for(0, values.numel() / row, kGrain / row + 1, [&](int64_t begin, int64_t end) {
    Seen seen(2 * half, channels);
    for (int64_t r = begin; r < end; r += rows_a_block) {
      const float* block = data + r * row;
      const int64_t rows = std::min(rows_a_block, end - r);
      if (inner == 1) {
        find_extremes_of_rows(block, rows, channels, seen);
      } else {
        find_extremes(block, row, r % channels, seen);
      }
      for (int64_t first = 0; first < rows * row; first += kBlock) {
        count_block(block + first, std::min(kBlock, rows * row - first), inverse, static_cast<float>(half), seen);
      }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    if (all.even.empty()) {
      std::swap(all, seen);
    } else {
      all.merge(seen);
    }
  });
  const Tensor low = torch::stable::empty({channels}, ScalarType::Float);
  const Tensor high = torch::stable::empty({channels}, ScalarType::Float);
  bool within = true;
  for (int64_t c = 0; c < channels; ++c) {
    const bool bad = all.bad[c] != 0.0f;
    low.mutable_data_ptr<float>()[c] = bad ? std::numeric_limits<float>::quiet_NaN() : all.low[c];
    high.mutable_data_ptr<float>()[c] = bad ? std::numeric_limits<float>::quiet_NaN() : all.high[c];
    within &= !bad && all.low[c] >= -reach && all.high[c] < reach;
  }
  double* total = counts.mutable_data_ptr<double>();
  for (int64_t i = 0; within && i < 2 * half; ++i) {
    total[i] += static_cast<double>(all.even[i]) + all.odd[i];
  }
  total[2 * half] += within ? all.zeros : 0;
  return {low, high};
}

}  // namespace quantization
