#include "base/share.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

namespace pyracast {
namespace {

TEST(Share, IsReadFromAPercentageAlone) {
  EXPECT_EQ(percent_of("5%", "x"), 5);
  EXPECT_EQ(percent_of("0.25%", "x"), 0.25);
  for (const char* text : {"", "%", "5", "101%", "-1%", "5%%", "many%", "nan%"})
    EXPECT_THAT([&] { percent_of(text, "the setting"); }, testing::ThrowsMessage<Error>(testing::HasSubstr("the setting is \""))) << text;
}

TEST(Share, HoldsAboutSoManyKeysAndThoseOfEverySmallerOne) {
  int in_a_tenth = 0;
  for (int key = 0; key < 10000; ++key) {
    const std::string name = std::to_string(key);
    in_a_tenth += is_in_share(name, 10);
    EXPECT_TRUE(is_in_share(name, 100));
    EXPECT_FALSE(is_in_share(name, 0));
    if (is_in_share(name, 10)) {
      EXPECT_TRUE(is_in_share(name, 10.5));
    }
  }
  EXPECT_NEAR(in_a_tenth, 1000, 150);   // five standard deviations
}

}  // namespace
}  // namespace pyracast
