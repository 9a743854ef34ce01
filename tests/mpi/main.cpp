// The tests of what MPI ranks do together. Every rank runs every test in the same order and checks its own part; a
// failure on any rank fails the program. With --end-by=WAY it does not test but ends in that way.

#include "dataset/work_queue.hpp"
#include "mpi_test.hpp"

namespace {

const pyracast::Ranks* all_ranks = nullptr;

using namespace pyracast;

/// A job whose queue is open when rank 0 fails in the way named while the others wait for it.
void fail_by(const Ranks& ranks, std::string_view way) {
  const auto folder = std::filesystem::temp_directory_path() / concat("pyracast-mpi-end-", ::getppid());
  ranks.on_first([&] { Manifest::build(bytes_of("a\n"), "x.txt", folder); });
  const Manifest manifest(folder);
  check_mpi(MPI_Barrier(ranks.world()), "opening");
  if (ranks.rank() == 0) std::filesystem::remove_all(folder);

  const Team team = split_into_teams(ranks, 1);
  std::atomic<int> asked = 0;  // the queue first counts what is finished, here; later its thread asks
  const auto is_finished = [&](uint64_t, uint32_t) {
    require(way != "server" || asked++ == 0, "a broken disk");
    return false;
  };
  WorkQueue queue(ranks, team, manifest, is_finished, {});
  while (queue.next()) {
  }
  if (ranks.rank() == 0 && way == "abort") ranks.abort("a broken disk");
  if (ranks.rank() == 0 && way == "exception") fail("a broken disk");
  check_mpi(MPI_Barrier(ranks.world()), "waiting");
}

}  // namespace

const pyracast::Ranks& pyracast::test_ranks() { return *all_ranks; }

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  pyracast::Ranks ranks(argc, argv);
  all_ranks = &ranks;
  if (const std::string_view way = argc > 1 ? argv[1] : ""; way.starts_with("--end-by=")) {
    try {
      fail_by(ranks, way.substr(9));
      return 0;
    } catch (const std::exception& error) {
      ranks.abort(error.what());
    }
  }
  if (ranks.rank() > 0) {  // one rank tells what runs; the others only what fails
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    class Failures : public testing::EmptyTestEventListener {
      void OnTestPartResult(const testing::TestPartResult& result) override {
        if (result.failed())
          std::fprintf(stderr, "rank %d: %s:%d: %s\n", all_ranks->rank(), result.file_name() ? result.file_name() : "",
                       result.line_number(), result.message());
      }
    };
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new Failures);
  }
  return RUN_ALL_TESTS();
}
