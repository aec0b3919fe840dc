// Runs an exported detector, suppression being in its graph, on a picture and prints the detections.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "image.h"

namespace {

struct Options {
  std::string model, picture;
  Preparation preparation;
  int threads = 0;  // 0: the engine decides
  float threshold = 0.3f;
};

const char* const kUsage =
    "usage: detect MODEL.onnx PICTURE.ppm [--size HEIGHT WIDTH] [--divisibility N] [--padding A B C] [--rgb]\n"
    "              [--threads N] [--threshold T]\n"
    "prints for each detection: class, score, x0, y0, x1, y1 in pixels of the picture\n";

float number(const std::string& text) {
  char* end = nullptr;
  const float value = std::strtof(text.c_str(), &end);
  if (text.empty() || *end != '\0') throw std::runtime_error("'" + text + "' is no number");
  return value;
}

Options parse(const std::vector<std::string>& words) {
  Options options;
  std::vector<std::string> files;
  std::size_t at = 0;
  const auto next = [&]() -> const std::string& {
    if (++at >= words.size()) throw std::runtime_error("a value is missing behind " + words.back());
    return words[at];
  };
  for (; at < words.size(); ++at) {
    const std::string word = words[at];
    Preparation& p = options.preparation;
    if (word == "--size") {
      p.height = int(number(next()));
      p.width = int(number(next()));
    } else if (word == "--divisibility") {
      p.divisibility = int(number(next()));
    } else if (word == "--padding") {
      for (float& value : p.padding) value = number(next());
    } else if (word == "--rgb") {
      p.bgr = false;
    } else if (word == "--threads") {
      options.threads = int(number(next()));
    } else if (word == "--threshold") {
      options.threshold = number(next());
    } else if (word.rfind("--", 0) == 0) {
      throw std::runtime_error("unknown option " + word);
    } else {
      files.push_back(word);
    }
  }
  if (files.size() != 2) throw std::runtime_error(kUsage);
  const Preparation& p = options.preparation;
  if (p.height < 1 || p.width < 1 || p.divisibility < 1) throw std::runtime_error("sizes must be 1 or more");
  options.model = files[0];
  options.picture = files[1];
  return options;
}

float clamp(float value, float largest) { return std::min(std::max(value, 0.0f), largest); }

class Detector {
 public:
  Detector(const std::string& path, int threads) : environment_(ORT_LOGGING_LEVEL_WARNING, "detect") {
    Ort::SessionOptions settings;
    settings.SetIntraOpNumThreads(threads);
    settings.SetGraphOptimizationLevel(GraphOptimizationLevel::ORT_ENABLE_ALL);
#ifdef _WIN32
    const std::wstring file(path.begin(), path.end());
#else
    const std::string& file = path;
#endif
    session_ = Ort::Session(environment_, file.c_str(), settings);
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < session_.GetInputCount(); ++i)
      inputs_.push_back(session_.GetInputNameAllocated(i, allocator).get());
    for (std::size_t i = 0; i < session_.GetOutputCount(); ++i)
      outputs_.push_back(session_.GetOutputNameAllocated(i, allocator).get());
    for (const char* wanted : {"boxes", "scores", "classes", "counts"})
      if (std::find(outputs_.begin(), outputs_.end(), wanted) == outputs_.end())
        throw std::runtime_error(path + " has no output '" + wanted + "': export the form with suppression");
  }

  // Prints the detections of one picture: what of a box lies in the picture, nothing for those outside.
  void run(Input& input, float threshold) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const std::array<std::int64_t, 2> size_shape{1, 2};
    std::vector<Ort::Value> values;
    std::vector<const char*> names, results{"boxes", "scores", "classes", "counts"};
    for (const std::string& name : inputs_) {
      names.push_back(name.c_str());
      if (name == "sizes")
        values.push_back(Ort::Value::CreateTensor<float>(memory, input.size.data(), input.size.size(),
                                                         size_shape.data(), size_shape.size()));
      else
        values.push_back(Ort::Value::CreateTensor<float>(memory, input.pixels.data(), input.pixels.size(),
                                                         input.shape.data(), input.shape.size()));
    }
    const auto found = session_.Run(Ort::RunOptions{nullptr}, names.data(), values.data(), values.size(),
                                    results.data(), results.size());
    const float* boxes = found[0].GetTensorData<float>();
    const float* scores = found[1].GetTensorData<float>();
    const std::int64_t* classes = found[2].GetTensorData<std::int64_t>();
    const std::int64_t count = *found[3].GetTensorData<std::int64_t>();
    const float height = std::round(input.size[0] / input.scale_y), width = std::round(input.size[1] / input.scale_x);
    for (std::int64_t i = 0; i < count && scores[i] >= threshold; ++i) {
      const float* box = boxes + 4 * i;
      const float x0 = clamp(box[0] / input.scale_x, width), x1 = clamp(box[2] / input.scale_x, width);
      const float y0 = clamp(box[1] / input.scale_y, height), y1 = clamp(box[3] / input.scale_y, height);
      if (x1 > x0 && y1 > y0)
        std::printf("%lld %.4f %.1f %.1f %.1f %.1f\n", static_cast<long long>(classes[i]), scores[i], x0, y0, x1, y1);
    }
  }

 private:
  Ort::Env environment_;
  Ort::Session session_{nullptr};
  std::vector<std::string> inputs_, outputs_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse({argv + 1, argv + argc});
    Input input = prepare(read_image(options.picture), options.preparation);
    Detector(options.model, options.threads).run(input, options.threshold);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
