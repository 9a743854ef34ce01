// Exchanges beside a GPU's operations: in which order things happen, whether anything is read before it is there or given back before it was read,
// and that counts and memory are those that were planned. Nothing here is timed.
#include <gmock/gmock.h>

#include <condition_variable>
#include <regex>

#include "comm/sequence_parallel.hpp"
#include "pipeline/memory_plan.hpp"
#include "stream_communicator.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

/// How far a rank has come; others wait for that, within reason.
class Progress {
 public:
  void go_on() {
    const std::lock_guard lock(mutex_);
    ++made_;
    changed_.notify_all();
  }
  int made() {
    const std::lock_guard lock(mutex_);
    return made_;
  }
  bool comes_to(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return made_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int made_ = 0;
};

Tensor numbers(Backend& backend, const Shape& shape) {
  std::vector<float> values(size_t(size_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(int64_t(i * 2654435761u % 2001) - 1000) / 500;
  return Tensor(backend, shape, values);
}

/// A way that tokens are exchanged for an attention and back.
struct Way {
  const char* name;
  Tensor (*attended)(SequenceParallel& parallel, const Tensor& whole, const std::function<Tensor(const Tensor&)>& f);
};

void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

Tensor of_space(SequenceParallel& parallel, const Tensor& whole, const std::function<Tensor(const Tensor&)>& f) {
  return parallel.gather(parallel.along(Axis::space, parallel.shard(whole), f));
}
Tensor of_time(SequenceParallel& parallel, const Tensor& whole, const std::function<Tensor(const Tensor&)>& f) {
  return parallel.gather(parallel.along(Axis::time, parallel.shard(whole, Axis::time), f));
}
// Queries, keys and values of 4 heads of 2 channels.
Tensor of_heads(SequenceParallel& parallel, const Tensor& whole, const std::function<Tensor(const Tensor&)>& f) {
  const Tensor x = parallel.shard(whole);
  const auto attend = [&](const Tensor& qkv) {
    const int64_t batch = qkv.dim(0), tokens = qkv.dim(1), heads = qkv.dim(4), size = qkv.dim(5);
    const auto part = [&](int64_t i) { return slice(qkv, 3, i, i + 1).reshape({batch, tokens, heads, size}); };
    return f(attention(part(0), part(1), part(2), 0.7f));
  };
  return parallel.gather(parallel.over_heads(x.reshape({x.dim(0), x.dim(1), x.dim(2), 3, 4, 2}), attend));
}

struct OverlappedExchanges : testing::TestWithParam<std::tuple<Way, int>> {
  static Way way() { return std::get<0>(GetParam()); }
  static int ranks() { return std::get<1>(GetParam()); }
  static constexpr int64_t time = 5, space = 7;   // uneven on two ranks and on three
  static Tensor whole(Backend& gpu) { return numbers(gpu, {2, time, space, 24}); }

  static std::unique_ptr<Backend> open_gpu() { return make_cuda_backend(0, CudaPrecision::float32); }
  static std::vector<float> alone() {
    const auto gpu = open_gpu();
    const auto lone = make_lone_communicator();
    SequenceParallel parallel(*lone);
    return way().attended(parallel, whole(*gpu), [](const Tensor& h) { return h * h; }).to_host();
  }
  /// act(rank, communicator of threads, GPU) on each rank.
  template <class Act>
  static void on_gpus(Act act) {
    auto hosts = make_thread_communicators(ranks());
    std::vector<std::thread> team;
    for (int rank = 0; rank < ranks(); ++rank)
      team.emplace_back([&, rank] {
        const auto gpu = open_gpu();
        act(rank, std::move(hosts[size_t(rank)]), *gpu);
      });
    for (std::thread& thread : team) thread.join();
  }
};

// Of four all-to-alls the second half's, there, moves nothing before the first half is computed, and the first half's, back, nothing before the
// second half is: who waited for either would wait for ever.
TEST_P(OverlappedExchanges, GoOnWhileTheOtherHalfIsComputed) {
  const std::vector<float> expected = alone();
  on_gpus([&](int, std::unique_ptr<Communicator> host, Backend& gpu) {
    Progress computed;
    bool were_beside = true;
    {
      StreamCommunicator team(std::move(host), gpu, [&](int all_to_all) {
        const int first = all_to_all == 1 ? 1 : all_to_all == 2 ? 2 : 0;
        were_beside = computed.comes_to(first) && were_beside;
      });
      SequenceParallel parallel(team);
      const Tensor out = way().attended(parallel, whole(gpu), [&](const Tensor& h) {
        const Tensor squares = h * h;
        computed.go_on();
        return squares;
      });
      EXPECT_EQ(out.to_host(), expected);
      EXPECT_EQ(parallel.ledger().all_to_alls, 4);
    }
    EXPECT_TRUE(were_beside) << "an exchange was waited for before the other half was computed";
  });
}

// What is not waited for is NaN, and so is what was given back while it was still to be sent.
TEST_P(OverlappedExchanges, AreWaitedForByWhatReadsThem) {
  const std::vector<float> expected = alone();
  for (int late = 0; late < 4; ++late)
    on_gpus([&](int rank, std::unique_ptr<Communicator> host, Backend& gpu) {
      StreamCommunicator team(std::move(host), gpu, [&](int all_to_all) {
        if (all_to_all == late) std::this_thread::sleep_for(std::chrono::milliseconds(100));   // longer than all that does not wait
      });
      SequenceParallel parallel(team);
      const Tensor out = way().attended(parallel, whole(gpu), [](const Tensor& h) { return h * h; });
      EXPECT_EQ(out.to_host(), expected) << "exchange " << late << ", rank " << rank;
    });
}

// An error in the middle leaves no memory to others that is still read or written.
TEST_P(OverlappedExchanges, AreFollowedWhereAnErrorLeavesThem) {
  on_gpus([&](int, std::unique_ptr<Communicator> host, Backend& gpu) {
    Progress left;
    StreamCommunicator team(std::move(host), gpu, [&](int all_to_all) {
      if (all_to_all == 1) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      left.go_on();
    });
    SequenceParallel parallel(team);
    EXPECT_THROW(way().attended(parallel, whole(gpu), [](const Tensor&) -> Tensor { fail("too much"); }), Error);
    gpu.finish();
    EXPECT_EQ(left.made(), 2);
  });
}

// What only moves, and is gathered, is in its place as well.
TEST_P(OverlappedExchanges, OfWhatRestsElsewhereGiveItBackAsItWas) {
  on_gpus([&](int rank, std::unique_ptr<Communicator> host, Backend& gpu) {
    StreamCommunicator team(std::move(host), gpu, [](int) { std::this_thread::sleep_for(std::chrono::milliseconds(10)); });
    SequenceParallel parallel(team);
    const Tensor x = whole(gpu), part = parallel.shard(x), over_time = parallel.rest(part, Axis::time);
    EXPECT_EQ(over_time.dim(0), part_sizes(2 * time, ranks())[size_t(rank)]);
    EXPECT_EQ(parallel.gather(over_time).to_host(), x.to_host());
    EXPECT_EQ(parallel.rest(over_time, Axis::space).to_host(), part.to_host());
    EXPECT_EQ(parallel.ledger().all_to_alls, 4);
  });
}

constexpr Way ways[] = {{"OfSpace", of_space}, {"OfTime", of_time}, {"OfHeads", of_heads}};
INSTANTIATE_TEST_SUITE_P(, OverlappedExchanges, testing::Combine(testing::ValuesIn(ways), testing::Values(2, 3)),
                         [](const auto& info) { return concat(std::get<0>(info.param).name, "On", std::get<1>(info.param)); });

/// Videos by teams of GPUs whose exchanges take their time.
struct OverlappingVideos : FamilyTest {
  static VideoRequest short_clip(int steps) {
    VideoRequest of = request(std::string(GetParam()) == "osp-1.1" ? 4 : steps);   // PNDM takes no fewer
    of.height = of.width = 16;
    if (std::string(GetParam()) == "opensora-1.2") of.frames = 9;   // an odd number of latent ones
    return of;
  }
  struct Made {
    std::vector<VideoResult> results;
    std::vector<Sent> sent;
    std::vector<int64_t> most_in_use;
  };
  static void take_time(int) { std::this_thread::sleep_for(std::chrono::microseconds(500)); }
  static Made made(int ranks, CudaPrecision precision, const VideoRequest& of, const BroadcastPolicy& policy,
                   OutputPlace place = OutputPlace::device) {
    Made made;
    made.sent.resize(size_t(ranks));
    made.most_in_use.resize(size_t(ranks));
    auto numbers = make_thread_communicators(ranks);
    made.results = made_by(model(), ranks, false, of, policy, &made.sent, [&](VideoRun& run) {
      run.decodes = false;
      run.stored_outputs = place;
    },
                           [&](int rank, Backend& backend) {
      made.most_in_use[size_t(rank)] = backend.memory().most_in_use;
    }, nullptr, {}, [&] { return make_cuda_backend(0, precision); }, [&](TeamChannels& own, Backend& backend) {
      own.host = std::move(numbers[size_t(own.whole->rank())]);
      own.whole = std::make_unique<StreamCommunicator>(std::move(own.whole), backend, take_time);
    });
    for (const VideoResult& result : made.results) EXPECT_EQ(result.outcome, Outcome::going_on) << result.reason;
    return made;
  }
};

TEST_P(OverlappingVideos, AreThoseOfOneGpuAndSendAndTakeWhatWasPlanned) {
  const VideoRequest of = short_clip(4);
  const BroadcastPolicy none, some = some_reuse();
  const auto compare = [&](int ranks, CudaPrecision precision, const BroadcastPolicy& policy, OutputPlace place) {
    const PlannedDevice device = precision == CudaPrecision::float32 ? PlannedDevice::gpu_float32 : PlannedDevice::gpu_bfloat16;
    SCOPED_TRACE(concat(ranks, " ranks", policy.enabled() ? ", with reuse" : "", precision == CudaPrecision::float32 ? "" : ", bfloat16"));
    const std::vector<float> alone = made(1, precision, of, policy).results.front().latents;
    const Made team = made(ranks, precision, of, policy, place);
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(team.results[size_t(rank)].latents, alone);
      const Sent& sent = team.sent[size_t(rank)];
      EXPECT_GT(sent.calls, 0);
      EXPECT_EQ(sent.calls % 2, 0);
      EXPECT_EQ(sent.calls, sent.planned_calls);
      EXPECT_EQ(sent.bytes, sent.planned_bytes);
      int64_t calls = 0, bytes = 0;
      for (const EvaluationCost& cost : team.results[size_t(rank)].evaluations) calls += cost.all_to_alls, bytes += cost.all_to_all_bytes;
      EXPECT_EQ(sent.calls, calls);
      EXPECT_EQ(sent.bytes, bytes);
      const PlannedRank planned{.rank = rank, .ranks = ranks, .stored_outputs = place, .overlaps = true};
      const MemoryPlan plan = plan_memory(model(), {}, of, policy, planned, device);
      int64_t most = plan.loading_bytes;
      for (const MemoryPlan::Phase& phase : plan.phases)
        if (phase.doing != "decoding") most = std::max(most, phase.most_bytes);
      EXPECT_EQ(team.most_in_use[size_t(rank)], most);
    }
  };
  compare(2, CudaPrecision::float32, some, OutputPlace::device);
  compare(3, CudaPrecision::float32, none, OutputPlace::device);
  if (std::string(GetParam()).starts_with("osp")) return;   // which the emulation takes long for
  compare(2, CudaPrecision::bfloat16, some, OutputPlace::host);
}

TEST_P(OverlappingVideos, WithAHalfThatIsReusedGoInOneTurn) {
  const VideoRequest of = short_clip(6);
  const BroadcastPolicy policy = reuse_of_a_half(int(made(1, CudaPrecision::float32, of, {}).results.front().evaluations.size()));
  const std::vector<float> alone = made(1, CudaPrecision::float32, of, policy).results.front().latents;
  const Made team = made(2, CudaPrecision::float32, of, policy);
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(team.results[rank].latents, alone);
    EXPECT_EQ(team.sent[rank].calls, team.sent[rank].planned_calls);
    EXPECT_EQ(team.sent[rank].bytes, team.sent[rank].planned_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, OverlappingVideos, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& info) { return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_"); });

}  // namespace
}  // namespace pyracast
