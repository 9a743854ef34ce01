// libFuzzer: any text as a config file gives settings or an Error.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/config.hpp"
#include "base/error.hpp"

using namespace pyracast;

namespace {

/// A setting of each kind.
struct Settings {
  std::string config, text;
  std::filesystem::path path;
  bool yes = false;
  int small = 1;
  int64_t large = 2;
  uint64_t seed = 3;
  double guidance = 7.5;
  std::optional<int> steps;
  std::vector<std::string> save;

  template <class Visit, class Self>
  static void fields(Visit&& visit, Self& s) {
    visit("Input", "config", s.config, "");
    visit("Input", "text", s.text, "");
    visit("Input", "path", s.path, "");
    visit("Numbers", "yes", s.yes, "");
    visit("Numbers", "small", s.small, "");
    visit("Numbers", "large", s.large, "");
    visit("Numbers", "seed", s.seed, "");
    visit("Numbers", "guidance", s.guidance, "");
    visit("Numbers", "steps", s.steps, "");
    visit("Numbers", "save", s.save, "");
  }
};

/// One file for all runs of this process, in memory.
struct ConfigFile {
  std::string path = "/dev/shm/pyracast-fuzz-" + std::to_string(::getpid()) + ".cfg";
  ~ConfigFile() { std::remove(path.c_str()); }
  void write(const uint8_t* data, size_t size) const {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (!file || std::fwrite(data, 1, size, file) != size || std::fclose(file) != 0) std::exit(1);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ConfigFile file;
  file.write(data, size);
  std::string program = "pyracast", option = "--config", path = file.path;
  char* arguments[] = {program.data(), option.data(), path.data()};
  try {
    to_json(read_config<Settings>(3, arguments)).dump();
  } catch (const Error&) {
  }
  return 0;
}
