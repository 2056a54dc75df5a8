#include "workspace/link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace pyro {
namespace {

using nlohmann::json;

class LinkTest : public ::testing::Test {
 protected:
  LinkTest() : LinkTest(make_link_ends()) {}

  std::unique_ptr<Link> ours_;
  std::unique_ptr<Link> theirs_;

 private:
  explicit LinkTest(std::pair<Fd, Fd> ends)
      : ours_(std::make_unique<Link>(std::move(ends.first))),
        theirs_(std::make_unique<Link>(std::move(ends.second))) {}
};

TEST_F(LinkTest, DocumentsArriveInOrderAndWhole) {
  const json large = {{"text", std::string(3'000'000, 'x')}};
  std::thread sender([&] {
    EXPECT_TRUE(ours_->send({{"number", 1}}));
    EXPECT_TRUE(ours_->send(large));
    ours_.reset();
  });
  EXPECT_EQ(theirs_->receive()->content, json({{"number", 1}}));
  EXPECT_EQ(theirs_->receive()->content, large);
  EXPECT_FALSE(theirs_->receive());
  sender.join();
}

TEST_F(LinkTest, DescriptorsComeWithTheirDocument) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd read(ends[0]);
  Fd write(ends[1]);
  EXPECT_TRUE(ours_->send({{"first", true}}));
  EXPECT_TRUE(ours_->send({{"second", true}}, {write.get()}));
  write.reset();
  EXPECT_TRUE(theirs_->receive()->descriptors.empty());
  auto packet = theirs_->receive();
  ASSERT_EQ(packet->descriptors.size(), 1u);
  EXPECT_EQ(::write(packet->descriptors[0].get(), "x", 1), 1);
  packet.reset();
  std::string got(2, '\0');
  EXPECT_EQ(::read(read.get(), got.data(), 2), 1) << "no other end is open";
}

TEST_F(LinkTest, BytesThatAreNoDocumentAreTheEnd) {
  for (const std::string& bytes :
       {std::string("\x02\0\0\0\0\0\0\0[]", 10), std::string("\xff\xff\xff\xff\0\0\0\0", 8),
        std::string("\x02\0\0\0\x01\0\0\0{}", 10), std::string("\x05\0", 2)}) {
    auto [ours, theirs] = make_link_ends();
    ASSERT_EQ(::send(ours.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    ours.reset();
    EXPECT_FALSE(Link(std::move(theirs)).receive());
  }
}

TEST_F(LinkTest, SendFailsWhenOtherEndIsGone) {
  theirs_.reset();
  EXPECT_FALSE(ours_->send({{"number", 1}}));
}

TEST(LinkedErrors, KeepCodeCausesAndHint) {
  Error error(ErrorCode::busy, "innermost", "wait");
  error.add_context("middle").add_context("outermost");
  const Error back = error_of(document_of(error));
  EXPECT_EQ(back.code(), ErrorCode::busy);
  EXPECT_STREQ(back.what(), "outermost: middle: innermost");
  EXPECT_EQ(back.hint(), "wait");
}

class Recorder : public ProgressListener {
 public:
  void operation_started(const Operation& operation) noexcept override {
    text += "started " + std::string(operation.name) + ' ' + std::string(operation.subject) + ' ' +
            std::to_string(operation.total.value_or(0)) + '\n';
  }
  void operation_advanced(std::uint64_t done) noexcept override {
    text += "at " + std::to_string(done) + '\n';
  }
  void operation_finished() noexcept override { text += "finished\n"; }
  void warning(std::string_view warning) noexcept override {
    text += "warning " + std::string(warning) + '\n';
  }

  std::string text;
};

TEST_F(LinkTest, ProgressIsReplayed) {
  LinkedProgress progress(*ours_);
  {
    RunningOperation operation(&progress, {.name = "copying", .subject = "file", .total = 7});
    operation.add(3);
    operation.add(4);  // too soon after the one before
  }
  progress.warning("careful");
  ours_.reset();
  Recorder recorder;
  while (const auto packet = theirs_->receive()) {
    EXPECT_TRUE(replay_progress(packet->content, &recorder));
    EXPECT_TRUE(replay_progress(packet->content, nullptr));
  }
  EXPECT_EQ(recorder.text, "started copying file 7\nat 3\nfinished\nwarning careful\n");
  EXPECT_FALSE(replay_progress({{"result", 1}}, &recorder));
}

}  // namespace
}  // namespace pyro
