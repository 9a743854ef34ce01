#pragma once
#include <algorithm>

#include "comm/communicator.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// What each rank of the team answers, in the order of ranks. The numbers travel in the host's memory.
inline std::vector<int32_t> answers_of(Communicator& team, int32_t own) {
  std::vector<int32_t> answers(size_t(team.size()));
  team.all_gather({&own, DType::int32, {1}}, {answers.data(), DType::int32, {team.size()}}, std::vector<int64_t>(answers.size(), 1));
  return answers;
}

/// The team's answer: the gravest of its ranks'.
inline Outcome agreed(Communicator& team, Outcome own) {
  const std::vector<int32_t> answers = answers_of(team, int32_t(own));
  return Outcome(*std::max_element(answers.begin(), answers.end()));
}

}  // namespace pyracast
