#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "dataset/sample.hpp"

namespace pyracast {

/// How a sample that was made again differs from the stored one.
struct SampleDifferences {
  std::vector<std::string> differing;   ///< names of what differs, in the order in which they are made: text, latents, pixels, MP4
  std::string first;                    ///< the first of them, in words; empty: nothing differs
  std::vector<std::string> compared;    ///< what both have: names of columns and arrays
};

/// Compares all content of two records with their arrays; the files of their videos lie below the folders. Where only the
/// MP4 files differ, they are decoded and it is told whether the pixels do.
SampleDifferences compare_samples(const SampleRecord& stored, const std::filesystem::path& stored_folder, const SampleRecord& made,
                                 const std::filesystem::path& made_folder);

}  // namespace pyracast
