// The boxes kept of an image, class by class, in blocks of lanes.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "lanes.h"

namespace yolo_nms {

struct Box {
  float x0, y0, x1, y1;

  float area() const { return (x1 - x0) * (y1 - y0); }
};

constexpr int kVectors = 2;
constexpr int kBoxes = kVectors * static_cast<int>(kLanes);

// Boxes of one class. Lanes without a box hold NaN, which overlaps nothing.
struct Block {
  Vector x0[kVectors], y0[kVectors], x1[kVectors], y1[kVectors], area[kVectors];
  int32_t next;
  int32_t count;
};

// The chain of blocks of a class, in a hash table.
struct Chain {
  int64_t label;
  int32_t first;  // -1: there is none
  int32_t last;
};

// Rooms for `kept` boxes of any number of classes; the least power of two of chains that leaves half of them free.
inline int64_t chain_count(int64_t kept) {
  int64_t count = 2;
  while (count < 2 * kept) {
    count *= 2;
  }
  return count;
}

class KeptBoxes {
 public:
  KeptBoxes(Block* blocks, Chain* chains, int64_t chain_count, float threshold)
      : blocks_(blocks), chains_(chains), mask_(chain_count - 1), threshold_(splat(threshold)) {
    std::fill_n(chains, chain_count, Chain{0, -1, -1});
  }

  // Whether the box overlaps none of its class by more than the threshold; it then is one of the kept.
  bool keep(const Box& box, int64_t label) {
    Chain& chain = find(label);
    for (int32_t i = chain.first; i >= 0; i = blocks_[i].next) {
      if (overlaps(blocks_[i], box)) {
        return false;
      }
    }
    append(chain, box, label);
    return true;
  }

 private:
  Chain& find(int64_t label) {
    uint64_t at = static_cast<uint64_t>(label) * 0x9e3779b97f4a7c15u >> 32;
    while (chains_[at & mask_].first >= 0 && chains_[at & mask_].label != label) {
      ++at;
    }
    return chains_[at & mask_];
  }

  // The quotient decides, as in torchvision, and is worked out only where there is an intersection.
  bool overlaps(const Block& block, const Box& box) const {
    const Vector zero = splat(0.0f);
    for (int i = 0; i < kVectors; ++i) {
      const Vector width = smaller(block.x1[i], splat(box.x1)) - larger(block.x0[i], splat(box.x0));
      const Vector height = smaller(block.y1[i], splat(box.y1)) - larger(block.y0[i], splat(box.y0));
      if (!any((width > zero) & (height > zero))) {
        continue;
      }
      const Vector inter = larger(zero, width) * larger(zero, height);
      const Vector iou = inter / (block.area[i] + splat(box.area()) - inter);
      if (any(iou > threshold_)) {
        return true;
      }
    }
    return false;
  }

  void append(Chain& chain, const Box& box, int64_t label) {
    if (chain.first < 0 || blocks_[chain.last].count == kBoxes) {
      const int32_t added = blocks_used_++;
      const Vector none = splat(std::numeric_limits<float>::quiet_NaN());
      for (int i = 0; i < kVectors; ++i) {
        blocks_[added].x0[i] = blocks_[added].y0[i] = blocks_[added].x1[i] = blocks_[added].y1[i] = none;
        blocks_[added].area[i] = none;
      }
      blocks_[added].next = -1;
      blocks_[added].count = 0;
      if (chain.first < 0) {
        chain = Chain{label, added, added};
      } else {
        blocks_[chain.last].next = added;
        chain.last = added;
      }
    }
    Block& block = blocks_[chain.last];
    const int vector = block.count / static_cast<int>(kLanes), lane = block.count % static_cast<int>(kLanes);
    block.x0[vector][lane] = box.x0;
    block.y0[vector][lane] = box.y0;
    block.x1[vector][lane] = box.x1;
    block.y1[vector][lane] = box.y1;
    block.area[vector][lane] = box.area();
    ++block.count;
  }

  Block* blocks_;
  Chain* chains_;
  int64_t mask_;
  Vector threshold_;
  int32_t blocks_used_ = 0;
};

}  // namespace yolo_nms
