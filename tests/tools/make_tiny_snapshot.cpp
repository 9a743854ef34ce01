// Writes a tiny snapshot of a family with random weights. usage: make_tiny_snapshot FAMILY FOLDER DEMO_SNAPSHOT
#include <cstdio>

#include "tests/models/tiny_snapshots.hpp"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: make_tiny_snapshot FAMILY FOLDER DEMO_SNAPSHOT\n");
    return 64;
  }
  try {
    pyracast::write_tiny_snapshot(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_tiny_snapshot: %s\n", error.what());
    return 64;
  }
}
