// Quantizing and its gradients, four values at a time.
//
// Every operation is the one that eager.py asks of PyTorch, in float and in the same order, so that the results have
// the same bits. Vectors are those of the baseline instruction set; sums run lane by lane, in double.
#pragma once

#include <cstdint>
#include <cstring>

namespace quantization {

constexpr int64_t kLanes = 4;
typedef float Vector __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));
typedef double Half __attribute__((vector_size(16)));

inline Vector splat(float value) { return Vector{value, value, value, value}; }

inline Vector load(const float* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

inline void store(Vector vector, float* to) { std::memcpy(to, &vector, sizeof(vector)); }

// Of fewer than kLanes values; the other lanes are 0.
inline Vector load(const float* from, int64_t count) {
  Vector vector{};
  std::memcpy(&vector, from, count * sizeof(float));
  return vector;
}

inline void store(Vector vector, float* to, int64_t count) { std::memcpy(to, &vector, count * sizeof(float)); }

// How each lane is quantized.
struct Levels {
  Vector step;
  Vector zero;    // whole
  Vector offset;  // zero - half
  Vector half;    // 0 or 1/2
  Vector low;
  Vector high;
};

// Whole number nearest to u, halves to even, for |u| <= 2^22: the sum has no room for a fraction. NaN stays.
inline Vector round_small(Vector u) {
  const Vector no_fraction = splat(12582912.0f);  // 1.5 * 2^23
  return (u + no_fraction) - no_fraction;
}

// Comparisons with NaN are false, so NaN stays here too.
inline Vector clamp(Vector u, const Levels& levels) {
  u = u < levels.low ? levels.low : u;
  return u > levels.high ? levels.high : u;
}

inline Vector quantize(Vector x, const Levels& levels) {
  const Vector k = round_small(clamp(x / levels.step + levels.offset, levels));
  return (k - levels.zero + levels.half) * levels.step;
}

// What four values give to the gradients.
struct Shares {
  Vector x;
  Vector step;
  Vector clipped;  // the gradients of values outside
};

template <bool kClipGradientOnly>
inline Shares differentiate(Vector grad, Vector x, const Levels& levels) {
  const Vector ratio = x / levels.step;
  const Vector u = ratio + levels.offset;
  const Mask inside = (u >= levels.low) & (u <= levels.high);
  const Vector level = round_small(clamp(u, levels)) - levels.zero + levels.half;
  const Vector within = kClipGradientOnly ? Vector{} : level - ratio;
  return {inside ? grad : Vector{}, (inside ? within : level) * grad, inside ? Vector{} : grad};
}

// A sum for each lane.
struct LaneSum {
  Half front{};
  Half back{};

  void operator+=(Vector v) {
    front += Half{v[0], v[1]};
    back += Half{v[2], v[3]};
  }
  double total() const { return (front[0] + front[1]) + (back[0] + back[1]); }
};

}  // namespace quantization
