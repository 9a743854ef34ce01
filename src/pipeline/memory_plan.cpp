#include "pipeline/memory_plan.hpp"

#include <algorithm>

namespace pyracast {

namespace {

constexpr const char* decoding = "decoding";   // as pipelines say (TeamChannels::set_doing)

/// Takes down what was in use, from one change of what the team is about to the next.
class Phases {
 public:
  Phases(PlanningBackend& backend, MemoryPlan& plan) : backend_(backend), plan_(plan) {}

  void begin(const std::string& doing) {
    end();
    doing_ = doing;
  }
  void end() {
    const int64_t most = int64_t(backend_.most_in_use());
    backend_.forget_most();
    if (doing_.empty()) return;
    const bool repeats = !plan_.phases.empty() && is_evaluation(doing_) && is_evaluation(plan_.phases.back().doing) &&
                         plan_.phases.back().most_bytes == most;
    if (!repeats) plan_.phases.push_back({doing_, most});
  }

 private:
  PlanningBackend& backend_;
  MemoryPlan& plan_;
  std::string doing_;

  static bool is_evaluation(const std::string& doing) { return doing.starts_with("evaluation "); }
};

/// Saves whenever it may, to nowhere.
class SavingAlways final : public ProgressKeeper {
 public:
  bool is_due(int, double, double) const override { return true; }
  double seconds_to_save(int64_t) const override { return 0; }
  void save(const VideoProgress&, const StoredOutputs& outputs) noexcept override {
    for (size_t i = 0; i < outputs.sites.size(); ++i) outputs.next();
  }
};

}  // namespace

const MemoryPlan::Phase& MemoryPlan::most() const {
  return *std::max_element(phases.begin(), phases.end(), [&](const Phase& a, const Phase& b) {
    return a.most_bytes + bytes_beside(a) < b.most_bytes + bytes_beside(b);
  });
}

int64_t MemoryPlan::bytes_beside(const Phase& phase) const {
  if (beside == Beside::decoding) return decoding_bytes();
  return phase.doing == decoding ? 0 : leaving_bytes;   // the frames have arrived before the next are asked for
}

/// Besides the weights.
int64_t MemoryPlan::decoding_bytes() const {
  int64_t most = weight_bytes;
  for (const Phase& phase : phases)
    if (phase.doing == decoding) most = std::max(most, phase.most_bytes);
  return most - weight_bytes;
}

const std::string& longest_prompt() {
  static const std::string prompt = [] {
    std::string words;
    for (int word = 0; word < 600; ++word) words += "red ";
    return words;
  }();
  return prompt;
}

MemoryPlan plan_text_encoding(const VideoModel& model, WeightStorage storage, const VideoRequest& request, PlannedDevice device) {
  MemoryPlan plan;
  PlanningBackend backend(device);
  Phases phases(backend, plan);
  const auto alone = make_planning_communicator(0, 1);
  TeamTextEncoder encoder = open_text_encoder(model.text_encoder_files(), backend, storage, {}, true);
  plan.loading_bytes = int64_t(backend.most_in_use());
  plan.weight_bytes = int64_t(backend.in_use());
  phases.begin("encoding all texts");
  for (const TextToEncode& text : model.texts(request)) embedding_to_store(encoder, text, backend, *alone);
  phases.end();
  return plan;
}

MemoryPlan plan_memory(const VideoModel& model, WeightStorage storage, const VideoRequest& request, const BroadcastPolicy& policy,
                       const PlannedRank& of, PlannedDevice device) {
  MemoryPlan plan;
  plan.beside = of.beside;
  PlanningBackend backend(device);
  Phases phases(backend, plan);
  const auto listen = [&](const std::string& doing) { phases.begin(doing); };
  const TeamChannels channels = planning_channels(of.rank, of.ranks, of.cfg_parallel, listen, of.overlaps);
  const auto pipeline = model.open(backend, storage, channels, {of.texts});
  plan.loading_bytes = int64_t(backend.most_in_use());
  plan.weight_bytes = int64_t(backend.in_use());
  PhiloxNoise noise{0, "", 0};
  VideoRun run{noise};
  run.broadcast = policy;
  run.read_reference = blank_reference;
  run.stored_outputs = of.stored_outputs;
  SavingAlways keeper;
  if (of.saves) run.keeper = &keeper;   // of every rank: each gathers its part
  const bool leaves = of.decodes && of.beside == Beside::leaving && request.clips == 1;
  run.decodes = of.decodes && !leaves;
  run.takes_frames = of.rank == 0;
  const VideoResult result = pipeline->generate(request, run);
  require(result.outcome == Outcome::going_on, "such a video cannot be made: ", result.reason);
  if (leaves) {
    channels.set_doing(decoding);
    const size_t before = backend.in_use();   // texts as well, which are kept for the next video
    const Arrival frames = pipeline->decoding(request, result, run.takes_frames);
    plan.leaving_bytes = int64_t(backend.in_use() - before);
  }
  phases.end();
  plan.host_bytes = int64_t(backend.most_host_in_use());
  return plan;
}

}  // namespace pyracast
