// Where ROIAlign samples along one axis of a box; shared by the CPU and the CUDA kernels.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define D2_HOST_DEVICE __host__ __device__
#else
#define D2_HOST_DEVICE
#endif

namespace detectron2 {

// Settings of one ROIAlign call.
struct RoiAlignSpec {
  double spatial_scale;
  int64_t pooled_h;
  int64_t pooled_w;
  int64_t sampling_ratio;  // 0 or less: as many samples a bin as it has pixels
  bool aligned;
};

struct SampleRange {
  double begin;
  double end;
};

// The sampling grid of one box is the product of two of these, one for each axis.
template <typename T>
struct SampledAxis {
  T start;    // lower edge of the box in feature pixels
  T bin;      // size of a bin in feature pixels
  T samples;  // samples a bin; a whole number, 0 or negative for an inverted box

  D2_HOST_DEVICE SampledAxis(T low, T high, int64_t bins, const RoiAlignSpec& spec) {
    const T scale = static_cast<T>(spec.spatial_scale);
    const T offset = spec.aligned ? T(0.5) : T(0);
    start = low * scale - offset;
    T size = (high * scale - offset) - start;
    if (!spec.aligned && size < T(1)) {
      size = T(1);
    }
    bin = size / static_cast<T>(bins);
    samples = spec.sampling_ratio > 0 ? static_cast<T>(spec.sampling_ratio) : std::ceil(bin);
  }

  D2_HOST_DEVICE T bin_start(int64_t index) const {
    return start + static_cast<T>(index) * bin;
  }

  D2_HOST_DEVICE T position(int64_t index, T sample) const {
    return bin_start(index) + (sample + T(0.5)) * bin / samples;
  }

  // Numbers of the samples of a bin that can touch an image of `length` pixels. Samples beyond add nothing: without
  // them a huge box costs no more than the image.
  D2_HOST_DEVICE SampleRange samples_inside(int64_t index, int64_t length) const {
    const double step = static_cast<double>(bin) / static_cast<double>(samples);
    if (!(step > 0)) {
      return {0, static_cast<double>(samples)};
    }
    const double origin = bin_start(index);
    return {
        fmax(0.0, floor((-1 - origin) / step) - 2),
        fmin(static_cast<double>(samples), ceil((static_cast<double>(length) - origin) / step) + 2)};
  }

  D2_HOST_DEVICE bool finite() const {
    return std::isfinite(start) && std::isfinite(bin);
  }
};

// The two pixels around a position and their weights.
template <typename T>
struct LinearTap {
  int64_t low;
  int64_t high;
  T weight_low;
  T weight_high;
  bool inside;  // false farther than one pixel outside of [0, length - 1]: contributes nothing

  D2_HOST_DEVICE LinearTap(T position, int64_t length)
      : low(0), high(0), weight_low(0), weight_high(0), inside(false) {
    if (!(position >= T(-1) && position <= static_cast<T>(length))) {
      return;
    }
    inside = true;
    const T clamped = position > T(0) ? position : T(0);
    low = static_cast<int64_t>(clamped);
    if (low >= length - 1) {
      low = high = length - 1;
      weight_low = T(1);
      return;
    }
    high = low + 1;
    weight_high = clamped - static_cast<T>(low);
    weight_low = T(1) - weight_high;
  }
};

}  // namespace detectron2
