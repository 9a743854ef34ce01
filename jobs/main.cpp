#include <cstdio>
#include <exception>
#include <string>

#include "jobs/jobs.hpp"

int main(int argc, char** argv) {
  try {
    return pyracast::run_job(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pyracast: %s\n", error.what());
    return 64;
  }
}
