// `pyracast clean`: what the text encoder will see of each caption. Captions come as JSON strings, one a line, on
// standard input; a JSON object with one pass, both passes and the mended text goes to standard output for each.
#include <cstdio>
#include <iostream>

#include "base/json.hpp"
#include "jobs/jobs.hpp"
#include "text/clean.hpp"

namespace pyracast {

int clean_captions(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast clean < CAPTIONS\n\nCaptions are JSON strings, one a line; for each a JSON object is printed: once (one pass of the "
                "cleaning),\ncleaned (two, what text encoders are given) and basic (its encoding mended only).\n");
    return 0;
  }
  require(argc == 1, "clean takes no settings, found \"", argv[1], "\": give captions on standard input (pyracast clean --help)");
  std::string line;
  for (int number = 1; std::getline(std::cin, line); ++number) {
    const Json caption = Json::parse(line, nullptr, false);
    require(caption.is_string(), "standard input, line ", number, ": expected a JSON string (\"…\")");
    const auto text = caption.get<std::string>();
    std::cout << Json{{"once", clean_once(text)}, {"cleaned", clean(text)}, {"basic", basic_clean(text)}}.dump() << '\n';
  }
  return 0;
}

}  // namespace pyracast
