#pragma once
// Runs the built program as a user does, in a folder of its own.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pyracast::testing {

namespace fs = std::filesystem;

struct Ended {
  int code = -1;        ///< exit status, or 128 + the signal that ended it
  std::string output;   ///< both streams
};

/// A started program, in a process group of its own.
class Program {
 public:
  Program(const std::vector<std::string>& command, fs::path log);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Sends `signal` to the first process, or to all of its group.
  void signal(int signal) const;
  void signal_all(int signal) const;
  /// The processes that the first one started: mpirun's ranks.
  std::vector<int> children() const;
  bool running();
  /// Whether it has got so far that it handles `signal` itself.
  bool catches(int signal) const;
  /// Waits until it ends; a test whose program hangs ends by its own time limit.
  Ended wait();

 private:
  int process_ = -1, status_ = 0;
  bool ended_ = false;
  fs::path log_;
};

/// Settings that are wrong: what is added to the command line, and what the message must say.
struct Refusal {
  const char* name;
  std::vector<std::string> more;   ///< FOLDER stands for the test's folder
  std::vector<std::string> says;
};
void PrintTo(const Refusal& refusal, std::ostream* out);

/// Waits until `condition` holds; false where that takes longer than a minute.
bool eventually(const std::function<bool()>& condition);

/// A folder that goes when the test ends, with a manifest of `clips` short clips, and a way to run `pyracast` on it.
class GenerateTest : public ::testing::Test {
 protected:
  fs::path folder;
  void SetUp() override;
  void TearDown() override;

  /// Writes `text` to `name` in the folder.
  fs::path file(const std::string& name, const std::string& text) const;
  /// A manifest of that many prompts, some with two samples.
  fs::path manifest(int prompts) const;
  /// `pyracast generate` of the demo model, four steps a clip.
  std::vector<std::string> command(int ranks, const fs::path& prompts, const std::string& output,
                                   std::vector<std::string> more = {}) const;
  Ended run(const std::vector<std::string>& command) const;
  /// The command, whose output folder is "out", ends with 64 and one line that says what is wrong, and writes nothing.
  void expect_refusal(std::vector<std::string> command, const Refusal& refusal) const;
};

/// What must be equal between two runs of the same work: every video's bytes and every line of metadata.jsonl, sorted.
std::map<std::string, std::string> content_of(const fs::path& output);

std::string read_text(const fs::path& path);

}  // namespace pyracast::testing
