// Greedy suppression on the CPU, images side by side.
//
// Candidates are taken in the order of their keys and compared with the boxes kept of their class alone. They are sorted
// piece by piece, as far as it takes to fill the detections. An image is one thread's work: the result does not
// depend on the number of threads.

#include "nms_cpu.h"

#include "kept_boxes_cpu.h"
#include "select_cpu.h"

namespace yolo_nms {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kFirstPiece = 1024;  // candidates sorted at first; each piece is twice the one before

// What a thread needs for an image. workspace.py states the same numbers.
struct Workspace {
  int64_t keys;
  int64_t blocks;
  int64_t chains;

  explicit Workspace(const Problem& problem)
      : keys(std::min(2 * problem.candidates(), problem.scored())),
        blocks(problem.kept()),
        chains(chain_count(problem.kept())) {}

  static int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
  int64_t key_bytes() const { return aligned(keys * static_cast<int64_t>(sizeof(uint64_t))); }
  int64_t block_bytes() const { return aligned(blocks * static_cast<int64_t>(sizeof(Block))); }
  int64_t chain_bytes() const { return aligned(chains * static_cast<int64_t>(sizeof(Chain))); }
  int64_t bytes() const { return key_bytes() + block_bytes() + chain_bytes(); }
};
static_assert(sizeof(Block) == 176 && sizeof(Chain) == 16, "workspace.py counts with these sizes");

// Where the results of one image go.
struct Row {
  float* boxes;
  float* scores;
  int64_t* labels;
  int64_t* anchors;
  int64_t* count;
};

Row row_of(const Detections& detections, int64_t image, int64_t rows) {
  const auto& [boxes, scores, labels, anchors, counts] = detections;
  return {boxes.mutable_data_ptr<float>() + image * rows * 4, scores.mutable_data_ptr<float>() + image * rows,
          labels.mutable_data_ptr<int64_t>() + image * rows, anchors.mutable_data_ptr<int64_t>() + image * rows,
          counts.mutable_data_ptr<int64_t>() + image};
}

ScoreView scores_of(const Problem& problem, int64_t image) {
  const Tensor& scores = problem.scores;
  return {scores.const_data_ptr<float>() + image * scores.stride(0), problem.anchors(), problem.classes(),
          scores.stride(1), scores.stride(2)};
}

Box box_at(const Problem& problem, int64_t image, int64_t anchor) {
  const Tensor& boxes = problem.boxes;
  const float* corner = boxes.const_data_ptr<float>() + image * boxes.stride(0) + anchor * boxes.stride(1);
  const int64_t step = boxes.stride(2);
  return {corner[0], corner[step], corner[2 * step], corner[3 * step]};
}

void suppress_image(const Problem& problem, int64_t image, const Workspace& workspace, char* memory, const Row& row) {
  uint64_t* keys = reinterpret_cast<uint64_t*>(memory);
  Selection selection(keys, problem.candidates(), workspace.keys, problem.score_threshold);
  const ScoreView scores = scores_of(problem, image);
  select_candidates(scores, problem.multi_label, selection);
  const int64_t candidates = selection.finish();
  KeptBoxes kept(
      reinterpret_cast<Block*>(memory + workspace.key_bytes()),
      reinterpret_cast<Chain*>(memory + workspace.key_bytes() + workspace.block_bytes()), workspace.chains,
      problem.iou_threshold);
  const int64_t* labels =
      problem.labels.has_value() ? problem.labels->const_data_ptr<int64_t>() + image * problem.anchors() : nullptr;
  int64_t count = 0, sorted = 0, piece = std::max(kFirstPiece, 2 * problem.kept());
  for (int64_t i = 0; i < candidates && count < problem.kept(); ++i) {
    if (i == sorted) {
      sorted = std::min(candidates, sorted + piece);
      piece *= 2;
      if (sorted < candidates) {
        std::nth_element(keys + i, keys + sorted, keys + candidates);
      }
      std::sort(keys + i, keys + sorted);
    }
    const int64_t anchor = index_of(keys[i]) / problem.classes(), k = index_of(keys[i]) % problem.classes();
    const int64_t label = labels != nullptr ? labels[anchor] : k;
    const Box box = box_at(problem, image, anchor);
    if (kept.keep(box, problem.class_agnostic ? 0 : label)) {
      std::copy_n(&box.x0, 4, row.boxes + 4 * count);
      row.scores[count] = scores.data[anchor * scores.anchor_stride + k * scores.class_stride];
      row.labels[count] = label;
      row.anchors[count] = anchor;
      ++count;
    }
  }
  *row.count = count;
}

// Strides that the selection reads: 1 over the anchors or over the classes.
void bring_into_order(Problem& problem) {
  const Tensor& scores = problem.scores;
  if (scores.stride(1) != 1 && scores.stride(2) != 1 && problem.classes() != 1) {
    problem.scores = torch::stable::contiguous(scores);
  }
}

}  // namespace

Detections nms_padded_cpu(
    const Tensor& boxes, const Tensor& scores, const std::optional<Tensor>& labels, double iou_threshold,
    double score_threshold, int64_t max_candidates, int64_t max_detections, bool class_agnostic, bool multi_label) {
  Problem problem = make_problem(
      boxes, scores, labels, iou_threshold, score_threshold, max_candidates, max_detections, class_agnostic,
      multi_label);
  const Detections detections = empty_detections(problem);
  if (problem.images() > 0 && problem.scored() > 0) {
    bring_into_order(problem);
    const int64_t workers = std::min<int64_t>(problem.images(), torch::stable::get_num_threads());
    const Workspace workspace(problem);
    const Tensor memory = torch::stable::empty({workers * workspace.bytes() + kAlignment}, ScalarType::Byte);
    char* start = reinterpret_cast<char*>(
        Workspace::aligned(reinterpret_cast<int64_t>(memory.mutable_data_ptr<uint8_t>())));
    torch::stable::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
      for (int64_t worker = begin; worker < end; ++worker) {
        for (int64_t image = worker; image < problem.images(); image += workers) {
          suppress_image(
              problem, image, workspace, start + worker * workspace.bytes(),
              row_of(detections, image, problem.max_detections));
        }
      }
    });
  }
  return as_types(detections, boxes.scalar_type(), scores.scalar_type());
}

}  // namespace yolo_nms
