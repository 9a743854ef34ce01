#include "dataset/picture.hpp"

#include <algorithm>
#include <cmath>

#include "dataset/mp4_libav.hpp"

namespace pyracast {

namespace {

using libav::check;

/// What part of an axis of `from` pixels a pixel of an axis of `to` is the mean of.
std::pair<int, int> covered(int pixel, int to, int from) {
  return {int(int64_t(pixel) * from / to), std::max(int(int64_t(pixel + 1) * from / to), int(int64_t(pixel) * from / to) + 1)};
}

/// Writes frame `frame` of `video`, made smaller to height x width, into `strip` from column `left` on.
void put(Video& strip, const Video& video, int frame, int left, int width) {
  const uint8_t* rgb = video.rgb.data() + size_t(frame) * video.frame_bytes();
  for (int y = 0; y < strip.height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto [top, bottom] = covered(y, strip.height, video.height);
      const auto [first, last] = covered(x, width, video.width);
      const uint64_t pixels = uint64_t(bottom - top) * uint64_t(last - first);
      uint64_t sums[3] = {};
      for (int row = top; row < bottom; ++row)
        for (int column = first; column < last; ++column)
          for (size_t c = 0; c < 3; ++c) sums[c] += rgb[3 * (size_t(row) * size_t(video.width) + size_t(column)) + c];
      uint8_t* to = strip.rgb.data() + 3 * (size_t(y) * size_t(strip.width) + size_t(left + x));
      for (size_t c = 0; c < 3; ++c) to[c] = uint8_t((sums[c] + pixels / 2) / pixels);
    }
}

// JPEG's own colours (BT.601, full range), none of them at half the resolution: pictures here are small.
constexpr AVPixelFormat jpeg_format = AV_PIX_FMT_YUVJ444P;
constexpr int jpeg_quality = 3;   // ffmpeg's scale: 2 is best, 31 smallest

libav::Codec open_encoder(const Video& picture) {
  const AVCodec* encoder = check(avcodec_find_encoder(AV_CODEC_ID_MJPEG), "JPEG", "encoder");
  libav::Codec codec(check(avcodec_alloc_context3(encoder), "JPEG", "encoder"));
  codec->width = picture.width;
  codec->height = picture.height;
  codec->pix_fmt = jpeg_format;
  codec->time_base = {1, 1};
  codec->thread_count = 1;
  codec->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT;
  codec->global_quality = FF_QP2LAMBDA * jpeg_quality;
  check(avcodec_open2(codec.get(), encoder, nullptr), "JPEG", "opening the encoder");
  return codec;
}

}  // namespace

Video film_strip(const Video& video, int count, int longest) {
  count = std::min(count, video.frames);
  const double scale = std::min(1.0, double(longest) / std::max(video.height, video.width));
  const int width = std::max(1, int(std::lround(video.width * scale))), height = std::max(1, int(std::lround(video.height * scale)));
  const int step = width + 1 + width / 100, all = step * (count - 1) + width;
  Video strip{1, height, all, video.fps, std::vector<uint8_t>(size_t(height) * size_t(all) * 3, 255)};
  for (int i = 0; i < count; ++i)
    put(strip, video, count == 1 ? 0 : int(int64_t(i) * (video.frames - 1) / (count - 1)), i * step, width);
  return strip;
}

std::string jpeg_of(const Video& picture) {
  libav::keep_quiet();
  const libav::Codec codec = open_encoder(picture);
  const libav::Frame frame(check(av_frame_alloc(), "JPEG", "frame"));
  frame->format = jpeg_format;
  frame->width = picture.width;
  frame->height = picture.height;
  frame->quality = codec->global_quality;
  check(av_frame_get_buffer(frame.get(), 0), "JPEG", "making room for a picture");
  const libav::Scaler scaler(check(sws_getContext(picture.width, picture.height, AV_PIX_FMT_RGB24, picture.width, picture.height,
                                                  jpeg_format, SWS_POINT | SWS_ACCURATE_RND | SWS_BITEXACT, nullptr, nullptr, nullptr),
                                   "JPEG", "converter of pixel formats"));
  std::vector<uint8_t> padded(picture.rgb.begin(), picture.rgb.begin() + long(picture.frame_bytes()));
  padded.resize(padded.size() + 64);   // swscale may read past a row's end
  const uint8_t* rows[] = {padded.data()};
  const int stride[] = {picture.width * 3};
  check(sws_scale(scaler.get(), rows, stride, 0, picture.height, frame->data, frame->linesize), "JPEG", "converting");
  const libav::Packet packet(check(av_packet_alloc(), "JPEG", "packet"));
  check(avcodec_send_frame(codec.get(), frame.get()), "JPEG", "encoding");
  check(avcodec_send_frame(codec.get(), nullptr), "JPEG", "encoding");
  check(avcodec_receive_packet(codec.get(), packet.get()), "JPEG", "encoding");
  return {reinterpret_cast<const char*>(packet->data), size_t(packet->size)};
}

}  // namespace pyracast
