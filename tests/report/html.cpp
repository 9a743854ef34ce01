#include "report/html.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace pyracast {
namespace {

TEST(Html, ShowsAnyTextAsItIs) { EXPECT_EQ(escaped("<b a=\"1\"> & ü"), "&lt;b a=&quot;1&quot;&gt; &amp; ü"); }

TEST(Html, CutsTextBetweenCharacters) {
  EXPECT_EQ(shortened("größe", 10), "größe");
  EXPECT_EQ(shortened("größe", 4), "grö…");
  EXPECT_EQ(shortened("größe", 3), "gr…");
  EXPECT_EQ(shortened("🎬🎬", 5), "🎬…");
}

TEST(Html, TellsNumbersAndTheLackOfThem) {
  EXPECT_EQ(fixed(1.25, 1), "1.2");
  EXPECT_EQ(fixed(NAN, 2), "–");
  EXPECT_EQ(fixed(std::optional<double>(), 2), "–");
  EXPECT_EQ(grouped_digits(7), "7");
  EXPECT_EQ(grouped_digits(999), "999");
  EXPECT_EQ(grouped_digits(1234567), "1\u202f234\u202f567");
  EXPECT_EQ(grouped_digits(-1234), "-1\u202f234");
  EXPECT_EQ(grouped_digits(-123), "-123");
  EXPECT_EQ(in_bytes(0), "0 B");
  EXPECT_EQ(in_bytes(1536), "1.5 KiB");
  EXPECT_EQ(in_bytes(3.5 * 1024 * 1024), "3.5 MiB");
}

TEST(Html, CarriesBytesInThePage) { EXPECT_EQ(data_uri("image/jpeg", std::string("\0\xff!", 3)), "data:image/jpeg;base64,AP8h"); }

}  // namespace
}  // namespace pyracast
