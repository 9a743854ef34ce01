#pragma once
// The pieces that the HTML pages are made of.
#include <optional>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace pyracast {

/// The parts of a page, as HTML.
struct HtmlPage {
  std::string title;          ///< any text
  std::string style = "";     ///< CSS behind the common one
  std::string body;
  std::string script = "";    ///< JavaScript at the end of the page
};

/// One file that asks for nothing from outside.
std::string html_page(const HtmlPage& page);

/// Any text as HTML shows it.
std::string escaped(std::string_view text);

/// A name of files for people: "spatial_attention" is "spatial attention".
std::string words(std::string name);

/// A string as it is, anything else as JSON.
std::string text_of(const Json& json);

/// UTF-8 cut to so many bytes at most, between characters, and "…" where something was cut.
std::string shortened(std::string_view text, size_t most);

/// With so many digits behind the point; "–" for what is not a finite number.
std::string fixed(double value, int digits);
std::string fixed(const std::optional<double>& value, int digits);

/// A whole number with its thousands apart.
std::string grouped_digits(int64_t value);

/// Bytes in the unit that suits them: "3.1 MiB".
std::string in_bytes(double bytes);

/// "data:<type>;base64,…"
std::string data_uri(std::string_view type, std::string_view bytes);

/// A figure with what it says below it; both are HTML.
std::string card(const std::string& value, const std::string& what);

/// A video that plays again and again, with what it is below it (HTML); several stand side by side in an element of class `beside`.
std::string clip(std::string_view mp4, const std::string& label);

/// A button, and the script by which all clips of the page begin together when it is pressed and when the page is there.
inline constexpr const char* play_together_button = "<p><button id=\"together\" type=\"button\">Play all from the start</button></p>\n";
inline constexpr const char* play_together_script = R"js(
const clips = [...document.querySelectorAll('video')];
const together = () => {
  for (const clip of clips) { clip.currentTime = 0; clip.play(); }
};
document.getElementById('together').onclick = together;
window.onload = together;
)js";

/// What the two colours of a broadcast map mean.
inline constexpr const char* broadcast_map_key =
    "<p class=\"soft key\">As counted: <i style=\"background:var(--mark)\"></i>computed <i style=\"background:var(--line)\"></i>reused; "
    "between them: computed in some of the blocks, or of the videos.";

/// Cells of a table; numbers stand at the right.
std::string text_cell(std::string_view text);
std::string number_cell(std::string_view text);

}  // namespace pyracast
