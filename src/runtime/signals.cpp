#include "runtime/signals.hpp"

#include <algorithm>
#include <array>
#include <csignal>

#include "base/error.hpp"

namespace pyracast {

namespace {

volatile std::sig_atomic_t stop_requests = 0;

void on_signal(int signal) {
  if (signal == SIGINT && stop_requests > 0) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  stop_requests = 1;
}

struct StopSignal {
  const char* name;
  int number;
  struct sigaction before {};
};
std::array<StopSignal, 5> stop_signals{{{"INT", SIGINT}, {"HUP", SIGHUP}, {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}}};

/// A user's own, whatever the settings say: of the keyboard, and of a terminal that is closed.
bool is_users(int signal) { return signal == SIGINT || signal == SIGHUP; }

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (StopSignal& signal : stop_signals) {
    sigaction(signal.number, &action, &signal.before);
    if (signal.number == SIGHUP && signal.before.sa_handler == SIG_IGN) sigaction(SIGHUP, &signal.before, nullptr);   // by nohup
  }
  std::signal(SIGPIPE, SIG_IGN);   // who reads our messages may end before the job does
}

void keep_stop_signals(const std::vector<std::string>& names) {
  for (const StopSignal& signal : stop_signals)
    if (!is_users(signal.number) && std::find(names.begin(), names.end(), signal.name) == names.end())
      sigaction(signal.number, &signal.before, nullptr);
}

void check_stop_signals(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    require(name == "TERM" || name == "USR1" || name == "USR2", "stop-signals names \"", name, "\", expected TERM, USR1, USR2");
}

bool asked_to_stop() { return stop_requests != 0; }

}  // namespace pyracast
