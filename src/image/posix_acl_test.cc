// Access control lists, and the extended attributes that are kept.
#include "image/posix_acl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "image/layers.h"
#include "pyro/error.h"

namespace pyro::image {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Acl kBase{{AclEntry::owner, 6}, {AclEntry::owning_group, 4}, {AclEntry::other, 0}};

TEST(PosixAcl, TextMayHaveCommasLinesShortTagsAndSpaces) {
  for (const char* text : {"user::rw-,group::r--,other::---", "user::rw-\ngroup::r--\nother::---\n",
                           "other::---, group::r-- ,user::rw-", "u::rw-,g::r--,o::---",
                           "user:rw-,group:r--,other:---"}) {
    EXPECT_EQ(parse_acl_text(text), kBase) << text;
  }
  EXPECT_THAT(parse_acl_text(""), IsEmpty());
}

TEST(PosixAcl, NamedUsersHaveANumberAndAreSorted) {
  const Acl acl = parse_acl_text(
      "user::rwx,user:joe:r-x:1000,user:7:--x,group::r-x,group:g:rwx:5,mask::rwx,other::---");
  EXPECT_THAT(acl, ElementsAre(AclEntry{AclEntry::owner, 7}, AclEntry{AclEntry::user, 1, 7},
                               AclEntry{AclEntry::user, 5, 1000},
                               AclEntry{AclEntry::owning_group, 5}, AclEntry{AclEntry::group, 7, 5},
                               AclEntry{AclEntry::mask, 7}, AclEntry{AclEntry::other, 0}));
  EXPECT_EQ(parse_acl_xattr(acl_xattr(acl)), acl);
  EXPECT_FALSE(is_like_mode(acl));
  EXPECT_TRUE(is_like_mode(kBase));
}

TEST(PosixAcl, ValueIsThatOfLinux) {
  EXPECT_EQ(acl_xattr({{AclEntry::owner, 6}, {AclEntry::user, 5, 0x01020304}}),
            std::string("\2\0\0\0\1\0\6\0\xff\xff\xff\xff\2\0\5\0\4\3\2\1", 20));
}

TEST(PosixAcl, RejectsTextThatLinuxDoesNotAccept) {
  for (const char* text :
       {"user::rwx", "user::rwx,group::r-x", "user::rwx,user::rwx,group::r-x,other::r-x",
        "user::rwx,user:joe:rwx,group::r-x,mask::rwx,other::r-x",
        "user::rwx,user:joe:rwx:x,group::r-x,mask::rwx,other::r-x",
        "user::rwx,user:1:rwx,group::r-x,other::r-x",
        "user::rwx,user:1:rwx,user:1:r-x,group::r-x,mask::rwx,other::r-x",
        "user::rwx,user:4294967296:rwx,group::r-x,mask::rwx,other::r-x",
        "user::rwz,group::r-x,other::r-x", "user::rw,group::r-x,other::r-x",
        "user::7,group::r-x,other::r-x", "owner::rwx,group::r-x,other::r-x", "user",
        "::::", "user::rwx,group::r-x,other:1:r-x"}) {
    EXPECT_THROW(static_cast<void>(parse_acl_text(text)), Error) << text;
  }
}

TEST(PosixAcl, RejectsValuesThatLinuxDoesNotAccept) {
  const std::string sound = acl_xattr(kBase);
  EXPECT_EQ(parse_acl_xattr(sound), kBase);
  std::string version = sound;
  version[0] = 1;
  std::string tag = sound;
  tag[4] = 3;
  std::string permissions = sound;
  permissions[6] = 8;
  for (const std::string& value : {std::string(), std::string("\2"), version, tag, permissions,
                                   sound.substr(0, sound.size() - 1), sound + sound.substr(4)}) {
    EXPECT_THROW(static_cast<void>(parse_acl_xattr(value)), Error);
  }
}

TEST(KeptXattrs, LastOfANameCountsAndTextReplacesTheAttribute) {
  LayerEntry entry{.path = "a", .type = LayerEntry::Type::directory};
  entry.xattrs = {{"user.b", "1"},
                  {"user.a", "2"},
                  {"user.b", "3"},
                  {"system.posix_acl_default", acl_xattr(kBase)}};
  entry.default_acl = "user::rwx,group::rwx,other::rwx";
  EXPECT_THAT(kept_xattrs(entry), ElementsAre(Xattr{"system.posix_acl_default",
                                                    acl_xattr(parse_acl_text(entry.default_acl))},
                                              Xattr{"user.a", "2"}, Xattr{"user.b", "3"}));
}

TEST(KeptXattrs, AccessListThatSaysNoMoreThanTheModeIsNone) {
  EXPECT_THAT(kept_xattrs({.path = "a", .access_acl = "user::rwx,group::r-x,other::r-x"}),
              IsEmpty());
}

TEST(KeptXattrs, RejectsListsWhereLinuxHasNone) {
  const std::string acl = "user::rwx,user:1:rwx,group::r-x,mask::rwx,other::r-x";
  EXPECT_THROW(static_cast<void>(kept_xattrs({.path = "a", .default_acl = acl})), Error);
  EXPECT_THROW(static_cast<void>(kept_xattrs(
                   {.path = "a", .type = LayerEntry::Type::symlink, .access_acl = acl})),
               Error);
}

TEST(KeptXattrs, RejectsNamesThatLinuxDoesNotAccept) {
  for (const std::string& name :
       {std::string(), std::string("user.a\0b", 8), std::string(256, 'u')}) {
    EXPECT_THROW(static_cast<void>(kept_xattrs({.path = "a", .xattrs = {{name, "x"}}})), Error);
  }
}

}  // namespace
}  // namespace pyro::image
