#include "base/config.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numeric>

namespace pyracast {

namespace {

namespace po = boost::program_options;

size_t edits_between(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

po::options_description options_of(const std::vector<SettingDescription>& known) {
  po::options_description options;
  for (const SettingDescription& setting : known) {
    auto value = po::value<std::string>()->value_name(setting.fallback.empty() ? "…" : "(" + setting.fallback + ")");
    if (setting.is_switch) value->implicit_value("true");
    const std::string name = setting.name == "verbose" ? "verbose,v" : setting.name;   // the one with a short form
    options.add_options()(name.c_str(), value, setting.help.c_str());
  }
  return options;
}

[[noreturn]] void unknown_key(const std::string& where, const std::string& key,
                              const std::vector<SettingDescription>& known) {
  std::vector<std::string> names;
  for (const SettingDescription& setting : known) names.push_back(setting.name);
  fail(where, ": the setting \"", key, "\" does not exist; the nearest is \"", nearest_word(key, names),
       "\" (--help lists them all)");
}

// Boost parses a config file line by line through its iterator; a line at a time it can also say which one is wrong.
SettingSources read_file_settings(const std::filesystem::path& path, const std::vector<SettingDescription>& known) {
  std::ifstream in(path);
  require(in.good(), path.string(), ": the config file cannot be opened: ", reason_of(errno));
  require(!std::filesystem::is_directory(path), path.string(), ": the config file cannot be opened: ", reason_of(EISDIR));
  require(!std::filesystem::is_fifo(path), path.string(), ": is a pipe, expected a file: every rank reads the settings, and more than once");
  SettingSources sources;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string where = concat(path.string(), ':', number);
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);   // the byte order mark some editors write
    const size_t begins = line.find_first_not_of(" \t");
    require(begins == line.npos || line[begins] != '[', where, ": \"", line, "\" begins a section, and settings have none: remove the line "
            "(expected key = value, or # and a comment)");
    std::istringstream one(line);
    try {
      for (const auto& option : po::parse_config_file(one, options_of(known), true).options) {
        if (option.unregistered) unknown_key(where, option.string_key, known);
        require(option.string_key != "config", where, ": a config file cannot name another one (\"config\")");
        if (const auto earlier = sources.find(option.string_key); earlier != sources.end())
          fail(where, ": \"", option.string_key, "\" was already set at ", earlier->second.where);
        sources[option.string_key] = {option.value.at(0), where, path.parent_path()};
      }
    } catch (const po::error& error) {
      fail(where, ": ", error.what(), " (expected key = value, or # and a comment)");
    }
  }
  return sources;
}

bool is_switch(const std::string& name, const std::vector<SettingDescription>& known) {
  return std::any_of(known.begin(), known.end(), [&](const SettingDescription& setting) { return setting.is_switch && setting.name == name; });
}

/// What `text` says, if it is one of the words for yes and no.
std::optional<bool> truth_of(const std::string& text) {
  if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "0") return false;
  return std::nullopt;
}

/// Settings are stored as JSON with the results, which holds UTF-8 only.
void require_utf8(const SettingSource& source, const std::string& name) {
  try {
    Json(source.text).dump();
  } catch (const Json::exception&) {
    fail(source.where, ": ", name, " is not valid UTF-8; write the file as UTF-8");
  }
}

template <class Number>
void convert_number(const SettingSource& source, const std::string& name, Number& value, const char* expected) {
  const char* end = source.text.data() + source.text.size();
  const auto [stopped, error] = std::from_chars(source.text.data(), end, value);
  require(error == std::errc() && stopped == end, source.where, ": ", name, " is \"", source.text, "\", expected ",
          expected, error == std::errc::result_out_of_range ? " that is not that large" : "");
}

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& words) {
  const auto nearest = std::min_element(words.begin(), words.end(), [&](const std::string& a, const std::string& b) {
    return edits_between(word, a) < edits_between(word, b);
  });
  return nearest == words.end() ? "" : *nearest;
}

SettingSources read_settings(int argc, char** argv, const std::vector<SettingDescription>& known, std::vector<std::string>* words) {
  po::parsed_options parsed(nullptr);
  try {
    parsed = po::command_line_parser(argc, argv)
                 .options(options_of(known))
                 .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                 .allow_unregistered()
                 .run();
  } catch (const po::error& error) {
    fail("command line: ", error.what());
  }
  SettingSources sources;
  for (const auto& option : parsed.options) {
    if (option.position_key >= 0) {
      require(words, "command line: \"", option.value.at(0), "\" is not expected here (settings start with --)");
      words->push_back(option.value.at(0));
      continue;
    }
    if (option.unregistered) {
      const std::string& token = option.original_tokens.at(0);
      const std::string key = token.substr(std::min(token.find_first_not_of('-'), token.size()));
      require(token.starts_with("--"), "command line: ", token, " is not expected here (settings start with --)");
      unknown_key(token, key.substr(0, key.find('=')), known);
    }
    // Only a switch may stand without a value (Boost refused the others), and has taken the word behind it for one.
    const bool is_word = words && is_switch(option.string_key, known) && option.original_tokens.size() > 1 && !truth_of(option.value.at(0));
    if (is_word) words->push_back(option.value[0]);
    sources[option.string_key] = {is_word || option.value.empty() ? "true" : option.value[0], "--" + option.string_key, {}};
  }
  if (const auto config = sources.find("config"); config != sources.end()) {
    SettingSources from_file = read_file_settings(config->second.text, known);
    sources.merge(from_file);   // what the command line holds already stays
  }
  return sources;
}

std::string describe(const std::vector<SettingDescription>& known) {
  std::ostringstream out;
  std::vector<std::string> groups;
  for (const SettingDescription& setting : known)
    if (std::find(groups.begin(), groups.end(), setting.group) == groups.end()) groups.push_back(setting.group);
  for (const std::string& group : groups) {
    std::vector<SettingDescription> members;
    std::copy_if(known.begin(), known.end(), std::back_inserter(members),
                 [&](const SettingDescription& setting) { return setting.group == group; });
    po::options_description options(group);
    for (const SettingDescription& setting : members) {
      auto value = po::value<std::string>()->value_name(setting.fallback.empty() ? "" : "(=" + setting.fallback + ")");
      options.add_options()(setting.name.c_str(), value, setting.help.c_str());
    }
    out << options << '\n';
  }
  return out.str();
}

void convert(const SettingSource& source, const std::string& name, std::string& value) {
  require_utf8(source, name);
  value = source.text;
}

void convert(const SettingSource& source, const std::string& name, std::filesystem::path& value) {
  require_utf8(source, name);
  value = source.text.empty() || source.text == "-" ? std::filesystem::path(source.text) : source.folder / source.text;
}

void convert(const SettingSource& source, const std::string& name, bool& value) {
  const auto truth = truth_of(source.text);
  require(truth.has_value(), source.where, ": ", name, " is \"", source.text, "\", expected true or false");
  value = *truth;
}

void convert(const SettingSource& source, const std::string& name, int& value) {
  convert_number(source, name, value, "a whole number");
}
void convert(const SettingSource& source, const std::string& name, int64_t& value) {
  convert_number(source, name, value, "a whole number");
}
void convert(const SettingSource& source, const std::string& name, uint64_t& value) {
  convert_number(source, name, value, "a whole number, 0 or more");
}
void convert(const SettingSource& source, const std::string& name, double& value) {
  convert_number(source, name, value, "a number");
  require(std::isfinite(value), source.where, ": ", name, " is \"", source.text, "\", expected a finite number");
}

void convert(const SettingSource& source, const std::string& name, std::vector<std::string>& value) {
  require_utf8(source, name);
  value.clear();
  std::istringstream in(source.text);
  for (std::string item; std::getline(in, item, ',');) {
    const size_t begin = item.find_first_not_of(" \t"), end = item.find_last_not_of(" \t");
    if (begin != std::string::npos) value.push_back(item.substr(begin, end - begin + 1));
  }
}

void convert(const SettingSource& source, const std::string& name, std::vector<std::filesystem::path>& value) {
  std::vector<std::string> texts;
  convert(source, name, texts);
  value.clear();
  for (const std::string& text : texts) convert({text, source.where, source.folder}, name, value.emplace_back());
}

}  // namespace pyracast
