#include "dataset/near_duplicates.hpp"

#include <algorithm>
#include <numeric>

namespace pyracast {

namespace {

constexpr int band_bits = 16, bands = 4 * 64 / band_bits;
constexpr size_t most_neighbours = 32;

/// Sets that are joined; each is known by its smallest member.
class DisjointSets {
 public:
  explicit DisjointSets(size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), 0u); }
  uint32_t smallest(uint32_t member) {
    while (parent_[member] != member) member = parent_[member] = parent_[parent_[member]];
    return member;
  }
  void join(uint32_t a, uint32_t b) {
    a = smallest(a), b = smallest(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<uint32_t> parent_;
};

/// A hash turned such that one of its bands comes first.
struct TurnedHash {
  std::array<uint64_t, 4> bits;
  uint32_t clip;
  bool operator<(const TurnedHash& other) const { return bits != other.bits ? bits < other.bits : clip < other.clip; }
};

std::array<uint64_t, 4> turned(const std::array<uint64_t, 4>& bits, int band) {
  std::array<uint64_t, 4> out;
  const int words = band * band_bits / 64, rest = band * band_bits % 64;
  for (int i = 0; i < 4; ++i) {
    const uint64_t here = bits[size_t((i + words) % 4)], next = bits[size_t((i + words + 1) % 4)];
    out[size_t(i)] = rest ? here << rest | next >> (64 - rest) : here;
  }
  return out;
}

/// Joins near duplicates of `hashes`, which are sorted and all different.
void join_neighbours(const std::vector<ClipHash>& hashes, int band, std::vector<TurnedHash>& order, DisjointSets& sets) {
  for (uint32_t i = 0; i < hashes.size(); ++i) order[i] = {turned(hashes[i].frames, band), i};
  std::sort(order.begin(), order.end());
  const auto first_band = [&](size_t i) { return order[i].bits[0] >> (64 - band_bits); };
  for (size_t i = 0; i < order.size(); ++i)
    for (size_t j = i + 1; j < order.size() && j <= i + most_neighbours && first_band(j) == first_band(i); ++j)
      if (near_duplicates(hashes[order[i].clip], hashes[order[j].clip])) sets.join(order[i].clip, order[j].clip);
}

}  // namespace

std::vector<int64_t> near_duplicate_groups(std::span<const ClipHash> clips) {
  std::vector<ClipHash> hashes(clips.begin(), clips.end());
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  DisjointSets sets(hashes.size());
  {
    std::vector<TurnedHash> order(hashes.size());
    for (int band = 0; band < bands; ++band) join_neighbours(hashes, band, order, sets);
  }
  std::vector<uint32_t> set_of(clips.size());
  std::vector<int64_t> members(hashes.size()), numbers(hashes.size());
  for (size_t i = 0; i < clips.size(); ++i) {
    set_of[i] = sets.smallest(uint32_t(std::lower_bound(hashes.begin(), hashes.end(), clips[i]) - hashes.begin()));
    ++members[set_of[i]];
  }
  int64_t groups = 0;
  for (size_t set = 0; set < hashes.size(); ++set)
    if (members[set] > 1) numbers[set] = ++groups;
  std::vector<int64_t> group_of(clips.size());
  for (size_t i = 0; i < clips.size(); ++i) group_of[i] = numbers[set_of[i]];
  return group_of;
}

}  // namespace pyracast
