// The forms of --progress, on terminals of several widths and in pipes.
#include <gtest/gtest.h>

#include <sstream>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

using Words = std::vector<std::string>;

/// The content of a terminal after `text`. Handles the escape sequences of pyro only.
class Screen {
 public:
  Screen(std::size_t width, const std::string& text) : width_(width) {
    for (std::size_t at = 0; at < text.size();) at += take(std::string_view(text).substr(at));
  }

  /// The lines without an empty last one.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> texts;
    for (const auto& row : rows_) {
      std::string& text = texts.emplace_back();
      for (const std::string& cell : row) text += cell;
    }
    if (texts.back().empty()) texts.pop_back();
    return texts;
  }

  /// Whether a line wrapped before it was overwritten, which leaves its first row behind.
  [[nodiscard]] bool has_left_overs() const { return has_left_overs_; }
  /// Whether any text was overwritten.
  [[nodiscard]] bool was_drawn_over() const { return was_drawn_over_; }

 private:
  /// Returns the number of bytes consumed.
  std::size_t take(std::string_view rest) {
    if (rest.starts_with("\r\n")) return new_line(), 2;
    if (rest.front() == '\r') return go_back(), 1;
    if (rest.starts_with("\x1b[K")) return rows_.back().resize(column_), 3;
    if (rest.starts_with("\x1b[")) return rest.find('m') + 1;
    std::size_t length = 1;
    while (length < rest.size() && (rest[length] & 0xc0) == 0x80) ++length;
    put(std::string(rest.substr(0, length)));
    return length;
  }

  void new_line() {
    rows_.emplace_back();
    column_ = 0;
    is_wrapped_ = false;
  }

  void go_back() {
    has_left_overs_ = has_left_overs_ || is_wrapped_;
    was_drawn_over_ = was_drawn_over_ || column_ > 0;
    column_ = 0;
  }

  void put(std::string cell) {
    if (column_ == width_) {
      new_line();
      is_wrapped_ = true;
    }
    auto& row = rows_.back();
    if (row.size() <= column_) row.resize(column_ + 1, " ");
    row[column_++] = std::move(cell);
  }

  std::size_t width_;
  std::vector<std::vector<std::string>> rows_{{}};
  std::size_t column_ = 0;
  bool is_wrapped_ = false;
  bool has_left_overs_ = false;
  bool was_drawn_over_ = false;
};

class ProgressFormsTest : public RegistryHarness {
 protected:
  static constexpr std::size_t kWidths[] = {20, 40, 80, 200};

  static Fault slow() { return faults::slow(20'000, std::chrono::milliseconds(20)); }

  void offer_as(const std::string& name, const Fault& fault = slow()) {
    registry_->put(kRepository, "1", image_of(sample()));
    use_catalog({oci_entry(registry_->host(), kRepository, "1", name)});
    registry_->add_rule({.kind = RequestKind::blob}, fault);
  }

  ProcessResult on_terminal(std::size_t width, const Words& words) const {
    if (!find_program("script")) throw std::runtime_error("there is no script(1)");
    Command made = command(words, {{"LC_ALL", "C.UTF-8"}});
    std::string line = "stty cols " + std::to_string(width) + ";";
    for (const std::string& word : made.argv) line += " '" + word + "'";
    made.argv = {"script", "-qefc", line, "/dev/null"};
    made.env["TERM"] = "xterm";
    return run(made);
  }

  static Words pull(const std::string& name, const std::string& form) {
    return {"env", "pull", name, "--force", "--progress", form};
  }
};

TEST_F(ProgressFormsTest, BarStaysOnOneLineAndDisappears) {
  for (const std::string name : {"tool:1", "environment:of-a-name-that-is-longer-than-a-line"}) {
    offer_as(name);
    for (const std::size_t width : kWidths) {
      for (const char* form : {"auto", "tty"}) {
        SCOPED_TRACE(name + " in " + std::to_string(width) + " columns, " + form);
        const ProcessResult result = on_terminal(width, pull(name, form));
        EXPECT_EQ(result.exit_code, 0) << result.out;
        const Screen screen(width, result.out);
        EXPECT_FALSE(screen.has_left_overs()) << result.out;
        EXPECT_TRUE(screen.was_drawn_over());
        std::string text;
        for (const std::string& line : screen.lines()) text += line;
        EXPECT_TRUE(text.starts_with("\u2713 " + name)) << text;
        expect_says(text, {" on disk" + install_dir(name).string()});
        expect_hides(text, {"%", "pulling from", "writing"});
        if (width >= 40 && name == "tool:1") {
          EXPECT_TRUE(screen.lines().front().ends_with(" on disk")) << screen.lines().front();
        }
      }
    }
  }
}

TEST_F(ProgressFormsTest, ErrorStartsOnItsOwnLine) {
  Fault damaged = slow();
  damaged.flip_byte_at = 100'000;
  offer_as("tool:1", damaged);
  const ProcessResult result = on_terminal(40, pull("tool:1", "tty"));
  EXPECT_EQ(result.exit_code, 5);
  const Screen screen(40, result.out);
  EXPECT_FALSE(screen.has_left_overs());
  EXPECT_TRUE(screen.lines().front().starts_with("pyro: error: ")) << screen.lines().front();
}

TEST_F(ProgressFormsTest, PlainAndJsonDrawNoBarOnTerminal) {
  offer_as("tool:1");
  for (const std::size_t width : kWidths) {
    SCOPED_TRACE(width);
    const ProcessResult plain = on_terminal(width, pull("tool:1", "plain"));
    EXPECT_FALSE(Screen(width, plain.out).was_drawn_over()) << plain.out;
    expect_says(plain.out, {"pulling from", " on disk\r\n" + install_dir().string() + "\r\n"});
    EXPECT_EQ(on_terminal(width, pull("tool:1", "none")).out, install_dir().string() + "\r\n");

    const ProcessResult as_json = on_terminal(width, pull("tool:1", "json"));
    expect_hides(as_json.out, {"\x1b"});
    std::istringstream lines(as_json.out);
    std::string line;
    std::string last;
    while (std::getline(lines, line) && line.starts_with("{")) {
      last = parse_json(line)["event"];
    }
    EXPECT_EQ(last, "finished");
    EXPECT_EQ(line, install_dir().string() + "\r");
  }
}

TEST_F(ProgressFormsTest, PipeGetsPlainLinesByDefault) {
  offer_as("tool:1");
  const auto in_pipe = [&](const char* form) {
    const ProcessResult result = pyro_ok(pull("tool:1", form));
    EXPECT_EQ(result.out, install_dir().string() + "\n") << form;
    return result.err;
  };
  for (const char* form : {"auto", "plain", "json"}) {
    const std::string text = in_pipe(form);
    expect_hides(text, {"\x1b", "\r"});
    EXPECT_TRUE(text.ends_with('\n')) << form;
  }
  EXPECT_EQ(in_pipe("none"), "");
  expect_says(in_pipe("tty"), {"\r", "%", " on disk\n"});  // as asked for
}

}  // namespace
}  // namespace pyro::testing
