// Teams of GPUs, each of them emulated on the host (tests/emulated_cuda): the whole job, with a tiny snapshot.
#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using GpuBench = GenerateTest;

TEST_F(GpuBench, AnswersNamesOnStandardInputWithWallSeconds) {
  const fs::path names = file("names", "norm-modulate\nnorm-modulate\n");
  const Ended ended =
      run({"bash", "-c", "'" EMULATED_PYRACAST "' bench --device cuda --dtype bfloat16 --size demo --on-request < '" + names.string() + "'"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  std::istringstream lines(ended.output);
  int answers = 0;
  for (std::string line; std::getline(lines, line); ++answers) EXPECT_GT(nlohmann::json::parse(line)["wall_seconds"], 0) << line;
  EXPECT_EQ(answers, 2);
}

class GpuTeams : public GenerateTest {
 protected:
  fs::path snapshot, prompts, broadcast;

  void SetUp() override {
    GenerateTest::SetUp();
    snapshot = folder / "snapshot";
    ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, "latte-1", snapshot.string(), DEMO_SNAPSHOT}).code, 0);
    prompts = file("prompts.jsonl", "{\"id\": \"a\", \"prompt\": \"A red circle\"}\n");
    broadcast = file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900],
      "cross_broadcast": true, "cross_range": 3, "cross_threshold": [100, 900]})");
  }

  std::vector<std::string> command(int ranks, int gpus, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{MPIEXEC,
                                 "-n",
                                 std::to_string(ranks),
                                 "-x",
                                 "EMULATED_GPUS=" + std::to_string(gpus),
                                 EMULATED_PYRACAST,
                                 "generate",
                                 "--device",
                                 "cuda",
                                 "--model",
                                 "latte-1",
                                 "--snapshot",
                                 snapshot.string(),
                                 "--steps",
                                 "3",
                                 "--height",
                                 "16",
                                 "--width",
                                 "16",
                                 "--prompts",
                                 prompts.string(),
                                 "--broadcast",
                                 broadcast.string(),
                                 "--output",
                                 (folder / output).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(GpuTeams, MakeTheBytesOfOneGpu) {
  const Ended alone = run(command(1, 1, "alone"));
  ASSERT_EQ(alone.code, 0) << alone.output;
  const auto expected = content_of(folder / "alone");
  EXPECT_EQ(expected.size(), 2u);
  struct Way {
    const char* name;
    int ranks, gpus;
    std::vector<std::string> more;
  };
  for (const Way& way : {Way{"of-3", 3, 3, {"--ranks-per-video", "3"}},
                         Way{"texts-once-of-2", 2, 2, {"--ranks-per-video", "2", "--text-encoding", "once"}},
                         Way{"texts-offload", 1, 1, {"--text-encoding", "offload"}},
                         Way{"stored-on-the-host", 1, 1, {"--stored-outputs", "host"}},
                         Way{"stored-on-the-host-of-2", 2, 2, {"--ranks-per-video", "2", "--stored-outputs", "host"}},
                         Way{"in-halves", 4, 4, {"--ranks-per-video", "4", "--cfg-parallel", "true", "--comm", "nccl"}},
                         Way{"by-mpi-on-one-gpu", 2, 1, {"--ranks-per-video", "2", "--comm", "mpi"}}}) {
    const Ended ended = run(command(way.ranks, way.gpus, way.name, way.more));
    ASSERT_EQ(ended.code, 0) << way.name << ": " << ended.output;
    EXPECT_EQ(content_of(folder / way.name), expected) << way.name;
  }
}

TEST_F(GpuTeams, MakeTheBytesOfVideosMadeAloneWhereFramesLeaveBesideTheNext) {
  const auto row = [](const char* id) { return "{\"id\": \"" + std::string(id) + "\", \"prompt\": \"A red circle " + id + "\"}\n"; };
  std::map<std::string, std::string> expected;
  for (const char* id : {"a", "b", "c"}) {
    prompts = file("prompts.jsonl", row(id));
    const Ended alone = run(command(1, 1, id));
    ASSERT_EQ(alone.code, 0) << alone.output;
    expected.merge(content_of(folder / id));
  }
  EXPECT_EQ(expected.size(), 6u);
  prompts = file("prompts.jsonl", row("a") + row("b") + row("c"));
  struct Way {
    const char* name;
    int ranks, gpus;
    std::vector<std::string> more;
  };
  for (const Way& way : {Way{"in-a-row", 1, 1, {"--save", "frames,latents,embeddings"}}, Way{"of-2", 2, 2, {"--ranks-per-video", "2"}},
                         Way{"audited", 1, 1, {"--audit", "50%"}}, Way{"offload", 1, 1, {"--text-encoding", "offload", "--checkpoint-every", "1"}}}) {
    const Ended ended = run(command(way.ranks, way.gpus, way.name, way.more));
    ASSERT_EQ(ended.code, 0) << way.name << ": " << ended.output;
    const fs::path out = folder / way.name;
    EXPECT_THAT(read_text(out / "logs" / "rank-0.log"), HasSubstr("leave the GPU while the next one is made"));
    const Ended verified = run({EMULATED_PYRACAST, "verify", "--output", out.string()});
    EXPECT_EQ(verified.code, 0) << verified.output;
    for (const auto& [name, bytes] : content_of(out))
      EXPECT_TRUE(!name.starts_with("videos/") || bytes == expected.at(name)) << way.name << ", " << name;
    const std::string log = read_text(out / "logs" / "rank-0.log");
    const size_t a = log.find("a sample 0 made in"), b = log.find("b sample 0 made in"), c = log.find("c sample 0 made in");
    EXPECT_TRUE(a < b && b < c && c != std::string::npos) << way.name << ": " << log;
  }
}

TEST_F(GpuTeams, StopWhenTheFramesUnderWayAreKept) {
  prompts = file("prompts.jsonl", "{\"id\": \"a\", \"prompt\": \"A red circle\", \"samples\": 3}\n");
  const auto job = [&](const std::string& output) {
    std::vector<std::string> words = command(1, 1, output, {"--steps", "60", "--checkpoint-every", "never"});
    words.erase(words.begin(), std::find(words.begin(), words.end(), EMULATED_PYRACAST));   // mpirun has an exit code of its own
    return words;
  };
  ASSERT_EQ(run(job("whole")).code, 0);
  Program stopped(job("out"), folder / "log");
  const fs::path log = folder / "out" / "logs" / "rank-0.log";
  ASSERT_TRUE(eventually([&] { return !stopped.running() || (fs::exists(log) && read_text(log).find("a sample 0 made in") != std::string::npos); }));
  stopped.signal(SIGTERM);
  const Ended ended = stopped.wait();
  ASSERT_EQ(ended.code, 75) << ended.output;
  const auto kept = content_of(folder / "out"), whole = content_of(folder / "whole");
  EXPECT_GE(kept.size(), 2u) << "the first video and its line";
  ASSERT_EQ(run(job("out")).code, 0);
  EXPECT_EQ(content_of(folder / "out"), whole);
}

TEST_F(GpuTeams, DealOutTheGpusThatTheirRanksSee) {
  const Ended more_ranks = run(command(3, 2, "out", {"--ranks-per-video", "3"}));
  EXPECT_NE(more_ranks.code, 0);
  EXPECT_THAT(more_ranks.output, AllOf(HasSubstr("3 ranks of node "), HasSubstr(" see the same 2 GPUs"), HasSubstr("--comm mpi")));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST_F(GpuTeams, RefuseWaysToTalkThatDoNotFit) {
  expect_refusal(command(2, 2, "out", {"--comm", "smoke"}), {"", {}, {"comm is \"smoke\"", "auto, mpi or nccl"}});
  expect_refusal(command(2, 2, "out", {"--comm", "nccl", "--device", "cpu"}), {"", {}, {"comm is nccl", "device is cpu"}});
}

// The plan holds cuBLASLt's workspace alone already for more than 32 MiB.
TEST_F(GpuTeams, AreRefusedWhatTheirMemoryCannotHold) {
  const auto on_gpus_of = [&](const char* bytes, int ranks, const std::string& output, std::vector<std::string> more = {}) {
    std::vector<std::string> words = command(ranks, 1, output, std::move(more));
    words.insert(words.begin() + 3, {"-x", std::string("EMULATED_GPU_BYTES=") + bytes});
    return words;
  };
  expect_refusal(on_gpus_of("30000000", 1, "out"),
                 {"", {}, {"videos of this size take ", " on a rank of a team of 1", "a GPU has 28.6 MiB free", "smaller videos"}});
  const Ended alone = run(on_gpus_of("50000000", 1, "alone"));
  EXPECT_EQ(alone.code, 0) << alone.output;
  EXPECT_THAT(alone.output, HasSubstr("a rank takes at most "));
  expect_refusal(on_gpus_of("50000000", 2, "shared", {"--comm", "mpi"}),
                 {"", {}, {"of which 2 compute on a GPU", "a GPU has 47.7 MiB free for tensors: use one rank a GPU, "}});
}

// Of the demo model, all of whose outputs are stored here, more than is under way at a time.
class StoredOutputsOfGpus : public GpuTeams {
 protected:
  using Json = nlohmann::json;
  std::string all;

  void SetUp() override {
    GpuTeams::SetUp();
    Json reuse = Json::array();
    for (const char* block : {"spatial_", "temporal_"})
      for (const char* branch : {"attention", "cross", "mlp"}) reuse.push_back({{"branch", std::string(block) + branch}, {"evaluations", {1, 2, 3}}});
    all = file("all.json", Json{{"steps", 4}, {"reuse", reuse}}.dump()).string();
  }

  std::vector<std::string> videos() const {
    return {"--device", "cuda", "--dtype", "float32", "--snapshot", DEMO_SNAPSHOT, "--steps", "4", "--height", "64", "--width", "64", "--frames", "1",
            "--prompts", prompts.string(), "--broadcast", all};
  }
  /// A command on one GPU with so much memory, which says at its end how many stored outputs came back from the host's.
  Ended on_gpu_of(int64_t bytes, const std::string& command, const std::vector<std::string>& settings, std::vector<std::string> more = {}) const {
    std::vector<std::string> words = words_on_gpu_of(bytes, command, settings);
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  std::vector<std::string> words_on_gpu_of(int64_t bytes, const std::string& command, const std::vector<std::string>& settings) const {
    std::vector<std::string> words{MPIEXEC, "-n", "1", "-x", "EMULATED_REPORT=1", "-x", "EMULATED_GPU_BYTES=" + std::to_string(bytes),
                                   EMULATED_PYRACAST, command};
    words.insert(words.end(), settings.begin(), settings.end());
    return words;
  }
  /// How many stored outputs a command has had back from the host's memory.
  static int64_t came_back(const Ended& ended) {
    const std::string& text = ended.output;
    const size_t end = text.find(" copies came back beside");
    EXPECT_TRUE(ended.code == 0 && end != std::string::npos) << text;
    return end == std::string::npos ? -1 : std::stoll(text.substr(text.rfind(' ', end - 1)));
  }
  /// Memory of a GPU that holds such videos with stored outputs in the host's memory, and not with its own.
  int64_t bytes_between() const {
    const std::string machine =
        file("machine.json", R"({"ranks_per_node": 1, "cores_per_rank": 1, "gpus_per_rank": 1, "teams": [{"ranks_per_video": 1,
      "seconds": {"mlp": {"per_call": 1, "per_work": 0}}}]})")
            .string();
    const auto planned = [&](const std::string& place) {
      std::vector<std::string> words = videos();
      words.insert(words.begin(),
                   {PYRACAST, "plan", "--machine", machine, "--json", "true", "--checkpoint-every", "never", "--stored-outputs", place});
      const Ended ended = run(words);
      EXPECT_EQ(ended.code, 0) << ended.output;
      return Json::parse(ended.output)["memory"];
    };
    const Json on_gpu = planned("device"), on_host = planned("host");
    EXPECT_EQ(on_gpu["host_for_stored_outputs"], 0);
    EXPECT_GT(on_host["host_for_stored_outputs"], 0);
    EXPECT_LT(on_host["first_rank"], on_gpu["first_rank"]);
    return (on_gpu["first_rank"].get<int64_t>() + on_host["first_rank"].get<int64_t>()) / 2;
  }
  std::vector<std::string> output(const std::string& name) const { return {"--output", (folder / name).string()}; }
};

constexpr int64_t large = int64_t(1) << 30;

TEST_F(StoredOutputsOfGpus, LieInTheHostsMemoryWhereTheirsCannotHoldThem) {
  const int64_t between = bytes_between();
  const auto log_of = [&](const std::string& name) { return read_text(folder / name / "logs" / "rank-0.log"); };
  std::vector<std::string> settings = videos();
  settings.insert(settings.end(), {"--checkpoint-every", "never"});
  const Ended roomy = on_gpu_of(large, "generate", settings, output("large"));
  ASSERT_EQ(roomy.code, 0) << roomy.output;
  EXPECT_THAT(log_of("large"), HasSubstr("stored outputs are kept in the GPU's memory"));
  const Ended small = on_gpu_of(between, "generate", settings, output("small"));
  ASSERT_EQ(small.code, 0) << small.output;
  EXPECT_THAT(small.output, HasSubstr(" of the host's memory, pinned, for stored outputs"));
  EXPECT_THAT(log_of("small"), HasSubstr("stored outputs are kept in the host's memory"));
  EXPECT_EQ(came_back(roomy), 0);
  EXPECT_GT(came_back(small), 0);
  EXPECT_EQ(content_of(folder / "small"), content_of(folder / "large"));
  settings.insert(settings.end(), {"--output", (folder / "out").string()});
  expect_refusal(words_on_gpu_of(between, "generate", settings),
                 {"", {"--stored-outputs", "device"}, {"videos of this size take ", "use --stored-outputs auto, "}});

  // What made the samples is not asked for again, but decided anew.
  const std::vector<std::string> again{"--output", (folder / "large").string(), "--id", "a"};
  const Ended same = on_gpu_of(large, "reproduce", again), moved = on_gpu_of(between, "reproduce", again);
  EXPECT_EQ(came_back(same), 0);
  EXPECT_GT(came_back(moved), 0);
  EXPECT_THAT(moved.output, HasSubstr("1 of 1 sample is equal"));
  expect_refusal(words_on_gpu_of(between, "reproduce", again),
                 {"", {"--stored-outputs", "device"}, {"videos of this size take ", "use --stored-outputs auto\n"}});
  expect_refusal(words_on_gpu_of(1000000, "reproduce", again),
                 {"", {}, {"videos of this size take ", "a GPU has 1.0 MiB free for tensors: it takes a machine with more"}});
}

TEST_F(StoredOutputsOfGpus, OfAGalleryAreKeptAsThoseOfADataset) {
  const int64_t between = bytes_between();
  const Ended roomy = on_gpu_of(large, "gallery", videos(), output("large")), small = on_gpu_of(between, "gallery", videos(), output("small"));
  EXPECT_EQ(came_back(roomy), 0);
  EXPECT_GT(came_back(small), 0);
  EXPECT_THAT(small.output, HasSubstr(" of the host's memory, pinned, for stored outputs"));
  std::vector<std::string> settings = videos();
  settings.insert(settings.end(), {"--output", (folder / "out").string()});
  expect_refusal(words_on_gpu_of(between, "gallery", settings),
                 {"", {"--stored-outputs", "device"}, {"videos of this size take ", "use --stored-outputs auto, "}});
  expect_refusal(words_on_gpu_of(1000000, "gallery", settings),
                 {"", {}, {"a GPU has 1.0 MiB free for tensors: use --text-encoding offload where it is not used yet, "}});
}

// With a tiny snapshot, since a search makes many videos.
TEST_F(StoredOutputsOfGpus, OfMeasurementsAreKeptWhereTheSettingsSayAndRefusedWhereTheyDoNotFit) {
  const std::vector<std::string> settings{"--device", "cuda", "--dtype", "float32", "--model", "latte-1", "--snapshot",
                                          snapshot.string(), "--steps", "4", "--height", "16", "--width", "16",
                                          "--frames", "1", "--samples", "1", "--prompts", prompts.string()};
  const auto tuned = [&](const std::string& place) {
    std::vector<std::string> more = output(place);
    more.insert(more.end(), {"--block-groups", "1", "--rounds", "1", "--unconditional-half", "false", "--stored-outputs", place});
    return on_gpu_of(large, "tune", settings, more);
  };
  const Ended automatic = tuned("auto"), on_host = tuned("host");
  EXPECT_EQ(came_back(automatic), 0);
  EXPECT_GT(came_back(on_host), 0);
  EXPECT_THAT(on_host.output, HasSubstr(" of the host's memory, pinned, for stored outputs"));
  std::vector<std::string> refused = settings;
  refused.insert(refused.end(), {"--output", (folder / "out").string()});
  for (const char* command : {"tune", "profile"})
    expect_refusal(words_on_gpu_of(1000000, command, refused),
                   {"", {}, {"videos of this size take ", "on a rank of a team of 1", "a GPU has 1.0 MiB free", "smaller videos"}});
}

TEST_F(GpuTeams, RefusePlacesOfStoredOutputsThatAreNotThere) {
  expect_refusal(command(1, 1, "out", {"--stored-outputs", "disk"}), {"", {}, {"stored-outputs is \"disk\", expected auto, device or host"}});
  std::vector<std::string> on_cpu = command(1, 1, "out", {"--stored-outputs", "host"});
  *std::find(on_cpu.begin(), on_cpu.end(), "cuda") = "cpu";
  expect_refusal(on_cpu, {"", {}, {"stored-outputs is host, but device is cpu"}});
}

// The GPU that waits for the lost rank cannot say so: a thread beside it does, and ends the job.
TEST_F(GpuTeams, EndTheJobWhereARankOfTheirsIsLost) {
  Program job(command(2, 2, "out", {"--ranks-per-video", "2", "--steps", "1000", "--collective-timeout", "6", "--checkpoint-every", "3"}),
              folder / "log");
  const fs::path log = folder / "out" / "logs" / "rank-0.log";
  const auto makes_evaluations = [&] { return fs::exists(log) && read_text(log).find("progress saved after") != std::string::npos; };
  ASSERT_TRUE(eventually([&] { return !job.running() || (makes_evaluations() && job.children().size() == 2); }));
  const std::vector<int> ranks = job.children();
  ASSERT_EQ(ranks.size(), 2u) << job.wait().output;
  ASSERT_EQ(::kill(ranks.back(), SIGSTOP), 0);
  const Ended ended = job.wait();
  EXPECT_NE(ended.code, 0);
  EXPECT_THAT(ended.output, AllOf(HasSubstr("evaluation "), HasSubstr("another rank of the team is lost or stopped")));
}

}  // namespace

}  // namespace pyracast::testing
