// The header of a gzip member, in pieces of any size.
//
// Source: RFC 1952 section 2.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace pyro {

/// Reads one header. Names and comments may be of any length; nothing of them is kept.
class GzipHeader {
 public:
  enum class State : std::uint8_t {
    incomplete,
    complete,
    malformed,
    unknown_method,
    wrong_checksum
  };

  /// Takes what belongs to the header off `in`. After anything but `incomplete` it is over.
  [[nodiscard]] State take(std::span<const std::byte>& in);

 private:
  /// In their order.
  enum class Field : std::uint8_t { fixed, extra_size, extra, name, comment, checksum, end };

  [[nodiscard]] bool has(Field field) const;
  [[nodiscard]] bool is_text() const { return field_ == Field::name || field_ == Field::comment; }
  [[nodiscard]] State take_piece(std::span<const std::byte>& in);
  [[nodiscard]] State check_fixed(std::span<const std::byte> piece);
  [[nodiscard]] State end_field();

  Field field_ = Field::fixed;
  std::uint32_t taken_ = 0;   // of the field, unless it is a text
  std::uint32_t size_ = 10;   // of the field, unless it is a text
  std::uint32_t number_ = 0;  // the value of a field that is one
  std::byte flags_{0};
  std::uint32_t crc_ = 0;  // of all in front of the checksum
};

}  // namespace pyro
