#include "comm/ranks.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.hpp"

namespace pyracast {

void check_mpi(int result, std::string_view what) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(result, text, &length);
  fail("MPI: ", what, " failed: ", text);
}

void await(MPI_Request& request, std::string_view what) {
  using namespace std::chrono_literals;
  auto pause = 20us;
  for (int done = 0;;) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
    if (done) return;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(1ms));
  }
}

OwnedComm::OwnedComm(MPI_Comm comm) : comm_(comm) {
  check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "setting a communicator's error handler");
}

OwnedComm::~OwnedComm() {
  // Freeing is collective: while an exception passes, the other ranks may never come.
  if (comm_ != MPI_COMM_NULL && std::uncaught_exceptions() == 0) MPI_Comm_free(&comm_);
}

OwnedComm::OwnedComm(OwnedComm&& other) noexcept : comm_(std::exchange(other.comm_, MPI_COMM_NULL)) {}

OwnedComm& OwnedComm::operator=(OwnedComm&& other) noexcept {
  std::swap(comm_, other.comm_);
  return *this;
}

int OwnedComm::rank() const {
  int rank = 0;
  check_mpi(MPI_Comm_rank(comm_, &rank), "asking for the rank");
  return rank;
}

int OwnedComm::size() const {
  int size = 0;
  check_mpi(MPI_Comm_size(comm_, &size), "asking for the number of ranks");
  return size;
}

OwnedComm duplicate(MPI_Comm comm) {
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm, &copy), "duplicating a communicator");
  return OwnedComm(copy);
}

Ranks::Started::Started(int& argc, char**& argv) : exceptions(std::uncaught_exceptions()) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided), "starting");
  require(provided == MPI_THREAD_MULTIPLE, "MPI grants thread level ", provided, ", expected MPI_THREAD_MULTIPLE (",
          MPI_THREAD_MULTIPLE, "): claims are served by a thread; use an MPI built with thread support");
}

Ranks::Started::~Started() {
  if (std::uncaught_exceptions() > exceptions) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Finalize();
}

Ranks::Ranks(int& argc, char**& argv) : started_(argc, argv), world_(duplicate(MPI_COMM_WORLD)) {
  rank_ = world_.rank();
  size_ = world_.size();
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(world_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node), "finding the node's ranks");
  node_ = OwnedComm(node);

  int lowest = rank_;
  check_mpi(MPI_Bcast(&lowest, 1, MPI_INT, 0, node_), "numbering the nodes");
  std::vector<int> lowest_of_ranks(static_cast<size_t>(size_));
  check_mpi(MPI_Allgather(&lowest, 1, MPI_INT, lowest_of_ranks.data(), 1, MPI_INT, world_), "numbering the nodes");
  std::map<int, int> ranks_by_lowest;
  for (const int of_rank : lowest_of_ranks) ++ranks_by_lowest[of_rank];
  for (const auto& [of_node, count] : ranks_by_lowest) {
    if (of_node == lowest) node_index_ = int(ranks_of_nodes_.size());
    ranks_of_nodes_.push_back(count);
  }

  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  check_mpi(MPI_Get_processor_name(name, &length), "asking for the host's name");
  node_name_.assign(name, size_t(length));
}

Ranks::~Ranks() = default;

void Ranks::on_first(const std::function<void()>& act) const {
  constexpr int succeeded = -1;
  std::string message;
  int length_and_code[2] = {succeeded, 0};
  if (rank_ == 0) {
    try {
      act();
    } catch (const std::exception& error) {
      const Error seen = as_error(error);
      message = seen.what();
      length_and_code[0] = int(message.size());
      length_and_code[1] = int(seen.code);
    }
  }
  MPI_Request request;
  check_mpi(MPI_Ibcast(length_and_code, 2, MPI_INT, 0, world_, &request), "waiting for rank 0");
  await(request, "waiting for rank 0");
  if (length_and_code[0] == succeeded) return;
  message.resize(size_t(length_and_code[0]));
  check_mpi(MPI_Bcast(message.data(), length_and_code[0], MPI_CHAR, 0, world_), "spreading rank 0's error");
  throw AgreedError(message, ExitCode(length_and_code[1]));
}

void Ranks::abort(std::string_view message, int exit_status) const {
  std::fprintf(stderr, "pyracast: rank %d on %s: %.*s\n", rank_, node_name_.c_str(), int(message.size()),
               message.data());
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, exit_status);
  std::abort();  // MPI_Abort does not return
}

}  // namespace pyracast
