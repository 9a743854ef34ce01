#include "base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include "base/error.hpp"

namespace pyracast {

void open_log(const std::filesystem::path& file) {
  try {
    auto to_file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    auto to_stderr = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    to_stderr->set_level(spdlog::level::warn);
    auto logger = std::make_shared<spdlog::logger>("pyracast", spdlog::sinks_init_list{to_file, to_stderr});
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(logger);   // and known by its name
  } catch (const spdlog::spdlog_ex& error) {
    fail(file.string(), ": the log cannot be written: ", error.what());
  }
}

void log_end(std::string_view words) {
  std::string_view line = words.substr(0, words.find('\n'));
  if (line.ends_with(':')) line.remove_suffix(1);   // the lines behind it are left out
  if (const auto log = spdlog::get("pyracast")) log->info("the job ends: {}", line);
}

}  // namespace pyracast
