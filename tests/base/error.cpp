#include "tests/base/support.hpp"

namespace pyracast {
namespace {

TEST(Error, JoinsThePartsOfItsMessage) {
  EXPECT_EQ(error_of([] { require(false, "x is ", std::vector<int64_t>{2, 3}, ", expected ", std::vector<int64_t>{}); }), "x is [2, 3], expected []");
  EXPECT_EQ(error_of([] { require(true, "x"); }), "no error");
}

TEST(Error, EndsTheProgramAsBadInputUnlessItSaysOtherwise) {
  EXPECT_EQ(Error("x").code, ExitCode::bad_input);
  EXPECT_EQ(Error("x", ExitCode::environment).code, ExitCode::environment);
}

}  // namespace
}  // namespace pyracast
