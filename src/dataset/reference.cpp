#include "dataset/reference.hpp"

#include <algorithm>
#include <cmath>

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

/// The middle `count` of `to` pixels; halves are rounded to even, as Python does.
Axis middle(int from, int to, int count) { return {from, to, int(std::nearbyint((to - count) / 2.0)), count}; }

}  // namespace

Video filling(const Video& picture, int height, int width) {
  const double by_height = double(height) / picture.height, by_width = double(width) / picture.width;
  require(std::max(picture.width * by_height, picture.height * by_width) < 1e9, "a picture of ", picture.height, " x ", picture.width,
          " pixels is too narrow to fill ", height, " x ", width);
  const int whole_width = by_height > by_width ? int(std::nearbyint(picture.width * by_height)) : width;
  const int whole_height = by_height > by_width ? height : int(std::nearbyint(picture.height * by_width));
  return resized(picture, middle(picture.height, whole_height, height), middle(picture.width, whole_width, width));
}

Reference read_reference(const std::filesystem::path& file, int height, int width, int most_frames) {
  Reference reference{{0, height, width}, {}};
  try {
    reference.sha256 = sha256_of_file(file);
    Video& video = reference.video;
    const Video read = for_each_frame(file, [&](const Video& frame) {
      require(video.frames < most_frames, file.string(), ": holds more than ", most_frames, " frames, as many as a clip of the video: cut it to "
              "those that are wanted");
      const Video filled = filling(frame, height, width);
      video.rgb.insert(video.rgb.end(), filled.rgb.begin(), filled.rgb.end());
      ++video.frames;
    });
    video.fps = read.fps;
  } catch (const Error& error) {
    throw Error(concat("a reference cannot be read: ", error.what()), error.code);
  }
  return reference;
}

}  // namespace pyracast
