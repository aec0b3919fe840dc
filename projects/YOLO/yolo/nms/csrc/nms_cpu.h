#pragma once

#include "problem.h"

namespace yolo_nms {

Detections nms_padded_cpu(
    const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels, double iou_threshold,
    double score_threshold, int64_t max_candidates, int64_t max_detections, bool class_agnostic, bool multi_label);

}  // namespace yolo_nms
