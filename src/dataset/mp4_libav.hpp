#pragma once
// The handles of libav that reading and writing share, each freed by its own function.
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
}

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.hpp"

namespace pyracast::libav {

struct Free {
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(SwsContext* p) const { sws_freeContext(p); }
};
using Codec = std::unique_ptr<AVCodecContext, Free>;
using Frame = std::unique_ptr<AVFrame, Free>;
using Packet = std::unique_ptr<AVPacket, Free>;
using Scaler = std::unique_ptr<SwsContext, Free>;

/// Lets libav print errors only; what its libraries tell of each file would fill the logs.
inline void keep_quiet() { av_log_set_level(AV_LOG_ERROR); }

/// Throws Error with libav's own text when `result` is an error code; gives `result` otherwise.
inline int check(int result, const std::filesystem::path& path, const char* action) {
  if (result >= 0) return result;
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(result, text, sizeof text);
  for (const int of_the_system : {EMFILE, ENFILE, ENOMEM, EIO})
    if (result == AVERROR(of_the_system))
      throw Error(concat(path.string(), ": ", action, " failed: ", reason_of(of_the_system)), ExitCode::environment);
  fail(path.string(), ": ", action, " failed: ", text);
}

/// `pointer`, which libav gives as null when memory is short or a part of it was not built.
template <class T>
T* check(T* pointer, const std::filesystem::path& path, const char* what) {
  require(pointer != nullptr, path.string(), ": libav gave no ", what);
  return pointer;
}

/// How brightness and colours are written where they are not RGB: a table of libswscale (SWS_CS_…), and whether 0 is black, not 16.
struct Colours {
  int space = SWS_CS_ITU709;
  bool full_range = false;
};

/// Converts between packed RGB and another format of pixels with such colours, the same way on every processor.
inline Scaler make_scaler(int width, int height, AVPixelFormat from, AVPixelFormat to, const std::filesystem::path& path, Colours colours = {}) {
  const int flags = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
  Scaler scaler(check(sws_getContext(width, height, from, width, height, to, flags, nullptr, nullptr, nullptr), path,
                      "converter of pixel formats"));
  const int* space = sws_getCoefficients(colours.space);
  check(sws_setColorspaceDetails(scaler.get(), space, from == AV_PIX_FMT_RGB24 || colours.full_range, space,
                                 to == AV_PIX_FMT_RGB24 || colours.full_range, 0, 1 << 16, 1 << 16), path, "setting the colour space");
  return scaler;
}

}  // namespace pyracast::libav
