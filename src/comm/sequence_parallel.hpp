#pragma once
// Dynamic Sequence Parallelism (Zhao et al., arXiv 2403.10266): the tokens of a video are dealt out to the ranks along
// space or along time, and an all-to-all exchanges one for the other where an attention needs the whole of an axis.
#include <cassert>
#include <optional>

#include "comm/transfer.hpp"
#include "tensor/device_seconds.hpp"

namespace pyracast {

/// The axes along which a space-time network attends, and along which tokens are dealt out.
enum class Axis { space, time };

/// What one rank has sent: calls, and the bytes that leave for other ranks.
struct CommunicationLedger {
  int64_t all_to_alls = 0, all_to_all_bytes = 0;
  int64_t all_gathers = 0, all_gather_bytes = 0;

  CommunicationLedger& operator+=(const CommunicationLedger& more);
  /// What came after `earlier`.
  CommunicationLedger operator-(const CommunicationLedger& earlier) const;
};

/// What exchanges take, as far as operations wait for them: inside attentions, by Axis, then outside.
using ExchangeSeconds = DeviceSeconds<3>;

/// How tokens [batch, time, space] are dealt out to ranks, in consecutive parts as equal as can be, nothing padded:
/// along space every rank has some tokens of each frame, along time some whole frames of each turn. The batch entries are
/// exchanged in equal `turns`, each by an all-to-all of its own: guidance's halves one after the other where one can be
/// computed while the other is under way, else all at once. The frames of a turn's entries are dealt out in a row; where
/// that gives a rank one frame more than another, the next turn makes up for it.
struct TokenParts {
  int64_t batch = 0, time = 0, space = 0;
  int ranks = 1, turns = 1;

  int64_t frames() const { return batch * time; }
  /// Of all turns together, along time: they are as many as if all frames had been dealt out in a row.
  std::vector<int64_t> sizes(Axis sharded) const { return part_sizes(sharded == Axis::space ? space : frames(), ranks); }
  int64_t entries_of_turn() const { return batch / turns; }
  int64_t frames_of_turn() const { return frames() / turns; }
  /// The first frame that `rank` has in a turn, counted through all turns; the next rank's is behind its last one.
  int64_t first_frame(int turn, int rank) const;
  /// Frames of a turn that the ranks have.
  std::vector<int64_t> frames_in(int turn) const;
  /// The frames that `rank` has, turn by turn.
  std::vector<int64_t> frames_of(int rank) const;
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
  TokenParts parts_of(const Shape& whole) const { return {whole[0], whole[1], whole[2], team_.size(), turns_of(team_, whole[0])}; }
  /// In how many turns a team exchanges such a batch.
  static int turns_of(const Communicator& team, int64_t batch) { return team.size() > 1 && team.overlaps() && batch % 2 == 0 ? 2 : 1; }

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

  /// Frames [frames, …] as the ranks have them, one rank's behind the other's -> in their order.
  Tensor in_order(const Tensor& of_ranks) const;

  /// f maps sequences that run along the whole of `axis` to the same shape: [n, length, beside, channels], the tokens of `beside` sequences
  /// lying between each other's (in time those of all places, where they are; in space each sequence lies by itself). It is called for each
  /// turn: one is computed while the next one comes, and then goes back beside it.
  template <class F>
  Tensor along(Axis axis, const Tensor& x, F f) {
    const Axis whole = axis == Axis::space ? Axis::time : Axis::space;   // sharded along this, `axis` is whole
    if (team_.size() == 1 || sharded_ == whole) return on_sequences(axis, x, f);
    return in_turns(
        x, axis, [&](const Tensor& own) { return begin_exchange(own, sharded_); },
        [&](const Tensor& there) { return there.size() == 0 ? there : on_sequences(axis, there, f); },
        [&](const Tensor& out) { return begin_exchange(out, whole); });
  }

  /// Attention of all tokens of a video to each other: f maps all tokens of some heads, [batch, time * space, 1, parts, heads, size],
  /// to [batch, time * space, 1, heads, size], sequences as in along(). x [batch, time, this rank's space, parts, heads, size] (parts: query, key,
  /// value) -> [batch, time, this rank's space, heads * size]. Tokens rest along space; heads are dealt out for the while (DeepSpeed- Ulysses, Jacobs
  /// et al., arXiv 2309.14509), unevenly where they must. f is called for each turn, as in along().
  template <class F>
  Tensor over_heads(const Tensor& x, F f) {
    const Shape own{x.dim(0), x.dim(1), x.dim(2), x.dim(4) * x.dim(5)};
    const auto all_tokens = [&](const Tensor& h) {
      if (h.size() == 0) return Tensor(h.backend(), {h.dim(0), h.dim(1), h.dim(2), 0, h.dim(5)}, h.dtype());
      const Tensor out = f(h.reshape({h.dim(0), h.dim(1) * h.dim(2), 1, h.dim(3), h.dim(4), h.dim(5)}));
      return out.reshape({h.dim(0), h.dim(1), h.dim(2), h.dim(4), h.dim(5)});
    };
    if (team_.size() == 1) return all_tokens(x).reshape(own);
    assert(sharded_ == Axis::space);
    const std::vector<int64_t> space = parts_.sizes(Axis::space), heads = part_sizes(x.dim(4), team_.size());
    return in_turns(
        x, Axis::space, [&](const Tensor& part) { return begin_swap(part, 4, heads, 2, space); }, all_tokens,
        [&](const Tensor& out) { return begin_swap(out, 2, space, 3, heads); }).reshape(own);
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

  /// The rows of `values` [frames, columns] that belong to the frames whose whole space this rank attends to, in the turn that is computed.
  Tensor of_attended_frames(const Tensor& values) const;
  /// The rows of `values` [batch, …] that belong to the entries of the turn that is computed.
  Tensor of_attended_entries(const Tensor& values) const;

  const CommunicationLedger& ledger() const { return ledger_; }
  /// What the exchanges take, until somebody takes it away.
  ExchangeSeconds& seconds() { return seconds_; }

 private:
  Communicator& team_;
  CommunicationLedger ledger_;
  ExchangeSeconds seconds_;
  Axis sharded_ = Axis::space;
  TokenParts parts_;          // known since shard() or part_of()
  std::optional<int> turn_;   // that is computed; none: all of them are, at once

  template <class F>
  static Tensor on_sequences(Axis axis, const Tensor& x, F f) {
    const int64_t entries = x.dim(0), time = x.dim(1), space = x.dim(2), channels = x.dim(3);
    return axis == Axis::time ? f(x) : f(x.reshape({entries * time, space, 1, channels})).reshape(x.shape());
  }
  static constexpr size_t outside = 2;   // of seconds_
  template <class Act>
  auto timed(const Tensor& x, size_t where, Act act) {
    return seconds_.timed(x.backend(), where, act);
  }

  std::vector<int64_t> own_frames() const { return parts_.frames_of(team_.rank()); }
  std::vector<int64_t> batch_of_entries() const;

  /// Tokens under way: gives them, once, to operations that are asked for from then on.
  using Arriving = std::function<Tensor()>;

  /// Each turn's entries of x through `there`, f and `back`, which begin exchanges.
  template <class There, class F, class Back>
  Tensor in_turns(const Tensor& x, Axis axis, There there, F f, Back back) {
    std::vector<Arriving> coming = timed(x, size_t(axis), [&] { return begun_in_turns(x, sharded_, there); }), going;
    for (turn_ = 0; *turn_ < parts_.turns; ++*turn_) {
      Tensor h = timed(x, size_t(axis), std::exchange(coming[size_t(*turn_)], nullptr));
      h = f(h);
      going.push_back(timed(x, size_t(axis), [&] { return back(h); }));
    }
    turn_.reset();
    return timed(x, size_t(axis), [&] { return all_of(going); });
  }
  /// What `begin` begins with each turn's entries of x, which is sharded along `from`.
  std::vector<Arriving> begun_in_turns(const Tensor& x, Axis from, const std::function<Arriving(const Tensor& own)>& begin);
  static Tensor all_of(std::vector<Arriving>& turns);

  /// What is sharded along `from`, sharded along the other axis.
  Tensor exchanged(const Tensor& x, Axis from);
  /// The same of a turn's entries, begun.
  Arriving begin_exchange(const Tensor& x, Axis from);
  /// Begins to exchange two axes of x: this rank has all of one and comes to have its part, and has its part of the other and comes to have
  /// all. With the parts that the ranks have of each.
  Arriving begin_swap(const Tensor& x, int whole, const std::vector<int64_t>& of_whole, int sharded, const std::vector<int64_t>& of_sharded);
};

/// Sequences as SequenceParallel::along() gives them, [n, length, beside, channels] -> [n * beside, length, channels].
inline Tensor one_by_one(const Tensor& x) {
  return permute(x, {0, 2, 1, 3}).reshape({x.dim(0) * x.dim(2), x.dim(1), x.dim(3)});
}

}  // namespace pyracast
