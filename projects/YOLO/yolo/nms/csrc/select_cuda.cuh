// The best candidates of every image, without the host: one reading of the scores if they are few enough, else a radix
// selection on the keys, digit by digit, whose kernels return at once for images that need no more of it.
#pragma once

#include <cuda_runtime.h>

#include "candidate_key.h"

namespace yolo_nms {

constexpr int kThreads = 256;
constexpr int kDigitBits = 11;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kPasses = 6;  // 11 + 11 + 10 bits of score, 11 + 11 + 10 bits of index

__host__ __device__ constexpr int bits_of(int pass) { return pass % 3 == 2 ? 10 : 11; }
__host__ __device__ constexpr int shift_of(int pass) {
  return 32 * (pass < 3) + (pass % 3 == 0 ? 21 : pass % 3 == 1 ? 10 : 0);
}

// Selection in one image. The keys up to `last` are selected once `resolved` is set.
struct SelectionState {
  unsigned long long last;  // while unresolved: the digits found so far, the others 0
  unsigned int found;       // candidates in the first reading; then those written
  unsigned int wanted;      // still to be found among the keys with these digits
  int resolved;             // 1: by digits; 2: all candidates fitted in
  int padding[3];
};
static_assert(sizeof(SelectionState) == 32, "workspace.py counts with this size");

struct ScoreShape {
  const float* data;
  int64_t anchors;
  int64_t classes;
  int64_t image_stride;
  int64_t anchor_stride;
  int64_t class_stride;
  bool multi_label;

  __host__ __device__ int64_t scored() const { return multi_label ? anchors * classes : anchors; }
};

// Sets score and index of the i-th score that can be a candidate, in the order of memory.
__device__ inline float score_at(const ScoreShape& shape, const float* scores, int64_t i, uint32_t* index) {
  if (shape.multi_label) {
    const bool planes = shape.anchor_stride == 1;
    const int64_t anchor = planes ? i % shape.anchors : i / shape.classes;
    const int64_t k = planes ? i / shape.anchors : i % shape.classes;
    *index = static_cast<uint32_t>(anchor * shape.classes + k);
    return scores[anchor * shape.anchor_stride + k * shape.class_stride];
  }
  const float* row = scores + i * shape.anchor_stride;
  float best = -INFINITY;
  int64_t label = 0;
  for (int64_t k = 0; k < shape.classes; ++k) {
    const float score = row[k * shape.class_stride];
    if (score > best) {
      best = score;
      label = k;
    }
  }
  *index = static_cast<uint32_t>(i * shape.classes + label);
  return best;
}

template <typename Visit>
__device__ void for_each_candidate(const ScoreShape& shape, float threshold, const Visit& visit) {
  const float* scores = shape.data + blockIdx.y * shape.image_stride;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < shape.scored(); i += stride) {
    uint32_t index;
    const float score = score_at(shape, scores, i, &index);
    if (score > threshold) {
      visit(candidate_key(score, index));
    }
  }
}

// The first reading: writes as many keys as there is room for, in any order, and counts all.
__global__ void collect_kernel(
    ScoreShape shape, float threshold, unsigned int limit, int64_t room, uint64_t* keys, SelectionState* states) {
  SelectionState& state = states[blockIdx.y];
  for_each_candidate(shape, threshold, [&](uint64_t key) {
    const unsigned int at = atomicAdd(&state.found, 1u);
    if (at < limit) {
      keys[blockIdx.y * room + at] = key;
    }
  });
}

__global__ void begin_selection_kernel(int images, unsigned int limit, SelectionState* states) {
  const int image = blockIdx.x * blockDim.x + threadIdx.x;
  if (image < images) {
    states[image].wanted = limit;
    states[image].resolved = states[image].found <= limit ? 2 : 0;
  }
}

// Counts the candidates by their next digit.
__global__ void count_digits_kernel(
    ScoreShape shape, float threshold, int pass, const SelectionState* states, unsigned int* histograms) {
  __shared__ unsigned int counts[kDigits];
  const SelectionState& state = states[blockIdx.y];
  if (state.resolved != 0) {
    return;
  }
  for (int i = threadIdx.x; i < kDigits; i += blockDim.x) {
    counts[i] = 0;
  }
  __syncthreads();
  const int shift = shift_of(pass);
  const int above = shift + bits_of(pass);  // 64 in the first pass: no digit is known
  for_each_candidate(shape, threshold, [&](uint64_t key) {
    if (above == 64 || key >> above == state.last >> above) {
      atomicAdd(&counts[key >> shift & ((1u << bits_of(pass)) - 1)], 1u);
    }
  });
  __syncthreads();
  for (int i = threadIdx.x; i < kDigits; i += blockDim.x) {
    if (counts[i] != 0) {
      atomicAdd(&histograms[blockIdx.y * kDigits + i], counts[i]);
    }
  }
}

// Finds the digit of the last key selected, and clears the histogram for the next pass. One thread adds up: it runs
// only in images with more candidates than allowed.
__global__ void choose_digit_kernel(int pass, SelectionState* states, unsigned int* histograms) {
  SelectionState& state = states[blockIdx.x];
  if (state.resolved != 0) {
    return;
  }
  unsigned int* counts = histograms + blockIdx.x * kDigits;
  if (threadIdx.x == 0) {
    unsigned int digit = 0;
    while (counts[digit] < state.wanted) {
      state.wanted -= counts[digit++];
    }
    const bool whole = counts[digit] == state.wanted;
    state.last |= static_cast<unsigned long long>(digit) << shift_of(pass);
    if (whole || pass == kPasses - 1) {
      state.last |= (1ull << shift_of(pass)) - 1;
      state.resolved = 1;
      state.found = 0;
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kDigits; i += blockDim.x) {
    counts[i] = 0;
  }
}

// The second reading, of images with more candidates than allowed.
__global__ void collect_selected_kernel(
    ScoreShape shape, float threshold, int64_t room, uint64_t* keys, SelectionState* states) {
  SelectionState& state = states[blockIdx.y];
  if (state.resolved != 1) {
    return;
  }
  for_each_candidate(shape, threshold, [&](uint64_t key) {
    if (key <= state.last) {
      keys[blockIdx.y * room + atomicAdd(&state.found, 1u)] = key;
    }
  });
}

}  // namespace yolo_nms
