#include "jobs/signals.hpp"

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
std::array<StopSignal, 4> stop_signals{{{"INT", SIGINT}, {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}}};

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (StopSignal& signal : stop_signals) sigaction(signal.number, &action, &signal.before);
}

void keep_stop_signals(const std::vector<std::string>& names) {
  for (const StopSignal& signal : stop_signals)
    if (signal.number != SIGINT && std::find(names.begin(), names.end(), signal.name) == names.end())
      sigaction(signal.number, &signal.before, nullptr);
}

void check_stop_signals(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    require(name == "TERM" || name == "USR1" || name == "USR2", "stop-signals names \"", name, "\", expected TERM, USR1, USR2");
}

bool asked_to_stop() { return stop_requests != 0; }

}  // namespace pyracast
