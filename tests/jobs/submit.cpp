// `pyracast submit` without a cluster; tests/slurm hands its scripts to a real one.
#include <gmock/gmock.h>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Submit : public GenerateTest {
 protected:
  /// `pyracast submit`, and behind "--" the settings of generate.
  std::vector<std::string> words(const std::vector<std::string>& own, const std::vector<std::string>& of_generate = {}) const {
    std::vector<std::string> all{PYRACAST, "submit"};
    all.insert(all.end(), own.begin(), own.end());
    all.insert(all.end(), {"--", "--snapshot", DEMO_SNAPSHOT, "--prompts", (folder / "prompts.jsonl").string(), "--output",
                           (folder / "out of it").string()});
    all.insert(all.end(), of_generate.begin(), of_generate.end());
    return all;
  }
  Ended script(const std::vector<std::string>& own, const std::vector<std::string>& of_generate = {}) const {
    manifest(1);
    Ended ended = run(words(own, of_generate));
    EXPECT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(run({"bash", "-n", file("script.sh", ended.output)}).code, 0) << ended.output;
    return ended;
  }
};

TEST_F(Submit, FillsInWhatItWasGiven) {
  const Ended job = script({"--nodes", "3", "--tasks-per-node", "4", "--cpus-per-task", "2", "--time", "1-12:00", "--partition", "long",
                            "--account", "videos", "--launcher", "mpirun", "--setup", "module load openmpi", "--sbatch", "--exclusive"},
                           {"--ranks-per-video", "2"});
  for (const char* const option : {"--nodes=3", "--ntasks-per-node=4", "--cpus-per-task=2", "--time=1-12:00", "--partition=long",
                                   "--account=videos", "--exclusive", "--requeue", "--open-mode=append"})
    EXPECT_THAT(job.output, HasSubstr(std::string("#SBATCH ") + option + "\n"));
  EXPECT_THAT(job.output, AllOf(HasSubstr("\nmodule load openmpi\n"), HasSubstr("LAUNCHER=mpirun"), HasSubstr("--signal=B:USR1@300"),
                                HasSubstr("'" + (folder / "out of it").string() + "'"), HasSubstr("\nrequeue_or_exit\n"), Not(HasSubstr("--gpus"))));
}

TEST_F(Submit, GivesEachJobOfAnArrayItsPartAndFolder) {
  const Ended array = script({"--form", "array", "--parts", "8", "--at-once", "3"});
  EXPECT_THAT(array.output, AllOf(HasSubstr("#SBATCH --array=0-7%3\n"), HasSubstr("PARTS=8"), HasSubstr("--part \"$part/$parts\""),
                                  HasSubstr("pyracast '" + (folder / "out of it").string() + "' --snapshot"), HasSubstr("pyracast-%A_%a.log")));
  EXPECT_EQ(array.output.find("out of it"), array.output.rfind("out of it")) << "the folder is not given to generate twice";
}

TEST_F(Submit, NamesAChainOfItsOwn) {
  const Ended chain = script({"--form", "chain", "--links", "5"});
  EXPECT_THAT(chain.output, AllOf(HasSubstr("#SBATCH --job-name=pyracast-chain-"), HasSubstr("#SBATCH --no-requeue\n"),
                                  HasSubstr("\npass_on_or_exit\n")));
  const std::string other = script({"--form", "chain", "--links", "5"}).output;
  EXPECT_NE(other.substr(0, other.find("#SBATCH --nodes")), chain.output.substr(0, chain.output.find("#SBATCH --nodes")));
}

TEST_F(Submit, TakesGpusForAJobThatUsesThem) {
  const Ended job = script({"--gpus-per-task", "1"}, {"--device", "cuda", "--stop-signals", "USR2,TERM"});
  EXPECT_THAT(job.output, AllOf(HasSubstr("#SBATCH --gpus-per-task=1\n"), HasSubstr("STOP_SIGNAL=USR2"), HasSubstr("--device cuda")));
}

TEST_F(Submit, SaysThatThereIsNoSlurmWithTheEnvironmentsCode) {
  manifest(1);
  const Ended ended = run({"/usr/bin/env", "-i", "PATH=/nowhere", PYRACAST, "submit", "--submit", "--", "--snapshot", DEMO_SNAPSHOT, "--prompts",
                           (folder / "prompts.jsonl").string(), "--output", (folder / "out").string()});
  EXPECT_EQ(ended.code, 69) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("sbatch"));
}

/// Wrong settings of submit, and of generate.
struct Nonsense {
  const char* name;
  std::vector<std::string> own, of_generate;
  std::vector<std::string> says;
};
void PrintTo(const Nonsense& nonsense, std::ostream* out) { *out << nonsense.name; }

class SubmitRefuses : public Submit, public ::testing::WithParamInterface<Nonsense> {};

TEST_P(SubmitRefuses, WithOneLineThatSaysWhy) {
  manifest(1);
  const Ended ended = run(words(GetParam().own, GetParam().of_generate));
  EXPECT_EQ(ended.code, 64) << ended.output;
  for (const std::string& part : GetParam().says) EXPECT_THAT(ended.output, HasSubstr(part));
  EXPECT_THAT(ended.output, Not(HasSubstr("#SBATCH")));
}

INSTANTIATE_TEST_SUITE_P(, SubmitRefuses, ::testing::Values(
    Nonsense{"NoNodes", {"--nodes", "0"}, {}, {"nodes is 0", "1 or more"}},
    Nonsense{"UnknownForm", {"--form", "ring"}, {}, {"form is \"ring\"", "job, array or chain"}},
    Nonsense{"ArrayOfNothing", {"--form", "array"}, {}, {"parts is 0", "1 or more"}},
    Nonsense{"PartsOfAJob", {"--parts", "3"}, {}, {"parts is 3", "another form has none"}},
    Nonsense{"ChainWithoutLinks", {"--form", "chain"}, {}, {"links is 0"}},
    Nonsense{"UnknownLauncher", {"--launcher", "mpiexec"}, {}, {"launcher is \"mpiexec\"", "srun or mpirun"}},
    Nonsense{"TimeOfAnotherKind", {"--time", "two hours"}, {}, {"time is \"two hours\"", "minutes"}},
    Nonsense{"TimeThatTheWarningTakes", {"--time", "10"}, {}, {"time is 10 (600 s)", "warning"}},
    Nonsense{"TeamThatDoesNotFit", {"--tasks-per-node", "4"}, {"--ranks-per-video", "3"}, {"ranks-per-video is 3", "tasks-per-node 4"}},
    Nonsense{"GpusThatAreNotUsed", {"--gpus-per-task", "1"}, {}, {"gpus-per-task is 1", "--device cuda"}},
    Nonsense{"NoGpusForCuda", {}, {"--device", "cuda"}, {"gpus-per-task is 0", "--gpus-per-task 1"}},
    Nonsense{"NoSignalForTheWarning", {}, {"--stop-signals", "TERM"}, {"neither USR1 nor USR2"}},
    Nonsense{"UnknownSettingOfGenerate", {}, {"--gudance", "3"}, {"gudance", "guidance"}},
    Nonsense{"ValueThatGenerateRefuses", {}, {"--crf", "52"}, {"crf is 52, expected 0 to 51"}},
    Nonsense{"ThreadsThatGenerateRefuses", {}, {"--threads", "-1"}, {"threads is -1"}},
    Nonsense{"NoSuchManifest", {}, {"--prompts", "/nowhere.jsonl"}, {"/nowhere.jsonl"}},
    Nonsense{"PartOfAPart", {"--form", "array", "--parts", "2"}, {"--part", "1/2"}, {"part is 1/2", "its own"}},
    Nonsense{"SbatchOptionsThatAreNone", {"--sbatch", "exclusive"}, {}, {"sbatch holds \"exclusive\""}},
    Nonsense{"NameOfTwoWords", {"--name", "my clips"}, {}, {"name is \"my clips\"", "spaces"}},
    Nonsense{"NoFolderForLogs", {"--logs", "/nowhere"}, {}, {"logs is /nowhere", "no folder"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast::testing
