#include "report/gnuplot.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.hpp"

namespace pyracast {

namespace {

/// A file without a name. Files, not pipes, carry the script and the answer: neither side can wait for the other.
class NamelessFile {
 public:
  NamelessFile() : file_(std::tmpfile()) {
    if (!file_) throw Error(concat("gnuplot's temporary file cannot be made: ", std::strerror(errno)), ExitCode::environment);
  }
  int descriptor() const { return ::fileno(file_.get()); }

  void write(const std::string& text) {
    const bool whole = std::fwrite(text.data(), 1, text.size(), file_.get()) == text.size() && std::fflush(file_.get()) == 0;
    if (!whole) throw Error(concat("gnuplot's script cannot be written: ", std::strerror(errno)), ExitCode::environment);
    std::rewind(file_.get());
  }
  std::string read() {
    std::rewind(file_.get());
    std::string text;
    char part[65536];
    for (size_t size; (size = std::fread(part, 1, sizeof part, file_.get())) > 0;) text.append(part, size);
    return text;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

/// The three standard streams of a program that is to be started.
class Streams {
 public:
  Streams(const NamelessFile& in, const NamelessFile& out, const NamelessFile& errors) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, in.descriptor(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, out.descriptor(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, errors.descriptor(), STDERR_FILENO);
  }
  ~Streams() { ::posix_spawn_file_actions_destroy(&actions_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

int wait_for(pid_t process) {
  int status = 0;
  while (::waitpid(process, &status, 0) < 0)
    if (errno != EINTR) throw Error(concat("waiting for gnuplot failed: ", std::strerror(errno)), ExitCode::environment);
  return status;
}

}  // namespace

std::string run_gnuplot(const std::string& script) {
  NamelessFile in, out, errors;
  in.write(script);
  const Streams streams(in, out, errors);
  char program[] = "gnuplot", default_settings[] = "--default-settings";
  char* const arguments[] = {program, default_settings, nullptr};
  pid_t process = 0;
  const int refused = ::posix_spawnp(&process, program, streams.actions(), nullptr, arguments, environ);
  if (refused)
    throw Error(concat("charts are drawn by gnuplot, which cannot be started (", std::strerror(refused),
                       "): install the Debian package gnuplot-nox and run this again"), ExitCode::environment);
  const int status = wait_for(process);
  if (status != 0)
    throw Error(concat("gnuplot could not draw a chart (wait status ", status, "): ", errors.read()), ExitCode::environment);
  return out.read();
}

std::string gnuplot_string(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += "''";
    else quoted += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return quoted + "'";
}

}  // namespace pyracast
