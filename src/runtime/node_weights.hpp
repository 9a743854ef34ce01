#pragma once
#include "comm/ranks.hpp"
#include "pipeline/video_model.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// Whether the weights of a node's ranks lie in its memory once: where it has several, and computes on processors.
bool shares_weights(const Ranks& ranks, const ModelSettings& settings);

/// Does `read(storage)` on all ranks. Where a node's ranks share weights, its first rank reads and packs them, and the others find them
/// in its memory; a rank that cannot look there (another container, say) warns and keeps its own.
void read_on_nodes(const Ranks& ranks, const ModelSettings& settings, const std::function<void(WeightStorage)>& read);

/// VideoModel::open so; embeddings come from `texts` where they were encoded beforehand, else as the settings say (in place of `once`, `offload`).
std::unique_ptr<VideoPipeline> open_on_nodes(const Ranks& ranks, const VideoModel& model, const ModelSettings& settings, Backend& backend,
                                             const TeamChannels& team, std::shared_ptr<const StoredTexts> texts = nullptr);

}  // namespace pyracast
