#pragma once
// Settings: plain structs whose static `fields(visitor, settings)` names the members once; from that list come the
// command line, the config file, --help and the JSON stored with the results.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/json.hpp"

namespace pyracast {

namespace config_detail {

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};

inline std::vector<std::string> texts_of(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> texts;
  for (const auto& path : paths) texts.push_back(path.string());
  return texts;
}

}  // namespace config_detail

/// A setting as a user would write it: lists with commas between; nothing where it has no value.
template <class T>
std::string setting_text(const T& value) {
  if constexpr (config_detail::is_optional<T>::value) return value ? setting_text(*value) : "";
  else if constexpr (std::is_same_v<T, bool>) return value ? "true" : "false";
  else if constexpr (std::is_same_v<T, std::filesystem::path>) return value.string();
  else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    std::string all;
    for (const auto& item : value) all += (all.empty() ? "" : ",") + item;
    return all;
  } else if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>) {
    return setting_text(config_detail::texts_of(value));
  } else return concat(value);
}

/// The text of a setting and where it came from.
struct SettingSource {
  std::string text;
  std::string where;               ///< "--steps" or "run.cfg:3"
  std::filesystem::path folder;    ///< what a relative path starts from; empty: the working directory
};
using SettingSources = std::map<std::string, SettingSource>;

/// One setting as --help shows it.
struct SettingDescription {
  std::string group, name, help, fallback;
  bool is_switch = false;
};

/// Joins a config file (--config) and the command line. `known` are the settings that exist. Throws Error on an unknown
/// key, naming it, the file and line or the option, and the nearest known one. `words` gets what stands beside the settings, wherever
/// that is; without it there must be no such word.
SettingSources read_settings(int argc, char** argv, const std::vector<SettingDescription>& known, std::vector<std::string>* words = nullptr);

/// The settings grouped, with defaults, for --help.
std::string describe(const std::vector<SettingDescription>& known);

/// The word of `words` that is nearest to `word` (fewest edits).
std::string nearest_word(const std::string& word, const std::vector<std::string>& words);

/// Converts the text of a setting; throws Error naming the setting, its place and what was expected.
void convert(const SettingSource& source, const std::string& name, std::string& value);
void convert(const SettingSource& source, const std::string& name, std::filesystem::path& value);
void convert(const SettingSource& source, const std::string& name, bool& value);
void convert(const SettingSource& source, const std::string& name, int& value);
void convert(const SettingSource& source, const std::string& name, int64_t& value);
void convert(const SettingSource& source, const std::string& name, uint64_t& value);
void convert(const SettingSource& source, const std::string& name, double& value);
void convert(const SettingSource& source, const std::string& name, std::vector<std::string>& value);
void convert(const SettingSource& source, const std::string& name, std::vector<std::filesystem::path>& value);
template <class T>
void convert(const SettingSource& source, const std::string& name, std::optional<T>& value) {
  T inner{};
  convert(source, name, inner);
  value = inner;
}

/// All settings of Config with their defaults. Config::fields(visit, config) calls visit(group, name, member, help).
template <class Config>
std::vector<SettingDescription> settings_of() {
  std::vector<SettingDescription> known;
  Config defaults;
  Config::fields([&](const char* group, const char* name, const auto& member, const char* help) {
    using Member = std::decay_t<decltype(member)>;
    known.push_back({group, name, help, setting_text(member), std::is_same_v<Member, bool>});
  }, defaults);
  return known;
}

/// The config of a job from its command line and config file; `words`: as in read_settings().
template <class Config>
Config read_config(int argc, char** argv, std::vector<std::string>* words = nullptr) {
  const SettingSources sources = read_settings(argc, argv, settings_of<Config>(), words);
  Config config;
  Config::fields([&](const char*, const char* name, auto& member, const char*) {
    if (const auto found = sources.find(name); found != sources.end()) convert(found->second, name, member);
  }, config);
  return config;
}

/// The resolved configuration as it is stored with the results.
template <class Config>
Json to_json(const Config& config) {
  Json json = Json::object();
  Config::fields([&](const char*, const char* name, const auto& member, const char*) {
    using Member = std::decay_t<decltype(member)>;
    if constexpr (config_detail::is_optional<Member>::value) json[name] = member ? Json(*member) : Json();
    else if constexpr (std::is_same_v<Member, std::filesystem::path>) json[name] = member.string();
    else if constexpr (std::is_same_v<Member, std::vector<std::filesystem::path>>) json[name] = config_detail::texts_of(member);
    else json[name] = member;
  }, const_cast<Config&>(config));
  return json;
}

}  // namespace pyracast
