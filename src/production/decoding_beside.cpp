#include "production/decoding_beside.hpp"

#include <omp.h>

#include "base/stopwatch.hpp"

namespace pyracast {

void DecodingBeside::begin(const VideoRequest& request, VideoResult result, Keep keep) {
  finish();
  const bool takes_frames = bool(keep);
  Arrival arrival = threads_ ? nullptr : pipeline_.decoding(request, result, takes_frames);
  if (!takes_frames && !threads_) return;
  keep_ = std::move(keep);
  in_hand_ = std::async(std::launch::async, [this, request, arrival = std::move(arrival), result = std::move(result)]() mutable {
    if (threads_) {
      omp_set_num_threads(*threads_);   // of this thread alone
      arrival = pipeline_.decoding(request, result, true);
    }
    std::exchange(arrival, nullptr)(result);   // what it holds of the device's memory goes with it
    return Decoded{std::move(result), system_seconds()};
  });
}

void DecodingBeside::finish() {
  if (!in_hand_.valid()) return;
  Decoded decoded = in_hand_.get();
  last_seconds_ = decoded.result.decode_seconds;
  keep_(std::move(decoded.result), decoded.ended);
}

void DecodingBeside::keep_finished() {
  if (in_hand_.valid() && in_hand_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) finish();
}

}  // namespace pyracast
