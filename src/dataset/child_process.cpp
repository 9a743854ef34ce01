#include "dataset/child_process.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr int succeeded = 0;

[[noreturn]] void be_the_child(const std::function<std::string()>& act, int pipe) {
  // How it ends is told by whoever asked, not by a handler or by the C library.
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE}) ::signal(signal, SIG_DFL);
  ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
  int code = succeeded;
  std::string text;
  try {
    text = act();
  } catch (const std::exception& error) {
    const Error seen = as_error(error);
    code = int(seen.code);
    text = seen.what();
  }
  for (size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(pipe, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    at += size_t(written);
  }
  ::_exit(code);   // no destructor and no buffer of the parent's
}

std::string read_to_end(int pipe) {
  std::string text;
  char part[4096];
  for (ssize_t size; (size = ::read(pipe, part, sizeof part)) != 0;) {
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) break;
    text.append(part, size_t(size));
  }
  return text;
}

}  // namespace

std::string in_child_process(const std::function<std::string()>& act) {
  int ends[2];
  if (::pipe(ends) != 0) throw Error("a pipe cannot be made: " + reason_of(errno), ExitCode::environment);
  const pid_t child = ::fork();
  const int refused = errno;
  if (child == 0) be_the_child(act, ends[1]);
  ::close(ends[1]);
  const std::string text = child > 0 ? read_to_end(ends[0]) : "";
  ::close(ends[0]);
  if (child < 0) throw Error("a process cannot be started: " + reason_of(refused), ExitCode::environment);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  require(!WIFSIGNALED(status), "reading it was ended by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)), ")");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != succeeded)
    throw Error(text.empty() ? concat("reading it ended with code ", WEXITSTATUS(status)) : text, ExitCode(WEXITSTATUS(status)));
  return text;
}

}  // namespace pyracast
