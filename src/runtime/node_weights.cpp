#include "runtime/node_weights.hpp"

#include "base/log.hpp"
#include "runtime/device.hpp"
#include "runtime/share_text.hpp"

namespace pyracast {

namespace {

void wait_for_node(const OwnedComm& node) {
  MPI_Request request;
  check_mpi(MPI_Ibarrier(node, &request), "sharing weights");
  await(request, "sharing weights");
}

/// What lies under `path`; nothing where this rank cannot look there, or the first rank found its model wanting.
std::unique_ptr<FoundWeights> found_at(const std::string& path) {
  if (path.empty()) return nullptr;
  try {
    return std::make_unique<FoundWeights>(path);
  } catch (const Error& error) {
    spdlog::warn("weights are not shared with the other ranks of the node, this one keeps its own: {}", error.what());
    return nullptr;
  }
}

}  // namespace

bool shares_weights(const Ranks& ranks, const ModelSettings& settings) { return settings.device == "cpu" && ranks.node().size() > 1; }

void read_on_nodes(const Ranks& ranks, const ModelSettings& settings, const std::function<void(WeightStorage)>& read) {
  if (!shares_weights(ranks, settings)) return read(weight_storage(settings));
  if (ranks.node().rank() > 0) {
    const auto found = found_at(shared_text(ranks.node(), {}, "sharing weights"));
    wait_for_node(ranks.node());
    return read(weight_storage(settings, found.get()));
  }
  LaidDownWeights weights;
  std::exception_ptr wanting;   // the others learn first that there is nothing to wait for
  std::string path;
  try {
    read(weight_storage(settings, &weights));
    path = weights.publish();
  } catch (...) {
    wanting = std::current_exception();
    path.clear();
  }
  shared_text(ranks.node(), path, "sharing weights");
  wait_for_node(ranks.node());   // what lies under the path goes with this process's descriptor
  if (wanting) std::rethrow_exception(wanting);
}

std::unique_ptr<VideoPipeline> open_on_nodes(const Ranks& ranks, const VideoModel& model, const ModelSettings& settings, Backend& backend,
                                             const TeamChannels& team, std::shared_ptr<const StoredTexts> texts) {
  const TextSource source{texts ? TextEncoding::once : text_encoding_without_folder(settings), std::move(texts)};
  std::unique_ptr<VideoPipeline> pipeline;
  read_on_nodes(ranks, settings, [&](WeightStorage storage) { pipeline = model.open(backend, storage, team, source); });
  return pipeline;
}

}  // namespace pyracast
