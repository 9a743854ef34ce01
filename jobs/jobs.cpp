#include "jobs/jobs.hpp"

#include <cstring>

#include "base/error.hpp"

namespace pyracast {

int run_job(int argc, char** argv) {
  require(argc > 1, "usage: pyracast parity CASE...");
  if (!std::strcmp(argv[1], "parity")) return parity(argc - 1, argv + 1);
  fail("unknown job ", argv[1]);
}

}  // namespace pyracast
