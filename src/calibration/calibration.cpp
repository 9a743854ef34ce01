#include "calibration/calibration.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/median.hpp"
#include "pab/branch_changes.hpp"
#include "runtime/signals.hpp"
#include "tune/schedule_file.hpp"

namespace pyracast {

namespace {

std::vector<float> difference(const std::vector<float>& a, const std::vector<float>& b) {
  assert(a.size() == b.size());
  std::vector<float> out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

double product(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * double(b[i]);
  return sum;
}

/// Seconds of all evaluations: of a block of each branch, and of the rest; and whole, with the halves of guidance together and apart.
struct EvaluationSeconds {
  enum : size_t { of_rest = branch_count, together, apart, count };
  std::array<std::vector<double>, count> seconds;

  /// All evaluations of a video but `reused`, which does not compute everything.
  void add_whole(const std::vector<EvaluationCost>& evaluations, size_t halves, size_t reused) {
    for (size_t e = 0; e < evaluations.size(); ++e)
      if (e != reused) seconds[halves].push_back(evaluations[e].seconds());
  }

  void add(const std::vector<EvaluationCost>& evaluations) {
    for (const EvaluationCost& cost : evaluations) {
      for (size_t branch = 0; branch < branch_count; ++branch)
        if (cost.computed[branch]) seconds[branch].push_back(cost.branches[branch] / double(cost.computed[branch]));
      seconds[of_rest].push_back(cost.other + cost.communication);
    }
  }
};

}  // namespace

double BranchCosts::of(const BroadcastSchedule& schedule) const {
  double sum = 0;
  for (int e = 0; e < schedule.evaluations(); ++e) {
    double both_halves = evaluation;
    for (int block = 0; block < schedule.blocks(); ++block)
      for (int branch = 0; branch < branch_count; ++branch)
        if (!schedule.reuses(e, {Branch(branch), block})) both_halves += branches[size_t(branch)];
    sum += schedule.reuses_unconditional_half(e) ? both_halves / 2 : both_halves;
  }
  return schedule.parts_halves() ? apart * sum : sum;
}

CalibrationSamples::CalibrationSamples(const Ranks& ranks, const GenerateSettings& settings, const std::vector<SampleToMeasure>& samples,
                                       VideoPipeline& pipeline, const std::string& stored, OutputPlace stored_outputs)
    : ranks_(ranks), settings_(settings), samples_(samples), pipeline_(pipeline), stored_(stored), stored_outputs_(stored_outputs) {
  for (size_t i = size_t(ranks.rank()); i < samples.size(); i += size_t(ranks.size())) own_.push_back(i);
  const auto reference = [&](size_t own) -> std::optional<Numbers> {
    const auto result = run(own, steps(), policy(all_computed(0, steps()), {}));
    if (!result) return std::nullopt;
    references_.push_back(result->latents);
    const auto& computed = result->evaluations.front().computed;
    return Numbers(computed.begin(), computed.end());
  };
  each(reference, [&](const Numbers& computed) { std::copy(computed.begin(), computed.end(), blocks_.begin()); });
}

bool CalibrationSamples::have_guidance() const {
  return std::all_of(samples_.begin(), samples_.end(), [](const SampleToMeasure& sample) { return sample.request.guidance > 1; });
}

std::optional<VideoResult> CalibrationSamples::run(size_t own, int steps, const BroadcastPolicy& policy, BranchListener listener,
                                                   std::function<void(const Tensor&)> guidance_listener) const {
  MeasuredRun how{.steps = steps, .broadcast = policy, .stored_outputs = stored_outputs_, .listener = std::move(listener),
                  .guidance_listener = std::move(guidance_listener)};
  return denoise_sample(settings_, samples_[own_[own]], std::move(how), pipeline_);
}

BroadcastPolicy CalibrationSamples::policy(const ReuseTable& table, const std::vector<SiteGroup>& groups) const {
  Json json = schedule_json(table, groups, pipeline_.blocks());
  if (table.empty()) json = Json::object();
  if (!stored_.empty()) json["stored"] = stored_;
  return BroadcastPolicy(json.empty() ? Json() : json, "the schedule under calibration");
}

void CalibrationSamples::each(const std::function<std::optional<Numbers>(size_t own)>& of_own,
                              const std::function<void(const Numbers&)>& see) const {
  std::vector<Numbers> own;
  while (own.size() < own_.size()) {
    auto numbers = of_own(own.size());
    if (!numbers) break;
    own.push_back(std::move(*numbers));
  }
  if (any_rank(ranks_, own.size() < own_.size())) throw AskedToStop();
  for (size_t i = 0; i < samples_.size(); ++i) {
    const int owner = int(i % size_t(ranks_.size()));
    const auto share = [&](void* data, uint64_t count, MPI_Datatype type) {
      MPI_Request request;
      check_mpi(MPI_Ibcast(data, int(count), type, owner, ranks_.world(), &request), "sharing what was measured");
      await(request, "sharing what was measured");
    };
    Numbers numbers;
    if (owner == ranks_.rank()) numbers = std::move(own[i / size_t(ranks_.size())]);
    uint64_t size = numbers.size();
    share(&size, 1, MPI_UINT64_T);
    numbers.resize(size);
    share(numbers.data(), size, MPI_DOUBLE);
    see(numbers);
  }
}

CalibrationSamples::Numbers CalibrationSamples::mean(const std::function<std::optional<Numbers>(size_t own)>& of_own) const {
  Numbers mean;
  each(of_own, [&](const Numbers& numbers) {
    mean.resize(numbers.size(), 0);
    for (size_t i = 0; i < numbers.size(); ++i) mean[i] += numbers[i] / double(samples_.size());
  });
  return mean;
}

std::optional<ReuseTable> CalibrationSamples::searched(const std::function<std::optional<ReuseTable>()>& search) const {
  std::optional<ReuseTable> found;
  ranks_.on_first([&] { found = search(); });
  const auto share = [&](void* data, size_t count, MPI_Datatype type) {
    MPI_Request request;
    check_mpi(MPI_Ibcast(data, int(count), type, 0, ranks_.world(), &request), "sharing what was found");
    await(request, "sharing what was found");
  };
  uint64_t sizes[2] = {found ? found->size() : 0, found && !found->empty() ? found->front().size() : 0};
  share(sizes, 2, MPI_UINT64_T);
  std::vector<uint8_t> entries(sizes[0] * sizes[1]);
  for (size_t i = 0; found && i < entries.size(); ++i) entries[i] = (*found)[i / sizes[1]][i % sizes[1]];
  share(entries.data(), entries.size(), MPI_BYTE);
  if (entries.empty()) return std::nullopt;
  ReuseTable table = all_computed(sizes[0], int(sizes[1]));
  for (size_t i = 0; i < entries.size(); ++i) table[i / sizes[1]][i % sizes[1]] = entries[i];
  return table;
}

double CalibrationSamples::error(int steps, const BroadcastPolicy& policy) const {
  return mean([&](size_t own) -> std::optional<Numbers> {
    const auto result = run(own, steps, policy);
    if (!result) return std::nullopt;
    const Latents off = difference(result->latents, references_[own]);
    return Numbers{product(off, off) / product(references_[own], references_[own])};
  }).front();
}

StepsCalibration::StepsCalibration(const CalibrationSamples& samples, std::vector<SiteGroup> groups, int steps)
    : samples_(samples), groups_(std::move(groups)), steps_(steps), effects_(samples.own_.size()), model_(calibrate()) {}

/// Products of effects, products with the offset, the offset's square, changes of outputs, seconds: in this order.
std::optional<StepsCalibration::Numbers> StepsCalibration::calibrate_one(size_t own) {
  BranchChanges changes;
  EvaluationSeconds seconds;
  std::vector<float> before;            // what guidance added
  std::vector<double> of_guidance{0};   // how much that changed, by evaluation
  const auto see_difference = [&](const Tensor& difference) {
    std::vector<float> now = difference.to_host();
    if (!before.empty()) of_guidance.push_back(change(before, now).mse);
    before = std::move(now);
  };
  const auto computed = samples_.run(own, steps_, samples_.policy(all_computed(groups_.size(), steps_), groups_),
                                     [&](int, Site site, const Tensor& output) { changes.see(site, output); }, see_difference);
  if (!computed) return std::nullopt;
  const Latents& reference = samples_.references_[own];
  const double square = product(reference, reference);
  std::vector<Latents>& effects = effects_[own];
  effects.resize(sites());
  for (int e = 1; e < steps_; ++e)   // groups in turns, so that seconds of all are of the same minutes
    for (size_t g = 0; g < groups_.size(); ++g) {
      ReuseTable table = all_computed(groups_.size(), steps_);
      table[g][size_t(e)] = true;
      const auto reused = samples_.run(own, steps_, samples_.policy(table, groups_));
      if (!reused) return std::nullopt;
      effects[g * size_t(steps_ - 1) + size_t(e) - 1] = difference(reused->latents, computed->latents);
      if (!groups_[g].is_half()) seconds.add(reused->evaluations);   // halves by themselves take other seconds
      seconds.add_whole(reused->evaluations, groups_[g].is_half() ? EvaluationSeconds::apart : EvaluationSeconds::together, size_t(e));
    }
  Numbers numbers(sites() * sites());
  for (size_t i = 0; i < sites(); ++i)
    for (size_t j = 0; j <= i; ++j)
      numbers[i * sites() + j] = numbers[j * sites() + i] = product(effects[i], effects[j]) / square;
  const Latents offset = difference(computed->latents, reference);
  for (const Latents& effect : effects) numbers.push_back(product(effect, offset) / square);
  numbers.push_back(product(offset, offset) / square);
  for (const SiteGroup& group : groups_)
    for (int e = 0; e < steps_; ++e) {
      double sum = group.is_half() ? of_guidance[size_t(e)] : 0;
      for (const Branch branch : group.branches)
        for (const int block : group.blocks)
          if (e > 0) sum += changes.of_sites().at({branch, block})[size_t(e) - 1].mse;
      numbers.push_back(std::sqrt(sum));
    }
  for (const auto& all : seconds.seconds) numbers.push_back(median(all));
  return numbers;
}

ErrorModel StepsCalibration::calibrate() {
  std::array<std::vector<double>, EvaluationSeconds::count> seconds;
  Numbers mean;
  samples_.each([&](size_t own) { return calibrate_one(own); }, [&](const Numbers& numbers) {
    const size_t measured = numbers.size() - seconds.size();
    mean.resize(measured, 0);
    for (size_t i = 0; i < measured; ++i) mean[i] += numbers[i] / double(samples_.samples_.size());
    for (size_t i = 0; i < seconds.size(); ++i) seconds[i].push_back(numbers[measured + i]);
  });
  for (size_t branch = 0; branch < branch_count; ++branch) costs_.branches[branch] = median(seconds[branch]);
  costs_.evaluation = median(seconds[EvaluationSeconds::of_rest]);
  if (groups_.back().is_half()) costs_.apart = median(seconds[EvaluationSeconds::apart]) / median(seconds[EvaluationSeconds::together]);
  const auto offset = mean.begin() + long(sites() * sites()), square = offset + long(sites());
  std::vector<Numbers> changes;
  for (size_t g = 0; g < groups_.size(); ++g) changes.emplace_back(square + 1 + long(g) * steps_, square + 1 + long(g + 1) * steps_);
  ErrorModel model(int(groups_.size()), steps_, Numbers(mean.begin(), offset), std::move(changes));
  model.set_offset(Numbers(offset, square), *square);
  return model;
}

std::pair<double, ErrorModel> StepsCalibration::measured(const ReuseTable& table) const {
  const Numbers amplitudes = model_.amplitudes(table);
  const Numbers mean = samples_.mean([&](size_t own) -> std::optional<Numbers> {
    const auto result = samples_.run(own, steps_, samples_.policy(table, groups_));
    if (!result) return std::nullopt;
    const Latents& reference = samples_.references_[own];
    const std::vector<Latents>& effects = effects_[own];
    const double square = product(reference, reference);
    const Latents off = difference(result->latents, reference);
    Latents offset = off;   // what the effects do not explain
    for (size_t i = 0; i < effects.size(); ++i)
      for (size_t k = 0; amplitudes[i] != 0 && k < offset.size(); ++k) offset[k] -= float(amplitudes[i]) * effects[i][k];
    Numbers numbers{product(off, off) / square, product(offset, offset) / square};
    for (const Latents& effect : effects) numbers.push_back(product(effect, offset) / square);
    return numbers;
  });
  ErrorModel corrected = model_;
  corrected.set_offset(Numbers(mean.begin() + 2, mean.end()), mean[1]);
  return {mean[0], std::move(corrected)};
}

}  // namespace pyracast
