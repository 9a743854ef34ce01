#include "jobs/decoding_beside.hpp"

#include <omp.h>

#include "base/stopwatch.hpp"

namespace pyracast {

void DecodingBeside::begin(VideoRequest request, VideoResult result, Keep keep) {
  finish();
  keep_ = std::move(keep);
  in_hand_ = std::async(std::launch::async, [this, request = std::move(request), result = std::move(result)]() mutable {
    omp_set_num_threads(threads_);   // of this thread alone
    pipeline_.decode(request, result);
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
