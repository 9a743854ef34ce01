#include "report/broadcast_map.hpp"

#include <pugixml.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "pab/broadcast_policy.hpp"
#include "report/html.hpp"

namespace pyracast {

namespace {

constexpr double names_width = 150, shares_width = 140, grid_width = 760, row_height = 24, top = 6, axis_height = 40;

pugi::xml_node add(pugi::xml_node parent, const char* name, const std::vector<std::pair<const char*, double>>& numbers,
                   const char* kind = "") {
  pugi::xml_node node = parent.append_child(name);
  for (const auto& [attribute, value] : numbers) node.append_attribute(attribute) = fixed(value, 2).c_str();
  if (*kind) node.append_attribute("class") = kind;
  return node;
}

void add_text(pugi::xml_node parent, double x, double y, const char* anchor, const std::string& text) {
  pugi::xml_node node = add(parent, "text", {{"x", x}, {"y", y}});
  node.append_attribute("text-anchor") = anchor;
  node.text() = text.c_str();
}

/// Evaluations that are told below the map: every one, or every 5th, 10th, 50th …
size_t step_of_axis(size_t evaluations) {
  for (const size_t step : {1, 2, 5, 10, 20, 50, 100, 200, 500})
    if (evaluations / step <= 30) return step;
  return 1000;
}

}  // namespace

std::string broadcast_map_svg(const StepTotals& steps) {
  std::vector<Branch> branches;
  for (int branch = 0; branch < branch_count; ++branch)
    if (steps.computed_share(0, Branch(branch))) branches.push_back(Branch(branch));
  const size_t evaluations = steps.computed.size();
  const double cell = grid_width / double(evaluations), gap = std::min(1.0, cell / 6);
  const double width = names_width + grid_width + shares_width, height = top + row_height * double(branches.size()) + axis_height;

  pugi::xml_document document;
  pugi::xml_node svg = document.append_child("svg");
  svg.append_attribute("viewBox") = concat("0 0 ", width, ' ', height).c_str();
  svg.append_attribute("class") = "map";
  svg.append_attribute("role") = "img";
  svg.append_child("title").text() = "Share of blocks that computed each branch, by evaluation";
  for (size_t row = 0; row < branches.size(); ++row) {
    const double y = top + row_height * double(row), middle = y + row_height / 2 + 4.5;
    add_text(svg, names_width - 10, middle, "end", words(name_of(branches[row])));
    double sum = 0;
    for (size_t e = 0; e < evaluations; ++e) {
      const double share = *steps.computed_share(e, branches[row]), x = names_width + cell * double(e);
      sum += share;
      add(svg, "rect", {{"x", x}, {"y", y}, {"width", cell - gap}, {"height", row_height - 3}}, "reused");
      if (share <= 0) continue;
      pugi::xml_node computed = add(svg, "rect", {{"x", x}, {"y", y}, {"width", cell - gap}, {"height", row_height - 3}}, "computed");
      if (share < 1) computed.append_attribute("fill-opacity") = fixed(share, 3).c_str();
    }
    add_text(svg, names_width + grid_width + 8, middle, "start", fixed(100 * sum / double(evaluations), 1) + " % computed");
  }
  const double axis = top + row_height * double(branches.size()) + 13;
  const size_t step = step_of_axis(evaluations);
  for (size_t e = step; e <= evaluations; e += step)
    add_text(svg, names_width + cell * (double(e) - 0.5), axis, "middle", std::to_string(e));
  add_text(svg, names_width + grid_width / 2, axis + 19, "middle", "evaluation");
  std::ostringstream out;
  svg.print(out, "", pugi::format_raw);
  return out.str();
}

}  // namespace pyracast
