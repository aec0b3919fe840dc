// The order of candidates as one whole number: best score first, equal scores by index.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define YOLO_NMS_HOST_DEVICE __host__ __device__
#else
#define YOLO_NMS_HOST_DEVICE
#endif

namespace yolo_nms {

// A smaller key comes first. `index` is anchor * classes + class.
YOLO_NMS_HOST_DEVICE inline uint64_t candidate_key(float score, uint32_t index) {
  score += 0.0f;  // -0 and 0 are equal scores
  uint32_t bits;
  memcpy(&bits, &score, sizeof(bits));
  bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;  // ascending as whole numbers
  return static_cast<uint64_t>(~bits) << 32 | index;
}

YOLO_NMS_HOST_DEVICE inline uint32_t index_of(uint64_t key) { return static_cast<uint32_t>(key); }

inline float score_of(uint64_t key) {
  uint32_t bits = ~static_cast<uint32_t>(key >> 32);
  bits ^= bits >> 31 ? 0x80000000u : 0xffffffffu;
  float score;
  memcpy(&score, &bits, sizeof(score));
  return score;
}

// A float exceeds the result where it exceeds `threshold`.
inline float round_down(double threshold) {
  const float nearest = static_cast<float>(threshold);
  return static_cast<double>(nearest) > threshold ? std::nextafter(nearest, -INFINITY) : nearest;
}

}  // namespace yolo_nms
