// Pictures in memory: reading, resizing, and the tensor that a detector takes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

struct Image {
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> rgb;  // rows of pixels, three bytes each
};

// A tensor of one picture, and how to get from its pixels back to those of the picture.
struct Input {
  std::array<std::int64_t, 4> shape{};
  std::vector<float> pixels;       // channel by channel, 0 to 255
  std::array<float, 2> size{};     // height and width without padding
  float scale_x = 1, scale_y = 1;  // tensor pixels per picture pixel
};

struct Preparation {
  int height = 640, width = 640;  // the picture is resized to fit
  int divisibility = 32;          // of the tensor's height and width
  std::array<float, 3> padding{114, 114, 114};
  bool bgr = true;
};

// Reads a binary PPM (P6, 255 levels), and with OpenCV whatever it reads. Throws std::runtime_error.
Image read_image(const std::string& path);

// Resizes (bilinear, pixel centres), orders the channels, pads at the right and bottom.
Input prepare(const Image& image, const Preparation& wanted);
