#include "jobs/signals.hpp"

#include <csignal>
#include <initializer_list>

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

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaction(signal, &action, nullptr);
}

bool asked_to_stop() { return stop_requests != 0; }

}  // namespace pyracast
