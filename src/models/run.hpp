#pragma once
#include <any>
#include <string_view>

#include "nn/modulation.hpp"
#include "pab/attention_cache.hpp"
#include "plan/token_plan.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// Keys and values of a cross attention.
struct KeysAndValues {
  Tensor keys, values;
};

/// What the evaluations of one video's network talk through: x and the outputs of its branches lie where the plan wants
/// them, and are computed or reused as the schedule says. A network has neither an if for ranks nor one for broadcasting.
class Run {
 public:
  /// `team` must outlive this.
  Run(Communicator& team, BroadcastSchedule schedule, TokenPlan plan, StoredOutput stored = StoredOutput::gated)
      : parallel(team), cached(std::move(schedule)), plan_(std::move(plan)), stored_(stored) {}
  /// Tokens rest along space for ever.
  Run(Communicator& team, const BroadcastSchedule& schedule) : Run(team, schedule, TokenPlan(schedule, {}, Axis::space)) {}

  SequenceParallel parallel;
  AttentionCache cached;
  Observer observe;

  /// Stored outputs are kept there; before anything is stored.
  void keep_outputs(OutputPlace place) {
    if (place == OutputPlace::host) cached.offload(plan_.order());
  }

  /// Before each evaluation of the network.
  void begin(int evaluation) {
    cached.begin(evaluation);
    sent_ = {};
    if (evaluation == 0) constants_.clear();
  }

  /// Behind an evaluation: what is stored for a site, as this rank's whole frames [frames, 1, space, channels] (alone: all tokens).
  Tensor stored_frames(Site site) {
    return parallel.moved(cached.stored(site), plan_.stored(cached.evaluation(), site), Axis::time);
  }
  /// Takes up what was stored for a site behind `evaluation`, of whole tokens [batch, time, space, channels] in the host's memory.
  void restore(int evaluation, Site site, Backend& backend, const float* whole, const Shape& shape) {
    cached.restore(site, parallel.part_of(backend, whole, shape, plan_.stored(evaluation, site)));
  }

  /// All-to-alls and their bytes since begin(), by the branch that they were for (index: Branch).
  struct Sent {
    int64_t all_to_alls = 0, bytes = 0;
  };
  const std::array<Sent, branch_count>& sent() const { return sent_; }

  /// Whole x [batch, time, space, channels] -> this rank's part, as the first branch, `site`, wants it.
  Tensor shard(const Tensor& x, Site site) { return parallel.shard(to_activations(x), plan_.resting(cached.evaluation(), site)); }
  /// And back, in float32.
  Tensor gather(const Tensor& x) { return to_float32(parallel.gather(x)); }

  /// x plus a branch: branch(residual, x), which adds its output to the residual. That is empty where somebody wants the output by itself, and x
  /// elsewhere.
  template <class F>
  Tensor residual(Site site, Tensor x, F branch) {
    const Counted counted(*this, site.branch);
    x = parallel.rest(x, plan_.resting(cached.evaluation(), site));
    if (cached.reuses(site)) return x + reused(site);
    const bool alone = wants(site);
    const Tensor out = cached.computed(x.backend(), site, [&] { return branch(alone ? Residual() : Residual(x), x); });
    return alone ? x + out : out;
  }

  /// x plus a modulated branch: branch(residual, modulation(x)), whose output is gated.
  template <class F>
  Tensor residual(Site site, Tensor x, const Modulation& whole, F branch) {
    const Counted counted(*this, site.branch);
    x = parallel.rest(x, plan_.resting(cached.evaluation(), site));
    const bool reuses = cached.reuses(site), gate_first = stored_ == StoredOutput::gated && (reuses || cached.wants(site));
    if (gate_first && reuses) return x + reused(site);
    const Modulation modulation = whole.of_entries(parallel);
    if (!reuses && !wants(site))
      return cached.computed(x.backend(), site, [&] { return branch(Residual(x, modulation.gate), modulation(x)); });
    const auto compute = [&] {
      const Tensor h = branch(Residual(), modulation(x));
      return gate_first ? gate(h, modulation.gate) : h;
    };
    const Tensor out = reuses ? reused(site) : cached.computed(x.backend(), site, compute);
    return gate_first ? x + out : add_gated(x, out, modulation.gate);
  }

  /// What `make` gives, made at the first evaluation that asks for it and kept for the video: what no timestep changes, as positions
  /// and the keys and values of the text. `name`, a literal, and `site` tell it from others; what it is made of must not change.
  template <class Make>
  const auto& once(std::string_view name, Site site, Make make) {
    using Made = std::invoke_result_t<Make>;
    std::any& kept = constants_[{name, site}];
    if (!kept.has_value()) kept.emplace<Made>(make());
    return std::any_cast<const Made&>(kept);
  }
  template <class Make>
  const auto& once(std::string_view name, Make make) {
    return once(name, Site(), make);
  }

 private:
  TokenPlan plan_;
  StoredOutput stored_;
  std::array<Sent, branch_count> sent_{};
  std::map<std::pair<std::string_view, Site>, std::any> constants_;

  /// Puts what is sent during its life down to a branch.
  class Counted {
   public:
    Counted(Run& run, Branch branch) : run_(run), branch_(branch), before_(run.parallel.ledger()) {}
    ~Counted() {
      const CommunicationLedger sent = run_.parallel.ledger() - before_;
      run_.sent_[size_t(branch_)].all_to_alls += sent.all_to_alls;
      run_.sent_[size_t(branch_)].bytes += sent.all_to_all_bytes;
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

   private:
    Run& run_;
    Branch branch_;
    CommunicationLedger before_;
  };

  /// Whether somebody wants a branch's output by itself.
  bool wants(Site site) const { return cached.wants(site) || observe; }

  /// The stored output, moved to where x rests.
  Tensor reused(Site site) {
    const int evaluation = cached.evaluation();
    const Axis was = plan_.stored(evaluation - 1, site), here = plan_.resting(evaluation, site);
    const Tensor moved = parallel.moved(cached.stored(site), was, here);
    if (parallel.ranks() > 1 && was != here && plan_.stored(evaluation, site) == here) cached.keep(site, moved);
    else cached.keep(site);
    return moved;
  }
};

}  // namespace pyracast
