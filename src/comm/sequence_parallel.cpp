#include "comm/sequence_parallel.hpp"

#include <chrono>
#include <numeric>

namespace pyracast {

namespace {

/// Adds its lifetime to a number of seconds.
class Timed {
 public:
  explicit Timed(double& seconds) : seconds_(seconds) {}
  ~Timed() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

Tensor SequenceParallel::shard(const Tensor& x) {
  const int64_t space = x.dim(2);
  space_ = part_sizes(space, team_.size());
  if (team_.size() == 1) return x;
  return slice(x, 2, part_start(space, team_.rank(), team_.size()), part_start(space, team_.rank() + 1, team_.size()));
}

Tensor SequenceParallel::gather(const Tensor& x) {
  if (team_.size() == 1) return x;
  const Timed time(ledger_.seconds_outside);
  ++ledger_.all_gathers;
  ledger_.all_gather_bytes += int64_t(x.bytes()) * (team_.size() - 1);
  return pyracast::gather(team_, x, 2, space_);
}

Tensor SequenceParallel::exchange(const Tensor& x, const std::vector<int64_t>& sent, const std::vector<int64_t>& received) {
  const Tensor out(x.backend(), {std::accumulate(received.begin(), received.end(), int64_t(0))}, x.dtype());
  team_.all_to_all(x.view(), sent, out.view(), received);
  ++ledger_.all_to_alls;
  ledger_.all_to_all_bytes += int64_t(size_of(x.dtype())) * (x.size() - sent[size_t(team_.rank())]);
  return out;
}

// What goes to a rank is a run of whole rows of x and lies together already; what comes is put side by side.
Tensor SequenceParallel::whole_space(const Tensor& x) {
  if (team_.size() == 1) return x;
  const Timed time(ledger_.seconds_in_branches);
  const int64_t channels = x.dim(2);
  std::vector<int64_t> sent = part_sizes(x.dim(0), team_.size()), received = space_;
  const int64_t own = sent[size_t(team_.rank())];
  for (int64_t& count : sent) count *= x.dim(1) * channels;
  for (int64_t& count : received) count *= own * channels;
  const Tensor arrived = exchange(x, sent, received);
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (size_t rank = 0; rank < received.size(); at += received[rank++])
    parts.push_back(slice(arrived, 0, at, at + received[rank]).reshape({own, space_[rank], channels}));
  return concatenate(parts, 1);
}

Tensor SequenceParallel::shared_space(const Tensor& x, int64_t sequences) {
  if (team_.size() == 1) return x;
  const Timed time(ledger_.seconds_in_branches);
  const int64_t channels = x.dim(2), own_space = space_[size_t(team_.rank())];
  std::vector<int64_t> sent = space_, received = part_sizes(sequences, team_.size());
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (const int64_t tokens : space_) {
    parts.push_back(slice(x, 1, at, at + tokens).reshape({x.dim(0) * tokens * channels}));
    at += tokens;
  }
  for (int64_t& count : sent) count *= x.dim(0) * channels;
  for (int64_t& count : received) count *= own_space * channels;
  return exchange(concatenate(parts, 0), sent, received).reshape({sequences, own_space, channels});
}

}  // namespace pyracast
