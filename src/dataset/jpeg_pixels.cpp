#include "dataset/jpeg_pixels.hpp"

#include <algorithm>

#include "dataset/mp4_libav.hpp"

namespace pyracast {

namespace {

/// One of a frame's planes; `halves_*`: it has half as many columns or rows, rounded up.
struct Plane {
  const uint8_t* values;
  int stride, height, width;
  bool halves_rows, halves_columns;

  int at(int row, int column) const { return values[ptrdiff_t(row) * stride + column]; }
};

/// A row of the whole height: three parts of the nearest one here and one of the next nearest, as a sum, and by what it is to be divided.
struct Row {
  std::vector<int> sums;
  int shift;
};

Row row_of(const Plane& plane, int y) {
  Row row{{}, plane.halves_rows ? 2 : 0};
  const int near = plane.halves_rows ? y / 2 : y, next = std::clamp(y % 2 ? near + 1 : near - 1, 0, plane.height - 1);
  for (int x = 0; x < plane.width; ++x) row.sums.push_back(plane.halves_rows ? 3 * plane.at(near, x) + plane.at(next, x) : plane.at(near, x));
  return row;
}

/// libjpeg's triangle filter: columns as rows above. Rounding is up and down in turn, so that no colour becomes brighter by it.
std::vector<int> upsampled_row(const Plane& plane, int y, int width) {
  std::vector<int> out;
  if (plane.halves_columns && plane.width <= 2) {   // of the narrowest pictures libjpeg repeats what there is
    for (int x = 0; x < width; ++x) out.push_back(plane.at(plane.halves_rows ? y / 2 : y, x / 2));
    return out;
  }
  const auto [sums, shift] = row_of(plane, y);
  if (!plane.halves_columns) {
    for (const int sum : sums) out.push_back(shift ? (sum + (y % 2 ? 2 : 1)) >> 2 : sum);
    return out;
  }
  const int last = plane.width - 1, even = shift ? 8 : 1, odd = shift ? 7 : 2;
  for (int x = 0; x < width; ++x) {
    const int near = x / 2, next = std::clamp(x % 2 ? near + 1 : near - 1, 0, last);
    out.push_back((3 * sums[size_t(near)] + sums[size_t(next)] + (x % 2 ? odd : even)) >> (shift + 2));
  }
  return out;
}

uint8_t clamped(int value) { return uint8_t(std::clamp(value, 0, 255)); }

constexpr int fixed(double factor) { return int(factor * 65536 + 0.5); }

}  // namespace

std::optional<Video> jpeg_pixels(const AVFrame& frame) {
  bool halves_rows = false, halves_columns = false;
  switch (frame.format) {
    case AV_PIX_FMT_YUVJ444P: break;
    case AV_PIX_FMT_YUVJ422P: halves_columns = true; break;
    case AV_PIX_FMT_YUVJ440P: halves_rows = true; break;
    case AV_PIX_FMT_YUVJ420P: halves_rows = halves_columns = true; break;
    default: return std::nullopt;
  }
  const auto colour = [&](int index) {
    const int height = halves_rows ? (frame.height + 1) / 2 : frame.height, width = halves_columns ? (frame.width + 1) / 2 : frame.width;
    return Plane{frame.data[index], frame.linesize[index], height, width, halves_rows, halves_columns};
  };
  const Plane brightness{frame.data[0], frame.linesize[0], frame.height, frame.width, false, false}, blue = colour(1), red = colour(2);
  Video video{1, frame.height, frame.width};
  video.rgb.reserve(video.frame_bytes());
  for (int y = 0; y < frame.height; ++y) {
    const std::vector<int> cb = upsampled_row(blue, y, frame.width), cr = upsampled_row(red, y, frame.width);
    for (int x = 0; x < frame.width; ++x) {
      const int light = brightness.at(y, x), b = cb[size_t(x)] - 128, r = cr[size_t(x)] - 128;
      constexpr int half = 1 << 15;
      video.rgb.push_back(clamped(light + ((fixed(1.402) * r + half) >> 16)));
      video.rgb.push_back(clamped(light + ((-fixed(0.34414) * b - fixed(0.71414) * r + half) >> 16)));
      video.rgb.push_back(clamped(light + ((fixed(1.772) * b + half) >> 16)));
    }
  }
  return video;
}

}  // namespace pyracast
