// Did-you-mean: the known word nearest to a mistyped one.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace pyro {

/// How many letters to insert, remove, replace or swap with their neighbour to make `a` into `b`,
/// upper and lower case being one.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `known`, the first of several; nothing when none is near: more than every third
/// letter would have to change.
[[nodiscard]] std::optional<std::string_view> closest(std::string_view word,
                                                      std::span<const std::string_view> known);

}  // namespace pyro
