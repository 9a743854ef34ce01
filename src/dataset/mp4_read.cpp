#include "dataset/jpeg_pixels.hpp"
#include "dataset/mp4.hpp"
#include "dataset/mp4_libav.hpp"

namespace pyracast {

namespace {

using libav::check;

struct CloseInput {
  void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
};

/// Counts a frame and holds it against the ones before.
void count(Video& video, const AVFrame& frame, const std::filesystem::path& path) {
  if (video.frames == 0) {
    video.height = frame.height;
    video.width = frame.width;
  }
  require(frame.height == video.height && frame.width == video.width, path.string(), ": frame ", video.frames, " is ",
          frame.height, " x ", frame.width, ", the ones before it are ", video.height, " x ", video.width);
  ++video.frames;
}

/// As the frame says; JPEG's (BT.601, full range) and those of small old videos where it says nothing.
libav::Colours colours_of(const AVFrame& frame) {
  switch (frame.format) {   // whose names say the range
    case AV_PIX_FMT_YUVJ420P: case AV_PIX_FMT_YUVJ422P: case AV_PIX_FMT_YUVJ444P: case AV_PIX_FMT_YUVJ440P: case AV_PIX_FMT_YUVJ411P:
      return {SWS_CS_ITU601, true};
    default: break;
  }
  const bool is_bt709 = frame.colorspace == AVCOL_SPC_BT709 || (frame.colorspace == AVCOL_SPC_UNSPECIFIED && frame.height >= 720);
  const int space = is_bt709 ? SWS_CS_ITU709 : frame.colorspace == AVCOL_SPC_BT2020_NCL ? SWS_CS_BT2020 : SWS_CS_ITU601;
  const bool is_grey = frame.format == AV_PIX_FMT_GRAY8 || frame.format == AV_PIX_FMT_YA8;
  return {space, frame.color_range == AVCOL_RANGE_JPEG || (is_grey && frame.color_range == AVCOL_RANGE_UNSPECIFIED)};
}

Video one_frame(const AVFrame& frame, const std::filesystem::path& path) {
  const libav::Scaler scaler =
      libav::make_scaler(frame.width, frame.height, AVPixelFormat(frame.format), AV_PIX_FMT_RGB24, path, colours_of(frame));
  // swscale may write a few bytes past a row's end: rows are given their own, wider buffer.
  const int stride = (frame.width * 3 + 63) / 64 * 64 + 64;
  std::vector<uint8_t> rows(size_t(stride) * frame.height);
  uint8_t* planes[] = {rows.data()};
  check(sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, planes, &stride), path, "converting");
  Video video{1, frame.height, frame.width};
  for (int y = 0; y < frame.height; ++y) {
    const uint8_t* row = rows.data() + size_t(y) * stride;
    video.rgb.insert(video.rgb.end(), row, row + size_t(frame.width) * 3);
  }
  return video;
}

using TakeFrame = std::function<void(const Video& frame)>;

/// Takes all frames that the decoder has ready.
void drain(AVCodecContext& codec, AVFrame& frame, Video& video, const TakeFrame& take, const std::filesystem::path& path) {
  for (;;) {
    const int result = avcodec_receive_frame(&codec, &frame);
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
    check(result, path, "decoding");
    count(video, frame, path);
    if (!take) continue;
    const auto as_libjpeg = codec.codec_id == AV_CODEC_ID_MJPEG ? jpeg_pixels(frame) : std::nullopt;
    take(as_libjpeg ? *as_libjpeg : one_frame(frame, path));
  }
}

/// `take`, where there is one, gets the pixels of each frame. `conceals`: what is damaged is made up by the decoder where it can; else an Error.
Video decode(const std::filesystem::path& path, const TakeFrame& take, bool conceals = true) {
  libav::keep_quiet();
  AVFormatContext* opened = nullptr;
  const std::string file = "file:" + path.string();   // a name with a colon in it is no protocol
  check(avformat_open_input(&opened, file.c_str(), nullptr, nullptr), path, "opening");
  const std::unique_ptr<AVFormatContext, CloseInput> format(opened);
  check(avformat_find_stream_info(opened, nullptr), path, "reading the streams");
  const AVCodec* decoder = nullptr;
  const int index = check(av_find_best_stream(opened, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0), path, "finding a video stream");
  const AVStream& stream = *opened->streams[index];
  const libav::Codec codec(check(avcodec_alloc_context3(decoder), path, "decoder"));
  check(avcodec_parameters_to_context(codec.get(), stream.codecpar), path, "describing the stream");
  codec->thread_count = 1;
  if (codec->codec_id == AV_CODEC_ID_MJPEG) codec->idct_algo = FF_IDCT_INT;   // libjpeg's
  if (!conceals) codec->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
  check(avcodec_open2(codec.get(), decoder, nullptr), path, "opening the decoder");

  Video video{.fps = av_q2d(stream.avg_frame_rate.num ? stream.avg_frame_rate : stream.r_frame_rate)};
  const libav::Packet packet(check(av_packet_alloc(), path, "packet"));
  const libav::Frame frame(check(av_frame_alloc(), path, "frame"));
  for (int result = 0; (result = av_read_frame(opened, packet.get())) != AVERROR_EOF;) {
    check(result, path, "reading");
    if (packet->stream_index == index) {
      check(avcodec_send_packet(codec.get(), packet.get()), path, "decoding");
      drain(*codec, *frame, video, take, path);
    }
    av_packet_unref(packet.get());
  }
  check(avcodec_send_packet(codec.get(), nullptr), path, "decoding");
  drain(*codec, *frame, video, take, path);
  require(video.frames > 0, path.string(), ": holds no frame");
  return video;
}

}  // namespace

Video for_each_frame(const std::filesystem::path& path, const std::function<void(const Video& frame)>& act) { return decode(path, act); }

Video read_mp4(const std::filesystem::path& path) {
  std::vector<uint8_t> rgb;
  Video video = for_each_frame(path, [&](const Video& frame) { rgb.insert(rgb.end(), frame.rgb.begin(), frame.rgb.end()); });
  video.rgb = std::move(rgb);
  return video;
}

int count_frames(const std::filesystem::path& path) { return decode(path, nullptr).frames; }

Video check_mp4(const std::filesystem::path& path) { return decode(path, nullptr, false); }

}  // namespace pyracast
