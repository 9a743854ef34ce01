#pragma once
// Dynamic Sequence Parallelism (Zhao et al., arXiv 2403.10266): tokens rest sharded along space, and an all-to-all
// exchanges them where an attention needs the whole of it.
#include "comm/gather.hpp"

namespace pyracast {

/// The axes along which a space-time network attends.
enum class Axis { space, time };

/// What one rank has sent, and the seconds of it. Bytes are those that leave for other ranks.
struct CommunicationLedger {
  double seconds_in_branches = 0, seconds_outside = 0;
  int64_t all_to_alls = 0, all_to_all_bytes = 0;
  int64_t all_gathers = 0, all_gather_bytes = 0;

  /// What came after `earlier`.
  CommunicationLedger operator-(const CommunicationLedger& earlier) const {
    return {seconds_in_branches - earlier.seconds_in_branches, seconds_outside - earlier.seconds_outside,
            all_to_alls - earlier.all_to_alls, all_to_all_bytes - earlier.all_to_all_bytes,
            all_gathers - earlier.all_gathers, all_gather_bytes - earlier.all_gather_bytes};
  }
};

/// Gives attention its sequences. Tokens rest as x [batch, time, this rank's space, channels], in consecutive parts that
/// differ by one token at most, nothing padded: a model only says along which axis it attends. With one rank all of it
/// is a reshape. Rows are never split, so results do not depend on the number of ranks, bit for bit.
class SequenceParallel {
 public:
  /// `team`: the ranks that share the tokens; it must outlive this.
  explicit SequenceParallel(Communicator& team) : team_(team) {}

  /// Whole x [batch, time, space, channels] -> this rank's part.
  Tensor shard(const Tensor& x);
  /// The parts of all ranks -> whole, on every rank.
  Tensor gather(const Tensor& x);

  /// f maps sequences [n, length, channels] that run along the whole of `axis` to the same shape.
  template <class F>
  Tensor along(Axis axis, const Tensor& x, F f) {
    const int64_t batch = x.dim(0), time = x.dim(1), space = x.dim(2), channels = x.dim(3);
    if (axis == Axis::space)
      return shared_space(f(whole_space(x.reshape({batch * time, space, channels}))), batch * time).reshape(x.shape());
    const Tensor rows = f(permute(x, {0, 2, 1, 3}).reshape({batch * space, time, channels}));
    return permute(rows.reshape({batch, space, time, channels}), {0, 2, 1, 3});
  }

  const CommunicationLedger& ledger() const { return ledger_; }

 private:
  Communicator& team_;
  CommunicationLedger ledger_;
  std::vector<int64_t> space_;   // tokens of each rank, known since shard()

  /// x [n, this rank's space, channels] -> this rank's share of the n sequences, [n', whole space, channels].
  Tensor whole_space(const Tensor& x);
  /// And back.
  Tensor shared_space(const Tensor& x, int64_t sequences);
  Tensor exchange(const Tensor& x, const std::vector<int64_t>& sent, const std::vector<int64_t>& received);
};

}  // namespace pyracast
