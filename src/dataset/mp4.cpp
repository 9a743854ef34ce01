#include "dataset/mp4.hpp"

#include <algorithm>
#include <cmath>

#include "base/file.hpp"
#include "dataset/mp4_libav.hpp"

namespace pyracast {

namespace {

using libav::check;

/// 24000/1001 and its like exactly, anything else to the thousandth.
AVRational frame_rate(double fps) {
  for (const int denominator : {1, 1001}) {
    const double numerator = fps * denominator / (denominator == 1 ? 1 : 1000);
    if (std::abs(numerator - std::round(numerator)) < 1e-3 * numerator / 24 && std::round(numerator) > 0)
      return {int(std::round(numerator)) * (denominator == 1 ? 1 : 1000), denominator};
  }
  return av_d2q(fps, 1000);
}

/// Packed RGB of one frame with even sides: the last row and column are repeated where the video's are odd.
std::vector<uint8_t> even_frame(const Video& video, int frame, int height, int width) {
  std::vector<uint8_t> out(size_t(height) * width * 3 + 64);   // swscale may read past the last row
  const uint8_t* in = video.rgb.data() + size_t(frame) * video.frame_bytes();
  for (int y = 0; y < height; ++y) {
    const uint8_t* row = in + size_t(std::min(y, video.height - 1)) * video.width * 3;
    uint8_t* to = out.data() + size_t(y) * width * 3;
    std::copy_n(row, size_t(video.width) * 3, to);
    if (width > video.width) std::copy_n(row + size_t(video.width - 1) * 3, 3, to + size_t(video.width) * 3);
  }
  return out;
}

/// One MP4 file while it is written.
class Mp4Writer {
 public:
  Mp4Writer(const std::filesystem::path& path, int height, int width, AVRational rate, const VideoMetadata& metadata, int crf)
      : path_(path) {
    AVFormatContext* format = nullptr;
    check(avformat_alloc_output_context2(&format, nullptr, "mp4", path.c_str()), path, "making the container");
    format_.reset(format);
    format->flags |= AVFMT_FLAG_BITEXACT;   // no version of the library in the file
    open_codec(height, width, rate, crf);
    stream_ = check(avformat_new_stream(format, nullptr), path, "stream");
    stream_->time_base = codec_->time_base;
    stream_->avg_frame_rate = rate;
    check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), path, "describing the stream");
    for (const auto& [key, value] : metadata) {
      std::string text = value;
      std::replace(text.begin(), text.end(), '\0', ' ');   // would end the text
      check(av_dict_set(&format->metadata, key.c_str(), text.c_str(), 0), path, "setting metadata");
    }
    check(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE), path, "opening");
    AVDictionary* options = nullptr;
    av_dict_set(&options, "movflags", "use_metadata_tags+faststart", 0);
    const int result = avformat_write_header(format, &options);
    av_dict_free(&options);
    check(result, path, "writing the header");
  }

  /// Encodes one frame; nullptr ends the stream.
  void add(const AVFrame* frame) {
    check(avcodec_send_frame(codec_.get(), frame), path_, "encoding");
    for (;;) {
      const int result = avcodec_receive_packet(codec_.get(), packet_.get());
      if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
      check(result, path_, "encoding");
      if (packet_->duration == 0) packet_->duration = 1;   // else the last frame would last no time
      av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
      packet_->stream_index = stream_->index;
      check(av_write_frame(format_.get(), packet_.get()), path_, "writing");
      av_packet_unref(packet_.get());
    }
  }

  /// Ends the file. libav keeps write errors (a full disk) until here.
  void close() {
    add(nullptr);
    check(av_write_trailer(format_.get()), path_, "writing the index");
    check(avio_closep(&format_->pb), path_, "writing");
  }

 private:
  struct FreeFormat {
    void operator()(AVFormatContext* p) const {
      if (p->pb) avio_closep(&p->pb);
      avformat_free_context(p);
    }
  };

  void open_codec(int height, int width, AVRational rate, int crf) {
    const AVCodec* x264 = check(avcodec_find_encoder_by_name("libx264"), path_, "encoder libx264");
    codec_.reset(check(avcodec_alloc_context3(x264), path_, "encoder"));
    codec_->height = height;
    codec_->width = width;
    codec_->framerate = rate;
    codec_->time_base = av_inv_q(rate);
    codec_->pix_fmt = AV_PIX_FMT_YUV420P;
    codec_->color_range = AVCOL_RANGE_MPEG;
    codec_->colorspace = AVCOL_SPC_BT709;
    codec_->color_primaries = AVCOL_PRI_BT709;
    codec_->color_trc = AVCOL_TRC_BT709;
    codec_->thread_count = 1;   // the bytes depend on the number of threads
    codec_->flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_GLOBAL_HEADER;
    AVDictionary* options = nullptr;
    av_dict_set_int(&options, "crf", crf, 0);
    av_dict_set(&options, "preset", "medium", 0);
    av_dict_set(&options, "x264-params", "cpu-independent=1:lookahead-threads=1", 0);
    const int result = avcodec_open2(codec_.get(), x264, &options);
    av_dict_free(&options);
    check(result, path_, "opening the encoder");
  }

  std::filesystem::path path_;
  std::unique_ptr<AVFormatContext, FreeFormat> format_;
  libav::Codec codec_;
  libav::Packet packet_{av_packet_alloc()};
  AVStream* stream_ = nullptr;
};

void encode(const std::filesystem::path& path, const Video& video, const VideoMetadata& metadata, int crf) {
  libav::keep_quiet();
  const int height = video.height + video.height % 2, width = video.width + video.width % 2;
  Mp4Writer writer(path, height, width, frame_rate(video.fps), metadata, crf);
  const libav::Scaler scaler = libav::make_scaler(width, height, AV_PIX_FMT_RGB24, AV_PIX_FMT_YUV420P, path);
  const libav::Frame frame(check(av_frame_alloc(), path, "frame"));
  frame->format = AV_PIX_FMT_YUV420P;
  frame->height = height;
  frame->width = width;
  check(av_frame_get_buffer(frame.get(), 0), path, "frame's memory");
  for (int f = 0; f < video.frames; ++f) {
    const std::vector<uint8_t> rgb = even_frame(video, f, height, width);
    const uint8_t* planes[] = {rgb.data()};
    const int strides[] = {width * 3};
    check(av_frame_make_writable(frame.get()), path, "frame's memory");
    check(sws_scale(scaler.get(), planes, strides, 0, height, frame->data, frame->linesize), path, "converting");
    frame->pts = f;
    writer.add(frame.get());
  }
  writer.close();
}

}  // namespace

void encode_mp4(const std::filesystem::path& path, const Video& video, const VideoMetadata& metadata, int crf) {
  require(video.frames > 0 && video.height > 0 && video.width > 0 &&
              video.rgb.size() == size_t(video.frames) * video.frame_bytes(),
          path.string(), ": the video has ", video.frames, " frames of ", video.height, " x ", video.width, " and ",
          video.rgb.size(), " bytes, expected frames x height x width x 3, none of them 0");
  require(std::isfinite(video.fps) && video.fps > 0 && video.fps <= 1000, path.string(), ": ", video.fps,
          " frames a second, expected more than 0 and at most 1000");
  require(crf >= 0 && crf <= 51, path.string(), ": crf is ", crf, ", expected 0 to 51");
  try {
    encode(path, video, metadata, crf);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);   // half a file helps nobody, least of all on a full disk
    throw;
  }
}

void write_mp4(const std::filesystem::path& path, const Video& video, const VideoMetadata& metadata, int crf) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  encode_mp4(temporary, video, metadata, crf);
  publish(temporary, path);
}

}  // namespace pyracast
