#pragma once
#include <functional>
#include <future>
#include <optional>

#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// Where one video's decoding, or the leaving of its frames, goes on while the next one is denoised. One video at a time.
class DecodingBeside {
 public:
  /// What becomes of a decoded video; `ended`: when that was, on the system's clock.
  using Keep = std::function<void(VideoResult, double ended)>;

  /// On a device that works beside its caller: it is asked to decode at once, and a thread takes the frames when they are there.
  explicit DecodingBeside(const VideoPipeline& pipeline) : pipeline_(pipeline) {}
  /// On cores that a rank's threads leave idle: a thread decodes, with so many of OpenMP.
  DecodingBeside(const VideoPipeline& pipeline, int threads) : pipeline_(pipeline), threads_(threads) {}

  /// Begins to decode what generate() left at its latents, when the video before is decoded and kept. Without `keep`, on ranks of a team that
  /// keep nothing, no frames are taken.
  void begin(const VideoRequest& request, VideoResult result, Keep keep);
  /// Waits for the video in hand, and calls its `keep`, in the calling thread. Throws what decoding threw.
  void finish();
  /// finish(), where that need not wait.
  void keep_finished();
  /// How long the last finished one took.
  double last_seconds() const { return last_seconds_; }

 private:
  struct Decoded {
    VideoResult result;
    double ended = 0;
  };
  const VideoPipeline& pipeline_;   // must outlive this
  std::optional<int> threads_;
  std::future<Decoded> in_hand_;   // waits where it is destroyed
  Keep keep_;
  double last_seconds_ = 0;
};

}  // namespace pyracast
