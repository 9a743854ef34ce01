#include "dataset/near_duplicates.hpp"

#include <algorithm>
#include <numeric>

namespace pyracast {

namespace {

constexpr int band_bits = 16, bands = 4 * 64 / band_bits;
constexpr size_t most_neighbours = 32;
constexpr uint64_t portions = 8;

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

/// All different hashes, sorted; each is known by one clip that has it.
class DifferentHashes {
 public:
  explicit DifferentHashes(std::span<const ClipHash> clips) : clips_(clips), different_of_(clips.size()) {
    std::vector<uint32_t> order(clips.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return clips[a] < clips[b]; });
    for (const uint32_t clip : order) {
      if (a_clip_.empty() || clips[a_clip_.back()] != clips[clip]) a_clip_.push_back(clip);
      different_of_[clip] = uint32_t(a_clip_.size() - 1);
    }
  }
  size_t size() const { return a_clip_.size(); }
  const ClipHash& operator[](size_t i) const { return clips_[a_clip_[i]]; }
  /// The place of a clip's hash among them.
  uint32_t of_clip(size_t clip) const { return different_of_[clip]; }

 private:
  std::span<const ClipHash> clips_;
  std::vector<uint32_t> different_of_, a_clip_;
};

/// Joins near duplicates that have `band` in common. Hashes are ordered in portions by the first bits of the band, so that only
/// a portion of them is held twice.
void join_neighbours(const DifferentHashes& hashes, int band, std::vector<TurnedHash>& order, DisjointSets& sets) {
  const auto first_band = [&](size_t i) { return order[i].bits[0] >> (64 - band_bits); };
  for (uint64_t portion = 0; portion < portions; ++portion) {
    order.clear();
    for (uint32_t i = 0; i < hashes.size(); ++i) {
      const auto bits = hashes[i].frames;
      const uint64_t band_of_it = bits[size_t(band * band_bits / 64)] >> (64 - band_bits - band * band_bits % 64);
      if ((band_of_it & ((uint64_t(1) << band_bits) - 1)) * portions >> band_bits == portion) order.push_back({turned(bits, band), i});
    }
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < order.size(); ++i)
      for (size_t j = i + 1; j < order.size() && j <= i + most_neighbours && first_band(j) == first_band(i); ++j)
        // The hashes themselves lie anywhere in memory: only of few pairs are they looked at.
        if (few_bits_differ(order[i].bits, order[j].bits) && near_duplicates(hashes[order[i].clip], hashes[order[j].clip]))
          sets.join(order[i].clip, order[j].clip);
  }
}

}  // namespace

std::vector<uint32_t> near_duplicate_groups(std::span<const ClipHash> clips, const TellStep& tell) {
  const DifferentHashes hashes(clips);
  DisjointSets sets(hashes.size());
  {
    std::vector<TurnedHash> order;
    for (int band = 0; band < bands; ++band) {
      join_neighbours(hashes, band, order, sets);
      if (tell) tell("parts of the search for near duplicates done", size_t(band) + 1, bands);
    }
  }
  std::vector<uint32_t> members(hashes.size());
  for (size_t i = 0; i < clips.size(); ++i) ++members[sets.smallest(hashes.of_clip(i))];
  uint32_t groups = 0;
  for (uint32_t& count : members) count = count > 1 ? ++groups : 0;   // from here on the group's number
  std::vector<uint32_t> group_of(clips.size());
  for (size_t i = 0; i < clips.size(); ++i) group_of[i] = members[sets.smallest(hashes.of_clip(i))];
  return group_of;
}

}  // namespace pyracast
