// ROIAlign on the CPU: separable, channels last, deterministic for any number of threads.
//
// Work is split over (image, block of 16 channels). Within one such task the boxes run in their order, so every
// sum has one order. A task either brings the whole image into channels-last form once, or, where the boxes cover
// less than that, only the window of each box.

#include "roi_align_cpu.h"

#include <limits>
#include <vector>

#include "axis_weights.h"
#include "pixel_block.h"
#include "tensors.h"

namespace detectron2 {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T>
struct Box {
  int64_t index;  // row of the boxes and of the output
  AxisWeights<T> y;
  AxisWeights<T> x;

  bool finite() const { return y.finite() && x.finite(); }
  Window window() const { return {y.first(), x.first(), y.extent(), x.extent()}; }
};

// The boxes of one image and how to work on them.
template <typename T>
struct ImagePlan {
  std::vector<Box<T>> boxes;
  bool whole_image = false;
  int64_t buffer_size = 0;
};

template <typename T>
std::vector<ImagePlan<T>> plan_images(
    const Tensor& rois, int64_t batch, int64_t height, int64_t width, const RoiAlignSpec& spec) {
  std::vector<ImagePlan<T>> plans(batch);
  const T* roi = rois.const_data_ptr<T>();
  for (int64_t i = 0; i < rois.size(0); ++i, roi += 5) {
    STD_TORCH_CHECK(
        roi[0] >= 0 && roi[0] < batch, "roi_align: box ", i, " names image ", roi[0], " of a batch of ", batch);
    plans[static_cast<int64_t>(roi[0])].boxes.push_back(
        {i,
         AxisWeights<T>(roi[2], roi[4], spec.pooled_h, height, spec),
         AxisWeights<T>(roi[1], roi[3], spec.pooled_w, width, spec)});
  }
  for (ImagePlan<T>& plan : plans) {
    int64_t covered = 0;
    for (const Box<T>& box : plan.boxes) {
      covered += box.window().area();
      plan.buffer_size = std::max(plan.buffer_size, box.window().area());
    }
    plan.whole_image = covered > height * width;
    plan.buffer_size = plan.whole_image ? height * width : plan.buffer_size;
  }
  return plans;
}

// pixels holds `window`, which contains the box. Fills bins[pooled_h * pooled_w].
template <typename T>
void pool_box(const Box<T>& box, const Pixel<T>* pixels, const Window& window, Pixel<T>* bins) {
  for (int64_t by = 0; by < box.y.size(); ++by, bins += box.x.size()) {
    const BinWeights<T> rows = box.y[by];
    std::memset(static_cast<void*>(bins), 0, box.x.size() * sizeof(Pixel<T>));
    for (int64_t j = 0; j < rows.count; ++j) {
      const Pixel<T>* row = pixels + (rows.first + j - window.y) * window.width - window.x;
      for (int64_t bx = 0; bx < box.x.size(); ++bx) {
        const BinWeights<T> columns = box.x[bx];
        Pixel<T> sum{};
        for (int64_t i = 0; i < columns.count; ++i) {
          sum.add_scaled(columns.weights[i], row[columns.first + i]);
        }
        bins[bx].add_scaled(rows.weights[j], sum);
      }
    }
  }
}

// The transpose of pool_box: adds to pixels. `row_sum` is scratch for one row of the box.
template <typename T>
void unpool_box(const Box<T>& box, const Pixel<T>* bins, const Window& window, Pixel<T>* row_sum, Pixel<T>* pixels) {
  const int64_t first = box.x.first();
  const int64_t extent = box.x.extent();
  for (int64_t by = 0; by < box.y.size(); ++by, bins += box.x.size()) {
    const BinWeights<T> rows = box.y[by];
    if (rows.count == 0) {
      continue;
    }
    std::memset(static_cast<void*>(row_sum), 0, extent * sizeof(Pixel<T>));
    for (int64_t bx = 0; bx < box.x.size(); ++bx) {
      const BinWeights<T> columns = box.x[bx];
      for (int64_t i = 0; i < columns.count; ++i) {
        row_sum[columns.first + i - first].add_scaled(columns.weights[i], bins[bx]);
      }
    }
    for (int64_t j = 0; j < rows.count; ++j) {
      Pixel<T>* row = pixels + (rows.first + j - window.y) * window.width + (first - window.x);
      for (int64_t i = 0; i < extent; ++i) {
        row[i].add_scaled(rows.weights[j], row_sum[i]);
      }
    }
  }
}

// Calls work(plan, image, first channel, channels) for every (image, channel block), in parallel.
template <typename T, typename F>
void for_each_block(const std::vector<ImagePlan<T>>& plans, int64_t channels, const F& work) {
  const int64_t blocks = (channels + kLanes - 1) / kLanes;
  torch::stable::parallel_for(0, static_cast<int64_t>(plans.size()) * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t channel = task % blocks * kLanes;
      work(plans[task / blocks], task / blocks, channel, std::min(kLanes, channels - channel));
    }
  });
}

// A (rows, columns) matrix for each of `channels` channels, one after the other.
template <typename T>
ImageBlock<T> dense_block(T* data, int64_t channels, int64_t height, int64_t width) {
  return {data, channels, height * width, width, 1};
}

template <typename T>
void forward(const Tensor& input, const Tensor& rois, const RoiAlignSpec& spec, const Tensor& output) {
  const int64_t channels = input.size(1), height = input.size(2), width = input.size(3);
  const int64_t bins = spec.pooled_h * spec.pooled_w;
  const auto plans = plan_images<T>(rois, input.size(0), height, width, spec);
  const Window whole{0, 0, height, width};
  const Window bin_window{0, 0, spec.pooled_h, spec.pooled_w};
  const T* source = input.const_data_ptr<T>();
  T* target = output.mutable_data_ptr<T>();
  for_each_block(plans, channels, [&](const ImagePlan<T>& plan, int64_t image, int64_t channel, int64_t count) {
    if (plan.boxes.empty()) {
      return;
    }
    const ImageBlock<const T> block{
        source + image * input.stride(0) + channel * input.stride(1), count,
        input.stride(1), input.stride(2), input.stride(3)};
    PixelBuffer<T> pixels(plan.buffer_size);
    PixelBuffer<T> pooled(bins);
    if (plan.whole_image) {
      load_window(block, whole, pixels.get());
    }
    for (const Box<T>& box : plan.boxes) {
      T* out = target + (box.index * channels + channel) * bins;
      if (!box.finite()) {  // an honest answer, which a check of the loss will find
        std::fill(out, out + count * bins, std::numeric_limits<T>::quiet_NaN());
        continue;
      }
      if (!plan.whole_image) {
        load_window(block, box.window(), pixels.get());
      }
      pool_box(box, pixels.get(), plan.whole_image ? whole : box.window(), pooled.get());
      store_window<T, false>(pooled.get(), bin_window, dense_block(out, count, spec.pooled_h, spec.pooled_w));
    }
  });
}

template <typename T>
void backward(const Tensor& grad, const Tensor& rois, const RoiAlignSpec& spec, const Tensor& grad_input) {
  const int64_t channels = grad_input.size(1), height = grad_input.size(2), width = grad_input.size(3);
  const int64_t bins = spec.pooled_h * spec.pooled_w;
  const auto plans = plan_images<T>(rois, grad_input.size(0), height, width, spec);
  const Window whole{0, 0, height, width};
  const Window bin_window{0, 0, spec.pooled_h, spec.pooled_w};
  const T* source = grad.const_data_ptr<T>();
  T* target = grad_input.mutable_data_ptr<T>();
  for_each_block(plans, channels, [&](const ImagePlan<T>& plan, int64_t image, int64_t channel, int64_t count) {
    T* data = target + (image * channels + channel) * height * width;
    const ImageBlock<T> block = dense_block(data, count, height, width);
    PixelBuffer<T> pixels(plan.buffer_size);
    PixelBuffer<T> pooled(bins);
    PixelBuffer<T> row_sum(width);
    if (plan.whole_image) {
      std::memset(static_cast<void*>(pixels.get()), 0, whole.area() * sizeof(Pixel<T>));
    } else {
      std::fill(data, data + count * whole.area(), T(0));
    }
    for (const Box<T>& box : plan.boxes) {
      if (!box.finite()) {
        continue;
      }
      const T* in = source + (box.index * channels + channel) * bins;
      load_window(dense_block(in, count, spec.pooled_h, spec.pooled_w), bin_window, pooled.get());
      if (plan.whole_image) {
        unpool_box(box, pooled.get(), whole, row_sum.get(), pixels.get());
        continue;
      }
      std::memset(static_cast<void*>(pixels.get()), 0, box.window().area() * sizeof(Pixel<T>));
      unpool_box(box, pooled.get(), box.window(), row_sum.get(), pixels.get());
      store_window<T, true>(pixels.get(), box.window(), block);
    }
    if (plan.whole_image) {
      store_window<T, false>(pixels.get(), whole, block);
    }
  });
}

}  // namespace

Tensor roi_align_forward_cpu(
    const Tensor& input, const Tensor& rois, double spatial_scale, int64_t pooled_h, int64_t pooled_w,
    int64_t sampling_ratio, bool aligned) {
  const RoiAlignSpec spec{spatial_scale, pooled_h, pooled_w, sampling_ratio, aligned};
  check_input(input);
  check_rois(rois, spec);
  const ScalarType type = compute_type(input);
  Tensor features = cast(input, type);
  if (features.stride(3) != 1 && features.stride(1) != 1) {
    features = torch::stable::contiguous(features);
  }
  const Tensor boxes = torch::stable::contiguous(cast(rois, type));
  const Tensor output = torch::stable::empty({rois.size(0), input.size(1), pooled_h, pooled_w}, type);
  if (output.numel() > 0) {
    type == ScalarType::Double ? forward<double>(features, boxes, spec, output)
                               : forward<float>(features, boxes, spec, output);
  }
  return cast(output, input.scalar_type());
}

Tensor roi_align_backward_cpu(
    const Tensor& grad, const Tensor& rois, double spatial_scale, int64_t pooled_h, int64_t pooled_w, int64_t batch,
    int64_t channels, int64_t height, int64_t width, int64_t sampling_ratio, bool aligned) {
  const RoiAlignSpec spec{spatial_scale, pooled_h, pooled_w, sampling_ratio, aligned};
  check_rois(rois, spec);
  check_grad(grad, rois, channels, spec);
  const ScalarType type = compute_type(grad);
  const Tensor gradient = torch::stable::contiguous(cast(grad, type));
  const Tensor boxes = torch::stable::contiguous(cast(rois, type));
  const Tensor grad_input = torch::stable::empty({batch, channels, height, width}, type);
  if (grad_input.numel() > 0) {
    type == ScalarType::Double ? backward<double>(gradient, boxes, spec, grad_input)
                               : backward<float>(gradient, boxes, spec, grad_input);
  }
  return cast(grad_input, grad.scalar_type());
}

}  // namespace detectron2
