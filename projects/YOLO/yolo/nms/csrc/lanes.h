// Four floats at a time, with the instructions of the baseline.
#pragma once

#include <cstdint>
#include <cstring>

namespace yolo_nms {

constexpr int64_t kLanes = 4;
typedef float Vector __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));
typedef int64_t Pair __attribute__((vector_size(16)));

inline Vector splat(float value) { return Vector{value, value, value, value}; }

inline Vector load(const float* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

// NaN in `b` gives `a`.
inline Vector larger(Vector a, Vector b) { return b > a ? b : a; }
inline Vector smaller(Vector a, Vector b) { return b < a ? b : a; }

inline bool any(Mask mask) {
  const Pair pair = reinterpret_cast<Pair>(mask);
  return (pair[0] | pair[1]) != 0;
}

}  // namespace yolo_nms
