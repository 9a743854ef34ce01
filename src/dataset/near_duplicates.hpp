#pragma once
#include <span>
#include <vector>

#include "base/tell_step.hpp"
#include "dataset/clip_hash.hpp"

namespace pyracast {

/// Groups of clips that look nearly alike: for each clip the number of its group, from 1, or 0 where it is in none. Each
/// clip of a group is near_duplicates() with another of it. Groups depend on the clips alone, not on their order; they are
/// numbered by their smallest hash.
/// Equal hashes are always found; others where they have 16 aligned bits in common and, of the clips that have them too, at
/// most 32 stand between them when ordered by the bits that follow. So a million clips take seconds, and memory for 25 bytes
/// each; to 60 where most begin alike.
std::vector<uint32_t> near_duplicate_groups(std::span<const ClipHash> clips, const TellStep& tell = {});

}  // namespace pyracast
