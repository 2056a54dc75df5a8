// The pipe between two processes, here between two threads.
#include "sandbox/shared_pipe.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "pyro/error.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

/// Both ends of the socket.
class PipeTest : public ::testing::Test {
 protected:
  PipeTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    left_ = Fd(ends[0]);
    right_ = Fd(ends[1]);
  }

  SharedPipeReader reader(const SharedPipeWriter& writer) {
    return SharedPipeReader(right_.get(), writer.file(),
                            [this] { ::send(right_.get(), "t", 1, MSG_NOSIGNAL); });
  }

  void write(SharedPipeWriter& writer, std::string_view text) {
    auto bytes = std::as_bytes(std::span(text));
    while (!bytes.empty()) {
      wait_for_space(writer);
      bytes = bytes.subspan(writer.fill(bytes));
    }
  }

  void wait_for_space(SharedPipeWriter& writer) {
    while (!writer.has_space()) {
      char byte = 0;
      ASSERT_EQ(::read(left_.get(), &byte, 1), 1);
      ASSERT_TRUE(writer.acknowledge());
    }
  }

  static std::string read_layer(SharedPipeReader& reader) {
    std::string all;
    for (auto piece = reader.next(); !piece.empty(); piece = reader.next()) {
      all.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
    EXPECT_TRUE(reader.next().empty()) << "the end stays the end";
    return all;
  }

  Fd left_;
  Fd right_;
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 4099);
  return text;
}

TEST_F(PipeTest, TransfersLayersUnchanged) {
  const std::vector<std::string> layers = {pattern(3 * kChunks * kChunkSize + 5), "",
                                           pattern(kChunkSize), "short"};
  SharedPipeWriter writer(left_.get());
  std::vector<std::string> read;
  std::thread thread([&] {
    SharedPipeReader pipe = reader(writer);
    while (pipe.next_layer()) {
      EXPECT_EQ(pipe.layer(), read.size() + 1);
      read.push_back(read_layer(pipe));
    }
    EXPECT_EQ(pipe.layer(), 0U);
  });
  for (const std::string& layer : layers) {
    writer.begin_layer({});
    write(writer, layer);
    wait_for_space(writer);
    writer.end_layer();
  }
  writer.end();
  thread.join();
  EXPECT_TRUE(read == layers);
}

TEST_F(PipeTest, TransfersFormOfEachLayer) {
  const LayerForm file{LayerForm::Shape::file, kInitrd, Checksums::leave};
  SharedPipeWriter writer(left_.get());
  for (const LayerForm& form : {file, LayerForm{}}) {
    writer.begin_layer(form);
    writer.end_layer();
  }
  writer.end();
  SharedPipeReader pipe = reader(writer);
  EXPECT_EQ(pipe.next_layer(), file);
  EXPECT_EQ(read_layer(pipe), "");
  EXPECT_EQ(pipe.next_layer(), LayerForm{});
  EXPECT_EQ(read_layer(pipe), "");
  EXPECT_EQ(pipe.next_layer(), std::nullopt);
}

TEST_F(PipeTest, IsFullAfterSixteenChunks) {
  SharedPipeWriter writer(left_.get());
  const std::string all = pattern(kChunks * kChunkSize);
  auto bytes = std::as_bytes(std::span(all));
  while (writer.has_space()) bytes = bytes.subspan(writer.fill(bytes));
  EXPECT_TRUE(bytes.empty());
  EXPECT_TRUE(writer.acknowledge());
  EXPECT_TRUE(writer.has_space());
}

TEST_F(PipeTest, RejectsAcknowledgementOfUnsentChunk) {
  SharedPipeWriter writer(left_.get());
  EXPECT_FALSE(writer.acknowledge());
  write(writer, "not a whole chunk");
  EXPECT_FALSE(writer.acknowledge());
  writer.end_layer();
  EXPECT_TRUE(writer.acknowledge());
  EXPECT_FALSE(writer.acknowledge());
}

TEST_F(PipeTest, ReaderFailsIfWriterIsGone) {
  SharedPipeWriter writer(left_.get());
  write(writer, pattern(kChunkSize));
  SharedPipeReader pipe = reader(writer);
  left_.reset();
  ASSERT_TRUE(pipe.next_layer());
  EXPECT_EQ(pipe.next().size(), kChunkSize);
  EXPECT_THROW((void)pipe.next(), Error);
}

TEST_F(PipeTest, WriterSurvivesIfReaderIsGone) {
  SharedPipeWriter writer(left_.get());
  right_.reset();
  writer.begin_layer({});
  EXPECT_EQ(writer.fill(std::as_bytes(std::span("x", 1))), 1U);
  writer.end_layer();
  writer.end();
}

TEST_F(PipeTest, ReaderCannotWriteSharedMemory) {
  const SharedPipeWriter writer(left_.get());
  const std::size_t size = kChunks * kChunkSize;
  void* const writable =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, writer.file(), 0);
  EXPECT_EQ(writable, MAP_FAILED);
  EXPECT_LT(::pwrite(writer.file(), "x", 1, 0), 0);
  EXPECT_NE(::ftruncate(writer.file(), 0), 0);
  EXPECT_NE(::ftruncate(writer.file(), static_cast<off_t>(2 * size)), 0);
}

}  // namespace
}  // namespace pyro
