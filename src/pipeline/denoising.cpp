#include "pipeline/denoising.hpp"

#include <cassert>

namespace pyracast {

namespace {

Shape tokens_of_a_run(Shape tokens, const GuidanceHalves& halves) {
  tokens[0] /= int64_t(halves.parts().size());
  return tokens;
}

template <class T, size_t size>
void add(std::array<T, size>& sums, const std::array<T, size>& more) {
  for (size_t i = 0; i < size; ++i) sums[i] += more[i];
}

}  // namespace

Denoising::Denoising(const TeamChannels& team, GuidanceHalves& halves, const VideoPlan& plan, const VideoRun& run, VideoProgress& progress,
                     Shape tokens, Sampler* sampler)
    : team_(team), halves_(halves), plan_(plan), run_(run), progress_(progress), result_(progress.result),
      tokens_(tokens_of_a_run(std::move(tokens), halves)), sampler_(sampler),
      leaving_(halves.schedule(), plan.tokens.order(), size_of(whole_tokens()) * int64_t(size_of(DType::float32))) {}

int Denoising::first(Tensor& latents) {
  first_ = saved_ = progress_.evaluations;
  if (first_ == 0) return 0;
  Backend& backend = latents.backend();
  latents = Tensor(backend, progress_.latents.shape, progress_.latents.values);
  if (sampler_) {
    Sampler::State state{progress_.sampler_step, {}};
    for (const HostTensor& tensor : progress_.sampler_history) state.history.emplace_back(backend, tensor.shape, tensor.values);
    sampler_->restore(std::move(state));
  }
  const HostTensor& difference = progress_.guidance_difference;
  const bool reused = first_ < leaving_.evaluations() && halves_.schedule().reuses_unconditional_half(first_);
  require(reused == !difference.values.empty(), "the saved progress holds ", difference.values.size(), " numbers of what guidance added, which is ",
          reused ? "" : "not ", "reused behind evaluation ", first_);
  halves_.go_on_behind(first_ - 1, reused ? Tensor(backend, difference.shape, difference.values) : Tensor());
  restore_outputs(backend);
  return first_;
}

void Denoising::begin(int index, Backend& backend) {
  team_.set_doing(concat("evaluation ", index + 1, " of ", plan_.exchanges.size()));
  halves_.begin(index);
  before_ = ledger();
  for (GuidanceHalves::Part& part : halves_.parts()) part.run.parallel.seconds().restart();   // of what was moved to be saved
  backend_ = &backend;
  begun_ = backend.moment();
}

CommunicationLedger Denoising::ledger() const {
  CommunicationLedger sum;
  for (const GuidanceHalves::Part& part : halves_.parts()) sum += part.run.parallel.ledger();
  return sum;
}

Denoising::UnderWay Denoising::asked_for(int index, const Tensor& latents) {
  UnderWay made{.index = index, .gathers = halves_.gather_seconds().taken(), .begun = begun_, .ended = backend_->moment()};
  made.is_finite = all_finite(latents);
  const CommunicationLedger sent = ledger() - before_;
  EvaluationCost& cost = made.cost;
  cost.all_to_alls = sent.all_to_alls;
  cost.all_to_all_bytes = sent.all_to_all_bytes;
  cost.all_to_all_bytes_avoided = plan_.bytes_without_broadcast - cost.all_to_all_bytes;
  cost.gather_bytes = sent.all_gather_bytes + halves_.gather_bytes();
  assert(cost.all_to_alls == plan_.all_to_alls[size_t(index)] && cost.all_to_all_bytes == plan_.bytes[size_t(index)]);
  for (GuidanceHalves::Part& part : halves_.begun()) {
    made.branches += part.run.cached.seconds().taken();
    made.exchanges += part.run.parallel.seconds().taken();
    add(cost.computed, part.run.cached.computed());
    for (size_t branch = 0; branch < branch_count; ++branch) {
      cost.branch_all_to_alls[branch] += part.run.sent()[branch].all_to_alls;
      cost.branch_bytes[branch] += part.run.sent()[branch].bytes;
    }
  }
  return made;
}

bool Denoising::settle(size_t ahead) {
  while (under_way_.size() > ahead) {
    UnderWay made = std::move(under_way_.front());
    under_way_.pop_front();
    result_.evaluations.push_back(cost(made));
    progress_.let_text_arrive();   // it has: it was encoded before
    seconds_made_ += result_.evaluations.back().seconds();
    ++looked_at_;
    if (made.is_finite()) continue;
    result_.reason = concat("the latents are not finite after evaluation ", made.index + 1, " of ", plan_.exchanges.size());
    under_way_.clear();
    return false;
  }
  return true;
}

EvaluationCost Denoising::cost(UnderWay& made) const {
  EvaluationCost cost = made.cost;
  const auto& exchanging = made.exchanges.sums();
  cost.communication = std::accumulate(exchanging.begin(), exchanging.end(), made.gathers.sums()[0]);
  cost.branches = made.branches.sums();
  cost.branches[size_t(Branch::spatial_attention)] -= exchanging[size_t(Axis::space)];
  cost.branches[size_t(Branch::temporal_attention)] -= exchanging[size_t(Axis::time)];
  cost.other = backend_->seconds(made.begun, made.ended) - cost.communication;
  for (const double seconds : cost.branches) cost.other -= seconds;
  return cost;
}

int64_t Denoising::most_stored_bytes() const {
  int64_t most = 0;
  for (const GuidanceHalves::Part& part : halves_.parts()) most += part.run.cached.most_bytes();
  return most;
}

bool Denoising::end(int index, const Tensor& latents) {
  under_way_.push_back(asked_for(index, latents));
  const bool is_last = index + 1 == int(plan_.exchanges.size()), is_made = under_way_.back().ended.is_past() || run_.keeps_step_latents;
  bool is_finite = settle(is_made || is_last ? 0 : 1);
  if (run_.keeps_step_latents) {
    const std::vector<float> values = latents.to_host();
    result_.step_latents.insert(result_.step_latents.end(), values.begin(), values.end());
  }
  const bool saves = is_finite && run_.keeper && is_to_be_saved(index);
  if (saves) is_finite = settle(0);
  const Outcome outcome = !is_finite ? Outcome::failed : saves ? Outcome::saving : Outcome::going_on;
  if (run_.keeper) foresee(index, outcome == Outcome::saving);
  const Outcome agreed = run_.agreed(outcome);
  if (agreed >= Outcome::stopped) is_finite = settle(0) && is_finite;
  if (agreed == Outcome::saving ||
      (agreed == Outcome::stopped && first_rank_says(is_finite && is_to_be_saved_at_stop(index, since_saved_.seconds()))))
    save(index, latents);
  result_.outcome = agreed == Outcome::saving ? Outcome::going_on : agreed;
  assert(!is_last || result_.outcome != Outcome::going_on || first_ > 0 || most_stored_bytes() == plan_.stored_bytes);
  return result_.outcome == Outcome::going_on;
}

double Denoising::seconds_to_save(int index) const {
  return leaving_.outputs_behind(index) ? run_.keeper->seconds_to_save(leaving_.bytes_behind(index)) : 0;
}

bool Denoising::is_to_be_saved(int index) const {
  const double saving = seconds_to_save(index);
  return run_.keeper->is_due(index + 1 - saved_, since_saved_.seconds(), saving) &&
         leaving_.saves_due(index, saving, seconds_an_evaluation());
}

bool Denoising::is_to_be_saved_at_stop(int index, double lost) const {
  return run_.keeper && leaving_.saves_at_stop(index, seconds_to_save(index), lost);
}

void Denoising::foresee(int index, bool saves) const {
  const int next = index + 1;
  if (next == leaving_.evaluations()) return run_.keeper->foresee(0);
  const double under_way = double(under_way_.size()) * seconds_an_evaluation();   // a stop waits for it
  const double lost = (saves ? 0 : since_saved_.seconds()) + under_way + seconds_an_evaluation();
  run_.keeper->foresee(under_way + (saves ? seconds_to_save(index) : 0) + (is_to_be_saved_at_stop(next, lost) ? seconds_to_save(next) : 0));
}

/// A team stops once a job, so this may take an exchange of its own.
bool Denoising::first_rank_says(bool own) const {
  int32_t word = own;
  team_.for_numbers().broadcast({&word, DType::int32, {1}}, 0);
  return word != 0;
}

Shape Denoising::whole_tokens() const {
  Shape whole = tokens_;
  if (halves_.are_on_halves_of_team()) whole[0] *= 2;
  return whole;
}

// All ranks come here alike. What the first one cannot write is gathered all the same, to stay in step with the others.
void Denoising::save(int index, const Tensor& latents) {
  StoredOutputs outputs{{}, whole_tokens(), {}};
  for (const GuidanceHalves::Part& part : halves_.parts())
    for (const Site site : part.run.cached.stored_sites()) outputs.sites.push_back({site, part.unconditional});
  assert(int(outputs.sites.size()) == leaving_.outputs_behind(index));
  size_t gathered = 0;
  outputs.next = [&] { return whole_output(outputs.sites.at(gathered++)); };
  if (run_.keeper) {
    progress_.evaluations = saved_ = index + 1;
    progress_.latents = {latents.shape(), latents.to_host()};
    progress_.guidance_difference = {};
    if (const Tensor& difference = halves_.difference(); !difference.empty())
      progress_.guidance_difference = {difference.shape(), difference.to_host()};
    progress_.sampler_history.clear();
    if (sampler_) {
      const Sampler::State state = sampler_->state();
      progress_.sampler_step = state.step;
      for (const Tensor& tensor : state.history) progress_.sampler_history.push_back({tensor.shape(), tensor.to_host()});
    }
    run_.keeper->save(progress_, outputs);
    since_saved_ = Stopwatch();
  }
  while (gathered < outputs.sites.size()) outputs.next();
}

// Whole frames follow each other in the order of ranks, with guidance in parallel one half behind the other.
Tensor Denoising::whole_output(StoredSite stored) {
  Communicator& team = halves_.are_on_halves_of_team() ? *team_.whole : team_.sharing_tokens();
  const std::vector<int64_t> frames = part_sizes(tokens_[0] * tokens_[1], team_.sharing_tokens().size());
  std::vector<int64_t> sizes;
  for (int rank = 0; rank < team.size(); ++rank) sizes.push_back(frames[size_t(rank) % frames.size()] * tokens_[2] * tokens_[3]);
  Run& run = halves_.parts()[stored.unconditional].run;
  return to_float32(run.parallel.in_order(gather_on_first(team, run.stored_frames(stored.site), sizes)));
}

void Denoising::restore_outputs(Backend& backend) {
  const Shape whole = whole_tokens();
  const size_t before_own = halves_.are_on_halves_of_team() ? size_t(team_.guidance->rank() * size_of(tokens_)) : 0;
  require(int(progress_.outputs.size()) == leaving_.outputs_behind(first_ - 1), "the saved progress holds ", progress_.outputs.size(),
          " stored outputs, but ", leaving_.outputs_behind(first_ - 1), " are reused behind evaluation ", first_);
  for (const auto& [stored, output] : progress_.outputs) {
    const Site site = stored.site;
    require(stored.unconditional < halves_.parts().size(),
            "the saved progress holds outputs of guidance's unconditional half, which is not by itself");
    GuidanceHalves::Part& part = halves_.parts()[stored.unconditional];
    const int own = halves_.own_evaluation(part, first_ - 1);
    require(output.shape == whole && part.run.cached.schedule().needed_after(own, site), "the saved progress holds an output of shape ",
            output.shape, " of branch ", int(site.branch), " of block ", site.block, ", expected those that are reused, of shape ", whole);
    part.run.restore(own, site, backend, reinterpret_cast<const float*>(output.bytes.data()) + before_own, tokens_);
  }
  progress_.outputs.clear();
}

}  // namespace pyracast
