// How far a file is to be believed, by who owns it and who else may write it.
//
// One judge for the settings and credentials that pyro reads. It looks at the status of the open
// descriptor that is then read.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

namespace pyro {

enum class Holds {
  settings,  ///< Others may read it.
  secrets,
};

struct FileTrust {
  bool believed = true;
  std::string remark = {};  ///< What is wrong with it; empty when nothing is.
  std::string remedy = {};
};

/// As ssh has it, a file that everybody may write, or that another user owns, is not believed. One
/// that a group may write is, with a remark: many users have a group to themselves. Root believes
/// files of every user, with a remark: containers are handed those of the user outside.
/// `user` is the user of this process.
[[nodiscard]] FileTrust judge_file(mode_t mode, uid_t owner, uid_t user, Holds what);

}  // namespace pyro
