// Greedy suppression, one block of threads an image: tiles of candidates in their order, each first against the boxes
// kept before, then against one another by a bit matrix. It stops when the detections are full.
#pragma once

#include <cuda_runtime.h>

#include "select_cuda.cuh"

namespace yolo_nms {

constexpr int kCandidates = 256;  // a tile, and the threads of a block
constexpr int kWords = kCandidates / 32;

struct BoxShape {
  const float* data;
  int64_t image_stride;
  int64_t anchor_stride;
  int64_t corner_stride;
};

struct Rows {
  float4* boxes;
  float* scores;
  int64_t* labels;
  int64_t* anchors;
  int64_t* counts;
};

struct SuppressionSettings {
  float iou_threshold;
  int max_detections;
  bool class_agnostic;
};

// Rounded as on the CPU: no fused multiply-add.
__device__ inline float area_of(const float4& box) { return __fmul_rn(box.z - box.x, box.w - box.y); }

__device__ inline bool overlap(const float4& a, float area_a, const float4& b, float area_b, float threshold) {
  const float width = fminf(a.z, b.z) - fmaxf(a.x, b.x);
  const float height = fminf(a.w, b.w) - fmaxf(a.y, b.y);
  if (!(width > 0.0f && height > 0.0f)) {
    return false;
  }
  const float inter = __fmul_rn(width, height);
  return __fdiv_rn(inter, __fsub_rn(__fadd_rn(area_a, area_b), inter)) > threshold;
}

struct Tile {
  float4 boxes[kCandidates];
  float areas[kCandidates];
  int64_t labels[kCandidates];
  unsigned int overlaps[kCandidates][kWords];  // bit j of row i: i suppresses the later j
  unsigned int alive[kWords];
  unsigned int kept[kWords];
};

// Which candidates of the tile stay, in their order, until `room` are kept. Each step needs the one before; a lane of
// the first warp holds each word.
__device__ inline void resolve(Tile& tile, int count, int room) {
  const int lane = threadIdx.x;
  unsigned int alive = lane < kWords ? tile.alive[lane] : 0;
  unsigned int kept = 0;
  for (int i = 0, found = 0; i < count && found < room; ++i) {
    if (__shfl_sync(0xffffffffu, alive, i / 32) >> (i % 32) & 1u) {
      ++found;
      kept |= lane == i / 32 ? 1u << (i % 32) : 0u;
      alive &= lane >= i / 32 && lane < kWords ? ~tile.overlaps[i][lane] : ~0u;
    }
  }
  if (lane < kWords) {
    tile.kept[lane] = kept;
  }
}

__global__ void suppress_kernel(
    const uint64_t* keys, int64_t room, unsigned int limit, const SelectionState* states, ScoreShape scores,
    BoxShape boxes, const int64_t* labels, SuppressionSettings settings, Rows rows) {
  __shared__ Tile tile;
  const int64_t image = blockIdx.x;
  const int me = threadIdx.x;
  const int64_t first_row = image * settings.max_detections;
  const int64_t total = min(states[image].found, limit);
  int detections = 0;  // the same in all threads
  for (int64_t first = 0; first < total && detections < settings.max_detections; first += kCandidates) {
    const int count = static_cast<int>(min(static_cast<int64_t>(kCandidates), total - first));
    float4 box{};
    float area = 0.0f, score = 0.0f;
    int64_t anchor = 0, label = 0;
    bool stays = me < count;
    if (stays) {
      const uint32_t index = index_of(keys[image * room + first + me]);
      anchor = index / scores.classes;
      const int64_t k = index % scores.classes;
      label = labels != nullptr ? labels[image * scores.anchors + anchor] : k;
      score = scores.data[image * scores.image_stride + anchor * scores.anchor_stride + k * scores.class_stride];
      const float* corner = boxes.data + image * boxes.image_stride + anchor * boxes.anchor_stride;
      box = {corner[0], corner[boxes.corner_stride], corner[2 * boxes.corner_stride], corner[3 * boxes.corner_stride]};
      area = area_of(box);
    }
    for (int i = 0; stays && i < detections; ++i) {
      if (settings.class_agnostic || rows.labels[first_row + i] == label) {
        const float4 kept = rows.boxes[first_row + i];
        stays = !overlap(kept, area_of(kept), box, area, settings.iou_threshold);
      }
    }
    tile.boxes[me] = box;
    tile.areas[me] = area;
    tile.labels[me] = label;
    const unsigned int stay_bits = __ballot_sync(0xffffffffu, stays);
    if (me % 32 == 0) {
      tile.alive[me / 32] = stay_bits;
    }
    __syncthreads();
    for (int word = me / 32; stays && word < kWords; ++word) {
      unsigned int bits = 0;
      for (unsigned int others = tile.alive[word]; others != 0; others &= others - 1) {
        const int j = word * 32 + __ffs(others) - 1;
        if (j > me && (settings.class_agnostic || tile.labels[j] == label) &&
            overlap(box, area, tile.boxes[j], tile.areas[j], settings.iou_threshold)) {
          bits |= 1u << (j % 32);
        }
      }
      tile.overlaps[me][word] = bits;
    }
    __syncthreads();
    if (me < 32) {
      resolve(tile, count, settings.max_detections - detections);
    }
    __syncthreads();
    int before = 0, kept = 0;
    for (int word = 0; word < kWords; ++word) {
      const unsigned int bits = tile.kept[word];
      kept += __popc(bits);
      before += __popc(word < me / 32 ? bits : word == me / 32 ? bits & ((1u << (me % 32)) - 1) : 0u);
    }
    if (tile.kept[me / 32] >> (me % 32) & 1u) {
      const int64_t row = first_row + detections + before;
      rows.boxes[row] = box;
      rows.scores[row] = score;
      rows.labels[row] = label;
      rows.anchors[row] = anchor;
    }
    detections += kept;
    __syncthreads();  // the rows are read in the next tile, and the tile is written again
  }
  if (me == 0) {
    rows.counts[image] = detections;
  }
}

}  // namespace yolo_nms
