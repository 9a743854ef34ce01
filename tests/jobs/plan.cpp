// `pyracast plan` of a manifest, the machine file it goes by, `--ranks-per-video auto`, and `pyracast simulate` of the plan.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Plan : public GenerateTest {
 protected:
  /// `generate`'s words for another job, without its output.
  std::vector<std::string> words(const char* job, int ranks, std::vector<std::string> more) const {
    std::vector<std::string> all = command(ranks, folder / "prompts.jsonl", "out", std::move(more));
    std::replace(all.begin(), all.end(), std::string("generate"), std::string(job));
    const auto output = std::find(all.begin(), all.end(), "--output");
    all.erase(output, output + 2);
    return all;
  }
  /// A machine of two ranks a node whose teams of two take `of_two` times as long for a video as a rank alone.
  fs::path machine(double of_two, const std::string& more = "") const {
    const auto team = [](int ranks, double seconds) {
      return R"({"ranks_per_video": )" + std::to_string(ranks) + R"(, "seconds": {"other": {"per_call": )" + std::to_string(seconds) +
             R"(, "per_work": 0}}})";
    };
    return file("machine.json",
                R"({"ranks_per_node": 2, "cores_per_rank": 1)" + more + R"(, "teams": [)" + team(1, 1) + ", " + team(2, of_two) + "]}");
  }
  Json planned(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--machine", (folder / "machine.json").string(), "--json", "true"});
    const Ended ended = run(words("plan", 0, more));
    EXPECT_EQ(ended.code, 0) << ended.output;
    return Json::parse(ended.output);
  }
  Ended ended(std::vector<std::string> more) const { return run(words("plan", 0, std::move(more))); }
};

TEST_F(Plan, MeasuresANodeAndPlansByItOnATeam) {
  manifest(5);
  const fs::path file = folder / "machine.json";
  const Ended measured = run(words("plan", 2, {"--measure", file.string(), "--samples", "2", "--threads", "1"}));
  ASSERT_EQ(measured.code, 0) << measured.output;
  const Json machine = Json::parse(read_text(file));
  EXPECT_EQ(machine["ranks_per_node"], 2);
  ASSERT_EQ(machine["teams"].size(), 3u) << "alone, in twos, in twos by halves";
  for (const Json& team : machine["teams"]) {
    EXPECT_GT(team["seconds"]["mlp"]["per_call"].get<double>() + team["seconds"]["mlp"]["per_work"].get<double>(), 0);
    EXPECT_GT(team["seconds"]["decode"]["per_work"].get<double>() + team["seconds"]["decode"]["per_call"].get<double>(), 0);
    EXPECT_GT(team["start_up_seconds"], 0);
    const Json& exchange = team["seconds"]["communication"];
    EXPECT_EQ(exchange["per_call"].get<double>() + exchange["per_work"].get<double>() > 0, team["ranks_per_video"] > 1);
  }
  EXPECT_GT(machine["bytes"]["video"]["per_call"].get<double>() + machine["bytes"]["video"]["per_work"].get<double>(), 0);
  EXPECT_GT(machine["bytes"]["shard"]["per_work"], 0);

  const Json plan = planned();
  EXPECT_EQ(plan["videos"], 7) << "five prompts, two of them with two samples";
  EXPECT_EQ(plan["buckets"].size(), 2u) << "4 and 6 steps";
  EXPECT_GT(plan["wall_seconds"], plan["start_up_seconds"]);
  EXPECT_NEAR(plan["core_hours"].get<double>(), 2 * plan["wall_seconds"].get<double>() / 3600, 1e-9);
  EXPECT_GT(plan["memory"]["node"], plan["memory"]["first_rank"]);
  EXPECT_GT(plan["bytes"]["videos"], 1000);
  EXPECT_GT(plan["relative_error"], 0);
  for (const Json& bucket : plan["buckets"]) EXPECT_EQ(bucket["candidates"].size(), 3u);
  // Nothing is left of the measurement but its file.
  for (const auto& entry : fs::directory_iterator(folder)) EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("pyracast-")));
}

TEST_F(Plan, FindsWhatCanBeReckonedByHand) {
  file("prompts.jsonl",
       "{\"prompt\": \"a\", \"samples\": 3}\n{\"prompt\": \"b\"}\n{\"prompt\": \"c\", \"steps\": 1}\n{\"prompt\": \"d\", \"frames\": -3}\n");
  machine(2);   // a second an evaluation, 4 of them: 12, 4 and 1 seconds on two teams of one
  const Json plan = planned();
  EXPECT_EQ(plan["ranks_per_video"], 1);
  EXPECT_EQ(plan["videos"], 5);
  EXPECT_EQ(plan["rejected"], 1);
  EXPECT_DOUBLE_EQ(plan["wall_seconds"], 12);
  EXPECT_DOUBLE_EQ(planned({"--ranks-per-video", "2"})["wall_seconds"], 2 * 17);
  EXPECT_DOUBLE_EQ(planned({"--nodes", "4"})["core_hours"].get<double>(), 12 * 8 / 3600.0);
  // Evaluations cost alike here, whatever is reused in them.
  const Json quick = planned({"--latency", "5"});
  EXPECT_EQ(quick["ranks_per_video"], 1);
}

TEST_F(Plan, OfPartsTakesTogetherWhatTheWholeTakes) {
  manifest(9);
  machine(2);
  const Json whole = planned();
  uint64_t videos = 0;
  for (const char* const part : {"0/3", "1/3", "2/3"}) {
    const Json plan = planned({"--part", part});
    videos += plan["videos"].get<uint64_t>();
    EXPECT_LT(plan["videos"], whole["videos"]);
    EXPECT_THAT(plan["submit"].get<std::string>(), HasSubstr("--part " + std::string(part)));
  }
  EXPECT_EQ(videos, whole["videos"]);
  EXPECT_THAT(ended({"--machine", (folder / "machine.json").string(), "--part", "3/3"}).output, HasSubstr("part is \"3/3\", expected K/N"));
}

TEST_F(Plan, CountsThePassesThatAuditsAdd) {
  manifest(1);
  file(
      "machine.json",
      R"({"ranks_per_node": 1, "cores_per_rank": 1, "teams": [{"ranks_per_video": 1, "seconds": {"spatial_attention": {"per_call": 1, "per_work": 0}}}]})");
  const std::string broadcast = std::string(BROADCAST_PRESETS) + "/demo-246.json";
  const auto wall = [&](std::vector<std::string> more) { return planned(std::move(more))["wall_seconds"].get<double>(); };
  const double without = wall({"--steps", "30"}), reused = wall({"--steps", "30", "--broadcast", broadcast});
  EXPECT_LT(reused, without);
  EXPECT_NEAR(wall({"--steps", "30", "--broadcast", broadcast, "--audit", "25%"}), reused + 0.25 * without, 1e-9);
}

TEST_F(Plan, SaysHowFarBytesAndFilesMayBeOff) {
  manifest(20);
  file("machine.json",
       R"({"ranks_per_node": 4, "cores_per_rank": 1, "bytes": {"video": {"per_call": 1000, "per_work": 0}, "shard": {"per_call": 500, "per_work": 0},
       "shard_file": 2000}, "teams": [{"ranks_per_video": 1, "seconds": {"mlp": {"per_call": 1, "per_work": 0}}}]})");
  const Json plan = planned();
  const double videos = plan["videos"], shards = 4;   // each team's own, or one team's alone
  EXPECT_EQ(plan["files_fewer"], 3);
  EXPECT_DOUBLE_EQ(plan["bytes"]["shards"], 500 * videos + 2000 * shards);
  EXPECT_NEAR(plan["bytes"]["shards_relative_error"].get<double>(), (0.1 * 500 * videos + 2000 * 3) / (500 * videos + 2000 * shards), 1e-12);
  EXPECT_THAT(ended({"--machine", (folder / "machine.json").string()}).output, HasSubstr("(up to 3 fewer)"));
}

TEST_F(Plan, OfSeveralMachineFilesChoosesTheRanksOfANodeThatEndFirst) {
  manifest(12);
  const auto of = [&](int ranks, int cores, double seconds, const std::string& more = "") {
    return file("of-" + std::to_string(ranks) + ".json",
                R"({"ranks_per_node": )" + std::to_string(ranks) + R"(, "cores_per_rank": )" + std::to_string(cores) + more +
                    R"(, "teams": [{"ranks_per_video": 1, "seconds": {"mlp": {"per_call": )" + std::to_string(seconds) + R"(, "per_work": 0}}}]})")
        .string();
  };
  const std::string alone = of(1, 4, 1), twos = of(2, 2, 1.5), fours = of(4, 1, 3.5), all = alone + "," + twos + "," + fours;
  const auto plan_of = [&](const std::string& files) { return ended({"--machine", files, "--json", "true"}); };
  const Json plan = Json::parse(plan_of(all).output);
  EXPECT_EQ(plan["ranks_per_node"], 2) << plan.dump(1);
  ASSERT_EQ(plan["machines"].size(), 3u);
  for (const Json& one : plan["machines"]) EXPECT_GE(one["wall_seconds"], plan["wall_seconds"]);
  EXPECT_THAT(plan["submit"].get<std::string>(), HasSubstr("--tasks-per-node 2 --cpus-per-task 2"));
  const Ended text = ended({"--machine", all});
  EXPECT_THAT(text.output, AllOf(HasSubstr("1 rank a node, 4 cores each: "), HasSubstr("2 ranks a node, 2 cores each: "),
      HasSubstr(" by teams of 1 rank, best")));

  of(2, 2, 1.5, R"(, "memory_per_node": 1000)");   // the best of them has no room
  EXPECT_NE(Json::parse(plan_of(all).output)["ranks_per_node"], 2);
  const Ended none = ended({"--machine", twos});
  EXPECT_EQ(none.code, 64);
  EXPECT_THAT(none.output, HasSubstr("a node has 1000"));
  EXPECT_THAT(plan_of(twos + "," + twos).output, HasSubstr("as another machine file is: name one of the two"));

  // A job takes the file of as many ranks a node as it has.
  of(2, 1, 1);
  const Ended made = run(command(2, folder / "prompts.jsonl", "out", {"--ranks-per-video", "auto", "--machine", alone + "," + twos}));
  EXPECT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("ranks-per-video is auto: teams of 1 rank"));
}

TEST_F(Plan, ShowsTeamsObstaclesAndTheBatchJob) {
  manifest(3);
  machine(2);
  const Ended text = ended({"--machine", (folder / "machine.json").string(), "--latency", "7", "--output", "/scratch/my clips"});
  EXPECT_EQ(text.code, 0) << text.output;
  EXPECT_THAT(text.output, AllOf(HasSubstr("not possible: a video takes 8 s, and 7 s are wished for"), HasSubstr("best"), HasSubstr("core-hours"),
                                 HasSubstr("sbatch --job-name=pyracast --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --time="),
                                 HasSubstr("pyracast submit --nodes 1 --tasks-per-node 2"),
                                 HasSubstr("--output '/scratch/my clips' --ranks-per-video=1"), Not(HasSubstr("--machine"))));
  const Ended none = ended({"--machine", (folder / "machine.json").string(), "--latency", "1"});
  EXPECT_EQ(none.code, 64);
  EXPECT_THAT(none.output, HasSubstr("no team of this machine can make the whole manifest"));
  const Ended small = ended({"--machine", machine(2, R"(, "memory_per_node": 1000)").string()});
  EXPECT_EQ(small.code, 64);
  EXPECT_THAT(small.output, HasSubstr("a node has 1000"));
}

TEST_F(Plan, AutoMakesTheBytesOfTheSizeItChoosesOnATeam) {
  const fs::path prompts = manifest(3);
  for (const auto& [of_two, chosen] : {std::pair(0.25, 2), {2.0, 1}}) {
    const std::string machine_file = machine(of_two).string(), name = std::to_string(chosen);
    const Ended automatic = run(command(2, prompts, "auto" + name, {"--ranks-per-video", "auto", "--machine", machine_file}));
    ASSERT_EQ(automatic.code, 0) << automatic.output;
    EXPECT_THAT(automatic.output, HasSubstr("ranks-per-video is auto: teams of " + name + " rank"));
    ASSERT_EQ(run(command(2, prompts, "explicit" + name, {"--ranks-per-video", name})).code, 0);
    EXPECT_EQ(content_of(folder / ("auto" + name)), content_of(folder / ("explicit" + name)));
    const Json told = Json::parse(read_text(folder / ("auto" + name) / "run.json"))["configuration"];
    EXPECT_EQ(told["ranks-per-video"], chosen);
    EXPECT_EQ(told["machine"], Json::array({machine_file}));
  }
  const Ended again = run(command(2, prompts, "auto1", {"--ranks-per-video", "2"}));
  EXPECT_EQ(again.code, 0) << "the size of teams changes no video: " << again.output;
}

struct Auto : Plan, ::testing::WithParamInterface<Refusal> {};

TEST_P(Auto, IsRefusedInOneLine) {
  const fs::path prompts = manifest(2);
  machine(1);
  file("of-four.json",
       R"({"ranks_per_node": 4, "cores_per_rank": 1, "teams": [{"ranks_per_video": 1, "seconds": {"mlp": {"per_call": 1, "per_work": 0}}}]})");
  file(
      "of-latte.json",
      R"({"ranks_per_node": 2, "cores_per_rank": 1, "model": "latte-1", "teams": [{"ranks_per_video": 1, "seconds": {"mlp": {"per_call": 1, "per_work": 0}}}]})");
  file("half.json", R"({"ranks_per_node": 2,)");
  expect_refusal(command(2, prompts, "out", {"--ranks-per-video", "auto"}), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Plan, Auto, ::testing::Values(
    Refusal{"WithoutAMachine", {}, {"give --machine FILE", "pyracast plan --measure FILE"}},
    Refusal{"WithoutItsFile", {"--machine", "FOLDER/nothing.json"}, {"nothing.json"}},
    Refusal{"WithHalfAFile", {"--machine", "FOLDER/half.json"}, {"half.json"}},
    Refusal{"WithAnotherNode", {"--machine", "FOLDER/of-four.json"}, {"of-four.json", "of nodes with [4] ranks", "has 2 on a node"}},
    Refusal{"WithAnotherModel", {"--machine", "FOLDER/of-latte.json"}, {"measured with model latte-1", "model is opensora-1.2"}}),
                         [](const auto& info) { return info.param.name; });

TEST_F(Plan, RefusesWhatGenerateWouldRefuse) {
  manifest(1);
  const auto refused = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--machine", machine(1).string()});
    const Ended ended = run(words("plan", 0, more));
    EXPECT_EQ(ended.code, 64) << ended.output;
    return ended.output;
  };
  EXPECT_THAT(refused({"--save", "everything"}), HasSubstr("save names \"everything\""));
  EXPECT_THAT(refused({"--shard-samples", "0"}), HasSubstr("shard-samples is 0"));
  EXPECT_THAT(refused({"--comm", "nccl"}), HasSubstr("comm is nccl, which moves data between GPUs, but device is cpu"));
  EXPECT_THAT(refused({"--nodes", "100000000"}), HasSubstr("nodes is 100000000, expected 1 to 65536"));
  EXPECT_EQ(run({PYRACAST, "plan", "--steps", "4", "--comm"}).code, 0) << "--comm by itself asks for the plan of one video";
  EXPECT_EQ(run({PYRACAST, "plan", "--comm", "true", "--steps=4"}).code, 0);
}

TEST_F(Plan, SizesOfTeamsAreNumbersOrAuto) {
  for (const char* const wrong : {"0", "automatic", "1.5", ""}) {
    const Ended refused = run(command(1, manifest(1), "out", {"--ranks-per-video", wrong}));
    EXPECT_EQ(refused.code, 64) << wrong;
    EXPECT_THAT(refused.output, HasSubstr("ranks-per-video is \"" + std::string(wrong) + "\""));
  }
}

TEST_F(Plan, IsSimulatedOnNodesThatFail) {
  manifest(5);
  machine(2);
  const Json plan = planned();
  const std::string file_of_plan = file("plan.json", plan.dump()).string();
  const auto simulated = [&](std::vector<std::string> more) {
    std::vector<std::string> all{PYRACAST, "simulate", "--plan", file_of_plan, "--per-node", "true",
                                 "--nodes", "1,4", "--requeue-delay", "5", "--runs", "3"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const std::vector<std::string> failing{"--intervals", "never,2", "--checkpoint-seconds", "0.1", "--mtbf", "0.01"};
  const auto failing_and = [&](const std::string& name, const std::string& value) {
    std::vector<std::string> all = failing;
    all.insert(all.end(), {name, value});
    return simulated(all);
  };
  const Ended ended = failing_and("--output", (folder / "simulated").string());
  ASSERT_EQ(ended.code, 0) << ended.output;
  const Json result = Json::parse(read_text(folder / "simulated" / "simulation.json"));
  ASSERT_EQ(result["points"].size(), 4u);
  double failures = 0;
  for (const Json& point : result["points"]) {
    EXPECT_GT(point["efficiency"], 0);
    EXPECT_LE(point["efficiency"], 1);
    failures += point["failures"].get<double>();
  }
  EXPECT_GT(failures, 0);
  for (const char* const name : {"efficiency.svg", "failures.svg"}) EXPECT_THAT(read_text(folder / "simulated" / name), HasSubstr("every 2 s"));
  EXPECT_EQ(failing_and("--json", "true").output, failing_and("--json", "true").output);
  const Json calm = Json::parse(simulated({"--json", "true", "--mtbf", "0", "--spread", "0", "--allocation", "0", "--intervals", "never"}).output);
  EXPECT_NEAR(calm["points"][0]["wall_hours"].get<double>() * 3600, plan["wall_seconds"], 1e-6);
  EXPECT_THAT(run({PYRACAST, "simulate", "--videos", "1", "--seconds", "1", "--mtbf", "-1"}).output,
              HasSubstr("mtbf is -1, expected 0 (none fails)"));
  const Ended nothing = run({PYRACAST, "simulate"});
  EXPECT_EQ(nothing.code, 64);
  EXPECT_THAT(nothing.output, HasSubstr("give --plan FILE, or --videos N --seconds S"));
}

}  // namespace

}  // namespace pyracast::testing
