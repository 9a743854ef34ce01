#include "program.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace pyracast::testing {

Program::Program(const std::vector<std::string>& command, fs::path log) : log_(std::move(log)) {
  process_ = ::fork();
  if (process_ == 0) {
    ::setpgid(0, 0);
    const int out = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  if (process_ < 0) throw std::runtime_error("no process can be started");   // a signal to -1 would go to every process there is
  ::setpgid(process_, process_);
}

Program::~Program() {
  if (!ended_ && process_ > 0) {
    ::kill(-process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
}

void Program::signal(int signal) const { ::kill(process_, signal); }

std::vector<int> Program::children() const {
  std::ifstream listed("/proc/" + std::to_string(process_) + "/task/" + std::to_string(process_) + "/children");
  return {std::istream_iterator<int>(listed), {}};
}

// Open MPI puts each rank into a process group of its own.
void Program::signal_all(int signal) const {
  for (const int child : children()) ::kill(child, signal);
  ::kill(-process_, signal);
}

bool Program::running() {
  if (!ended_ && ::waitpid(process_, &status_, WNOHANG) == process_) ended_ = true;
  return !ended_;
}

bool Program::catches(int signal) const {
  const std::string status = read_text("/proc/" + std::to_string(process_) + "/status");
  const auto caught = status.find("SigCgt:");
  return caught != std::string::npos && (std::stoull(status.substr(caught + 7), nullptr, 16) >> (signal - 1) & 1);
}

Ended Program::wait() {
  if (!ended_) ::waitpid(process_, &status_, 0);
  ended_ = true;
  return {WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_), read_text(log_)};
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string read_text(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void GenerateTest::SetUp() {
  std::string name = (fs::temp_directory_path() / "pyracast-jobs-XXXXXX").string();
  folder = ::mkdtemp(name.data());
}

void GenerateTest::TearDown() { fs::remove_all(folder); }

fs::path GenerateTest::file(const std::string& name, const std::string& text) const {
  fs::create_directories((folder / name).parent_path());
  std::ofstream(folder / name, std::ios::binary) << text;
  return folder / name;
}

fs::path GenerateTest::manifest(int prompts) const {
  const char* const shapes[] = {"circle", "square", "star"};
  const char* const colours[] = {"red", "yellow", "green", "blue", "white"};
  std::ostringstream lines;
  for (int i = 0; i < prompts; ++i)
    lines << R"({"id": "clip-)" << i << R"(", "prompt": "a )" << colours[i % 5] << ' ' << shapes[i % 3] << R"( moving left")"
          << R"(, "height": 32, "width": 32)" << (i % 3 == 1 ? R"(, "samples": 2)" : "") << (i % 4 == 3 ? R"(, "steps": 6)" : "") << "}\n";
  return file("prompts.jsonl", lines.str());
}

std::vector<std::string> GenerateTest::command(int ranks, const fs::path& prompts, const std::string& output,
                                               std::vector<std::string> more) const {
  std::vector<std::string> all;
  if (ranks > 0) all = {MPIEXEC, "-n", std::to_string(ranks)};
  for (const char* word : {PYRACAST, "generate", "--snapshot", DEMO_SNAPSHOT, "--steps", "4", "--prompts"}) all.emplace_back(word);
  all.push_back(prompts.string());
  all.insert(all.end(), {"--output", (folder / output).string()});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Ended GenerateTest::run(const std::vector<std::string>& command) const {
  std::vector<std::string> words = command;
  // mpirun gives ranks a second to end where one has ended with another code than 0, also where none is left; twice.
  if (words.front() == MPIEXEC) words.insert(words.begin() + 1, {"--mca", "odls_base_sigkill_timeout", "0"});
  return Program(words, folder / "log").wait();
}

void GenerateTest::expect_refusal(std::vector<std::string> command, const Refusal& refusal) const {
  for (std::string word : refusal.more) {
    const auto at = word.find("FOLDER");
    if (at != std::string::npos) word.replace(at, 6, folder.string());
    command.push_back(word);
  }
  const Ended ended = run(command);
  EXPECT_EQ(ended.code, 64) << ended.output;
  for (const std::string& part : refusal.says) EXPECT_NE(ended.output.find(part), std::string::npos) << ended.output;
  EXPECT_EQ(ended.output.find("pyracast:"), ended.output.rfind("pyracast:"))
      << "told once, not by every rank: " << ended.output;
  EXPECT_FALSE(fs::exists(folder / "out")) << "nothing may be written for a job that cannot run";
}

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

std::map<std::string, std::string> content_of(const fs::path& output) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(output / "videos"))
    if (entry.is_regular_file()) content[fs::relative(entry.path(), output).string()] = read_text(entry.path());
  std::ifstream lines(output / "metadata.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const bool first = content.emplace("metadata " + line, "").second;
    EXPECT_TRUE(first) << "twice: " << line;
  }
  return content;
}

}  // namespace pyracast::testing
