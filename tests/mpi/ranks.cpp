#include "comm/ranks.hpp"

#include "mpi_test.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

class RanksOfTheJob : public MpiTest {};

TEST_F(RanksOfTheJob, AreCountedOnTheirNodes) {
  EXPECT_EQ(ranks_.world().rank(), ranks_.rank());
  EXPECT_EQ(gathered(0).size(), size_t(ranks_.size()));
  ASSERT_LT(ranks_.node_index(), ranks_.node_count());
  EXPECT_EQ(ranks_.ranks_of_nodes()[size_t(ranks_.node_index())], ranks_.node().size());
  int counted = 0;
  for (const int ranks : ranks_.ranks_of_nodes()) counted += ranks;
  EXPECT_EQ(counted, ranks_.size());
  EXPECT_FALSE(ranks_.node_name().empty());
}

TEST_F(RanksOfTheJob, LetTheFirstActWhileTheOthersWait) {
  ranks_.on_first([&] { mark("acted"); });
  EXPECT_TRUE(marked("acted"));
  int acted = 0;
  ranks_.on_first([&] { acted = 1; });
  EXPECT_EQ(acted, ranks_.rank() == 0);
}

TEST_F(RanksOfTheJob, AllThrowTheErrorOfTheFirst) {
  for (const std::string& message :
       {std::string("x.jsonl: holds no prompt"), std::string(), std::string(100000, 'x')}) {
    std::string seen = "no error";
    try {
      ranks_.on_first([&] { throw Error(message); });
    } catch (const Error& error) {
      seen = error.what();
    }
    EXPECT_EQ(seen, message);
  }
}

TEST_F(RanksOfTheJob, GetMpisOwnTextOfAnError) {
  std::string message;
  try {
    int value = 0;
    check_mpi(MPI_Send(&value, 1, MPI_INT, ranks_.size() + 5, 0, ranks_.world()), "sending to nobody");
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr("MPI: sending to nobody failed: MPI_ERR_RANK"));
}

TEST_F(RanksOfTheJob, AwaitAMessageThatComesLater) {
  if (ranks_.size() == 1) GTEST_SKIP() << "needs two ranks";
  const OwnedComm comm = duplicate(ranks_.world());
  int value = 0;
  if (ranks_.rank() == 0) {
    MPI_Request request;
    check_mpi(MPI_Irecv(&value, 1, MPI_INT, 1, 0, comm, &request), "listening");
    mark("listening");
    await(request, "listening");
    EXPECT_EQ(value, 42);
  } else if (ranks_.rank() == 1) {
    wait_until([&] { return marked("listening"); });
    value = 42;
    check_mpi(MPI_Send(&value, 1, MPI_INT, 0, 0, comm), "sending");
  }
}

}  // namespace
}  // namespace pyracast
