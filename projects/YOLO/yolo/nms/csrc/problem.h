// What is asked for, checked, in the form that the CPU and the CUDA entry points share.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "candidate_key.h"

namespace yolo_nms {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Boxes, scores, labels and anchor indices of what is kept, padded, and their number in each image.
using Detections = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

struct Problem {
  Tensor boxes;                 // float, (images, anchors, 4), any strides
  Tensor scores;                // float, (images, anchors, classes), any strides
  std::optional<Tensor> labels;  // int64, (images, anchors), contiguous
  float iou_threshold;
  float score_threshold;
  int64_t max_candidates;
  int64_t max_detections;
  bool class_agnostic;
  bool multi_label;

  int64_t images() const { return scores.size(0); }
  int64_t anchors() const { return scores.size(1); }
  int64_t classes() const { return scores.size(2); }
  // No image has more of them.
  int64_t scored() const { return anchors() * (multi_label ? classes() : std::min<int64_t>(classes(), 1)); }
  int64_t candidates() const { return std::min(max_candidates, scored()); }
  int64_t kept() const { return std::min(max_detections, candidates()); }
};

inline Tensor as_float(const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  STD_TORCH_CHECK(
      type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
      "nms: boxes and scores must be float32, float16 or bfloat16");
  return type == ScalarType::Float ? tensor : torch::stable::to(tensor, ScalarType::Float);
}

inline Problem make_problem(
    const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels, double iou_threshold,
    double score_threshold, int64_t max_candidates, int64_t max_detections, bool class_agnostic, bool multi_label) {
  STD_TORCH_CHECK(boxes.dim() == 3 && boxes.size(2) == 4, "nms: boxes must be of shape (N, A, 4)");
  STD_TORCH_CHECK(
      scores.dim() == (labels.has_value() ? 2 : 3) && scores.size(0) == boxes.size(0) && scores.size(1) == boxes.size(1),
      "nms: scores must be of shape (N, A, K), or (N, A) with labels");
  STD_TORCH_CHECK(iou_threshold >= 0 && iou_threshold <= 1, "nms: iou_threshold must be from 0 to 1");
  STD_TORCH_CHECK(score_threshold == score_threshold, "nms: score_threshold is NaN");
  STD_TORCH_CHECK(max_candidates > 0 && max_detections > 0, "nms: the maxima must be positive");
  const Tensor values = as_float(scores);
  Problem problem{as_float(boxes), labels.has_value() ? torch::stable::unsqueeze(values, 2) : values, std::nullopt,
                  round_down(iou_threshold), static_cast<float>(score_threshold), max_candidates, max_detections,
                  class_agnostic, multi_label};
  if (labels.has_value()) {
    STD_TORCH_CHECK(
        labels->scalar_type() == ScalarType::Long && labels->dim() == 2 && labels->size(0) == scores.size(0) &&
            labels->size(1) == scores.size(1),
        "nms: labels must be int64, of the shape (N, A) of the scores");
    STD_TORCH_CHECK(labels->get_device_index() == scores.get_device_index(), "nms: labels are on another device");
    problem.labels = torch::stable::contiguous(*labels);
  }
  STD_TORCH_CHECK(boxes.get_device_index() == scores.get_device_index(), "nms: boxes and scores are on two devices");
  STD_TORCH_CHECK(
      problem.anchors() * std::max<int64_t>(problem.classes(), 1) < int64_t(1) << 32,
      "nms: an image has 2^32 scores or more");
  return problem;
}

inline Detections empty_detections(const Problem& problem) {
  const int64_t images = problem.images(), rows = problem.max_detections;
  const Tensor& like = problem.scores;
  Detections detections{
      torch::stable::new_zeros(like, {images, rows, 4}), torch::stable::new_zeros(like, {images, rows}),
      torch::stable::new_empty(like, {images, rows}, ScalarType::Long),
      torch::stable::new_empty(like, {images, rows}, ScalarType::Long),
      torch::stable::new_zeros(like, {images}, ScalarType::Long)};
  torch::stable::fill_(std::get<2>(detections), -1);
  torch::stable::fill_(std::get<3>(detections), -1);
  return detections;
}

inline Detections as_types(const Detections& detections, ScalarType box_type, ScalarType score_type) {
  const auto& [boxes, scores, labels, anchors, counts] = detections;
  return {box_type == ScalarType::Float ? boxes : torch::stable::to(boxes, box_type),
          score_type == ScalarType::Float ? scores : torch::stable::to(scores, score_type), labels, anchors, counts};
}

}  // namespace yolo_nms
