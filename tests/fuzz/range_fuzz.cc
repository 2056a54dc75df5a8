// A body that comes in several answers. Each line is one of them: a letter for its kind, a digit
// for how much of it comes, and for some kinds the text of a header.
#include <algorithm>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/hash.h"
#include "net/resumable_body.h"
#include "net/retry.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

constexpr std::size_t kSize = 1000;

std::string true_body() {
  std::string body;
  for (std::size_t i = 0; i < kSize; ++i) body += static_cast<char>(i * i * 31 + i);
  return body;
}

struct Answer {
  int status = 200;
  std::string range = {};
  std::string body = {};
  bool lies = false;
};

class Download {
 public:
  explicit Download(const ResumableBody::Expected& expected)
      : is_sized_(expected.size.has_value()),
        body_(
            expected, [this](std::span<const std::byte> bytes) { sink(bytes); }, session_) {}

  /// False when the transfer has ended.
  bool take(const std::string& line) {
    HttpRequest request;
    body_.prepare(request);
    const Answer answer = answer_to(line, request.headers.get("Range").has_value());
    lied_ = lied_ || answer.lies;
    try {
      deliver(answer);
    } catch (const TransientError&) {
      return true;
    } catch (const Error&) {
      const bool is_unasked_range = is_sized_ && answer.status == 206;
      require(lied_ || is_unasked_range, "what fits together is not refused");
      require(is_sized_ || session_.take_restart(), "a body of unknown size ends by a restart");
      return false;
    }
    return answer.status != 200 || !body_.total() || got_.size() < *body_.total();
  }

  void check() {
    const bool is_too_long = is_sized_ && body_.received() > kSize;
    require(lied_ || !is_too_long, "true answers are not too long");
    require(!is_sized_ || got_.size() <= kSize, "no byte beyond the size is passed on");
    if (is_too_long) return;
    require(got_.size() == body_.received(), "every byte is counted");
    const std::string truth = true_body();
    require(lied_ || truth.starts_with(got_), "bytes are passed on once, and in order");
    require(body_.digest() == sha256(got_), "the digest is of what was passed on");
  }

 private:
  void sink(std::span<const std::byte> bytes) {
    got_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  Answer answer_to(const std::string& line, bool ranged) const {
    const char kind = line.empty() ? 'w' : line.front();
    const std::size_t part =
        line.size() > 1 ? static_cast<unsigned char>(line[1]) % 10 * kSize / 9 : kSize;
    const std::string text = line.size() > 2 ? line.substr(2) : std::string();
    const std::string rest = true_body().substr(std::min(got_.size(), kSize));
    const std::string range = "bytes " + std::to_string(got_.size()) + "-" +
                              std::to_string(kSize - 1) + "/" + std::to_string(kSize);
    switch (kind) {
      case 'r':  // what was asked for
        if (!ranged) break;
        return {206, range, rest.substr(0, part)};
      case 's':  // another range, and says so
        return {206, "bytes 7-" + std::to_string(kSize - 1) + "/*", true_body().substr(7, part),
                ranged && got_.size() == 7};
      case 'l':  // other bytes
        return {ranged ? 206 : 200, range, std::string(part, 'l'), true};
      case 'h':  // a header that the input makes
        return {206, text, std::string(part, 'h'), true};
      case 'n':
        return {416, "bytes */" + std::to_string(kSize), ""};
      case 'e':
        return {500, "", "an error"};
      default:
        break;
    }
    return {200, "", true_body().substr(0, part)};  // all from the start, or a part of that
  }

  void deliver(const Answer& answer) {
    HttpResponse response{.status = answer.status, .headers = {}, .body = {}};
    if (!answer.range.empty()) response.headers.add("Content-Range", answer.range);
    if (answer.status == 200) response.headers.add("Content-Length", std::to_string(kSize));
    if (response.ok()) {
      body_.check_head(response);
      const auto bytes = std::as_bytes(std::span(answer.body));
      body_.write(bytes.first(bytes.size() / 3));
      body_.write(bytes.subspan(bytes.size() / 3));
    }
    body_.check_end(response);
  }

  bool is_sized_;
  PullSession session_;
  ResumableBody body_;
  std::string got_;
  bool lied_ = false;
};

void check(std::string_view text, const ResumableBody::Expected& expected) {
  Download download(expected);
  for (bool goes_on = true; goes_on && !text.empty();) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    goes_on = download.take(std::string(text.substr(0, end)));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  download.check();
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  fuzz::check(fuzz::as_text(data, size),
              ResumableBody::Expected{.digest = sha256(fuzz::true_body())});
  fuzz::check(fuzz::as_text(data, size), ResumableBody::Expected{});
  fuzz::check(fuzz::as_text(data, size),
              ResumableBody::Expected{.size = fuzz::kSize, .digest = sha256(fuzz::true_body())});
  return 0;
}
