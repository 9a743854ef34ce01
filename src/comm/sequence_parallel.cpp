#include "comm/sequence_parallel.hpp"

#include <algorithm>
#include <numeric>

namespace pyracast {

CommunicationLedger CommunicationLedger::operator-(const CommunicationLedger& earlier) const {
  return {all_to_alls - earlier.all_to_alls, all_to_all_bytes - earlier.all_to_all_bytes,
          all_gathers - earlier.all_gathers, all_gather_bytes - earlier.all_gather_bytes};
}

CommunicationLedger& CommunicationLedger::operator+=(const CommunicationLedger& more) {
  all_to_alls += more.all_to_alls;
  all_to_all_bytes += more.all_to_all_bytes;
  all_gathers += more.all_gathers;
  all_gather_bytes += more.all_gather_bytes;
  return *this;
}

// floor(a + turn / turns), where a = frames_of_turn * rank / ranks: by Hermite's identity these add up to floor(turns * a), where a row of all
// frames would be parted.
int64_t TokenParts::first_frame(int turn, int rank) const {
  return turn * frames_of_turn() + (turns * frames_of_turn() * rank + turn * ranks) / (int64_t(turns) * ranks);
}

std::vector<int64_t> TokenParts::frames_in(int turn) const {
  std::vector<int64_t> counts;
  for (int rank = 0; rank < ranks; ++rank) counts.push_back(first_frame(turn, rank + 1) - first_frame(turn, rank));
  return counts;
}

std::vector<int64_t> TokenParts::frames_of(int rank) const {
  std::vector<int64_t> all;
  for (int turn = 0; turn < turns; ++turn)
    for (int64_t frame = first_frame(turn, rank); frame < first_frame(turn, rank + 1); ++frame) all.push_back(frame);
  return all;
}

int64_t TokenParts::tokens_held(int rank, Axis sharded) const {
  return sizes(sharded)[size_t(rank)] * (sharded == Axis::space ? frames() : space);
}

int64_t TokenParts::tokens_sent(int rank, Axis from) const {
  return tokens_held(rank, from) - sizes(Axis::space)[size_t(rank)] * sizes(Axis::time)[size_t(rank)];
}

double TokenParts::imbalance(Axis sharded) const {
  const std::vector<int64_t> parts = sizes(sharded);
  const int64_t whole = std::accumulate(parts.begin(), parts.end(), int64_t(0));
  return double(*std::max_element(parts.begin(), parts.end())) * ranks / double(whole);
}

Tensor SequenceParallel::shard(const Tensor& x, Axis axis) {
  parts_ = parts_of(x.shape());
  sharded_ = team_.size() == 1 ? Axis::space : axis;
  if (team_.size() == 1) return x;
  if (axis == Axis::space)
    return slice(x, 2, part_start(parts_.space, team_.rank(), team_.size()), part_start(parts_.space, team_.rank() + 1, team_.size()));
  const std::vector<int64_t> own = own_frames();
  return gather_rows(x.reshape({parts_.frames(), parts_.space * x.dim(3)}), own).reshape({int64_t(own.size()), 1, parts_.space, x.dim(3)});
}

Tensor SequenceParallel::gather(const Tensor& x) {
  if (team_.size() == 1) return x;
  ++ledger_.all_gathers;
  ledger_.all_gather_bytes += int64_t(x.bytes()) * (team_.size() - 1);
  return timed(x, outside, [&] {
    const Tensor whole = pyracast::gather(team_, x, sharded_ == Axis::space ? 2 : 0, parts_.sizes(sharded_));
    return (sharded_ == Axis::space ? whole : in_order(whole)).reshape({parts_.batch, parts_.time, parts_.space, x.dim(3)});
  });
}

Tensor SequenceParallel::in_order(const Tensor& of_ranks) const {
  if (parts_.turns == 1 || of_ranks.size() == 0) return of_ranks;
  std::vector<int64_t> places(static_cast<size_t>(parts_.frames()));
  int64_t place = 0;
  for (int rank = 0; rank < parts_.ranks; ++rank)
    for (const int64_t frame : parts_.frames_of(rank)) places[size_t(frame)] = place++;
  return gather_rows(of_ranks.reshape({parts_.frames(), -1}), places).reshape(of_ranks.shape());
}

Tensor SequenceParallel::rest(const Tensor& x, Axis axis) {
  const Axis was = sharded_;
  if (team_.size() > 1) sharded_ = axis;
  return moved(x, was, axis);
}

Tensor SequenceParallel::moved(const Tensor& x, Axis from, Axis to) {
  if (team_.size() == 1 || from == to) return x;
  return timed(x, outside, [&] { return exchanged(x, from); });
}

Tensor SequenceParallel::part_of(Backend& backend, const float* whole, const Shape& shape, Axis axis) {
  parts_ = parts_of(shape);
  const int64_t channels = shape[3], row = parts_.space * channels;
  const auto uploaded = [&](const float* values, const Shape& own) {
    const Tensor part(backend, own);
    if (part.size() > 0) backend.upload(values, part.view());
    return to_activations(part);
  };
  if (team_.size() == 1) return uploaded(whole, shape);
  std::vector<float> own;
  if (axis == Axis::time) {
    const std::vector<int64_t> frames = own_frames();
    own.reserve(frames.size() * size_t(row));
    for (const int64_t frame : frames) own.insert(own.end(), whole + frame * row, whole + (frame + 1) * row);
    return uploaded(own.data(), {int64_t(frames.size()), 1, parts_.space, channels});
  }
  const int64_t first = part_start(parts_.space, team_.rank(), team_.size()), last = part_start(parts_.space, team_.rank() + 1, team_.size());
  own.reserve(size_t(parts_.frames() * (last - first) * channels));
  for (int64_t frame = 0; frame < parts_.frames(); ++frame)
    own.insert(own.end(), whole + frame * row + first * channels, whole + frame * row + last * channels);
  return uploaded(own.data(), {parts_.batch, parts_.time, last - first, channels});
}

std::vector<SequenceParallel::Arriving> SequenceParallel::begun_in_turns(const Tensor& x, Axis from,
                                                                         const std::function<Arriving(const Tensor& own)>& begin) {
  std::vector<Arriving> begun;
  int64_t at = 0;
  for (turn_ = 0; *turn_ < parts_.turns; ++*turn_) {
    const int64_t own = from == Axis::space ? parts_.entries_of_turn() : parts_.frames_in(*turn_)[size_t(team_.rank())];
    begun.push_back(begin(rows(x, at, at + own)));
    at += own;
  }
  turn_.reset();
  return begun;
}

Tensor SequenceParallel::all_of(std::vector<Arriving>& turns) {
  std::vector<Tensor> arrived;
  for (Arriving& turn : turns) arrived.push_back(std::exchange(turn, nullptr)());
  return arrived.size() == 1 ? arrived.front() : concatenate(arrived, 0);
}

Tensor SequenceParallel::exchanged(const Tensor& x, Axis from) {
  std::vector<Arriving> turns = begun_in_turns(x, from, [&](const Tensor& own) { return begin_exchange(own, from); });
  return all_of(turns);
}

// [entries, time, this rank's space, channels] <-> [this rank's frames, 1, space, channels], of a turn.
SequenceParallel::Arriving SequenceParallel::begin_exchange(const Tensor& x, Axis from) {
  const std::vector<int64_t> frames = parts_.frames_in(*turn_), space = parts_.sizes(Axis::space);
  const int64_t own_space = space[size_t(team_.rank())], channels = x.dim(3);
  if (from == Axis::space) return begin_swap(x.reshape({parts_.frames_of_turn(), 1, own_space, channels}), 0, frames, 2, space);
  return [arriving = begin_swap(x, 2, space, 0, frames), shape = Shape{parts_.entries_of_turn(), parts_.time, own_space, channels}] {
    return arriving().reshape(shape);
  };
}

SequenceParallel::Arriving SequenceParallel::begin_swap(const Tensor& x, int whole, const std::vector<int64_t>& of_whole, int sharded,
                                                        const std::vector<int64_t>& of_sharded) {
  Shape arriving = x.shape();
  arriving[size_t(whole)] = of_whole[size_t(team_.rank())];
  arriving[size_t(sharded)] = std::accumulate(of_sharded.begin(), of_sharded.end(), int64_t(0));
  const auto elements = [](Shape shape, int axis, const std::vector<int64_t>& sizes) {
    std::vector<int64_t> counts;
    for (const int64_t size : sizes) {
      shape[size_t(axis)] = size;
      counts.push_back(size_of(shape));
    }
    return counts;
  };
  const std::vector<int64_t> sent = elements(x.shape(), whole, of_whole), received = elements(arriving, sharded, of_sharded);
  ++ledger_.all_to_alls;
  ledger_.all_to_all_bytes += int64_t(size_of(x.dtype())) * (x.size() - sent[size_t(team_.rank())]);
  return [transfer = std::make_shared<Transfer>(team_, cut(x, whole, of_whole), sent, received), arriving, sharded, of_sharded] {
    return joined(transfer->arrived(), arriving, sharded, of_sharded);
  };
}

std::vector<int64_t> SequenceParallel::batch_of_entries() const {
  std::vector<int64_t> out;
  if (sharded_ == Axis::space)
    for (int64_t entry = 0; entry < parts_.batch; ++entry) out.push_back(entry);
  else
    for (const int64_t frame : own_frames()) out.push_back(frame / parts_.time);
  return out;
}

Tensor SequenceParallel::of_entries(const Tensor& values) const {
  if (sharded_ == Axis::space) return values;
  assert(values.dim(0) == parts_.batch || values.dim(0) == parts_.frames());
  return gather_rows(values, values.dim(0) == parts_.frames() ? own_frames() : batch_of_entries());
}

Tensor SequenceParallel::of_attended_frames(const Tensor& values) const {
  std::vector<Tensor> of_turns;
  for (int turn = turn_.value_or(0); turn < (turn_ ? *turn_ + 1 : parts_.turns); ++turn)
    of_turns.push_back(slice(values, 0, parts_.first_frame(turn, team_.rank()), parts_.first_frame(turn, team_.rank() + 1)));
  return of_turns.size() == 1 ? of_turns.front() : concatenate(of_turns, 0);
}

Tensor SequenceParallel::of_attended_entries(const Tensor& values) const {
  return turn_ ? rows(values, *turn_ * parts_.entries_of_turn(), (*turn_ + 1) * parts_.entries_of_turn()) : values;
}

}  // namespace pyracast
