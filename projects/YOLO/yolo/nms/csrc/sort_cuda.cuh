// Sorts the keys of every image: bitonic, tiles in shared memory, larger strides in global memory.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "select_cuda.cuh"

namespace yolo_nms {

constexpr int64_t kTile = 2048;  // keys a block of kTile / 2 threads sorts in shared memory: 16 KiB

__device__ inline void exchange(uint64_t& a, uint64_t& b, bool ascending) {
  if ((a > b) == ascending) {
    const uint64_t kept = a;
    a = b;
    b = kept;
  }
}

// Steps of stride kTile / 2 and less: of the merges up to kTile if `whole`, else of the merge of `span` keys.
__global__ void sort_tile_kernel(uint64_t* keys, int64_t room, int64_t span, bool whole) {
  __shared__ uint64_t tile[kTile];
  const int64_t size = room < kTile ? room : kTile;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * size;  // in the image
  uint64_t* from = keys + blockIdx.y * room + first;
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    tile[i] = from[i];
  }
  for (int64_t merged = whole ? 2 : span; merged <= (whole ? size : span); merged *= 2) {
    for (int64_t stride = (merged < size ? merged : size) / 2; stride > 0; stride /= 2) {
      __syncthreads();
      for (int64_t i = threadIdx.x; i < size / 2; i += blockDim.x) {
        const int64_t low = i / stride * 2 * stride + i % stride;
        exchange(tile[low], tile[low + stride], ((first + low) & merged) == 0);
      }
    }
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    from[i] = tile[i];
  }
}

// One step of the merge of `span` keys.
__global__ void sort_step_kernel(uint64_t* keys, int64_t room, int64_t span, int64_t stride) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < room / 2) {
    const int64_t low = i / stride * 2 * stride + i % stride;
    uint64_t* image = keys + blockIdx.y * room;
    exchange(image[low], image[low + stride], (low & span) == 0);
  }
}

// Sorts `images` runs of `room` keys, a power of two.
inline void sort_keys(uint64_t* keys, unsigned int images, int64_t room, cudaStream_t stream) {
  if (room < 2) {
    return;
  }
  const int64_t size = room < kTile ? room : kTile;
  const dim3 tiles(static_cast<unsigned int>(room / size), images);
  sort_tile_kernel<<<tiles, kTile / 2, 0, stream>>>(keys, room, size, true);
  for (int64_t span = 2 * kTile; span <= room; span *= 2) {
    for (int64_t stride = span / 2; stride >= kTile; stride /= 2) {
      const dim3 blocks(static_cast<unsigned int>(room / 2 / kThreads), images);
      sort_step_kernel<<<blocks, kThreads, 0, stream>>>(keys, room, span, stride);
    }
    sort_tile_kernel<<<tiles, kTile / 2, 0, stream>>>(keys, room, span, false);
  }
}

}  // namespace yolo_nms
