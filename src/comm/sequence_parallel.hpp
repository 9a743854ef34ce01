#pragma once
// Dynamic Sequence Parallelism (Zhao et al., arXiv 2403.10266): the tokens of a video are dealt out to the ranks along
// space or along time, and an all-to-all exchanges one for the other where an attention needs the whole of an axis.
#include "comm/gather.hpp"
#include "tensor/device_seconds.hpp"

namespace pyracast {

/// The axes along which a space-time network attends, and along which tokens are dealt out.
enum class Axis { space, time };

/// What one rank has sent. Bytes are those that leave for other ranks.
struct CommunicationLedger {
  int64_t all_to_alls = 0, all_to_all_bytes = 0;
  int64_t all_gathers = 0, all_gather_bytes = 0;

  CommunicationLedger& operator+=(const CommunicationLedger& more);
  /// What came after `earlier`.
  CommunicationLedger operator-(const CommunicationLedger& earlier) const;
};

/// What exchanges take: inside attentions, by Axis, then outside.
using ExchangeSeconds = DeviceSeconds<3>;

/// How tokens [batch, time, space] are dealt out to ranks, in consecutive parts as equal as can be, nothing padded:
/// along space every rank has some tokens of each frame, along time some whole frames. The frames of all batch entries
/// are dealt out in a row, so that guidance's two halves even out.
struct TokenParts {
  int64_t batch = 0, time = 0, space = 0;
  int ranks = 1;

  int64_t frames() const { return batch * time; }
  std::vector<int64_t> sizes(Axis sharded) const { return part_sizes(sharded == Axis::space ? space : frames(), ranks); }
  /// Tokens that `rank` sends to others when what is sharded along `from` is exchanged to the other axis.
  int64_t tokens_sent(int rank, Axis from) const;
  /// Tokens that `rank` holds.
  int64_t tokens_held(int rank, Axis sharded) const;
  /// The largest part over the mean one: 1 where all ranks have the same work.
  double imbalance(Axis sharded) const;
};

/// Gives attention its sequences. The residual stream x rests sharded along one axis,
///   along space: [batch, time, this rank's space, channels]
///   along time:  [this rank's frames, 1, space, channels],
/// and a model only says along which axis it attends; an *entry* is an element of the first axis. With one rank all of it
/// is a reshape. Rows are never split, so results do not depend on the number of ranks or on where tokens rest, bit for
/// bit.
class SequenceParallel {
 public:
  /// `team`: the ranks that share the tokens; it must outlive this.
  explicit SequenceParallel(Communicator& team) : team_(team) {}

  int ranks() const { return team_.size(); }
  /// How whole tokens of this shape [batch, time, space, channels] are dealt out here.
  TokenParts parts_of(const Shape& whole) const { return {whole[0], whole[1], whole[2], team_.size()}; }

  /// Whole x [batch, time, space, channels] -> this rank's part, which rests sharded along `axis`.
  Tensor shard(const Tensor& x, Axis axis = Axis::space);
  /// The resting parts of all ranks -> whole, on every rank.
  Tensor gather(const Tensor& x);

  /// The axis along which the residual stream is sharded.
  Axis sharded() const { return sharded_; }
  /// The residual stream, sharded along `axis` from here on.
  Tensor rest(const Tensor& x, Axis axis);
  /// A part that is sharded along `from`, sharded along `to`.
  Tensor moved(const Tensor& x, Axis from, Axis to);

  /// This rank's part, sharded along `axis` as shard() would, of whole tokens [batch, time, space, channels] in the host's memory.
  Tensor part_of(Backend& backend, const float* whole, const Shape& shape, Axis axis);

  /// f maps sequences [n, length, channels] that run along the whole of `axis` to the same shape.
  template <class F>
  Tensor along(Axis axis, const Tensor& x, F f) {
    const Axis whole = axis == Axis::space ? Axis::time : Axis::space;   // sharded along this, `axis` is whole
    if (team_.size() == 1 || sharded_ == whole) return on_sequences(axis, x, f);
    const Tensor there = timed(x, size_t(axis), [&] { return exchanged(x, sharded_); });
    const Tensor out = on_sequences(axis, there, f);
    return timed(x, size_t(axis), [&] { return exchanged(out, whole); });
  }

  /// Attention of all tokens of a video to each other: f maps all tokens of some heads, [batch, time * space, parts, heads, size],
  /// to [batch, time * space, heads, size]. x [batch, time, this rank's space, parts, heads, size] (parts: query, key, value) ->
  /// [batch, time, this rank's space, heads * size]. Tokens rest along space; heads are dealt out for the while (DeepSpeed-
  /// Ulysses, Jacobs et al., arXiv 2309.14509), unevenly where they must.
  template <class F>
  Tensor over_heads(const Tensor& x, F f) {
    const Shape own{x.dim(0), x.dim(1), x.dim(2), x.dim(4) * x.dim(5)};
    const auto all_tokens = [&](const Tensor& h) {
      const Tensor out = f(h.reshape({h.dim(0), h.dim(1) * h.dim(2), h.dim(3), h.dim(4), h.dim(5)}));
      return out.reshape({h.dim(0), h.dim(1), h.dim(2), h.dim(4), h.dim(5)});
    };
    if (team_.size() == 1) return all_tokens(x).reshape(own);
    const Tensor own_heads = timed(x, size_t(Axis::space), [&] { return whole_tokens(x); });
    const Tensor out = own_heads.size() == 0 ? Tensor(x.backend(), {x.dim(0), x.dim(1), parts_.space, 0, x.dim(5)}) : all_tokens(own_heads);
    return timed(x, size_t(Axis::space), [&] { return whole_heads(out, x.dim(4)); }).reshape(own);
  }

  /// The rows of `values` [batch or frames, columns] that belong to this rank's entries: modulate and gate take them.
  Tensor of_entries(const Tensor& values) const;
  /// The same of a list with one element a batch entry, for each entry.
  template <class T>
  std::vector<T> of_entries(const std::vector<T>& of_batch) const {
    std::vector<T> out;
    for (const int64_t entry : batch_of_entries()) out.push_back(of_batch[size_t(entry)]);
    return out;
  }

  /// The rows of `values` [frames, columns] that belong to the frames whose whole space this rank attends to.
  Tensor of_attended_frames(const Tensor& values) const {
    return slice(values, 0, first_frame(), part_start(parts_.frames(), team_.rank() + 1, team_.size()));
  }

  const CommunicationLedger& ledger() const { return ledger_; }
  /// What the exchanges take, until somebody takes it away.
  ExchangeSeconds& seconds() { return seconds_; }

 private:
  Communicator& team_;
  CommunicationLedger ledger_;
  ExchangeSeconds seconds_;
  Axis sharded_ = Axis::space;
  TokenParts parts_;   // known since shard() or part_of()

  template <class F>
  static Tensor on_sequences(Axis axis, const Tensor& x, F f) {
    const int64_t entries = x.dim(0), time = x.dim(1), space = x.dim(2), channels = x.dim(3);
    if (axis == Axis::space) return f(x.reshape({entries * time, space, channels})).reshape(x.shape());
    const Tensor rows = f(permute(x, {0, 2, 1, 3}).reshape({entries * space, time, channels}));
    return permute(rows.reshape({entries, space, time, channels}), {0, 2, 1, 3});
  }
  static constexpr size_t outside = 2;   // of seconds_
  template <class Act>
  Tensor timed(const Tensor& x, size_t where, Act act) {
    return seconds_.timed(x.backend(), where, act);
  }

  int64_t first_frame() const { return part_start(parts_.frames(), team_.rank(), team_.size()); }
  std::vector<int64_t> batch_of_entries() const;
  /// What is sharded along `from`, sharded along the other axis.
  Tensor exchanged(const Tensor& x, Axis from) { return from == Axis::space ? whole_space(x) : whole_time(x); }
  Tensor whole_space(const Tensor& x);
  Tensor whole_time(const Tensor& x);
  Tensor send(const Tensor& x, Axis from, const std::vector<int64_t>& sent, const std::vector<int64_t>& received);
  Tensor whole_tokens(const Tensor& x);
  Tensor whole_heads(const Tensor& x, int64_t heads);
  /// Pieces for each rank -> what each rank sent here, of these shapes.
  std::vector<Tensor> swapped(const std::vector<Tensor>& pieces, const std::vector<Shape>& arriving);
};

}  // namespace pyracast
