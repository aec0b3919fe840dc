// Blocks of 16 channels, channels last, in which the CPU kernels work.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace detectron2 {

constexpr int64_t kLanes = 16;  // channels worked on together: one cache line of floats

// kLanes channels of one pixel, in registers of the baseline instruction set. Sums run lane by lane, so the result
// does not depend on the register width.
template <typename T>
struct alignas(64) Pixel {
  static constexpr int kVectors = kLanes * sizeof(T) / 16;
  typedef T Vector __attribute__((vector_size(16)));
  Vector vectors[kVectors];

  void add_scaled(T weight, const Pixel& other) {
    for (int i = 0; i < kVectors; ++i) {
      vectors[i] += weight * other.vectors[i];
    }
  }

  T* lanes() { return reinterpret_cast<T*>(vectors); }
  const T* lanes() const { return reinterpret_cast<const T*>(vectors); }
};

// An uninitialised, aligned array of pixels.
template <typename T>
class PixelBuffer {
 public:
  explicit PixelBuffer(int64_t size)
      : data_(static_cast<Pixel<T>*>(::operator new(size * sizeof(Pixel<T>), std::align_val_t(64)))) {}

  Pixel<T>* get() { return data_.get(); }

 private:
  struct Free {
    void operator()(Pixel<T>* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<Pixel<T>, Free> data_;
};

// Part of an image.
struct Window {
  int64_t y;
  int64_t x;
  int64_t height;
  int64_t width;

  int64_t area() const { return height * width; }
};

// One channel block of one image in an (N, C, H, W) tensor whose rows are contiguous, or whose channels are.
template <typename T>
struct ImageBlock {
  T* data;
  int64_t channels;  // at most kLanes
  int64_t stride_c;
  int64_t stride_y;
  int64_t stride_x;
};

// Copy a window into channels-last pixels; lanes beyond the block's channels become 0.
template <typename T>
void load_window(const ImageBlock<const T>& image, const Window& window, Pixel<T>* pixels) {
  if (image.channels < kLanes) {
    std::memset(static_cast<void*>(pixels), 0, window.area() * sizeof(Pixel<T>));
  }
  for (int64_t y = 0; y < window.height; ++y) {
    const T* row = image.data + (window.y + y) * image.stride_y + window.x * image.stride_x;
    T* lanes = pixels[y * window.width].lanes();
    if (image.stride_c == 1) {
      for (int64_t x = 0; x < window.width; ++x) {
        std::memcpy(lanes + x * kLanes, row + x * image.stride_x, image.channels * sizeof(T));
      }
      continue;
    }
    for (int64_t c = 0; c < image.channels; ++c) {
      const T* source = row + c * image.stride_c;
      for (int64_t x = 0; x < window.width; ++x) {
        lanes[x * kLanes + c] = source[x];
      }
    }
  }
}

// Write channels-last pixels back to a window of an image with contiguous rows, or add them to it.
template <typename T, bool accumulate>
void store_window(const Pixel<T>* pixels, const Window& window, const ImageBlock<T>& image) {
  for (int64_t y = 0; y < window.height; ++y) {
    const T* lanes = pixels[y * window.width].lanes();
    for (int64_t c = 0; c < image.channels; ++c) {
      T* target = image.data + c * image.stride_c + (window.y + y) * image.stride_y + window.x;
      for (int64_t x = 0; x < window.width; ++x) {
        target[x] = accumulate ? target[x] + lanes[x * kLanes + c] : lanes[x * kLanes + c];
      }
    }
  }
}

}  // namespace detectron2
