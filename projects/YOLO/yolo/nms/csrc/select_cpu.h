// From the scores of an image to the keys of its candidates.
//
// Scores are read once, in the order of memory: rows of classes, or planes of anchors as the heads lay them out.
#pragma once

#include <algorithm>
#include <cmath>

#include "candidate_key.h"
#include "lanes.h"

namespace yolo_nms {

// The best `limit` of the candidates added, in `capacity` keys: `limit`, if there are no more, or at least one more.
class Selection {
 public:
  Selection(uint64_t* keys, int64_t limit, int64_t capacity, float threshold)
      : keys_(keys), limit_(limit), capacity_(capacity), threshold_(threshold) {}

  // Scores have to exceed it. It rises as candidates come.
  float threshold() const { return threshold_; }

  void add(float score, int64_t index) {
    if (size_ == capacity_) {
      shrink();
      if (!(score > threshold_)) {
        return;
      }
    }
    keys_[size_++] = candidate_key(score, static_cast<uint32_t>(index));
  }

  // The number of candidates, at most `limit`, in any order.
  int64_t finish() {
    if (size_ > limit_) {
      shrink();
    }
    return size_;
  }

 private:
  void shrink() {
    std::nth_element(keys_, keys_ + limit_ - 1, keys_ + size_);
    size_ = limit_;
    // An equal score with a lower index may still come.
    threshold_ = std::max(threshold_, std::nextafter(score_of(keys_[limit_ - 1]), -INFINITY));
  }

  uint64_t* keys_;
  int64_t limit_;
  int64_t capacity_;
  int64_t size_ = 0;
  float threshold_;
};

// Adds scores[i] as candidate first + i * step.
inline void select_run(const float* scores, int64_t count, int64_t first, int64_t step, Selection& selection) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    const Vector threshold = splat(selection.threshold());
    const Mask above = (load(scores + i) > threshold) | (load(scores + i + kLanes) > threshold) |
                       (load(scores + i + 2 * kLanes) > threshold) | (load(scores + i + 3 * kLanes) > threshold);
    if (any(above)) {
      for (int64_t j = i; j < i + 4 * kLanes; ++j) {
        if (scores[j] > selection.threshold()) {
          selection.add(scores[j], first + j * step);
        }
      }
    }
  }
  for (; i < count; ++i) {
    if (scores[i] > selection.threshold()) {
      selection.add(scores[i], first + i * step);
    }
  }
}

// Adds the best class of an anchor, the first of equal ones.
inline void select_best_of_row(const float* scores, int64_t classes, int64_t first, Selection& selection) {
  Vector lanes = splat(-INFINITY);
  int64_t i = 0;
  for (; i + kLanes <= classes; i += kLanes) {
    lanes = larger(lanes, load(scores + i));
  }
  float best = std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3]));
  for (; i < classes; ++i) {
    best = scores[i] > best ? scores[i] : best;
  }
  if (best > selection.threshold()) {
    selection.add(best, first + (std::find(scores, scores + classes, best) - scores));
  }
}

// Adds the best class of each of up to kBlock anchors, classes being `stride` apart.
constexpr int64_t kBlock = 64;
inline void select_best_of_planes(
    const float* scores, int64_t stride, int64_t classes, int64_t anchor, int64_t count, Selection& selection) {
  float best[kBlock];
  int32_t label[kBlock];
  std::fill_n(best, kBlock, -INFINITY);
  std::fill_n(label, kBlock, 0);
  for (int64_t k = 0; k < classes; ++k) {
    const float* plane = scores + k * stride;
    for (int64_t i = 0; i < count; ++i) {
      const bool better = plane[i] > best[i];
      best[i] = better ? plane[i] : best[i];
      label[i] = better ? static_cast<int32_t>(k) : label[i];
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    if (best[i] > selection.threshold()) {
      selection.add(best[i], (anchor + i) * classes + label[i]);
    }
  }
}

// The scores of one image, one of the strides being 1 (or of no meaning).
struct ScoreView {
  const float* data;
  int64_t anchors;
  int64_t classes;
  int64_t anchor_stride;
  int64_t class_stride;

  bool planes() const { return anchor_stride == 1 && (classes == 1 || class_stride != 1); }
};

inline void select_candidates(const ScoreView& scores, bool multi_label, Selection& selection) {
  if (scores.planes() && (multi_label || scores.classes == 1)) {
    for (int64_t k = 0; k < scores.classes; ++k) {
      select_run(scores.data + k * scores.class_stride, scores.anchors, k, scores.classes, selection);
    }
  } else if (scores.planes()) {
    for (int64_t a = 0; a < scores.anchors; a += kBlock) {
      select_best_of_planes(
          scores.data + a, scores.class_stride, scores.classes, a, std::min(kBlock, scores.anchors - a), selection);
    }
  } else {
    for (int64_t a = 0; a < scores.anchors; ++a) {
      const float* row = scores.data + a * scores.anchor_stride;
      if (multi_label) {
        select_run(row, scores.classes, a * scores.classes, 1, selection);
      } else {
        select_best_of_row(row, scores.classes, a * scores.classes, selection);
      }
    }
  }
}

}  // namespace yolo_nms
