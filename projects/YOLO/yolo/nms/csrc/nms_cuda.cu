// Suppression on CUDA, and its registration. The host never waits: all sizes follow from the arguments.

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "problem.h"
#include "select_cuda.cuh"
#include "sort_cuda.cuh"
#include "suppress_cuda.cuh"

extern "C" AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace yolo_nms {
namespace {

constexpr int64_t kMaxBlocks = 1024;      // an image
constexpr int64_t kMaxImages = 65535;     // gridDim.y

// Pieces of one allocation. workspace.py states the same number of bytes.
struct Workspace {
  int64_t room;  // keys an image: a power of two
  Tensor memory;
  uint64_t* keys;
  SelectionState* states;
  unsigned int* histograms;

  explicit Workspace(const Problem& problem) : room(1) {
    while (room < problem.candidates()) {
      room *= 2;
    }
    const int64_t images = problem.images();
    const int64_t key_bytes = images * room * static_cast<int64_t>(sizeof(uint64_t));
    const int64_t state_bytes = images * static_cast<int64_t>(sizeof(SelectionState));
    const int64_t histogram_bytes = images * kDigits * static_cast<int64_t>(sizeof(unsigned int));
    memory = torch::stable::new_empty(problem.scores, {key_bytes + state_bytes + histogram_bytes}, ScalarType::Byte);
    uint8_t* start = memory.mutable_data_ptr<uint8_t>();
    keys = reinterpret_cast<uint64_t*>(start);
    states = reinterpret_cast<SelectionState*>(start + key_bytes);
    histograms = reinterpret_cast<unsigned int*>(start + key_bytes + state_bytes);
  }
  size_t key_bytes() const { return reinterpret_cast<char*>(states) - reinterpret_cast<char*>(keys); }
  size_t counter_bytes() const { return memory.numel() - key_bytes(); }
};

void check(cudaError_t error) { STD_TORCH_CHECK(error == cudaSuccess, "nms: CUDA: ", cudaGetErrorString(error)); }

ScoreShape shape_of(const Problem& problem) {
  const Tensor& scores = problem.scores;
  return {scores.const_data_ptr<float>(), problem.anchors(), problem.classes(), scores.stride(0), scores.stride(1),
          scores.stride(2), problem.multi_label};
}

void select(const Problem& problem, const ScoreShape& shape, const Workspace& workspace, cudaStream_t stream) {
  const unsigned int images = static_cast<unsigned int>(problem.images());
  const unsigned int limit = static_cast<unsigned int>(problem.candidates());
  const float threshold = problem.score_threshold;
  // All ones: keys that sort behind every candidate.
  check(cudaMemsetAsync(workspace.keys, 0xff, workspace.key_bytes(), stream));
  check(cudaMemsetAsync(workspace.states, 0, workspace.counter_bytes(), stream));
  const int64_t blocks = std::min(kMaxBlocks, (shape.scored() + kThreads - 1) / kThreads);
  const dim3 grid(static_cast<unsigned int>(blocks), images);
  collect_kernel<<<grid, kThreads, 0, stream>>>(
      shape, threshold, limit, workspace.room, workspace.keys, workspace.states);
  begin_selection_kernel<<<(images + kThreads - 1) / kThreads, kThreads, 0, stream>>>(
      static_cast<int>(images), limit, workspace.states);
  if (problem.candidates() < problem.scored()) {
    for (int pass = 0; pass < kPasses; ++pass) {
      count_digits_kernel<<<grid, kThreads, 0, stream>>>(
          shape, threshold, pass, workspace.states, workspace.histograms);
      choose_digit_kernel<<<images, kThreads, 0, stream>>>(pass, workspace.states, workspace.histograms);
    }
    collect_selected_kernel<<<grid, kThreads, 0, stream>>>(
        shape, threshold, workspace.room, workspace.keys, workspace.states);
  }
  check(cudaGetLastError());
}

void suppress(
    const Problem& problem, const ScoreShape& shape, const Workspace& workspace, const Detections& detections,
    cudaStream_t stream) {
  const auto& [boxes, scores, labels, anchors, counts] = detections;
  const Tensor& corners = problem.boxes;
  const BoxShape box_shape{
      corners.const_data_ptr<float>(), corners.stride(0), corners.stride(1), corners.stride(2)};
  const Rows rows{
      reinterpret_cast<float4*>(boxes.mutable_data_ptr<float>()), scores.mutable_data_ptr<float>(),
      labels.mutable_data_ptr<int64_t>(), anchors.mutable_data_ptr<int64_t>(), counts.mutable_data_ptr<int64_t>()};
  const SuppressionSettings settings{
      problem.iou_threshold, static_cast<int>(problem.max_detections), problem.class_agnostic};
  const unsigned int limit = static_cast<unsigned int>(problem.candidates());
  suppress_kernel<<<static_cast<unsigned int>(problem.images()), kCandidates, 0, stream>>>(
      workspace.keys, workspace.room, limit, workspace.states, shape, box_shape,
      problem.labels.has_value() ? problem.labels->const_data_ptr<int64_t>() : nullptr, settings, rows);
  check(cudaGetLastError());
}

Detections nms_padded_cuda(
    const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels, double iou_threshold,
    double score_threshold, int64_t max_candidates, int64_t max_detections, bool class_agnostic, bool multi_label) {
  const torch::stable::accelerator::DeviceGuard guard(boxes.get_device_index());
  const Problem problem = make_problem(
      boxes, scores, labels, iou_threshold, score_threshold, max_candidates, max_detections, class_agnostic,
      multi_label);
  STD_TORCH_CHECK(problem.images() <= kMaxImages, "nms: more than 65535 images");
  STD_TORCH_CHECK(max_detections < int64_t(1) << 31, "nms: max_detections is 2^31 or more");
  const Detections detections = empty_detections(problem);
  if (problem.images() > 0 && problem.scored() > 0) {
    void* current = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(boxes.get_device_index(), &current));
    const cudaStream_t stream = static_cast<cudaStream_t>(current);
    const Workspace workspace(problem);
    const ScoreShape shape = shape_of(problem);
    select(problem, shape, workspace, stream);
    sort_keys(workspace.keys, static_cast<unsigned int>(problem.images()), workspace.room, stream);
    check(cudaGetLastError());
    suppress(problem, shape, workspace, detections, stream);
  }
  return as_types(detections, boxes.scalar_type(), scores.scalar_type());
}

}  // namespace
}  // namespace yolo_nms

STABLE_TORCH_LIBRARY_IMPL(detectron2_yolo, CUDA, library) {
  library.impl("nms_padded", TORCH_BOX(&yolo_nms::nms_padded_cuda));
}
