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
// for the one before.
struct Seen {
  Seen(int64_t bins, int64_t channels)
      : even(bins), odd(bins), low(channels, kInfinity), high(channels, -kInfinity), bad(channels) {}

  std::vector<uint32_t> even, odd;
  std::vector<float> low, high;
  std::vector<uint8_t> bad;
  int64_t zeros = 0;
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

// Extremes of values that belong to one channel.
void find_extremes(const float* x, int64_t count, float& lowest, float& highest, uint8_t& any_bad) {
  Vector low = splat(lowest), high = splat(highest);
  Mask bad{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vector value = load(x + i);
    low = value < low ? value : low;
    high = value > high ? value : high;
    bad |= value - value != Vector{};
  }
  any_bad |= (bad[0] | bad[1] | bad[2] | bad[3]) != 0;
  for (; i < count; ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
    any_bad |= x[i] - x[i] != 0.0f;
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    lowest = std::min(lowest, low[lane]);
    highest = std::max(highest, high[lane]);
  }
}

// Extremes of values that belong to one channel each.
void find_extremes_each(const float* x, int64_t count, float* low, float* high, uint8_t* bad) {
  for (int64_t i = 0; i < count; ++i) {
    low[i] = x[i] < low[i] ? x[i] : low[i];
    high[i] = x[i] > high[i] ? x[i] : high[i];
  }
  for (int64_t i = 0; i < count; ++i) {
    bad[i] |= x[i] - x[i] != 0.0f;
  }
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> histogram_cpu(const Tensor& x, double width, int64_t half, int64_t axis) {
  STD_TORCH_CHECK(width > 0 && half > 0 && half <= (1 << 22), "histogram: ", half, " bins of width ", width);
  STD_TORCH_CHECK(0 <= axis && axis < x.dim(), "histogram: no axis ", axis);
  const Tensor given = x.scalar_type() == ScalarType::Float ? x : torch::stable::to(x, ScalarType::Float);
  const Tensor values = torch::stable::contiguous(given);
  const int64_t channels = x.size(axis);
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < x.dim(); ++i) {
    inner *= x.size(i);
  }
  const int64_t row = inner == 1 ? channels : inner;
  const int64_t rows = values.numel() / std::max<int64_t>(row, 1);
  const Tensor counts = torch::stable::empty({2 * half + 1}, ScalarType::Long);
  const Tensor low = torch::stable::empty({channels}, ScalarType::Float);
  const Tensor high = torch::stable::empty({channels}, ScalarType::Float);
  int64_t* count = counts.mutable_data_ptr<int64_t>();
  float *lows = low.mutable_data_ptr<float>(), *highs = high.mutable_data_ptr<float>();
  std::fill(count, count + 2 * half + 1, 0);
  std::fill(lows, lows + channels, kInfinity);
  std::fill(highs, highs + channels, -kInfinity);
  const float* data = values.const_data_ptr<float>();
  const float inverse = static_cast<float>(1.0 / width);
  std::vector<uint8_t> bad(channels);
  std::mutex mutex;
  torch::stable::parallel_for(0, rows, kGrain / std::max<int64_t>(row, 1) + 1, [&](int64_t begin, int64_t end) {
    Seen seen(2 * half, channels);
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t first = 0; first < row; first += kBlock) {
        const float* block = data + r * row + first;
        const int64_t size = std::min(kBlock, row - first);
        if (inner == 1) {
          find_extremes_each(block, size, &seen.low[first], &seen.high[first], &seen.bad[first]);
        } else {
          const int64_t channel = r % channels;
          find_extremes(block, size, seen.low[channel], seen.high[channel], seen.bad[channel]);
        }
        count_block(block, size, inverse, static_cast<float>(half), seen);
      }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    for (int64_t i = 0; i < 2 * half; ++i) {
      count[i] += static_cast<int64_t>(seen.even[i]) + seen.odd[i];
    }
    count[2 * half] += seen.zeros;
    for (int64_t c = 0; c < channels; ++c) {
      lows[c] = std::min(lows[c], seen.low[c]);
      highs[c] = std::max(highs[c], seen.high[c]);
      bad[c] |= seen.bad[c];
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    if (bad[c]) {
      lows[c] = highs[c] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  return {counts, low, high};
}

}  // namespace quantization
