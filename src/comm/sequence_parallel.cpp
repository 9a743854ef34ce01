#include "comm/sequence_parallel.hpp"

#include <algorithm>
#include <cassert>
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
  const auto own = [&](const Tensor& whole, int along) {
    const int64_t count = whole.dim(along);
    return slice(whole, along, part_start(count, team_.rank(), team_.size()), part_start(count, team_.rank() + 1, team_.size()));
  };
  return axis == Axis::space ? own(x, 2) : own(x.reshape({parts_.frames(), 1, x.dim(2), x.dim(3)}), 0);
}

Tensor SequenceParallel::gather(const Tensor& x) {
  if (team_.size() == 1) return x;
  ++ledger_.all_gathers;
  ledger_.all_gather_bytes += int64_t(x.bytes()) * (team_.size() - 1);
  return timed(x, outside, [&] {
    return pyracast::gather(team_, x, sharded_ == Axis::space ? 2 : 0, parts_.sizes(sharded_))
        .reshape({parts_.batch, parts_.time, parts_.space, x.dim(3)});
  });
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
  const TokenParts parts = parts_ = parts_of(shape);
  const int64_t channels = shape[3], row = parts.space * channels;
  const auto uploaded = [&](const float* values, const Shape& own) {
    const Tensor part(backend, own);
    if (part.size() > 0) backend.upload(values, part.view());
    return to_activations(part);
  };
  if (team_.size() == 1) return uploaded(whole, shape);
  const auto begin = [&](int64_t count, int later) { return part_start(count, team_.rank() + later, team_.size()); };
  if (axis == Axis::time) {
    const int64_t first = begin(parts.frames(), 0);
    return uploaded(whole + first * row, {begin(parts.frames(), 1) - first, 1, parts.space, channels});
  }
  const int64_t first = begin(parts.space, 0), last = begin(parts.space, 1);
  std::vector<float> own;
  own.reserve(size_t(parts.frames() * (last - first) * channels));
  for (int64_t frame = 0; frame < parts.frames(); ++frame)
    own.insert(own.end(), whole + frame * row + first * channels, whole + frame * row + last * channels);
  return uploaded(own.data(), {parts.batch, parts.time, last - first, channels});
}

Tensor SequenceParallel::send(const Tensor& x, Axis from, const std::vector<int64_t>& sent,
                              const std::vector<int64_t>& received) {
  const Tensor out(x.backend(), {std::accumulate(received.begin(), received.end(), int64_t(0))}, x.dtype());
  team_.all_to_all(x.view(), sent, out.view(), received);
  ++ledger_.all_to_alls;
  ledger_.all_to_all_bytes += int64_t(size_of(x.dtype())) * x.dim(-1) * parts_.tokens_sent(team_.rank(), from);
  return out;
}

// x [batch, time, this rank's space, channels] -> [this rank's frames, 1, space, channels]. What goes to a rank is a run
// of whole frames and lies together already; what comes is put side by side.
Tensor SequenceParallel::whole_space(const Tensor& x) {
  const int64_t channels = x.dim(3);
  const std::vector<int64_t> frames = parts_.sizes(Axis::time), space = parts_.sizes(Axis::space);
  const int64_t own_frames = frames[size_t(team_.rank())], own_space = space[size_t(team_.rank())];
  std::vector<int64_t> sent, received;
  for (const int64_t count : frames) sent.push_back(count * own_space * channels);
  for (const int64_t count : space) received.push_back(own_frames * count * channels);
  const Tensor arrived = send(x, Axis::space, sent, received);
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (size_t rank = 0; rank < space.size(); at += received[rank++])
    parts.push_back(slice(arrived, 0, at, at + received[rank]).reshape({own_frames, 1, space[rank], channels}));
  return concatenate(parts, 2);
}

// And back: what goes to a rank is cut out of every frame; what comes is a run of whole frames.
Tensor SequenceParallel::whole_time(const Tensor& x) {
  const int64_t channels = x.dim(3);
  const std::vector<int64_t> frames = parts_.sizes(Axis::time), space = parts_.sizes(Axis::space);
  const int64_t own_frames = frames[size_t(team_.rank())], own_space = space[size_t(team_.rank())];
  std::vector<int64_t> sent, received;
  for (const int64_t count : space) sent.push_back(own_frames * count * channels);
  for (const int64_t count : frames) received.push_back(count * own_space * channels);
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (const int64_t tokens : space) {
    parts.push_back(slice(x, 2, at, at + tokens).reshape({own_frames * tokens, channels}));
    at += tokens;
  }
  return send(concatenate(parts, 0), Axis::time, sent, received)
      .reshape({parts_.batch, parts_.time, own_space, channels});
}

std::vector<Tensor> SequenceParallel::swapped(const std::vector<Tensor>& pieces, const std::vector<Shape>& arriving) {
  std::vector<Tensor> flat;
  std::vector<int64_t> sent, received;
  for (const Tensor& piece : pieces) {
    flat.push_back(piece.reshape({piece.size()}));
    sent.push_back(piece.size());
  }
  for (const Shape& shape : arriving) received.push_back(size_of(shape));
  const Tensor out = concatenate(flat, 0);
  const Tensor in(out.backend(), {std::accumulate(received.begin(), received.end(), int64_t(0))}, out.dtype());
  team_.all_to_all(out.view(), sent, in.view(), received);
  ++ledger_.all_to_alls;
  ledger_.all_to_all_bytes += int64_t(size_of(out.dtype())) * (out.size() - sent[size_t(team_.rank())]);
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (size_t rank = 0; rank < arriving.size(); at += received[rank++]) parts.push_back(slice(in, 0, at, at + received[rank]).reshape(arriving[rank]));
  return parts;
}

// [batch, time, this rank's space, parts, heads, size] -> [batch, time, space, parts, this rank's heads, size].
Tensor SequenceParallel::whole_tokens(const Tensor& x) {
  assert(sharded_ == Axis::space);
  const std::vector<int64_t> heads = part_sizes(x.dim(4), team_.size());
  std::vector<Tensor> pieces;
  std::vector<Shape> arriving;
  int64_t at = 0;
  for (const int64_t count : heads) {
    pieces.push_back(slice(x, 4, at, at + count));
    at += count;
  }
  for (const int64_t space : parts_.sizes(Axis::space)) {
    arriving.push_back(x.shape());
    arriving.back()[2] = space;
    arriving.back()[4] = heads[size_t(team_.rank())];
  }
  return concatenate(swapped(pieces, arriving), 2);
}

// [batch, time, space, this rank's heads, size] -> [batch, time, this rank's space, heads, size].
Tensor SequenceParallel::whole_heads(const Tensor& x, int64_t heads) {
  std::vector<Tensor> pieces;
  std::vector<Shape> arriving;
  const std::vector<int64_t> space = parts_.sizes(Axis::space);
  int64_t at = 0;
  for (const int64_t tokens : space) {
    pieces.push_back(slice(x, 2, at, at + tokens));
    at += tokens;
  }
  for (const int64_t count : part_sizes(heads, team_.size())) {
    arriving.push_back(x.shape());
    arriving.back()[2] = space[size_t(team_.rank())];
    arriving.back()[3] = count;
  }
  return concatenate(swapped(pieces, arriving), 3);
}

std::vector<int64_t> SequenceParallel::batch_of_entries() const {
  std::vector<int64_t> out;
  if (sharded_ == Axis::space)
    for (int64_t entry = 0; entry < parts_.batch; ++entry) out.push_back(entry);
  else
    for (int64_t i = 0; i < parts_.sizes(Axis::time)[size_t(team_.rank())]; ++i) out.push_back((first_frame() + i) / parts_.time);
  return out;
}

Tensor SequenceParallel::of_entries(const Tensor& values) const {
  if (sharded_ == Axis::space) return values;
  assert(values.dim(0) == parts_.batch || values.dim(0) == parts_.frames());
  std::vector<int64_t> rows = batch_of_entries();
  if (values.dim(0) == parts_.frames()) std::iota(rows.begin(), rows.end(), first_frame());
  return gather_rows(values, rows);
}

}  // namespace pyracast
