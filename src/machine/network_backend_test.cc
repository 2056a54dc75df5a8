// Tests of starting passt, by programs that behave as it may.
#include "machine/network_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class NetworkBackendTest : public ::testing::Test {
 protected:
  NetworkBackendTest() : path_(std::getenv("PATH")) { ::setenv("PATH", dir_.path().c_str(), 1); }
  ~NetworkBackendTest() override { ::setenv("PATH", path_.c_str(), 1); }

  void have_passt(const std::string& script) const {
    testing::write_file(dir_ / "passt", script);
    fs::permissions(dir_ / "passt", fs::perms(0755));
  }
  static std::string failure() {
    try {
      static_cast<void>(start_network(GuestNetwork::user));
      return "it starts";
    } catch (const Error& error) {
      EXPECT_THAT(error.hint(), HasSubstr("user+host"));
      return error.what();
    }
  }

  testing::TempDir dir_;
  const std::string path_;
};

TEST_F(NetworkBackendTest, OnlyUserNetworkNeedsAProcess) {
  EXPECT_EQ(start_network(GuestNetwork::none), nullptr);
  EXPECT_EQ(start_network(GuestNetwork::user_and_host), nullptr);
}

TEST_F(NetworkBackendTest, MissingPasstIsAnError) {
  EXPECT_THAT(failure(), HasSubstr("there is no passt"));
}

TEST_F(NetworkBackendTest, ErrorHasLastLineOfPasst) {
  have_passt(
      "#!/bin/sh\necho one >&2; echo 'No external interface' >&2\n"
      "echo 'Failed to send 12 bytes to syslog' >&2; exit 1\n");
  EXPECT_EQ(failure(),
            "the network of the machine does not start: passt ended: No external interface");
}

TEST_F(NetworkBackendTest, RejectsAnswerThatIsNoFrame) {
  have_passt("#!/bin/sh\nprintf '\\377\\377\\377\\377' >&3; exec /bin/sleep 100\n");
  EXPECT_THAT(failure(), HasSubstr("passt sends what is no frame"));
}

TEST_F(NetworkBackendTest, OtherFramesBeforeTheAnswerArePassedOver) {
  // Two frames, the second of which answers: ARP, operation 2.
  have_passt(R"(#!/bin/sh
printf '\000\000\000\003abc' >&3
printf '\000\000\000\052............\010\006\000\001\010\000\006\004\000\002....................' >&3
exec /bin/sleep 100
)");
  const auto network = start_network(GuestNetwork::user);
  ASSERT_TRUE(network);
  EXPECT_GE(network->guest_end(), 0);
  network->close_guest_end();
  EXPECT_EQ(network->guest_end(), -1);
}

}  // namespace
}  // namespace pyro
