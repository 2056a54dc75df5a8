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

/// A file that somebody named: as ssh has it, what everybody may write or another user owns is not
/// believed. What a group may write is, with a remark: many users have a group to themselves. So
/// does root believe files of every user: containers are handed those of the user outside.
/// `user` is whom this process runs as.
[[nodiscard]] FileTrust judge_file(mode_t mode, uid_t owner, uid_t user, Holds what);

}  // namespace pyro
