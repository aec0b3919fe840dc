// ROIAlign along one axis as a small sparse matrix: bins x pixels.
#pragma once

#include <algorithm>
#include <vector>

#include "geometry.h"

namespace detectron2 {

// Weights of the consecutive pixels that one bin averages.
template <typename T>
struct BinWeights {
  int64_t first;
  int64_t count;
  const T* weights;
};

// The bilinear samples of a bin lie on a grid, so its average factorises into one weighted sum along y and one
// along x. Merging the samples that share a pixel leaves about (bin size + 1) weights an axis, whatever the number
// of samples.
template <typename T>
class AxisWeights {
 public:
  AxisWeights(T low, T high, int64_t bins, int64_t length, const RoiAlignSpec& spec) : bins_(bins) {
    const SampledAxis<T> axis(low, high, bins, spec);
    finite_ = axis.finite();
    if (!finite_) {
      return;
    }
    std::vector<T> scratch(length, T(0));
    for (int64_t i = 0; i < bins; ++i) {
      add_bin(axis, i, length, scratch);
    }
  }

  bool finite() const { return finite_; }
  int64_t first() const { return first_; }               // first pixel that any bin reads
  int64_t extent() const { return end_ - first_; }       // pixels from there to the last one
  int64_t size() const { return static_cast<int64_t>(bins_.size()); }
  BinWeights<T> operator[](int64_t i) const {
    return {bins_[i].first, bins_[i].count, weights_.data() + bins_[i].offset};
  }

 private:
  struct Bin {
    int64_t first = 0;
    int64_t count = 0;
    int64_t offset = 0;  // into weights_
  };

  void add_bin(const SampledAxis<T>& axis, int64_t index, int64_t length, std::vector<T>& scratch) {
    const SampleRange range = axis.samples_inside(index, length);
    int64_t low = length;
    int64_t high = -1;
    for (double sample = range.begin; sample < range.end; ++sample) {
      const LinearTap<T> tap(axis.position(index, static_cast<T>(sample)), length);
      if (!tap.inside) {
        continue;
      }
      scratch[tap.low] += tap.weight_low;
      scratch[tap.high] += tap.weight_high;
      low = std::min(low, tap.low);
      high = std::max(high, tap.weight_high > 0 ? tap.high : tap.low);
    }
    if (high < low) {
      return;
    }
    bins_[index] = {low, high - low + 1, static_cast<int64_t>(weights_.size())};
    for (int64_t pixel = low; pixel <= high; ++pixel) {
      weights_.push_back(scratch[pixel] / axis.samples);
      scratch[pixel] = T(0);
    }
    first_ = end_ == 0 ? low : std::min(first_, low);
    end_ = std::max(end_, high + 1);
  }

  std::vector<Bin> bins_;
  std::vector<T> weights_;
  int64_t first_ = 0;
  int64_t end_ = 0;
  bool finite_ = true;
};

}  // namespace detectron2
