#include "image.h"

#include <algorithm>
#include <cmath>
#include <cctype>
#include <fstream>
#include <stdexcept>

#ifdef DEPLOY_WITH_OPENCV
#include <opencv2/imgcodecs.hpp>
#endif

namespace {

constexpr int kLargestSide = 1 << 16;

// A number of a PPM header; comments run from # to the end of the line.
int header_number(std::istream& file) {
  int next = file.peek();
  while (next == '#' || std::isspace(next)) {
    if (next == '#') {
      std::string comment;
      std::getline(file, comment);
    } else {
      file.get();
    }
    next = file.peek();
  }
  int value = -1;
  file >> value;
  return value;
}

Image read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  std::string magic(2, ' ');
  file.read(magic.data(), 2);
  if (magic != "P6") throw std::runtime_error(path + " is no binary PPM (P6)");
  Image image;
  image.width = header_number(file);
  image.height = header_number(file);
  const int levels = header_number(file);
  file.get();  // one white space before the pixels
  const bool possible = image.width > 0 && image.height > 0 && image.width < kLargestSide && image.height < kLargestSide;
  if (!file || !possible || levels != 255) throw std::runtime_error(path + " has a header that is not understood");
  image.rgb.resize(std::size_t(3) * image.width * image.height);
  file.read(reinterpret_cast<char*>(image.rgb.data()), std::streamsize(image.rgb.size()));
  if (!file) throw std::runtime_error(path + " is cut short");
  return image;
}

// The two neighbours of a sample and the weight of the second.
struct Sample {
  int low, high;
  float weight;
};

std::vector<Sample> samples(int from, int to) {
  std::vector<Sample> result(to);
  for (int i = 0; i < to; ++i) {
    const float at = std::clamp((i + 0.5f) * from / to - 0.5f, 0.0f, float(from - 1));
    const int low = int(at);
    result[i] = {low, std::min(low + 1, from - 1), at - low};
  }
  return result;
}

int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Image read_image(const std::string& path) {
#ifdef DEPLOY_WITH_OPENCV
  const cv::Mat found = cv::imread(path, cv::IMREAD_COLOR);
  if (found.empty()) throw std::runtime_error("cannot read " + path);
  Image image{found.rows, found.cols, {}};
  image.rgb.reserve(std::size_t(3) * found.rows * found.cols);
  for (int y = 0; y < found.rows; ++y)
    for (int x = 0; x < found.cols; ++x)
      for (int c = 2; c >= 0; --c) image.rgb.push_back(found.at<cv::Vec3b>(y, x)[c]);
  return image;
#else
  return read_ppm(path);
#endif
}

Input prepare(const Image& image, const Preparation& wanted) {
  const float scale = std::min(float(wanted.height) / image.height, float(wanted.width) / image.width);
  const int height = std::max(1, int(std::lround(image.height * scale)));
  const int width = std::max(1, int(std::lround(image.width * scale)));
  const int rows = round_up(height, wanted.divisibility), columns = round_up(width, wanted.divisibility);
  Input input;
  input.shape = {1, 3, rows, columns};
  input.size = {float(height), float(width)};
  input.scale_x = float(width) / image.width;
  input.scale_y = float(height) / image.height;
  input.pixels.resize(std::size_t(3) * rows * columns);
  const auto across = samples(image.width, width), down = samples(image.height, height);
  for (int channel = 0; channel < 3; ++channel) {
    float* plane = input.pixels.data() + std::size_t(channel) * rows * columns;
    std::fill(plane, plane + std::size_t(rows) * columns, wanted.padding[channel]);
    const int source = wanted.bgr ? 2 - channel : channel;
    const auto value = [&](int y, int x) { return float(image.rgb[(std::size_t(y) * image.width + x) * 3 + source]); };
    for (int y = 0; y < height; ++y) {
      const Sample v = down[y];
      for (int x = 0; x < width; ++x) {
        const Sample h = across[x];
        const float upper = value(v.low, h.low) + (value(v.low, h.high) - value(v.low, h.low)) * h.weight;
        const float lower = value(v.high, h.low) + (value(v.high, h.high) - value(v.high, h.low)) * h.weight;
        plane[std::size_t(y) * columns + x] = std::round(upper + (lower - upper) * v.weight);
      }
    }
  }
  return input;
}
