#include "dataset/reference.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "dataset/mp4.hpp"

namespace pyracast {

namespace {

/// Keys' cubic, a = -1/2.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// What a pixel of an axis is the weighted sum of, along an axis of another length; weights in fixed point, as Pillow has them.
struct Taps {
  static constexpr int bits = 22;
  int first = 0;
  std::vector<int> weights;
};

Taps taps_of(int pixel, int to, int from) {
  const double step = double(from) / to, stretch = std::max(step, 1.0), reach = 2 * stretch, centre = (pixel + 0.5) * step;
  Taps taps{.first = std::max(0, int(centre - reach + 0.5))};
  const int end = std::min(from, int(centre + reach + 0.5));
  std::vector<double> weights;
  double sum = 0;
  for (int i = taps.first; i < end; ++i) sum += weights.emplace_back(bicubic((i - centre + 0.5) * (1 / stretch)));
  for (const double weight : weights) taps.weights.push_back(int(std::trunc(weight / sum * (1 << Taps::bits) + (weight < 0 ? -0.5 : 0.5))));
  return taps;
}

/// An axis of a picture: its length, how many pixels it is to have, and of these the `count` from `first` on that are wanted.
struct Axis {
  int from, to, first, count;
  bool stays() const { return from == to && count == to; }
};

/// `in` [outside, axis.from, inside] -> [outside, axis.count, inside], bytes.
std::vector<uint8_t> resized_along(const Axis& axis, const std::vector<uint8_t>& in, size_t outside, size_t inside) {
  std::vector<uint8_t> out(outside * size_t(axis.count) * inside);
  for (int pixel = 0; pixel < axis.count; ++pixel) {
    const Taps taps = taps_of(axis.first + pixel, axis.to, axis.from);
    for (size_t o = 0; o < outside; ++o) {
      const uint8_t* from = in.data() + (o * size_t(axis.from) + size_t(taps.first)) * inside;
      uint8_t* to = out.data() + (o * size_t(axis.count) + size_t(pixel)) * inside;
      for (size_t i = 0; i < inside; ++i) {
        int64_t sum = 1 << (Taps::bits - 1);
        for (size_t t = 0; t < taps.weights.size(); ++t) sum += int64_t(taps.weights[t]) * from[t * inside + i];
        to[i] = uint8_t(std::clamp<int64_t>(sum >> Taps::bits, 0, 255));
      }
    }
  }
  return out;
}

/// Columns, then rows, as Pillow does.
Video resized(const Video& picture, const Axis& rows, const Axis& columns) {
  Video out{1, rows.count, columns.count, picture.fps, picture.rgb};
  if (!columns.stays()) out.rgb = resized_along(columns, out.rgb, size_t(rows.from), 3);
  if (!rows.stays()) out.rgb = resized_along(rows, out.rgb, 1, 3 * size_t(columns.count));
  return out;
}

/// In which of its sizes a picture fills another one.
struct WholeSize {
  int height, width;
};

WholeSize whole_size(const Video& picture, int height, int width) {
  const double by_height = double(height) / picture.height, by_width = double(width) / picture.width;
  require(std::max(picture.width * by_height, picture.height * by_width) < 1e9, "a picture of ", picture.height, " x ", picture.width,
          " pixels is too narrow to fill ", height, " x ", width);
  if (by_height > by_width) return {height, int(std::nearbyint(picture.width * by_height))};
  return {int(std::nearbyint(picture.height * by_width)), width};
}

/// The middle `count` of `to` pixels; halves are rounded to even, as Python does.
Axis middle(int from, int to, int count) { return {from, to, int(std::nearbyint((to - count) / 2.0)), count}; }

/// The two pixels that a pixel of an axis of another length lies between, and the share of the second.
struct Between {
  int first, second;
  float share;
};

/// Of the middle `count` of `to` pixels, here with halves rounded down.
std::vector<Between> between(int from, int to, int count) {
  const float step = float(from) / float(to);
  std::vector<Between> all;
  for (int i = 0; i < count; ++i) {
    const float at = std::max(0.f, step * (float((to - count) / 2 + i) + 0.5f) - 0.5f);
    const int first = std::min(int(at), from - 1);
    all.push_back({first, std::min(first + 1, from - 1), std::clamp(at - float(first), 0.f, 1.f)});
  }
  return all;
}

bool is_picture(const std::filesystem::path& file) {
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  const auto known = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};
  return std::find(known.begin(), known.end(), ending) != known.end();
}

/// Of the first frame: a picture has no others.
std::vector<float> pixels_of_picture(const std::filesystem::path& file, int height, int width) {
  std::vector<float> pixels;
  for_each_frame(file, [&](const Video& frame) {
    if (!pixels.empty()) return;
    for (const uint8_t value : filling(frame, height, width).rgb) pixels.push_back(float(value) / 255);
  });
  return pixels;
}

std::vector<float> pixels_of_video(const std::filesystem::path& file, int height, int width, const std::vector<bool>& wanted) {
  std::vector<float> pixels;
  size_t at = 0;
  for_each_frame(file, [&](const Video& frame) {
    require(at < wanted.size(), file.string(), ": has grown while it was read");
    if (!wanted[at++]) return;
    const std::vector<float> filled = bilinearly_filling(frame, height, width);
    pixels.insert(pixels.end(), filled.begin(), filled.end());
  });
  require(at == wanted.size(), file.string(), ": has shrunk while it was read");
  return pixels;
}

template <class Read>
auto reading(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(concat("a reference cannot be read: ", error.what()), error.code);
  }
}

}  // namespace

Video filling(const Video& picture, int height, int width) {
  const WholeSize whole = whole_size(picture, height, width);
  return resized(picture, middle(picture.height, whole.height, height), middle(picture.width, whole.width, width));
}

std::vector<float> bilinearly_filling(const Video& frame, int height, int width) {
  const WholeSize whole = whole_size(frame, height, width);
  const std::vector<Between> rows = between(frame.height, whole.height, height), columns = between(frame.width, whole.width, width);
  std::vector<float> pixels;
  for (const Between& row : rows)
    for (const Between& column : columns)
      for (int channel = 0; channel < 3; ++channel) {
        const auto value = [&](int y, int x) { return float(frame.rgb[(size_t(y) * size_t(frame.width) + size_t(x)) * 3 + size_t(channel)]) / 255; };
        const auto along = [&](int y) { return (1 - column.share) * value(y, column.first) + column.share * value(y, column.second); };
        pixels.push_back((1 - row.share) * along(row.first) + row.share * along(row.second));
      }
  return pixels;
}

Reference read_reference(const std::filesystem::path& file, int height, int width, const WantedFrames& wanted) {
  Reference reference;
  reading([&] {
    reference.sha256 = sha256_of_file(file);
    reference.frames = is_picture(file) ? 1 : count_frames(file);
  });
  const std::vector<bool> taken = wanted(reference.frames, reference.sha256);
  if (std::find(taken.begin(), taken.end(), true) == taken.end()) return reference;
  reference.pixels = reading([&] { return is_picture(file) ? pixels_of_picture(file, height, width) : pixels_of_video(file, height, width, taken); });
  return reference;
}

}  // namespace pyracast
